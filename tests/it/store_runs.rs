//! The state store's promises about runs, against a real file.

use std::sync::Arc;
use std::time::Duration;

use gulou::run::{Outcome, Reason, Stream};
use gulou::schedule::Schedule;
use gulou::settings::{FireRules, Misfire, Overlap, TriggerSettings};
use gulou::store::runs::{Claim, ClaimRequest, Ended, HistoryFilter, OutputLine, SkipReason, SkippedSpan};
use gulou::store::triggers::{Enrolment, Others, Place};
use gulou::store::{Reader, Store, StoreError};

use crate::support::eventually;

/// What the first function and its first trigger are called in a new state.
const FUNCTION: i64 = 1;
const TRIGGER: i64 = 1;

fn request(fire_time: i64, overlap: Overlap) -> ClaimRequest {
    ClaimRequest {
        request_id: uuid::Uuid::new_v4(),
        function: FUNCTION,
        trigger: TRIGGER,
        fire_time,
        since: fire_time,
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

/// The state, with a function `f` that has a trigger `t`, from the beginning of time on.
async fn open(dir: &tempfile::TempDir) -> Store {
    let store = reopen(dir);
    enroll(&store, &["t"], Others::Stay, 0).await;
    store
}

/// The state after a restart. A process that another test forks at this moment has a copy of the old lock until it
/// turns into its program.
fn reopen(dir: &tempfile::TempDir) -> Store {
    eventually("the lock", || match Store::open(&dir.path().join("state.db")) {
        Err(StoreError::Locked { .. }) => None,
        opened => Some(opened.unwrap()),
    })
}

/// Enrols the function `f` with these triggers.
async fn enroll(store: &Store, triggers: &[&str], others: Others, now: i64) -> Vec<Place> {
    let rules = Arc::new(FireRules {
        misfire: Misfire::Skip,
        start_within: Duration::from_secs(60),
        jitter: Duration::ZERO,
        catch_up: Duration::ZERO,
    });
    let trigger = |name: &&str| TriggerSettings {
        name: (*name).into(),
        schedule: Schedule::parse("* * * * * * *", "UTC").unwrap(),
        expression: "* * * * * * *".into(),
        argument: "".into(),
        enabled: true,
        rules: Arc::clone(&rules),
    };
    let triggers = triggers.iter().map(trigger).collect();
    let enrolment = Enrolment { function: "f".to_owned(), triggers };
    let mut enrolled = store.enroll(vec![enrolment], others, now).await.unwrap();
    assert_eq!(enrolled[0].function, FUNCTION);
    enrolled.remove(0).triggers
}

async fn finish(store: &Store, run: i64, outcome: Outcome, at: i64) {
    store.finish(Ended { run, outcome, at }).await.unwrap();
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
    let store = open(&dir).await;
    let Claim::Started(run) = claim(&store, 100, Overlap::Allow).await else { panic!("not started") };
    assert_eq!(claim(&store, 100, Overlap::Allow).await, Claim::AlreadyClaimed);
    finish(&store, run, Outcome::succeeded(None), 101_000).await;
    assert_eq!(claim(&store, 100, Overlap::Allow).await, Claim::AlreadyClaimed);
    // Pruning the run must not free its fire time.
    assert_eq!(store.prune(i64::MAX, 0, 10).await.unwrap(), 1);
    assert_eq!(claim(&store, 100, Overlap::Allow).await, Claim::AlreadyClaimed);
    drop(store);
    let store = reopen(&dir);
    assert_eq!(claim(&store, 100, Overlap::Allow).await, Claim::AlreadyClaimed);
    assert!(matches!(claim(&store, 101, Overlap::Allow).await, Claim::Started(_)));
}

#[tokio::test]
async fn a_manual_run_claims_no_fire_time() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    for _ in 0..2 {
        let manual = ClaimRequest { reason: Reason::Manual, ..request(100, Overlap::Allow) };
        assert!(matches!(store.claim(vec![manual]).await.unwrap()[0], Claim::Started(_)));
    }
    assert!(matches!(claim(&store, 100, Overlap::Allow).await, Claim::Started(_)));
}

#[tokio::test]
async fn overlap_skip_runs_one_and_records_the_others_as_one_span() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    let Claim::Started(run) = claim(&store, 100, Overlap::Skip).await else { panic!("not started") };
    for fire_time in 101..=105 {
        assert_eq!(claim(&store, fire_time, Overlap::Skip).await, Claim::Skipped);
    }
    finish(&store, run, Outcome::succeeded(None), 106_000).await;
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
    let store = open(&dir).await;
    let queue = Overlap::Queue(2);
    assert!(matches!(claim(&store, 100, queue).await, Claim::Started(_)));
    let Claim::Waiting(second) = claim(&store, 101, queue).await else { panic!("does not wait") };
    assert!(matches!(claim(&store, 102, queue).await, Claim::Waiting(_)));
    assert_eq!(claim(&store, 103, queue).await, Claim::Skipped);
    store.start(vec![second], 104_000).await.unwrap();
    assert!(matches!(claim(&store, 104, queue).await, Claim::Waiting(_)));
    let expected = [(100, "running"), (101, "running"), (102, "waiting"), (104, "waiting")];
    assert_eq!(states(&dir), expected.map(|(time, state)| (time, state.to_owned())));
}

#[tokio::test]
async fn overlap_replace_names_what_runs_and_ends_what_waits() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
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
    let store = open(&dir).await;
    let full = ClaimRequest { room: false, ..request(100, Overlap::Allow) };
    assert!(matches!(store.claim(vec![full]).await.unwrap()[0], Claim::Waiting(_)));
}

#[tokio::test]
async fn idle_runs_are_folded_until_one_finds_work() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    for fire_time in 100..110 {
        let Claim::Started(run) = claim(&store, fire_time, Overlap::Allow).await else {
            panic!("not started")
        };
        let line = OutputLine { seq: 0, at: 0, stream: Stream::Stdout, text: "nothing to do".to_owned() };
        store.append_output(run, vec![line]).await.unwrap();
        let outcome = Outcome { idle: fire_time != 105, ..Outcome::succeeded(None) };
        finish(&store, run, outcome, fire_time * 1000).await;
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
    let store = open(&dir).await;
    claim(&store, 100, Overlap::Queue(1)).await;
    claim(&store, 101, Overlap::Queue(1)).await;
    assert!(store.left_open().await.unwrap().is_empty(), "runs of this epoch are not left over");
    let epoch = store.epoch();
    drop(store);
    let store = reopen(&dir);
    assert_eq!(store.epoch(), epoch + 1);
    let left: Vec<_> =
        store.left_open().await.unwrap().into_iter().map(|run| (run.fire_time, run.state)).collect();
    assert_eq!(left, [(100, "running".to_owned()), (101, "waiting".to_owned())]);
}

#[tokio::test]
async fn a_skipped_span_moves_the_mark() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    let span = SkippedSpan { trigger: TRIGGER, first: 100, last: 200, count: 101, reason: SkipReason::Down };
    store.skip(vec![span], 300_000).await.unwrap();
    assert_eq!(enroll(&store, &["t"], Others::Leave, 500).await[0].accounted, 200);
    assert_eq!(claim(&store, 150, Overlap::Allow).await, Claim::AlreadyClaimed);
    assert_eq!(claim(&store, 150, Overlap::Skip).await, Claim::AlreadyClaimed);
    store.start_anew(vec![TRIGGER], 120).await.unwrap();
    assert!(matches!(claim(&store, 150, Overlap::Allow).await, Claim::Started(_)));
}

#[tokio::test]
async fn a_trigger_stands_where_its_newest_run_is() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    let Claim::Started(run) = claim(&store, 100, Overlap::Allow).await else { panic!("not started") };
    finish(&store, run, Outcome::succeeded(None), 100_500).await;
    drop(store);
    let store = reopen(&dir);
    let place = enroll(&store, &["t"], Others::Leave, 500).await[0];
    assert_eq!((place.accounted, place.ahead), (100, None));
}

#[tokio::test]
async fn a_mark_in_the_future_is_put_back_and_said() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    assert!(matches!(claim(&store, 900, Overlap::Allow).await, Claim::Started(_)));
    drop(store);
    let store = reopen(&dir);
    let place = enroll(&store, &["t"], Others::Leave, 500).await[0];
    assert_eq!((place.accounted, place.ahead), (500, Some(900)));
    assert!(matches!(claim(&store, 501, Overlap::Allow).await, Claim::Started(_)));
    assert_eq!(claim(&store, 900, Overlap::Allow).await, Claim::AlreadyClaimed, "it ran already");
}

#[tokio::test]
async fn a_trigger_that_was_out_of_the_configuration_starts_anew_and_stays_paused() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    let places = enroll(&store, &["t", "u"], Others::Leave, 50).await;
    store.pause(vec![places[1].id], Vec::new(), 60_000).await.unwrap();
    enroll(&store, &["t"], Others::Leave, 100).await;
    let places = enroll(&store, &["t", "u"], Others::Leave, 500).await;
    let stand = places.iter().map(|place| (place.accounted, place.paused_since));
    assert_eq!(stand.collect::<Vec<_>>(), [(0, None), (500, Some(60_000))]);
    store.dismiss(vec![TRIGGER]).await.unwrap();
    assert_eq!(enroll(&store, &["t"], Others::Stay, 600).await[0].accounted, 600);
}

#[tokio::test]
async fn a_pause_ends_with_what_was_skipped_in_one_step() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    store.pause(vec![TRIGGER], Vec::new(), 100_000).await.unwrap();
    assert_eq!(enroll(&store, &["t"], Others::Leave, 150).await[0].paused_since, Some(100_000));
    let span =
        SkippedSpan { trigger: TRIGGER, first: 101, last: 200, count: 100, reason: SkipReason::Paused };
    store.resume(vec![TRIGGER], vec![span], 200_500).await.unwrap();
    let place = enroll(&store, &["t"], Others::Leave, 300).await[0];
    assert_eq!((place.accounted, place.paused_since), (200, None));
    let reader = Reader::open(&dir.path().join("state.db")).unwrap().unwrap();
    assert_eq!(reader.skipped(Some("f"), 10).unwrap()[0].reason, "paused");
}

#[tokio::test]
async fn the_number_of_a_folded_run_is_not_given_again() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    let mut numbers = Vec::new();
    for fire_time in 100..103 {
        let Claim::Started(run) = claim(&store, fire_time, Overlap::Allow).await else {
            panic!("not started")
        };
        numbers.push(run);
        finish(&store, run, Outcome { idle: true, ..Outcome::succeeded(None) }, fire_time * 1000).await;
    }
    assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
}

#[tokio::test]
async fn ends_that_come_together_are_all_recorded() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    let requests = (100..600).map(|fire_time| request(fire_time, Overlap::Allow)).collect();
    let claims = store.claim(requests).await.unwrap();
    let ends: Vec<_> = claims
        .into_iter()
        .map(|claim| {
            let Claim::Started(run) = claim else { panic!("not started") };
            let store = store.clone();
            tokio::spawn(async move { finish(&store, run, Outcome::succeeded(None), 700_000).await })
        })
        .collect();
    for end in ends {
        end.await.unwrap();
    }
    assert!(states(&dir).into_iter().all(|(_, state)| state == "succeeded"));
}

/// Old runs go, from the oldest on; one that is still open stays, and holds up nobody.
#[tokio::test]
async fn pruning_goes_by_count_and_by_age() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    for fire_time in 100..110 {
        let Claim::Started(run) = claim(&store, fire_time, Overlap::Allow).await else {
            panic!("not started")
        };
        if fire_time != 100 {
            finish(&store, run, Outcome::succeeded(None), fire_time * 1000 + 500).await;
        }
    }
    let left = || states(&dir).into_iter().map(|(fire_time, _)| fire_time).collect::<Vec<_>>();
    assert_eq!(store.prune(0, 8, 100).await.unwrap(), 2, "by count");
    assert_eq!(left(), [100, 103, 104, 105, 106, 107, 108, 109]);
    assert_eq!(store.prune(0, 1, 3).await.unwrap(), 3, "no more than the limit");
    assert_eq!(store.prune(108_000, 100, 100).await.unwrap(), 2, "by age");
    assert_eq!(left(), [100, 108, 109]);
    drop(store);
    let store = reopen(&dir);
    assert_eq!(enroll(&store, &["t"], Others::Leave, 500).await[0].accounted, 109);
}

#[tokio::test]
async fn the_state_has_one_owner_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    let error = Store::open(&dir.path().join("state.db")).unwrap_err();
    assert!(matches!(error, StoreError::Locked { .. }), "{error}");
    let pid = format!("(pid {})", std::process::id());
    assert!(error.to_string().contains(&pid), "{error}");
    drop(store);
    open(&dir).await;
}

#[tokio::test]
async fn a_newer_state_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(&dir).await);
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

/// Skipped spans as `first..=last`, the oldest first.
fn spans(dir: &tempfile::TempDir) -> Vec<(i64, i64, i64)> {
    let reader = Reader::open(&dir.path().join("state.db")).unwrap().unwrap();
    let spans = reader.skipped(None, 10).unwrap().into_iter().rev();
    spans.map(|span| (span.first, span.last, span.count)).collect()
}

/// The row of the run that lay between was gone already.
#[tokio::test]
async fn a_span_never_covers_a_run_that_was_folded_or_pruned() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    let skip = |first, last| {
        let (count, reason) = (last - first + 1, SkipReason::Late);
        store.skip(vec![SkippedSpan { trigger: TRIGGER, first, last, count, reason }], 0)
    };
    let idle = Outcome { idle: true, ..Outcome::succeeded(None) };
    let Claim::Started(run) = claim(&store, 5, Overlap::Allow).await else { panic!("not started") };
    finish(&store, run, idle.clone(), 0).await;
    skip(10, 11).await.unwrap();
    let Claim::Started(run) = claim(&store, 12, Overlap::Allow).await else { panic!("not started") };
    finish(&store, run, idle, 0).await;
    skip(13, 14).await.unwrap();
    let Claim::Started(run) = claim(&store, 15, Overlap::Allow).await else { panic!("not started") };
    finish(&store, run, Outcome::succeeded(None), 0).await;
    assert_eq!(spans(&dir), [(10, 11, 2), (13, 14, 2)]);
    // All that is there goes, spans as well.
    assert_eq!(store.prune(0, 0, 10).await.unwrap(), 2);
    skip(16, 17).await.unwrap();
    skip(18, 18).await.unwrap();
    store.start_anew(vec![TRIGGER], 20).await.unwrap();
    skip(21, 21).await.unwrap();
    assert_eq!(spans(&dir), [(16, 18, 3), (21, 21, 1)]);
}
