//! What becomes of rows when nothing crashes.

use super::world::{World, account};
use crate::run::Status;

#[tokio::test]
async fn a_page_a_fire_until_the_table_is_sent() {
    let mut world = World::new(25);
    let daemon = world.start();
    let mut seen = Vec::new();
    for _ in 0..4 {
        let outcome = daemon.run(&world.next_fire()).await;
        assert_eq!(outcome.status, Status::Succeeded, "{outcome:?}");
        seen.push((account(&outcome), outcome.result.unwrap()["remaining"].clone(), outcome.idle));
    }
    assert_eq!(
        seen,
        [
            ("sent 10".to_owned(), 15.into(), false),
            ("sent 10".to_owned(), 5.into(), false),
            ("sent 5".to_owned(), 0.into(), false),
            (String::new(), 0.into(), true),
        ]
    );
    assert_eq!(world.post.counts().len(), 25);
    assert!(world.post.counts().values().all(|count| *count == 1));
    assert_eq!(world.keys("status = true AND sent_at = '2026-06-01 01:00:00'").len(), 25);
    assert!(world.ledger().is_empty(), "the ledger empties itself");
}
