//! What the `sql` target does with a session of a server that was lost while it was idle.

use gulou::run::Status;

use super::ground::{Ground, script};
use crate::target_harness::{LONG, run};

#[tokio::test]
async fn a_lost_connection_is_made_again_on_postgres_and_mariadb() {
    for ground in [Ground::postgres(), Ground::mariadb()] {
        ground.ask("create table t (a integer)");
        let target = ground.plain(&["INSERT INTO t VALUES (1)"]);
        assert_eq!(run(&target, "").await.0.status, Status::Succeeded);
        ground.cut_connections();
        let (outcome, _) = run(&target, "").await;
        assert_eq!(outcome.status, Status::Succeeded, "{outcome:?}");
        assert_eq!(ground.ask("select count(*) from t"), "2");
        // A statement on its own is never done again, and so its session is looked at first.
        let target = ground.target(script(&["INSERT INTO t VALUES (2)"], false), LONG);
        assert_eq!(run(&target, "").await.0.status, Status::Succeeded);
        ground.cut_connections();
        let (outcome, _) = run(&target, "").await;
        assert_eq!(outcome.status, Status::Succeeded, "{outcome:?}");
        assert_eq!(ground.ask("select count(*) from t"), "4");
    }
}
