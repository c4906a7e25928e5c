//! What may start by a quota, and what is remembered of it.

use gulou::store::Store;
use gulou::store::quota::{Allowance, Limit, Take, Taken};

use super::home::Home;

const HOUR: i64 = 3_600_000;

fn take(name: &str, wanted: u32, now: i64) -> Take {
    let limits = vec![Limit { name: name.to_owned(), count: 100, per: HOUR }];
    Take { limits, names: vec![name.to_owned()], wanted, now, ..Take::default() }
}

async fn some(store: &Store, take: Take) -> Allowance {
    match store.take_quota(take).await.unwrap() {
        Taken::Some(allowance) => allowance,
        other => panic!("{other:?}"),
    }
}

pub(super) async fn a_quota_holds_through_a_restart(home: &Home) {
    let mut store = home.reopen();
    let mut taken = 0;
    while let Taken::Some(allowance) = store.take_quota(take("鼓'", 9, HOUR + taken)).await.unwrap() {
        assert!(allowance.count <= 6, "{allowance:?}: a block is a small part");
        taken += i64::from(allowance.count);
        if taken % 5 == 1 {
            drop(store);
            store = home.reopen();
        }
    }
    assert_eq!(taken, 100);
    drop(store);
    let store = home.reopen();
    let full = store.take_quota(take("鼓'", 1, HOUR + 1000)).await.unwrap();
    assert_eq!(full, Taken::Full { until: 2 * HOUR + 60_000, name: "鼓'".to_owned() });
    assert_eq!(some(&store, take("other", 1, HOUR + 1000)).await.count, 1, "another name");
    assert!(matches!(store.take_quota(take("鼓'", 1, 2 * HOUR + 59_999)).await.unwrap(), Taken::Full { .. }));
    assert_eq!(some(&store, take("鼓'", 3, 2 * HOUR + 60_000)).await.count, 3);
}

pub(super) async fn what_is_given_back_of_a_quota_may_be_taken_again(home: &Home) {
    let store = home.reopen();
    for _ in 0..100 {
        let allowance = some(&store, take("q", 6, HOUR)).await;
        some(&store, Take { back: Some(allowance), ..take("q", 1, HOUR) }).await;
    }
    assert!(matches!(store.take_quota(take("q", 6, HOUR)).await.unwrap(), Taken::Full { .. }));
}

pub(super) async fn a_quota_rests_for_the_longest_that_was_said(home: &Home) {
    let store = home.reopen();
    store.rest_quota("r".to_owned(), 5000).await.unwrap();
    store.rest_quota("r".to_owned(), 9000).await.unwrap();
    store.rest_quota("r".to_owned(), 7000).await.unwrap();
    drop(store);
    let store = home.reopen();
    let names = vec!["a".to_owned(), "r".to_owned()];
    let both = |now| Take { names: names.clone(), ..take("a", 2, now) };
    let resting = store.take_quota(both(8999)).await.unwrap();
    assert_eq!(resting, Taken::Resting { until: 9000, name: "r".to_owned() });
    assert_eq!(some(&store, both(9000)).await.count, 2);
}
