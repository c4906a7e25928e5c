//! The model finds what is wrong: true histories with one thing changed.

use super::super::facts::Fact;
use super::life::live;
use super::model::Model;
use super::size;
use crate::run::Reason;
use crate::store::runs::{Claim, SkipReason};

fn history(seed: u64) -> Vec<Fact> {
    live(seed, size(20, 20), true).unwrap().facts
}

fn verdict(facts: &[Fact]) -> Result<(), String> {
    let mut model = Model::default();
    facts.iter().try_for_each(|fact| model.observe(fact))
}

/// Changes, one at a time, the facts that `change` has something to do with; each must be refused. At least one is.
fn refused(change: impl Fn(&mut Vec<Fact>, usize) -> bool) {
    let mut found = 0;
    for seed in 0..4 {
        let facts = history(seed);
        assert_eq!(verdict(&facts), Ok(()));
        // The last ones may stay unnoticed: nothing comes after them that would tell.
        let mut here = 0;
        for index in (0..facts.len() / 2).step_by(3) {
            if here == 8 {
                break;
            }
            let mut doctored = facts.clone();
            if !change(&mut doctored, index) {
                continue;
            }
            found += 1;
            here += 1;
            assert!(
                verdict(&doctored).is_err(),
                "seed {seed}: nobody noticed the change of {:?}",
                facts[index]
            );
        }
    }
    assert!(found > 3, "only {found} changes");
}

/// A fire time that ran.
fn is_run(fact: &Fact) -> bool {
    matches!(fact, Fact::Claimed { request, answer: Claim::Started(_) } if request.reason == Reason::Timed)
}

#[test]
fn a_run_that_is_missing() {
    refused(|facts, index| {
        is_run(&facts[index]) && {
            facts.remove(index);
            true
        }
    });
}

#[test]
fn a_run_that_is_there_twice() {
    refused(|facts, index| {
        let Fact::Claimed { request, answer: Claim::Started(_) } = &facts[index] else { return false };
        let again = Fact::Claimed { request: *request, answer: Claim::Started(i64::MAX) };
        let scheduled = is_run(&facts[index]);
        facts.insert(index + 1, again);
        scheduled
    });
}

#[test]
fn a_run_at_no_fire_time() {
    refused(|facts, index| {
        let scheduled = is_run(&facts[index]);
        if let Fact::Claimed { request, .. } = &mut facts[index] {
            (request.fire_time, request.since) = (request.fire_time - 1, request.since - 1);
        }
        scheduled
    });
}

#[test]
fn a_span_that_counts_wrong() {
    for by in [-1, 1] {
        refused(|facts, index| {
            let Fact::Skipped { span, row, .. } = &mut facts[index] else { return false };
            (span.count, row.count) = (span.count + by, row.count + by);
            true
        });
    }
}

#[test]
fn a_row_that_covers_more_than_its_spans() {
    refused(|facts, index| {
        let Fact::Skipped { row, .. } = &mut facts[index] else { return false };
        (row.first, row.count) = (row.first - 86_400, row.count + 1);
        true
    });
}

#[test]
fn a_reason_that_does_not_hold() {
    refused(|facts, index| {
        let Fact::Skipped { span, row, .. } = &mut facts[index] else { return false };
        let other = if span.reason == SkipReason::Paused { SkipReason::Removed } else { SkipReason::Paused };
        (span.reason, row.reason) = (other, other);
        true
    });
}

#[test]
fn two_runs_in_the_wrong_order() {
    refused(|facts, index| {
        let (Fact::Claimed { request, .. }, true) = (&facts[index], is_run(&facts[index])) else {
            return false;
        };
        let trigger = request.trigger;
        let next = (index + 1..facts.len()).find(|next| {
            is_run(&facts[*next])
                && matches!(&facts[*next], Fact::Claimed { request, .. } if request.trigger == trigger)
        });
        next.map(|next| facts.swap(index, next)).is_some()
    });
}

#[test]
fn a_run_too_many_at_a_time() {
    refused(|facts, index| {
        let Fact::Start { max_runs, .. } = &mut facts[index] else { return false };
        *max_runs = 0;
        let starts = |fact: &&Fact| matches!(fact, Fact::Start { .. });
        facts[index + 1..].iter().take_while(|fact| !starts(fact)).any(is_run)
    });
}
