//! Claims, overlap, ends, history.

use gulou::run::{Outcome, Reason, Stream};
use gulou::settings::Overlap;
use gulou::store::attempts::PutOff;
use gulou::store::runs::{Claim, ClaimRequest, HistoryFilter, OutputLine};
use gulou::store::triggers::Others;

use super::home::{Home, claim, enroll, finish, open, request, started, states};

pub(super) async fn a_fire_time_is_claimed_once_for_ever(home: &Home) {
    let store = open(home).await;
    let Claim::Started(run) = claim(&store, 100, Overlap::Allow).await else { panic!("not started") };
    assert_eq!(claim(&store, 100, Overlap::Allow).await, Claim::AlreadyClaimed);
    finish(&store, run, Outcome::succeeded(None), 101_000).await;
    assert_eq!(claim(&store, 100, Overlap::Allow).await, Claim::AlreadyClaimed);
    // Pruning the run must not free its fire time.
    assert_eq!(store.prune(i64::MAX, 0, 10).await.unwrap(), 1);
    assert_eq!(claim(&store, 100, Overlap::Allow).await, Claim::AlreadyClaimed);
    drop(store);
    let store = home.reopen();
    assert_eq!(claim(&store, 100, Overlap::Allow).await, Claim::AlreadyClaimed);
    assert!(matches!(claim(&store, 101, Overlap::Allow).await, Claim::Started(_)));
}

pub(super) async fn a_manual_run_claims_no_fire_time(home: &Home) {
    let store = open(home).await;
    for _ in 0..2 {
        let manual = ClaimRequest { reason: Reason::Manual, ..request(100, Overlap::Allow) };
        assert!(matches!(store.claim(vec![manual]).await.unwrap()[0], Claim::Started(_)));
    }
    assert!(matches!(claim(&store, 100, Overlap::Allow).await, Claim::Started(_)));
}

pub(super) async fn overlap_skip_runs_one_and_records_the_others_as_one_span(home: &Home) {
    let store = open(home).await;
    let Claim::Started(run) = claim(&store, 100, Overlap::Skip).await else { panic!("not started") };
    for fire_time in 101..=105 {
        assert_eq!(claim(&store, fire_time, Overlap::Skip).await, Claim::Skipped);
    }
    finish(&store, run, Outcome::succeeded(None), 106_000).await;
    let Claim::Started(_) = claim(&store, 106, Overlap::Skip).await else { panic!("not started") };
    assert_eq!(claim(&store, 107, Overlap::Skip).await, Claim::Skipped);

    let reader = home.reader();
    let spans: Vec<_> =
        reader.skipped(Some("f"), 10).unwrap().into_iter().map(|s| (s.first, s.last, s.count)).collect();
    assert_eq!(spans, [(107, 107, 1), (101, 105, 5)]);
}

pub(super) async fn overlap_queue_lets_only_so_many_wait(home: &Home) {
    let store = open(home).await;
    let queue = Overlap::Queue(2);
    assert!(matches!(claim(&store, 100, queue).await, Claim::Started(_)));
    let Claim::Waiting(second) = claim(&store, 101, queue).await else { panic!("does not wait") };
    assert!(matches!(claim(&store, 102, queue).await, Claim::Waiting(_)));
    assert_eq!(claim(&store, 103, queue).await, Claim::Skipped);
    store.start(vec![second], 104_000).await.unwrap();
    assert!(matches!(claim(&store, 104, queue).await, Claim::Waiting(_)));
    let expected = [(100, "running"), (101, "running"), (102, "waiting"), (104, "waiting")];
    assert_eq!(states(home), expected.map(|(time, state)| (time, state.to_owned())));
}

pub(super) async fn overlap_replace_names_what_runs_and_ends_what_waits(home: &Home) {
    let store = open(home).await;
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
    assert_eq!(states(home), expected.map(|(time, state)| (time, state.to_owned())));
}

pub(super) async fn without_room_a_run_waits_whatever_the_policy(home: &Home) {
    let store = open(home).await;
    let full = ClaimRequest { room: false, ..request(100, Overlap::Allow) };
    assert!(matches!(store.claim(vec![full]).await.unwrap()[0], Claim::Waiting(_)));
}

pub(super) async fn idle_runs_are_folded_until_one_finds_work(home: &Home) {
    let store = open(home).await;
    for fire_time in 100..110 {
        let Claim::Started(run) = claim(&store, fire_time, Overlap::Allow).await else {
            panic!("not started")
        };
        let line = OutputLine { seq: 0, at: 0, stream: Stream::Stdout, text: "nothing to do".to_owned() };
        store.append_output(run, vec![line]).await.unwrap();
        let outcome = Outcome { idle: fire_time != 105, ..Outcome::succeeded(None) };
        finish(&store, run, outcome, fire_time * 1000).await;
    }
    let reader = home.reader();
    let filter = HistoryFilter { limit: 100, ..HistoryFilter::default() };
    let runs: Vec<_> =
        reader.history(&filter).unwrap().into_iter().map(|run| (run.fire_time, run.repeats)).collect();
    assert_eq!(runs, [(106, 3), (105, 0), (100, 4)]);
    assert_eq!(claim(&store, 103, Overlap::Allow).await, Claim::AlreadyClaimed);
}

pub(super) async fn the_number_of_a_folded_run_is_not_given_again(home: &Home) {
    let store = open(home).await;
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

pub(super) async fn ends_that_come_together_are_all_recorded(home: &Home) {
    let store = open(home).await;
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
    assert!(states(home).into_iter().all(|(_, state)| state == "succeeded"));
}

/// Old runs go, from the oldest on; one that is still open stays, and holds up nobody.
pub(super) async fn pruning_goes_by_count_and_by_age(home: &Home) {
    let store = open(home).await;
    for fire_time in 100..110 {
        let Claim::Started(run) = claim(&store, fire_time, Overlap::Allow).await else {
            panic!("not started")
        };
        if fire_time != 100 {
            finish(&store, run, Outcome::succeeded(None), fire_time * 1000 + 500).await;
        }
    }
    let left = || states(home).into_iter().map(|(fire_time, _)| fire_time).collect::<Vec<_>>();
    assert_eq!(store.prune(0, 8, 100).await.unwrap(), 2, "by count");
    assert_eq!(left(), [100, 103, 104, 105, 106, 107, 108, 109]);
    assert_eq!(store.prune(0, 1, 3).await.unwrap(), 3, "no more than the limit");
    assert_eq!(store.prune(108_000, 100, 100).await.unwrap(), 2, "by age");
    assert_eq!(left(), [100, 108, 109]);
    drop(store);
    let store = home.reopen();
    assert_eq!(enroll(&store, &["t"], Others::Leave, 500).await[0].accounted, 109);
}

pub(super) async fn many_claims_of_one_call_see_each_other(home: &Home) {
    let store = open(home).await;
    let all = async |fire_times: &[i64], overlap| {
        let requests = fire_times.iter().map(|fire_time| request(*fire_time, overlap)).collect();
        store.claim(requests).await.unwrap()
    };
    let expected = [
        Claim::Started(1),
        Claim::AlreadyClaimed,
        Claim::Waiting(2),
        Claim::Skipped,
        Claim::Skipped,
        Claim::AlreadyClaimed,
    ];
    assert_eq!(all(&[100, 100, 101, 102, 103, 103], Overlap::Queue(1)).await, expected);
    let expected = [Claim::Replaces { run: 3, old: vec![1, 2] }, Claim::Replaces { run: 4, old: vec![1, 3] }];
    assert_eq!(all(&[104, 105], Overlap::Replace).await, expected);
    let expected = [(100, "running"), (101, "interrupted"), (104, "interrupted"), (105, "waiting")];
    assert_eq!(states(home), expected.map(|(time, state)| (time, state.to_owned())));
    let spans = home.reader().skipped(None, 10).unwrap();
    assert_eq!(
        spans.iter().map(|span| (span.first, span.last, span.count)).collect::<Vec<_>>(),
        [(102, 103, 2)]
    );
}

pub(super) async fn idle_runs_that_end_together_are_folded(home: &Home) {
    let store = open(home).await;
    let requests = (100..110).map(|fire_time| request(fire_time, Overlap::Allow)).collect();
    let claims = store.claim(requests).await.unwrap();
    let ends: Vec<_> = claims
        .into_iter()
        .rev()
        .map(|claim| {
            let (store, run) = (store.clone(), started(claim));
            let outcome = Outcome { idle: true, ..Outcome::succeeded(None) };
            tokio::spawn(async move { finish(&store, run, outcome, 200_000).await })
        })
        .collect();
    for end in ends {
        end.await.unwrap();
    }
    let filter = HistoryFilter { limit: 100, ..HistoryFilter::default() };
    let runs = home.reader().history(&filter).unwrap();
    let count: i64 = runs.iter().map(|run| 1 + run.repeats).sum();
    assert_eq!(count, 10, "each run is accounted for");
    assert!(runs.iter().any(|run| run.fire_time == 100), "the oldest stays");
}

pub(super) async fn a_run_that_waited_starts_and_is_adopted(home: &Home) {
    let store = open(home).await;
    let full = ClaimRequest { room: false, ..request(100, Overlap::Allow) };
    let Claim::Waiting(run) = store.claim(vec![full]).await.unwrap().remove(0) else {
        panic!("does not wait")
    };
    drop(store);
    let store = home.reopen();
    assert_eq!(store.left_open().await.unwrap()[0].id, run);
    store.adopt(run).await.unwrap();
    assert!(store.left_open().await.unwrap().is_empty());
    store.start(vec![run], 150_000).await.unwrap();
    let found = home.reader().run(&run.to_string()).unwrap().unwrap();
    assert_eq!((found.state.as_str(), found.started_at), ("running", Some(150_000)));
    assert_eq!(store.attempts("f".to_owned(), "t".to_owned(), 100).await.unwrap(), 1);
    assert_eq!(store.attempts("f".to_owned(), "t".to_owned(), 101).await.unwrap(), 0);
}

pub(super) async fn a_run_that_is_tried_again_says_until_when_it_waits(home: &Home) {
    let store = open(home).await;
    let run = started(claim(&store, 100, Overlap::Allow).await);
    let message = Some("no\0luck".to_owned());
    store.put_off(PutOff { run, attempt: 2, retry_at: 160_000, message }).await.unwrap();
    drop(store);
    let store = home.reopen();
    let left = store.left_open().await.unwrap().remove(0);
    assert_eq!(
        (left.id, left.state.as_str(), left.attempt, left.retry_at),
        (run, "running", 2, Some(160_000))
    );
    assert!(left.message.unwrap().starts_with("no"));
    store.adopt(run).await.unwrap();
    store.begin_attempt(run).await.unwrap();
    let found = home.reader().run(&run.to_string()).unwrap().unwrap();
    assert_eq!((found.attempt, found.retry_at, found.message), (2, None, None));
}

/// Output and messages are bytes that anybody may have written.
pub(super) async fn what_a_run_said_is_read_back_in_order(home: &Home) {
    let store = open(home).await;
    let run = started(claim(&store, 100, Overlap::Allow).await);
    let line = |seq, text: &str| OutputLine {
        seq,
        at: 100_000 + seq,
        stream: Stream::Stderr,
        text: text.to_owned(),
    };
    store.append_output(run, vec![line(0, "鼓楼 🥁"), line(1, "")]).await.unwrap();
    store.append_output(run, vec![line(2, "a\0b'\"\\")]).await.unwrap();
    let result = Some(serde_json::json!({ "b": 1, "a": ["\u{0}", null] }));
    let message = Some("nul \0 here".to_owned());
    finish(&store, run, Outcome { message, ..Outcome::succeeded(result.clone()) }, 101_000).await;
    let reader = home.reader();
    let lines = reader.output(run, -1).unwrap();
    assert_eq!(lines.iter().map(|line| line.at).collect::<Vec<_>>(), [100_000, 100_001, 100_002]);
    assert_eq!((lines[0].text.as_str(), lines[0].stream.as_str()), ("鼓楼 🥁", "stderr"));
    let last = lines[2].text.replace('\u{fffd}', "\0");
    assert_eq!(last, "a\0b'\"\\", "what the state cannot keep is a replacement character");
    let found = reader.run(&run.to_string()).unwrap().unwrap();
    assert_eq!(found.result, result);
    assert_eq!(found.message.unwrap().replace('\u{fffd}', "\0"), "nul \0 here");
}

pub(super) async fn history_is_filtered_and_runs_are_found_by_either_name(home: &Home) {
    let store = open(home).await;
    let asked = request(100, Overlap::Allow);
    let run = started(store.claim(vec![asked]).await.unwrap().remove(0));
    let other = started(claim(&store, 101, Overlap::Allow).await);
    finish(&store, other, Outcome::failed("no"), 102_000).await;
    let reader = home.reader();
    let numbers = |filter: &HistoryFilter| {
        reader.history(filter).unwrap().into_iter().map(|run| run.id).collect::<Vec<_>>()
    };
    let all = HistoryFilter { limit: 10, ..HistoryFilter::default() };
    assert_eq!(numbers(&all), [other, run]);
    assert_eq!(numbers(&HistoryFilter { limit: 1, ..all.clone() }), [other]);
    assert_eq!(numbers(&HistoryFilter { state: Some("running".to_owned()), ..all.clone() }), [run]);
    assert_eq!(numbers(&HistoryFilter { function: Some("g".to_owned()), ..all.clone() }), [0; 0]);
    assert_eq!(numbers(&HistoryFilter { trigger: Some("t".to_owned()), ..all }), [other, run]);
    for name in [run.to_string(), asked.request_id.to_string()] {
        assert_eq!(reader.run(&name).unwrap().unwrap().request_id, asked.request_id);
    }
    for name in ["999", "nonsense", "00000000-0000-4000-8000-000000000000"] {
        assert!(reader.run(name).unwrap().is_none(), "{name}");
    }
    assert!(reader.skipped(Some("g"), 10).unwrap().is_empty());
}

pub(super) async fn the_oldest_output_goes_when_there_is_too_much(home: &Home) {
    let store = open(home).await;
    let line = |seq| OutputLine { seq, at: 0, stream: Stream::Stdout, text: "鼓".repeat(100) };
    let mut runs = Vec::new();
    for fire_time in 100..104 {
        let run = started(claim(&store, fire_time, Overlap::Allow).await);
        store.append_output(run, vec![line(0), line(1)]).await.unwrap();
        runs.push(run);
    }
    // The oldest of all still runs: what it says is not taken from under it.
    for run in &runs[1..] {
        finish(&store, *run, Outcome::succeeded(None), 200_000).await;
    }
    let of_one = 2 * (300 + 32);
    assert_eq!(store.prune_output(4 * of_one, 10).await.unwrap(), 0, "it is not too much");
    assert_eq!(store.prune_output(4 * of_one - 1, 10).await.unwrap(), 1);
    assert_eq!(store.prune_output(0, 1).await.unwrap(), 1, "no more than was allowed at a time");
    let kept = || runs.iter().map(|run| home.reader().output(*run, -1).unwrap().len()).collect::<Vec<_>>();
    assert_eq!(kept(), [2, 0, 0, 2]);
    assert_eq!(store.prune_output(0, 10).await.unwrap(), 1);
    assert_eq!(kept(), [2, 0, 0, 0]);
    // What goes with its run is counted as well.
    finish(&store, runs[0], Outcome::succeeded(None), 200_000).await;
    assert_eq!(store.prune(i64::MAX, 0, 10).await.unwrap(), 4);
    assert_eq!(store.prune_output(-1, 10).await.unwrap(), 0, "nothing is there");
    drop(store);
    let store = home.reopen();
    let run = started(claim(&store, 300, Overlap::Allow).await);
    store.append_output(run, vec![line(0)]).await.unwrap();
    finish(&store, run, Outcome::succeeded(None), 300_000).await;
    assert_eq!(store.prune_output(331, 10).await.unwrap(), 1, "332 bytes, no more and no less");
}
