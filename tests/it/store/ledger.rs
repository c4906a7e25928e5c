//! The ledger: scopes, steps, the retry lane, what a crash leaves, what operators settle.

use gulou::run::Reason;
use gulou::store::ledger::{BeginRun, EntryKey, FireState, OpenFire, Record, Scope, Step, Sweep, Verdict};
use gulou::store::ledger_rows::{Requeue, RowState, Selection};
use gulou::store::{Store, StoreError};

use super::home::Home;

const BATCH: &str = "f";

fn fire(fire_time: i64, reason: Reason) -> BeginRun {
    BeginRun {
        batch: BATCH.to_owned(),
        until_marked: true,
        walk_on: false,
        trigger: "f/t".to_owned(),
        fire_time,
        reason,
    }
}

async fn begin(store: &Store) -> Scope {
    store.begin_batch_run(fire(100, Reason::Timed)).await.unwrap()
}

fn key(name: &str) -> String {
    format!("[\"{name}\"]")
}

fn entry(scope: &Scope, name: &str) -> EntryKey {
    EntryKey { scope: scope.id, key: key(name) }
}

fn step(scope: &Scope) -> Step {
    Step { scope: scope.id, run: scope.run, now: 1000, ..Step::default() }
}

/// Reserves keys under the reservation `r-KEY`; answers which were refused.
async fn reserve(store: &Store, scope: &Scope, names: &[&str]) -> Vec<usize> {
    let reserve = names.iter().map(|name| (key(name), format!("r-{name}"))).collect();
    store.batch_step(Step { reserve, ..step(scope) }).await.unwrap()
}

fn record(scope: &Scope, name: &str, verdict: Verdict) -> Record {
    Record { entry: entry(scope, name), reservation: format!("r-{name}"), verdict }
}

fn sent() -> Verdict {
    Verdict::Sent { detail: "250 ok".to_owned() }
}

fn waiting(at: i64) -> Verdict {
    Verdict::Waiting { at, attempts: 2, doubtful: false, reason: "later".to_owned() }
}

async fn recorded(store: &Store, scope: &Scope, records: Vec<Record>) {
    store.batch_step(Step { record: records, ..step(scope) }).await.unwrap();
}

fn rows(home: &Home, state: Option<RowState>) -> Vec<(String, &'static str)> {
    let rows = home.reader().batch_rows(BATCH, state, 100).unwrap();
    let mut rows: Vec<_> = rows.into_iter().map(|row| (row.reservation, row.state)).collect();
    rows.sort();
    rows
}

fn shown(rows: &[(&str, &'static str)]) -> Vec<(String, &'static str)> {
    rows.iter().map(|(name, state)| (format!("r-{name}"), *state)).collect()
}

pub(super) async fn a_key_is_reserved_once_until_it_is_forgotten(home: &Home) {
    let store = home.reopen();
    let scope = begin(&store).await;
    assert_eq!(reserve(&store, &scope, &["a", "b", "c"]).await, Vec::<usize>::new());
    let again = ["d", "b", "e", "a"].map(|name| (key(name), format!("s-{name}"))).to_vec();
    assert_eq!(store.batch_step(Step { reserve: again, ..step(&scope) }).await.unwrap(), [1, 3]);
    recorded(&store, &scope, vec![record(&scope, "a", sent())]).await;
    // What goes in a step still keeps its key from being reserved in it.
    let (reserve_a, forget) = (vec![(key("a"), "t-a".to_owned())], vec![entry(&scope, "a")]);
    let both = Step { reserve: reserve_a.clone(), forget, ..step(&scope) };
    assert_eq!(store.batch_step(both).await.unwrap(), [0]);
    assert_eq!(
        store.batch_step(Step { reserve: reserve_a, ..step(&scope) }).await.unwrap(),
        Vec::<usize>::new()
    );
    store.forget(vec![entry(&scope, "a"), entry(&scope, "nobody")]).await.unwrap();
    assert_eq!(rows(home, None).len(), 4);
    drop(store);
    let store = home.reopen();
    let scope = store.begin_batch_run(fire(100, Reason::Resume)).await.unwrap();
    assert_eq!(scope.taken, 6, "rows that were taken, whatever became of them");
}

pub(super) async fn a_key_that_comes_twice_in_a_step_is_reserved_once(home: &Home) {
    let store = home.reopen();
    let scope = begin(&store).await;
    let twice = vec![(key("a"), "one".to_owned()), (key("a"), "two".to_owned())];
    assert_eq!(store.batch_step(Step { reserve: twice, ..step(&scope) }).await.unwrap(), [1]);
}

pub(super) async fn only_what_is_reserved_is_recorded_and_a_step_is_done_whole(home: &Home) {
    let store = home.reopen();
    let scope = begin(&store).await;
    reserve(&store, &scope, &["a", "b"]).await;
    let refuse = async |records: Vec<Record>| {
        let reserve = vec![(key("x"), "r-x".to_owned())];
        let error = store.batch_step(Step { record: records, reserve, ..step(&scope) }).await.unwrap_err();
        let StoreError::NotReserved { reservation } = error else { panic!("{error}") };
        reservation
    };
    let a = record(&scope, "a", sent());
    assert_eq!(refuse(vec![a.clone(), record(&scope, "nobody", sent())]).await, "r-nobody");
    assert_eq!(refuse(vec![a.clone(), record(&scope, "b", sent()), a.clone()]).await, "r-a");
    assert_eq!(refuse(vec![record(&scope, "nobody", Verdict::Gone), a.clone()]).await, "r-nobody");
    let other = Record { reservation: "other".to_owned(), ..a.clone() };
    assert_eq!(refuse(vec![other]).await, "other");
    assert_eq!(rows(home, None), shown(&[("a", "under way"), ("b", "under way")]), "nothing of it is done");
    recorded(&store, &scope, vec![a.clone()]).await;
    assert_eq!(refuse(vec![a]).await, "r-a", "it is recorded already");
}

pub(super) async fn outcomes_are_kept_as_they_are(home: &Home) {
    let store = home.reopen();
    let scope = begin(&store).await;
    reserve(&store, &scope, &["a", "b", "c", "d", "e", "f"]).await;
    let reason = || "5\0xx".to_owned();
    recorded(
        &store,
        &scope,
        vec![
            record(&scope, "a", sent()),
            record(&scope, "b", Verdict::Failed { reason: reason() }),
            record(&scope, "c", Verdict::Kept { reason: reason() }),
            record(&scope, "d", waiting(5000)),
            record(&scope, "e", Verdict::Held { reason: reason() }),
            record(&scope, "f", Verdict::Gone),
        ],
    )
    .await;
    let all = [("a", "under way"), ("b", "under way"), ("c", "failed"), ("d", "retrying"), ("e", "held")];
    assert_eq!(rows(home, None), shown(&all));
    assert_eq!(rows(home, Some(RowState::Failed)), shown(&all[2..3]));
    assert_eq!(rows(home, Some(RowState::Retrying)), shown(&all[3..4]));
    assert_eq!(rows(home, Some(RowState::Held)), shown(&all[4..]));
    let row = home.reader().batch_rows(BATCH, Some(RowState::Retrying), 1).unwrap().remove(0);
    assert_eq!((row.at, row.attempts, row.fire_time, row.key), (5000, 2, 100, key("d")));
    assert_eq!(row.detail.as_deref(), Some("later"));
    let summary = home.reader().batches().unwrap().remove(0);
    assert_eq!((summary.held, summary.failed, summary.retrying, summary.under_way), (1, 1, 1, 2));
    assert_eq!((summary.next_retry, summary.trigger.as_deref()), (Some(5000), Some("f/t")));
    let unmarked = store.unmarked(BATCH.to_owned(), None, 10).await.unwrap();
    let failures: Vec<_> =
        unmarked.iter().map(|row| (row.entry.key.clone(), row.failure.is_some())).collect();
    assert_eq!(failures, [(key("a"), false), (key("b"), true)]);
    let after = Some(unmarked[0].entry.clone());
    assert_eq!(store.unmarked(BATCH.to_owned(), after, 10).await.unwrap(), unmarked[1..]);
    assert_eq!(store.unmarked(BATCH.to_owned(), None, 1).await.unwrap(), unmarked[..1]);
    assert!(store.unmarked("other".to_owned(), None, 10).await.unwrap().is_empty());
}

pub(super) async fn the_retry_lane_goes_by_time_and_a_row_keeps_its_reservation(home: &Home) {
    let store = home.reopen();
    let scope = begin(&store).await;
    reserve(&store, &scope, &["a", "b", "c"]).await;
    let doubtful = Verdict::Waiting { at: 2000, attempts: 1, doubtful: true, reason: String::new() };
    recorded(
        &store,
        &scope,
        vec![
            record(&scope, "a", waiting(3000)),
            record(&scope, "b", doubtful),
            record(&scope, "c", waiting(9000)),
        ],
    )
    .await;
    assert_eq!(store.next_due(BATCH.to_owned()).await.unwrap(), Some(2000));
    let take = |run, now, limit| store.take_due(BATCH.to_owned(), (scope.id, run, true), now, limit);
    assert!(take(scope.run, 1999, 10).await.unwrap().is_empty());
    let first = take(scope.run, 5000, 1).await.unwrap();
    assert_eq!(first.len(), 1);
    assert_eq!((first[0].reservation.as_str(), first[0].attempts), ("r-b", 1));
    assert!(first[0].doubtful && first[0].own);
    let second = take(scope.run + 1, 5000, 10).await.unwrap();
    assert_eq!(second.len(), 1);
    assert_eq!((second[0].reservation.as_str(), second[0].attempts, second[0].fire_time), ("r-a", 2, 100));
    assert!(!second[0].doubtful && !second[0].own, "another run put it there");
    assert_eq!(store.next_due(BATCH.to_owned()).await.unwrap(), Some(9000));
    let next = store.begin_batch_run(fire(100, Reason::Resume)).await.unwrap();
    assert_eq!(next.taken, 5, "what is taken again counts again");
    recorded(&store, &scope, vec![record(&scope, "a", sent())]).await;
}

pub(super) async fn a_scope_goes_on_until_its_fire_is_done(home: &Home) {
    let store = home.reopen();
    let scope = begin(&store).await;
    assert_eq!((scope.run, scope.taken, scope.done), (1, 0, false));
    let sweep = Sweep { cursor: Some(key("m")), origin: Some(key("b")), wrapped: true, remaining: Some(7) };
    let reserve = vec![(key("a"), "r-a".to_owned()), (key("b"), "r-b".to_owned())];
    let stopped = Step {
        reserve,
        sweep: Some(sweep.clone()),
        fire: Some(FireState::Stopped),
        untaken: 1,
        forget: vec![entry(&scope, "b")],
        ..step(&scope)
    };
    store.batch_step(stopped).await.unwrap();
    let open = OpenFire { trigger: "f/t".to_owned(), fire_time: 100 };
    assert_eq!(store.open_fires(BATCH.to_owned()).await.unwrap(), [open]);
    let again = store.begin_batch_run(fire(100, Reason::Resume)).await.unwrap();
    assert_eq!(again, Scope { id: scope.id, run: 2, taken: 1, sweep: sweep.clone(), done: false });
    store.batch_step(Step { fire: Some(FireState::Done), ..step(&again) }).await.unwrap();
    assert!(store.open_fires(BATCH.to_owned()).await.unwrap().is_empty());
    assert!(store.begin_batch_run(fire(100, Reason::Retry)).await.unwrap().done);
    let next = store.begin_batch_run(fire(200, Reason::Timed)).await.unwrap();
    let from_here = Sweep { origin: sweep.cursor.clone(), wrapped: false, ..sweep.clone() };
    assert_eq!(next, Scope { id: scope.id, run: 3, taken: 0, sweep: from_here.clone(), done: false });
    let holdings = home.reader().holdings(BATCH, true, 5000).unwrap();
    assert_eq!((holdings.sweep, holdings.keys), (from_here, vec![key("a")]));
    let manual = store.begin_batch_run(fire(200, Reason::Manual)).await.unwrap();
    assert_eq!((manual.run, manual.taken), (4, 0), "somebody wants it anew");
}

pub(super) async fn a_fires_own_scope_goes_when_nothing_waits_in_it(home: &Home) {
    let store = home.reopen();
    let fire = |fire_time| BeginRun { until_marked: false, walk_on: true, ..fire(fire_time, Reason::Timed) };
    let first = store.begin_batch_run(fire(100)).await.unwrap();
    reserve(&store, &first, &["a", "b"]).await;
    let kept = record(&first, "a", Verdict::Kept { reason: "no".to_owned() });
    let sweep = Some(Sweep { cursor: Some(key("b")), ..Sweep::default() });
    let done = Step { record: vec![kept], sweep, fire: Some(FireState::Done), ..step(&first) };
    store.batch_step(done).await.unwrap();
    let second = store.begin_batch_run(fire(200)).await.unwrap();
    assert_ne!(second.id, first.id);
    assert_eq!((second.sweep.cursor.clone(), second.sweep.origin.clone()), (Some(key("b")), Some(key("b"))));
    assert_eq!(rows(home, None).len(), 2, "a row is still reserved");
    recorded(&store, &first, vec![record(&first, "b", Verdict::Gone)]).await;
    store.begin_batch_run(fire(300)).await.unwrap();
    assert!(rows(home, None).is_empty());
    assert!(home.reader().holdings("other", false, 0).unwrap().keys.is_empty());
}

pub(super) async fn what_a_crash_left_is_held_or_sent_again(home: &Home) {
    let store = home.reopen();
    let scope = begin(&store).await;
    reserve(&store, &scope, &["a", "b"]).await;
    recorded(&store, &scope, vec![record(&scope, "b", sent())]).await;
    drop(store);
    let store = home.reopen();
    let error = store.batch_step(Step { record: vec![record(&scope, "a", sent())], ..step(&scope) }).await;
    assert!(matches!(error, Err(StoreError::StaleEpoch { ours: 2, current: 1 })), "{error:?}");
    assert_eq!(store.settle_unrecorded(BATCH.to_owned(), false, 5000).await.unwrap(), 1);
    assert_eq!(rows(home, Some(RowState::Held)), shown(&[("a", "held")]));
    let requeue = |state, keys: Option<Vec<String>>, now| {
        let rows = Selection { batch: BATCH.to_owned(), state, keys, now };
        Requeue { rows, doubtful: true }
    };
    assert_eq!(store.requeue(requeue(RowState::Held, Some(vec![key("b")]), 6000)).await.unwrap(), 0);
    assert_eq!(store.requeue(requeue(RowState::Held, Some(vec![key("a")]), 6000)).await.unwrap(), 1);
    assert_eq!(store.next_due(BATCH.to_owned()).await.unwrap(), Some(6000));
    assert_eq!(home.reader().holdings(BATCH, true, 6000).unwrap().due, [key("a")]);
    assert_eq!(store.requeue(requeue(RowState::Retrying, None, 4000)).await.unwrap(), 1);
    let due = store.take_due(BATCH.to_owned(), (scope.id, 2, true), 4000, 10).await.unwrap();
    assert!(due[0].doubtful, "what waits keeps its doubt");
    drop(store);
    let store = home.reopen();
    assert_eq!(store.settle_unrecorded(BATCH.to_owned(), true, 7000).await.unwrap(), 1);
    assert_eq!(store.next_due(BATCH.to_owned()).await.unwrap(), Some(7000));
    assert_eq!(store.requeue(requeue(RowState::Failed, None, 6000)).await.unwrap(), 0);
}

pub(super) async fn a_lane_run_leaves_the_fire_as_it_is(home: &Home) {
    let store = home.reopen();
    assert_eq!(store.begin_lane_run(BATCH.to_owned()).await.unwrap(), None, "it never ran");
    let scope = begin(&store).await;
    reserve(&store, &scope, &["a"]).await;
    recorded(&store, &scope, vec![record(&scope, "a", waiting(2000))]).await;
    let sweep = Some(Sweep { cursor: Some(key("a")), ..Sweep::default() });
    store.batch_step(Step { sweep, fire: Some(FireState::Stopped), ..step(&scope) }).await.unwrap();
    let lane = store.begin_lane_run(BATCH.to_owned()).await.unwrap().unwrap();
    assert_eq!((lane.id, lane.run, &lane.sweep), (scope.id, 2, &Sweep::default()));
    let due = store.take_due(BATCH.to_owned(), (lane.id, lane.run, false), 2000, 10).await.unwrap();
    assert_eq!((due.len(), due[0].own), (1, false));
    recorded(&store, &lane, vec![record(&lane, "a", Verdict::Gone)]).await;
    let resumed = store.begin_batch_run(fire(100, Reason::Resume)).await.unwrap();
    assert_eq!((resumed.run, resumed.taken, resumed.sweep.cursor), (3, 1, Some(key("a"))));
}

pub(super) async fn rows_are_discarded_unless_a_run_has_them(home: &Home) {
    let store = home.reopen();
    let scope = begin(&store).await;
    reserve(&store, &scope, &["a", "b", "c", "d"]).await;
    let held = Verdict::Held { reason: "who knows".to_owned() };
    recorded(&store, &scope, vec![record(&scope, "a", held), record(&scope, "b", waiting(2000))]).await;
    let pick = |state| Selection { batch: BATCH.to_owned(), state, keys: None, now: 6000 };
    assert_eq!(store.discard(pick(RowState::Failed), true).await.unwrap(), 0);
    assert_eq!(
        store.discard(pick(RowState::Held), true).await.unwrap(),
        1,
        "c and d are in the hands of a run"
    );
    let requeue = Requeue { rows: pick(RowState::Held), doubtful: true };
    assert_eq!(store.requeue(requeue).await.unwrap(), 0);
    let unmarked = store.unmarked(BATCH.to_owned(), None, 10).await.unwrap();
    let reasons: Vec<_> = unmarked.iter().map(|row| row.failure.as_deref()).collect();
    assert_eq!(reasons, [Some("discarded by an operator")]);
    assert_eq!(store.discard(pick(RowState::Retrying), false).await.unwrap(), 1);
    assert_eq!(rows(home, Some(RowState::Failed)), shown(&[("b", "failed")]));
    assert_eq!(store.next_due(BATCH.to_owned()).await.unwrap(), None);
    drop(store);
    // The next owner takes what it finds reserved for held.
    let store = home.reopen();
    let only = Selection { keys: Some(vec![key("c")]), ..pick(RowState::Held) };
    assert_eq!(store.discard(only, false).await.unwrap(), 1);
    assert_eq!(rows(home, Some(RowState::Failed)), shown(&[("b", "failed"), ("c", "failed")]));
}
