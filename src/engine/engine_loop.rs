//! The loop: one owner of what runs and what waits.
//!
//! It sleeps until the earliest fire, the end of a run, or the order to drain; nothing is polled.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::io;
use std::time::Duration;

use chrono::DateTime;
use chrono_tz::Asia::Shanghai;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::dispatch::Run;
use super::plan::{Due, Plan};
use super::runner::{Function, Occurrence};
use super::wake::{Alarm, Wake};
use super::wanted::Wanted;
use crate::clock::Clock;
use crate::run::{Fire, Output, Reason};
use crate::settings::{EventSettings, HistorySettings, Overlap};
use crate::store::runs::{Claim, ClaimRequest, RunId, SkipReason, SkippedSpan};
use crate::store::{Store, StoreError};

/// Between two tries when the state refuses claims (a full disk, mostly).
const CLAIM_AGAIN: Duration = Duration::from_secs(1);
/// History is pruned after this many ended runs, at most twice as many at a time.
const PRUNE_EVERY: u32 = 256;

/// Bounds of the daemon.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Runs in flight; more wait.
    pub max_runs: usize,
    /// How long a drain waits before it aborts what still runs.
    pub drain_timeout: Duration,
    /// How long history is kept.
    pub history: HistorySettings,
}

/// The scheduler of one daemon.
pub struct Engine {
    pub(super) store: Store,
    pub(super) clock: Clock,
    pub(super) functions: Vec<Function>,
    pub(super) event: EventSettings,
    limits: Limits,
    plan: Plan,
    /// (function, trigger within it) of each trigger in the plan.
    planned: Vec<(usize, usize)>,
    lanes: Vec<Lane>,
    /// Functions whose lanes have somebody waiting.
    waiting: BTreeSet<usize>,
    /// Late fires of triggers, and live ones behind them; by index in the plan.
    backlog: HashMap<usize, VecDeque<Late>>,
    running: HashMap<RunId, Running>,
    ended: mpsc::UnboundedReceiver<RunId>,
    report: mpsc::UnboundedSender<RunId>,
    ended_since_prune: u32,
    drain: CancellationToken,
    abort: CancellationToken,
}

/// The runs of one function.
#[derive(Default)]
struct Lane {
    running: usize,
    waiting: VecDeque<Pending>,
}

/// A claimed run that waits, or starts now.
pub(super) struct Pending {
    pub(super) run: RunId,
    pub(super) fire: Fire,
    /// The trigger in the plan whose backlog goes on when this ends.
    pub(super) backlog_of: Option<usize>,
}

struct Running {
    function: usize,
    abort: CancellationToken,
    backlog_of: Option<usize>,
}

struct Late {
    fire_time: i64,
    reason: Reason,
    missed: u32,
}

impl Engine {
    /// An engine that has planned nothing yet: see [`Engine::recover`] and [`Engine::run`].
    ///
    /// `drain` ends it gracefully, `abort` at once.
    pub fn new(
        store: Store,
        clock: Clock,
        functions: Vec<Function>,
        event: EventSettings,
        limits: Limits,
        drain: CancellationToken,
        abort: CancellationToken,
    ) -> Self {
        let (report, ended) = mpsc::unbounded_channel();
        let lanes = functions.iter().map(|_| Lane::default()).collect();
        Self {
            store,
            clock,
            functions,
            event,
            limits,
            plan: Plan::default(),
            planned: Vec::new(),
            lanes,
            waiting: BTreeSet::new(),
            backlog: HashMap::new(),
            running: HashMap::new(),
            ended,
            report,
            ended_since_prune: PRUNE_EVERY,
            drain,
            abort,
        }
    }

    /// Fires triggers until the drain, then waits for what runs. Answers how many runs had to be aborted.
    ///
    /// Fails when the system gives it no timer.
    pub async fn run(mut self) -> io::Result<usize> {
        let alarm = Alarm::new()?;
        self.fire_due(SkipReason::Down).await;
        while !self.drain.is_cancelled() {
            self.prune();
            let next = self.plan.next_wake();
            tokio::select! {
                biased;
                () = self.drain.cancelled() => {}
                Some(run) = self.ended.recv() => self.run_ended(run).await,
                wake = alarm.until(next) => {
                    if wake? == Wake::ClockSet {
                        tracing::warn!(now = %self.clock.now(), "the wall clock was set");
                    }
                    self.fire_due(SkipReason::Late).await;
                }
            }
        }
        Ok(self.drain().await)
    }

    /// Puts all enabled triggers into the plan, each from its high-water mark on; a new one from now on.
    pub(super) async fn plan_triggers(&mut self) -> Result<(), StoreError> {
        let now = self.clock.now().timestamp();
        let marks = self.store.high_water().await?;
        for (index, function) in self.functions.iter().enumerate() {
            for (trigger, settings) in function.triggers.iter().enumerate().filter(|(_, t)| t.enabled) {
                let key = (function.name.clone(), settings.name.to_string());
                let mark = marks.get(&key).copied();
                if let Some(mark) = mark.filter(|mark| *mark > now) {
                    tracing::error!(
                        function = key.0,
                        trigger = key.1,
                        mark,
                        now,
                        "the state says that this trigger fired in the future; the clock must have jumped. Going on from now"
                    );
                    self.store.lower_high_water(key.0.clone(), key.1.clone(), now).await?;
                }
                let accounted = mark.map_or(now, |mark| mark.min(now));
                self.plan.add(&format!("{}/{}", key.0, key.1), settings, accounted);
                self.planned.push((index, trigger));
            }
        }
        Ok(())
    }

    async fn fire_due(&mut self, cause: SkipReason) {
        let now = self.clock.now().timestamp_millis();
        let due = self.plan.due(now, cause);
        let mut spans = Vec::new();
        let mut wanted = Vec::new();
        for due in due {
            match due {
                Due::Skipped { trigger, first, last, count, reason } => {
                    let (function, trigger) = self.planned[trigger];
                    spans.push(self.span(function, trigger, first, last, count, reason));
                }
                Due::CatchUp { trigger, fire_time, missed } => {
                    let late = Late { fire_time, reason: Reason::CatchUp, missed };
                    self.backlog.entry(trigger).or_default().push_back(late);
                }
                Due::Fire { trigger, fire_time } => match self.backlog.get_mut(&trigger) {
                    Some(late) => late.push_back(Late { fire_time, reason: Reason::Timed, missed: 0 }),
                    None => wanted.push(self.wanted(trigger, fire_time, Reason::Timed, 0, false)),
                },
            }
        }
        if !spans.is_empty() {
            self.record_skipped(spans, now).await;
        }
        let idle: Vec<usize> = self.backlog.keys().copied().filter(|t| !self.backlog_runs(*t)).collect();
        for trigger in idle {
            wanted.extend(self.next_late(trigger));
        }
        self.claim_and_start(wanted).await;
    }

    fn backlog_runs(&self, trigger: usize) -> bool {
        self.running.values().any(|run| run.backlog_of == Some(trigger))
            || self.lanes.iter().flat_map(|lane| &lane.waiting).any(|run| run.backlog_of == Some(trigger))
    }

    fn next_late(&mut self, trigger: usize) -> Option<Wanted> {
        let late = self.backlog.get_mut(&trigger)?.pop_front();
        if late.is_none() {
            self.backlog.remove(&trigger);
        }
        late.map(|late| self.wanted(trigger, late.fire_time, late.reason, late.missed, true))
    }

    fn wanted(&self, planned: usize, fire_time: i64, reason: Reason, missed: u32, late: bool) -> Wanted {
        let (function, trigger) = self.planned[planned];
        let backlog_of = late.then_some(planned);
        Wanted { function, trigger, fire_time, reason, attempt: 1, missed, backlog_of }
    }

    fn span(
        &self,
        function: usize,
        trigger: usize,
        first: i64,
        last: i64,
        count: i64,
        reason: SkipReason,
    ) -> SkippedSpan {
        let function = &self.functions[function];
        let trigger = function.triggers[trigger].name.to_string();
        SkippedSpan { function: function.name.clone(), trigger, first, last, count, reason }
    }

    async fn record_skipped(&self, spans: Vec<SkippedSpan>, now: i64) {
        for span in &spans {
            let SkippedSpan { function, trigger, first, last, count, reason } = span;
            let (first, last, reason) = (beijing(*first), beijing(*last), reason.as_str());
            tracing::warn!(function, trigger, first, last, count, reason, "fire times were missed");
        }
        while let Err(error) = self.store.skip(spans.clone(), now).await {
            tracing::error!(%error, "could not record skipped fire times, trying again");
            if self.pause(CLAIM_AGAIN).await {
                return;
            }
        }
    }

    /// Sleeps; true when the drain came first.
    async fn pause(&self, duration: Duration) -> bool {
        tokio::select! {
            () = tokio::time::sleep(duration) => false,
            () = self.drain.cancelled() => true,
        }
    }

    /// Claims in one commit and starts what may start. While the state refuses, tries again: fire times
    /// that are not claimed would be lost from the account.
    pub(super) async fn claim_and_start(&mut self, mut wanted: Vec<Wanted>) {
        while !wanted.is_empty() {
            let requests = self.requests(&wanted);
            let claims = loop {
                match self.store.claim(requests.clone()).await {
                    Ok(claims) => break claims,
                    Err(error) => {
                        tracing::error!(%error, fires = requests.len(), "could not claim fires, trying again");
                        if self.pause(CLAIM_AGAIN).await {
                            return;
                        }
                    }
                }
            };
            let mut more = Vec::new();
            for ((wanted, request), claim) in wanted.iter().zip(&requests).zip(claims) {
                more.extend(self.claimed(wanted, request, claim));
            }
            wanted = more;
        }
    }

    fn requests(&self, wanted: &[Wanted]) -> Vec<ClaimRequest> {
        let now = self.clock.now().timestamp_millis();
        let room = self.limits.max_runs.saturating_sub(self.running.len());
        let request = |(index, wanted): (usize, &Wanted)| {
            let function = &self.functions[wanted.function];
            ClaimRequest {
                request_id: uuid::Uuid::new_v4().to_string(),
                function: function.name.clone(),
                trigger: function.triggers[wanted.trigger].name.to_string(),
                fire_time: wanted.fire_time,
                reason: wanted.reason,
                attempt: wanted.attempt,
                missed: wanted.missed,
                overlap: wanted.overlap(function),
                room: index < room,
                now,
            }
        };
        wanted.iter().enumerate().map(request).collect()
    }

    /// Acts on a claim; answers the next late fire of its trigger when this one never runs.
    fn claimed(&mut self, wanted: &Wanted, request: &ClaimRequest, claim: Claim) -> Option<Wanted> {
        let function = &self.functions[wanted.function];
        let fire = function.fire(wanted.trigger, Occurrence::from(request), &self.event);
        let pending = |run| Pending { run, fire, backlog_of: wanted.backlog_of };
        match claim {
            Claim::Started(run) => {
                let pending = pending(run);
                self.start(wanted.function, pending);
            }
            Claim::Waiting(run) => {
                let pending = pending(run);
                self.wait(wanted.function, pending);
            }
            Claim::Replaces { run, old } => {
                let pending = pending(run);
                for old in &old {
                    if let Some(running) = self.running.get(old) {
                        running.abort.cancel();
                    }
                }
                self.lanes[wanted.function].waiting.clear();
                self.wait(wanted.function, pending);
            }
            Claim::Skipped => {
                let (trigger, fire_time) = (request.trigger.as_str(), beijing(request.fire_time));
                tracing::warn!(
                    function = request.function,
                    trigger,
                    fire_time,
                    "skipped: the function is still running"
                );
                return wanted.backlog_of.and_then(|trigger| self.next_late(trigger));
            }
            Claim::AlreadyClaimed => {
                return wanted.backlog_of.and_then(|trigger| self.next_late(trigger));
            }
        }
        None
    }

    pub(super) fn wait(&mut self, function: usize, pending: Pending) {
        self.lanes[function].waiting.push_back(pending);
        self.waiting.insert(function);
    }

    fn start(&mut self, function: usize, pending: Pending) {
        let Pending { run, fire, backlog_of } = pending;
        let abort = self.abort.child_token();
        self.running.insert(run, Running { function, abort: abort.clone(), backlog_of });
        self.lanes[function].running += 1;
        let runner = self.functions[function].runner.clone();
        let mirror = Output::discard();
        let work = Run { id: run, fire, runner, drain: self.drain.clone(), abort, mirror };
        let (store, clock, report) = (self.store.clone(), self.clock.clone(), self.report.clone());
        tokio::spawn(async move {
            work.execute(store, clock).await;
            // The engine may be gone after an aborted drain; the end is on record all the same.
            let _ = report.send(run);
        });
    }

    async fn run_ended(&mut self, run: RunId) {
        let Some(running) = self.running.remove(&run) else { return };
        self.lanes[running.function].running -= 1;
        self.ended_since_prune += 1;
        if let Some(late) = running.backlog_of.and_then(|trigger| self.next_late(trigger)) {
            self.claim_and_start(vec![late]).await;
        }
        self.start_waiting().await;
    }

    /// Starts waiting runs for which there is room now, each function in its own order.
    pub(super) async fn start_waiting(&mut self) {
        for function in self.waiting.clone() {
            while self.running.len() < self.limits.max_runs
                && (self.lanes[function].running == 0 || self.functions[function].overlap == Overlap::Allow)
                && let Some(pending) = self.lanes[function].waiting.pop_front()
            {
                let now = self.clock.now().timestamp_millis();
                if let Err(error) = self.store.start(pending.run, now).await {
                    tracing::error!(run = pending.run, %error, "could not record the start of a waiting run");
                }
                self.start(function, pending);
            }
            if self.lanes[function].waiting.is_empty() {
                self.waiting.remove(&function);
            }
        }
    }

    fn prune(&mut self) {
        if self.ended_since_prune < PRUNE_EVERY {
            return;
        }
        self.ended_since_prune = 0;
        let keep = chrono::TimeDelta::from_std(self.limits.history.keep).unwrap_or(chrono::TimeDelta::MAX);
        let before = self.clock.now().checked_sub_signed(keep).unwrap_or_default().timestamp_millis();
        let keep_runs = i64::from(self.limits.history.keep_runs);
        let store = self.store.clone();
        tokio::spawn(async move {
            if let Err(error) = store.prune(before, keep_runs, 2 * PRUNE_EVERY).await {
                tracing::error!(%error, "could not prune the history");
            }
        });
    }

    /// Waits for what runs: batches stop at their next checkpoint, functions run to their end; what is
    /// not done within the drain timeout, or when the abort comes, is stopped.
    async fn drain(mut self) -> usize {
        let left = self.running.len();
        tracing::info!(running = left, "draining");
        let timeout = tokio::time::sleep(self.limits.drain_timeout);
        tokio::pin!(timeout);
        let mut aborted = 0;
        while !self.running.is_empty() {
            tokio::select! {
                Some(run) = self.ended.recv() => { self.running.remove(&run); }
                () = &mut timeout, if aborted == 0 => {
                    aborted = self.running.len();
                    tracing::warn!(running = aborted, "the drain takes too long, stopping what still runs");
                    self.abort.cancel();
                }
                () = self.abort.cancelled(), if aborted == 0 => {
                    aborted = self.running.len();
                    tracing::warn!(running = aborted, "told to stop at once");
                }
            }
        }
        aborted
    }
}

/// An instant as the log writes it.
fn beijing(unix: i64) -> String {
    DateTime::from_timestamp(unix, 0).unwrap_or_default().with_timezone(&Shanghai).to_rfc3339()
}
