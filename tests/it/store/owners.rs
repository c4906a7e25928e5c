//! One owner at a time, and what the next one finds.

use gulou::settings::Overlap;
use gulou::store::StoreError;

use super::home::{Home, claim, open};

pub(super) async fn the_state_has_one_owner_at_a_time(home: &Home) {
    let store = open(home).await;
    let error = home.try_open().unwrap_err();
    assert!(matches!(error, StoreError::Locked { .. }), "{error}");
    let pid = format!("(pid {})", std::process::id());
    assert!(error.to_string().contains(&pid), "{error}");
    drop(store);
    open(home).await;
}

pub(super) async fn a_restart_sees_what_was_left_open(home: &Home) {
    let store = open(home).await;
    claim(&store, 100, Overlap::Queue(1)).await;
    claim(&store, 101, Overlap::Queue(1)).await;
    assert!(store.left_open().await.unwrap().is_empty(), "runs of this epoch are not left over");
    let epoch = store.epoch();
    drop(store);
    let store = home.reopen();
    assert_eq!(store.epoch(), epoch + 1);
    let left: Vec<_> =
        store.left_open().await.unwrap().into_iter().map(|run| (run.fire_time, run.state)).collect();
    assert_eq!(left, [(100, "running".to_owned()), (101, "waiting".to_owned())]);
}

pub(super) async fn a_newer_state_is_refused(home: &Home) {
    drop(open(home).await);
    home.set_version(999);
    let error = home.try_open().unwrap_err();
    assert!(matches!(error, StoreError::TooNew { found: 999, .. }), "{error}");
    let error = home.try_reader().unwrap_err();
    assert!(matches!(error, StoreError::TooNew { found: 999, .. }), "{error}");
}

/// Nor does it make one.
pub(super) async fn a_reader_of_no_state_says_so(home: &Home) {
    assert!(home.try_reader().unwrap().is_none());
    assert!(home.is_empty());
}
