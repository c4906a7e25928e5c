//! The state store's promises about runs, against a real file.

use gulou::run::{Outcome, Reason, Stream};
use gulou::settings::Overlap;
use gulou::store::runs::{Claim, ClaimRequest, HistoryFilter, OutputLine, SkipReason, SkippedSpan};
use gulou::store::{Reader, Store, StoreError};

fn request(fire_time: i64, overlap: Overlap) -> ClaimRequest {
    ClaimRequest {
        request_id: format!("request-{fire_time}-{}", uuid::Uuid::new_v4()),
        function: "f".to_owned(),
        trigger: "t".to_owned(),
        fire_time,
        reason: Reason::Timed,
        attempt: 1,
        missed: 0,
        overlap,
        room: true,
        now: fire_time * 1000,
    }
}

async fn claim(store: &Store, fire_time: i64, overlap: Overlap) -> Claim {
    store.claim(vec![request(fire_time, overlap)]).await.unwrap().remove(0)
}

fn open(dir: &tempfile::TempDir) -> Store {
    Store::open(&dir.path().join("state.db")).unwrap()
}

fn states(dir: &tempfile::TempDir) -> Vec<(i64, String)> {
    let reader = Reader::open(&dir.path().join("state.db")).unwrap().unwrap();
    let filter = HistoryFilter { limit: 100, ..HistoryFilter::default() };
    let mut runs: Vec<_> =
        reader.history(&filter).unwrap().into_iter().map(|run| (run.fire_time, run.state)).collect();
    runs.reverse();
    runs
}

#[tokio::test]
async fn a_fire_time_is_claimed_once_for_ever() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    let Claim::Started(run) = claim(&store, 100, Overlap::Allow).await else { panic!("not started") };
    assert_eq!(claim(&store, 100, Overlap::Allow).await, Claim::AlreadyClaimed);
    store.finish(run, Outcome::succeeded(None), 101_000).await.unwrap();
    assert_eq!(claim(&store, 100, Overlap::Allow).await, Claim::AlreadyClaimed);
    // Pruning the run must not free its fire time.
    assert_eq!(store.prune(i64::MAX, 0, 10).await.unwrap(), 1);
    assert_eq!(claim(&store, 100, Overlap::Allow).await, Claim::AlreadyClaimed);
    drop(store);
    let store = open(&dir);
    assert_eq!(claim(&store, 100, Overlap::Allow).await, Claim::AlreadyClaimed);
    assert!(matches!(claim(&store, 101, Overlap::Allow).await, Claim::Started(_)));
}

#[tokio::test]
async fn a_manual_run_claims_no_fire_time() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    for _ in 0..2 {
        let manual = ClaimRequest { reason: Reason::Manual, ..request(100, Overlap::Allow) };
        assert!(matches!(store.claim(vec![manual]).await.unwrap()[0], Claim::Started(_)));
    }
    assert!(matches!(claim(&store, 100, Overlap::Allow).await, Claim::Started(_)));
}

#[tokio::test]
async fn overlap_skip_runs_one_and_records_the_others_as_one_span() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    let Claim::Started(run) = claim(&store, 100, Overlap::Skip).await else { panic!("not started") };
    for fire_time in 101..=105 {
        assert_eq!(claim(&store, fire_time, Overlap::Skip).await, Claim::Skipped);
    }
    store.finish(run, Outcome::succeeded(None), 106_000).await.unwrap();
    let Claim::Started(_) = claim(&store, 106, Overlap::Skip).await else { panic!("not started") };
    assert_eq!(claim(&store, 107, Overlap::Skip).await, Claim::Skipped);

    let reader = Reader::open(&dir.path().join("state.db")).unwrap().unwrap();
    let spans: Vec<_> =
        reader.skipped(Some("f"), 10).unwrap().into_iter().map(|s| (s.first, s.last, s.count)).collect();
    assert_eq!(spans, [(107, 107, 1), (101, 105, 5)]);
}

#[tokio::test]
async fn overlap_queue_lets_only_so_many_wait() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    let queue = Overlap::Queue(2);
    assert!(matches!(claim(&store, 100, queue).await, Claim::Started(_)));
    let Claim::Waiting(second) = claim(&store, 101, queue).await else { panic!("does not wait") };
    assert!(matches!(claim(&store, 102, queue).await, Claim::Waiting(_)));
    assert_eq!(claim(&store, 103, queue).await, Claim::Skipped);
    store.start(second, 104_000).await.unwrap();
    assert!(matches!(claim(&store, 104, queue).await, Claim::Waiting(_)));
    let expected = [(100, "running"), (101, "running"), (102, "waiting"), (104, "waiting")];
    assert_eq!(states(&dir), expected.map(|(time, state)| (time, state.to_owned())));
}

#[tokio::test]
async fn overlap_replace_names_what_runs_and_ends_what_waits() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    let Claim::Started(first) = claim(&store, 100, Overlap::Replace).await else { panic!("not started") };
    let Claim::Replaces { run: second, old } = claim(&store, 101, Overlap::Replace).await else {
        panic!("replaces nothing")
    };
    assert_eq!(old, [first]);
    let Claim::Replaces { old, .. } = claim(&store, 102, Overlap::Replace).await else {
        panic!("replaces nothing")
    };
    assert_eq!(old, [first, second]);
    let expected = [(100, "running"), (101, "interrupted"), (102, "waiting")];
    assert_eq!(states(&dir), expected.map(|(time, state)| (time, state.to_owned())));
}

#[tokio::test]
async fn without_room_a_run_waits_whatever_the_policy() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    let full = ClaimRequest { room: false, ..request(100, Overlap::Allow) };
    assert!(matches!(store.claim(vec![full]).await.unwrap()[0], Claim::Waiting(_)));
}

#[tokio::test]
async fn idle_runs_are_folded_until_one_finds_work() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    for fire_time in 100..110 {
        let Claim::Started(run) = claim(&store, fire_time, Overlap::Allow).await else {
            panic!("not started")
        };
        let line = OutputLine { seq: 0, at: 0, stream: Stream::Stdout, text: "nothing to do".to_owned() };
        store.append_output(run, vec![line]).await.unwrap();
        let outcome = Outcome { idle: fire_time != 105, ..Outcome::succeeded(None) };
        store.finish(run, outcome, fire_time * 1000).await.unwrap();
    }
    let reader = Reader::open(&dir.path().join("state.db")).unwrap().unwrap();
    let filter = HistoryFilter { limit: 100, ..HistoryFilter::default() };
    let runs: Vec<_> =
        reader.history(&filter).unwrap().into_iter().map(|run| (run.fire_time, run.repeats)).collect();
    assert_eq!(runs, [(106, 3), (105, 0), (100, 4)]);
    assert_eq!(claim(&store, 103, Overlap::Allow).await, Claim::AlreadyClaimed);
}

#[tokio::test]
async fn a_restart_sees_what_was_left_open() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    claim(&store, 100, Overlap::Queue(1)).await;
    claim(&store, 101, Overlap::Queue(1)).await;
    assert!(store.left_open().await.unwrap().is_empty(), "runs of this epoch are not left over");
    let epoch = store.epoch();
    drop(store);
    let store = open(&dir);
    assert_eq!(store.epoch(), epoch + 1);
    let left: Vec<_> =
        store.left_open().await.unwrap().into_iter().map(|run| (run.fire_time, run.state)).collect();
    assert_eq!(left, [(100, "running".to_owned()), (101, "waiting".to_owned())]);
}

#[tokio::test]
async fn a_skipped_span_moves_the_high_water_mark() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    let span = SkippedSpan {
        function: "f".to_owned(),
        trigger: "t".to_owned(),
        first: 100,
        last: 200,
        count: 101,
        reason: SkipReason::Down,
    };
    store.skip(vec![span], 300_000).await.unwrap();
    let key = ("f".to_owned(), "t".to_owned());
    assert_eq!(store.high_water().await.unwrap().get(&key), Some(&200));
    assert_eq!(claim(&store, 150, Overlap::Allow).await, Claim::AlreadyClaimed);
    store.lower_high_water(key.0, key.1, 120).await.unwrap();
    assert!(matches!(claim(&store, 150, Overlap::Allow).await, Claim::Started(_)));
}

#[tokio::test]
async fn the_state_has_one_owner_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    let error = Store::open(&dir.path().join("state.db")).unwrap_err();
    assert!(matches!(error, StoreError::Locked { .. }), "{error}");
    let pid = format!("(pid {})", std::process::id());
    assert!(error.to_string().contains(&pid), "{error}");
    drop(store);
    open(&dir);
}

#[tokio::test]
async fn a_newer_state_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(&dir));
    let connection = rusqlite::Connection::open(dir.path().join("state.db")).unwrap();
    connection.pragma_update(None, "user_version", 999).unwrap();
    drop(connection);
    let error = Store::open(&dir.path().join("state.db")).unwrap_err();
    assert!(matches!(error, StoreError::TooNew { found: 999, .. }), "{error}");
}

#[test]
fn a_reader_of_no_state_says_so_and_makes_none() {
    let dir = tempfile::tempdir().unwrap();
    assert!(Reader::open(&dir.path().join("state.db")).unwrap().is_none());
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}
