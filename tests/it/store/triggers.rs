//! Marks, pauses, skipped spans.

use gulou::run::Outcome;
use gulou::settings::Overlap;
use gulou::store::runs::{Claim, SkipReason, SkippedSpan};
use gulou::store::triggers::Others;

use super::home::{Home, TRIGGER, claim, enroll, finish, open};

/// Skipped spans as `first..=last`, the oldest first.
fn spans(home: &Home) -> Vec<(i64, i64, i64)> {
    let reader = home.reader();
    let spans = reader.skipped(None, 10).unwrap().into_iter().rev();
    spans.map(|span| (span.first, span.last, span.count)).collect()
}

pub(super) async fn a_skipped_span_moves_the_mark(home: &Home) {
    let store = open(home).await;
    let span = SkippedSpan { trigger: TRIGGER, first: 100, last: 200, count: 101, reason: SkipReason::Down };
    store.skip(vec![span], 300_000).await.unwrap();
    assert_eq!(enroll(&store, &["t"], Others::Leave, 500).await[0].accounted, 200);
    assert_eq!(claim(&store, 150, Overlap::Allow).await, Claim::AlreadyClaimed);
    assert_eq!(claim(&store, 150, Overlap::Skip).await, Claim::AlreadyClaimed);
    store.start_anew(vec![TRIGGER], 120).await.unwrap();
    assert!(matches!(claim(&store, 150, Overlap::Allow).await, Claim::Started(_)));
}

pub(super) async fn a_trigger_stands_where_its_newest_run_is(home: &Home) {
    let store = open(home).await;
    let Claim::Started(run) = claim(&store, 100, Overlap::Allow).await else { panic!("not started") };
    finish(&store, run, Outcome::succeeded(None), 100_500).await;
    drop(store);
    let store = home.reopen();
    let place = &enroll(&store, &["t"], Others::Leave, 500).await[0];
    assert_eq!((place.accounted, place.ahead), (100, None));
}

pub(super) async fn a_mark_in_the_future_is_put_back_and_said(home: &Home) {
    let store = open(home).await;
    assert!(matches!(claim(&store, 900, Overlap::Allow).await, Claim::Started(_)));
    drop(store);
    let store = home.reopen();
    let place = &enroll(&store, &["t"], Others::Leave, 500).await[0];
    assert_eq!((place.accounted, place.ahead), (500, Some(900)));
    assert!(matches!(claim(&store, 501, Overlap::Allow).await, Claim::Started(_)));
    assert_eq!(claim(&store, 900, Overlap::Allow).await, Claim::AlreadyClaimed, "it ran already");
}

pub(super) async fn a_trigger_that_was_out_of_the_configuration_starts_anew_and_stays_paused(home: &Home) {
    let store = open(home).await;
    let places = enroll(&store, &["t", "u"], Others::Leave, 50).await;
    store.pause(vec![places[1].id], None, Vec::new(), 60_000).await.unwrap();
    enroll(&store, &["t"], Others::Leave, 100).await;
    let places = enroll(&store, &["t", "u"], Others::Leave, 500).await;
    let stand = places.iter().map(|place| (place.accounted, place.paused_since));
    assert_eq!(stand.collect::<Vec<_>>(), [(0, None), (500, Some(60_000))]);
    store.dismiss(vec![TRIGGER]).await.unwrap();
    assert_eq!(enroll(&store, &["t"], Others::Stay, 600).await[0].accounted, 600);
}

pub(super) async fn a_pause_ends_with_what_was_skipped_in_one_step(home: &Home) {
    let store = open(home).await;
    store.pause(vec![TRIGGER], Some("no luck".to_owned()), Vec::new(), 100_000).await.unwrap();
    let place = &enroll(&store, &["t"], Others::Leave, 150).await[0];
    assert_eq!((place.paused_since, place.paused_because.as_deref()), (Some(100_000), Some("no luck")));
    let span =
        SkippedSpan { trigger: TRIGGER, first: 101, last: 200, count: 100, reason: SkipReason::Paused };
    store.resume(vec![TRIGGER], vec![span], 200_500).await.unwrap();
    let place = &enroll(&store, &["t"], Others::Leave, 300).await[0];
    assert_eq!((place.accounted, place.paused_since, &place.paused_because), (200, None, &None));
    let reader = home.reader();
    assert_eq!(reader.skipped(Some("f"), 10).unwrap()[0].reason, "paused");
}

/// The row of the run that lay between was gone already.
pub(super) async fn a_span_never_covers_a_run_that_was_folded_or_pruned(home: &Home) {
    let store = open(home).await;
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
    assert_eq!(spans(home), [(10, 11, 2), (13, 14, 2)]);
    // All that is there goes, spans as well.
    assert_eq!(store.prune(0, 0, 10).await.unwrap(), 2);
    skip(16, 17).await.unwrap();
    skip(18, 18).await.unwrap();
    store.start_anew(vec![TRIGGER], 20).await.unwrap();
    skip(21, 21).await.unwrap();
    assert_eq!(spans(home), [(16, 18, 3), (21, 21, 1)]);
}
