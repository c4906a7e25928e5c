//! The store in memory and the one on disk answer alike, whatever they are asked: what the simulation finds out
//! with the former holds for the latter.

use std::path::Path;

use proptest::prelude::*;
use uuid::Uuid;

use super::memory::MemoryStore;
use super::settings::trigger;
use crate::run::{Outcome, Reason, Status};
use crate::settings::{Misfire, Overlap, TriggerSettings};
use crate::store::runs::{ClaimRequest, Ended, HistoryFilter, RunRecord, SkipReason, SkippedSpan};
use crate::store::triggers::{Enrolment, Others};
use crate::store::{Reader, Store};

/// Functions, and triggers of each; fire times and instants are small numbers, so that they meet.
const FUNCTIONS: usize = 2;
const TRIGGERS: usize = 2;

#[derive(Clone, Debug)]
enum Op {
    /// Which triggers take part and are enabled, function by function.
    Enroll {
        triggers: Vec<(bool, bool)>,
        leave: bool,
        now: i64,
    },
    Dismiss(usize),
    StartAnew(usize, i64),
    Pause {
        trigger: usize,
        skipped: Option<(i64, i64)>,
        now: i64,
    },
    Resume {
        trigger: usize,
        skipped: Option<(i64, i64)>,
        now: i64,
    },
    Claim {
        trigger: usize,
        fire_time: i64,
        reason: Reason,
        missed: u32,
        overlap: Overlap,
        room: bool,
    },
    Skip {
        trigger: usize,
        first: i64,
        length: i64,
        reason: SkipReason,
    },
    Start(i64),
    Finish {
        run: i64,
        idle: bool,
        at: i64,
    },
    Adopt(i64),
    Prune {
        before: i64,
        keep: i64,
        limit: u32,
    },
    Restart,
}

fn op() -> impl Strategy<Value = Op> {
    let trigger = 0..FUNCTIONS * TRIGGERS;
    let reasons = vec![Reason::Timed, Reason::Timed, Reason::CatchUp, Reason::Manual, Reason::Retry];
    let overlaps = vec![
        Overlap::Allow,
        Overlap::Skip,
        Overlap::Replace,
        Overlap::Queue(0),
        Overlap::Queue(1),
        Overlap::Queue(2),
    ];
    let skips = vec![SkipReason::Down, SkipReason::Overlap];
    let taking_part = prop::collection::vec((prop::bool::weighted(0.8), any::<bool>()), FUNCTIONS * TRIGGERS);
    let (time, run) = (0..40_i64, 1..30_i64);
    let reason = prop::sample::select(reasons);
    let pause = (trigger.clone(), prop::option::of((time.clone(), 0..9_i64)), time.clone());
    let claim =
        (trigger.clone(), time.clone(), reason, 0..3_u32, prop::sample::select(overlaps), any::<bool>());
    prop_oneof![
        1 => (taking_part, any::<bool>(), time.clone())
            .prop_map(|(triggers, leave, now)| Op::Enroll { triggers, leave, now }),
        1 => trigger.clone().prop_map(Op::Dismiss),
        1 => (trigger.clone(), time.clone()).prop_map(|(trigger, now)| Op::StartAnew(trigger, now)),
        1 => pause.clone().prop_map(|(trigger, skipped, now)| Op::Pause { trigger, skipped, now }),
        1 => pause.prop_map(|(trigger, skipped, now)| Op::Resume { trigger, skipped, now }),
        12 => claim.prop_map(|(trigger, fire_time, reason, missed, overlap, room)| Op::Claim {
            trigger, fire_time, reason, missed, overlap, room
        }),
        4 => (trigger, time.clone(), 0..9_i64, prop::sample::select(skips))
            .prop_map(|(trigger, first, length, reason)| Op::Skip { trigger, first, length, reason }),
        3 => run.clone().prop_map(Op::Start),
        8 => (run.clone(), any::<bool>(), time.clone())
            .prop_map(|(run, idle, at)| Op::Finish { run, idle, at }),
        1 => run.prop_map(Op::Adopt),
        2 => (time, 0..12_i64, 1..6_u32).prop_map(|(before, keep, limit)| Op::Prune { before, keep, limit }),
        1 => Just(Op::Restart),
    ]
}

/// The functions of which a trigger takes part.
fn enrolments(triggers: &[(bool, bool)]) -> Vec<Enrolment> {
    let functions = triggers.chunks(TRIGGERS).enumerate().map(|(function, triggers)| Enrolment {
        function: format!("f{function}"),
        triggers: (0..)
            .zip(triggers)
            .filter(|(_, (takes_part, _))| *takes_part)
            .map(|(nth, (_, enabled))| TriggerSettings {
                enabled: *enabled,
                ..trigger(&format!("t{nth}"), "* * * * * * *", Misfire::Skip)
            })
            .collect(),
    });
    functions.filter(|enrolment| !enrolment.triggers.is_empty()).collect()
}

/// Both stores.
struct Both {
    disk: Option<Store>,
    memory: MemoryStore,
    requests: u128,
}

impl Both {
    fn open(path: &Path) -> Self {
        let mut memory = MemoryStore::default();
        memory.open();
        Self { disk: Some(Store::open(path).unwrap()), memory, requests: 0 }
    }

    /// Asks both, and compares what they answer.
    async fn ask(&mut self, path: &Path, op: &Op) {
        let disk = self.disk.clone().unwrap();
        let memory = &mut self.memory;
        let id = |trigger: usize| i64::try_from(trigger + 1).unwrap();
        match op.clone() {
            Op::Enroll { triggers, leave, now } => {
                let others = if leave { Others::Leave } else { Others::Stay };
                let functions = enrolments(&triggers);
                let ours = memory.enroll(&functions, others, now);
                assert_eq!(disk.enroll(functions, others, now).await.unwrap(), ours);
            }
            Op::Dismiss(trigger) => {
                memory.dismiss(&[id(trigger)]);
                disk.dismiss(vec![id(trigger)]).await.unwrap();
            }
            Op::StartAnew(trigger, now) => {
                memory.start_anew(&[id(trigger)], now);
                disk.start_anew(vec![id(trigger)], now).await.unwrap();
            }
            Op::Pause { trigger, skipped, now } => {
                let spans = paused(id(trigger), skipped);
                memory.pause(&[id(trigger)], &spans, now);
                disk.pause(vec![id(trigger)], None, spans, now).await.unwrap();
            }
            Op::Resume { trigger, skipped, now } => {
                let spans = paused(id(trigger), skipped);
                memory.resume(&[id(trigger)], &spans, now);
                disk.resume(vec![id(trigger)], spans, now).await.unwrap();
            }
            Op::Claim { trigger, fire_time, reason, missed, overlap, room } => {
                self.requests += 1;
                let request = ClaimRequest {
                    request_id: Uuid::from_u128(self.requests),
                    function: id(trigger / TRIGGERS),
                    trigger: id(trigger),
                    fire_time,
                    since: fire_time - i64::from(missed),
                    reason,
                    attempt: 1,
                    missed,
                    overlap,
                    room,
                    now: fire_time,
                };
                let ours = memory.claim(&request);
                assert_eq!(disk.claim(vec![request]).await.unwrap(), [ours]);
            }
            Op::Skip { trigger, first, length, reason } => {
                let span = span(id(trigger), first, length, reason);
                memory.skip(&span, first);
                disk.skip(vec![span], first).await.unwrap();
            }
            Op::Start(run) => {
                memory.start(&[run], 50);
                disk.start(vec![run], 50).await.unwrap();
            }
            // A run ends once, and only one that is there.
            Op::Finish { run, .. } if memory.run(run).is_none_or(|run| run.finished_at.is_some()) => {}
            Op::Finish { run, idle, at } => {
                memory.finish(run, Status::Succeeded, idle, at);
                let outcome = Outcome { idle, ..Outcome::succeeded(None) };
                disk.finish(Ended { run, outcome, at }).await.unwrap();
            }
            Op::Adopt(run) => {
                memory.adopt(run);
                disk.adopt(run).await.unwrap();
            }
            Op::Prune { before, keep, limit } => {
                let ours = memory.prune(before, keep, limit);
                assert_eq!(disk.prune(before, keep, limit).await.unwrap(), ours);
            }
            Op::Restart => {
                drop((disk, self.disk.take()));
                memory.open();
                let disk = Store::open(path).unwrap();
                let theirs: Vec<_> = disk.left_open().await.unwrap().iter().map(shown).collect();
                assert_eq!(theirs, memory.left_open().iter().map(shown).collect::<Vec<_>>());
                self.disk = Some(disk);
            }
        }
    }

    /// Everything that a reader sees.
    fn compare(&self, path: &Path) {
        let reader = Reader::open(path).unwrap().unwrap();
        let filter = HistoryFilter { limit: u32::MAX, ..HistoryFilter::default() };
        let mut runs: Vec<_> = reader.history(&filter).unwrap().iter().map(shown).collect();
        runs.reverse();
        assert_eq!(runs, self.memory.history().iter().map(shown).collect::<Vec<_>>());
        let mut spans: Vec<_> = reader
            .skipped(None, u32::MAX)
            .unwrap()
            .into_iter()
            .map(|span| (span.trigger, span.first, span.last, span.count, span.reason))
            .collect();
        spans.reverse();
        let name = |trigger: i64| format!("t{}", (trigger - 1) % 2);
        let ours: Vec<_> = self
            .memory
            .spans()
            .into_iter()
            .map(|span| {
                (name(span.trigger), span.first, span.last, span.count, span.reason.as_str().to_owned())
            })
            .collect();
        assert_eq!(spans, ours);
    }
}

fn paused(trigger: i64, skipped: Option<(i64, i64)>) -> Vec<SkippedSpan> {
    skipped.map(|(first, length)| span(trigger, first, length, SkipReason::Paused)).into_iter().collect()
}

fn span(trigger: i64, first: i64, length: i64, reason: SkipReason) -> SkippedSpan {
    SkippedSpan { trigger, first, last: first + length, count: length + 1, reason }
}

/// All of a run but what only the store on disk keeps.
fn shown(run: &RunRecord) -> String {
    let RunRecord { message: _, result: _, .. } = run;
    let run = RunRecord { message: None, result: None, ..run.clone() };
    format!("{run:?}")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_store_in_memory_answers_as_the_one_on_disk(ops in prop::collection::vec(op(), 1..100)) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.db");
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut both = Both::open(&path);
            // So that all triggers have the numbers that the operations mean.
            let all = Op::Enroll { triggers: vec![(true, true); FUNCTIONS * TRIGGERS], leave: false, now: 0 };
            for op in std::iter::once(&all).chain(&ops) {
                both.ask(&path, op).await;
            }
            both.compare(&path);
        });
    }
}
