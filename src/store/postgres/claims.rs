//! Claims: fire times become runs, or are skipped.
//!
//! What all requests of a call need to know is read at once, each is decided here in its order, and what was decided
//! is written at once: a thousand claims are a handful of round trips. Nobody else writes meanwhile: see `owner`.

use std::collections::{HashMap, HashSet};

use super::session::Session;
use super::skips::{self, Skipped};
use super::{StoreError, runs, storable};
use crate::run::{Outcome, Status};
use crate::settings::Overlap;
use crate::store::runs::{Claim, ClaimRequest, Ended, REPLACED, RunId, SkipReason, SkippedSpan};
use crate::store::triggers::{FunctionId, TriggerId};

/// One answer a request, in order.
pub(in crate::store) async fn claim_all(
    session: &Session,
    epoch: i64,
    requests: &[ClaimRequest],
) -> Result<Vec<Claim>, StoreError> {
    let mut known = Known::load(session, requests).await?;
    let claims = requests.iter().map(|request| known.claim(request)).collect();
    known.write(session, epoch).await?;
    Ok(claims)
}

/// What the state has of the requests' fire times, triggers and functions, and what has been decided so far.
#[derive(Debug, Default)]
struct Known {
    last_run: RunId,
    claimed: HashSet<(TriggerId, i64)>,
    /// Runs that a request asked for before, when the answer was lost with the connection.
    own: HashMap<uuid::Uuid, OpenRun>,
    marks: HashMap<TriggerId, i64>,
    /// Open runs by function, the oldest first.
    open: HashMap<FunctionId, Vec<OpenRun>>,
    new: Vec<NewRun>,
    replaced: Vec<Ended>,
    skipped: Vec<Skipped>,
}

#[derive(Clone, Copy, Debug)]
struct OpenRun {
    id: RunId,
    waiting: bool,
}

#[derive(Debug)]
struct NewRun {
    id: RunId,
    request: ClaimRequest,
    waiting: bool,
    replaced: bool,
}

const RUNS_OF: &str = "
    SELECT run.trigger, run.fire_time, claim IS NOT NULL, request_id, id, state
    FROM unnest($1::bigint[], $2::bigint[]) AS wanted (trigger, fire_time)
    JOIN run ON run.trigger = wanted.trigger AND run.fire_time = wanted.fire_time";
const MARKS_OF: &str = "SELECT id, mark FROM trigger WHERE id = ANY($1) AND mark IS NOT NULL";
const OPEN_OF: &str = "SELECT function, id, state FROM run
    WHERE function = ANY($1) AND state IN ('waiting', 'running') ORDER BY id";
const LAST_RUN: &str = "SELECT last_run FROM owner";
const INSERT: &str = "
    INSERT INTO run (id, request_id, function, trigger, fire_time, claim, reason, attempt, missed, state, epoch,
                     created_at, started_at, finished_at, message)
    SELECT id, request_id, function, trigger, fire_time, claim, reason, attempt, missed, state, $11, created_at,
           CASE WHEN state = 'running' THEN created_at END,
           CASE WHEN state = $12 THEN created_at END, CASE WHEN state = $12 THEN $13 END
    FROM unnest($1::bigint[], $2::uuid[], $3::bigint[], $4::bigint[], $5::bigint[], $6::smallint[], $7::text[],
                $8::bigint[], $9::bigint[], $10::text[], $14::bigint[])
      AS new (id, request_id, function, trigger, fire_time, claim, reason, attempt, missed, state, created_at)";
const COUNT: &str = "UPDATE owner SET last_run = $1, runs = runs + $2";

impl Known {
    async fn load(session: &Session, requests: &[ClaimRequest]) -> Result<Self, StoreError> {
        let triggers: Vec<i64> = requests.iter().map(|request| request.trigger).collect();
        let fire_times: Vec<i64> = requests.iter().map(|request| request.fire_time).collect();
        let bound = requests.iter().filter(|request| request.overlap != Overlap::Allow);
        let functions: Vec<i64> =
            bound.map(|request| request.function).collect::<HashSet<_>>().into_iter().collect();
        let (of_runs, of_marks, of_open) =
            ([&triggers as _, &fire_times as _], [&triggers as _], [&functions as _]);
        let (runs, marks, open, last) = tokio::join!(
            biased;
            session.query(RUNS_OF, &of_runs),
            session.query(MARKS_OF, &of_marks),
            session.query(OPEN_OF, &of_open),
            session.query_one(LAST_RUN, &[]),
        );
        let asked: HashSet<_> = requests.iter().map(|request| request.request_id).collect();
        let mut known = Self { last_run: last?.get(0), ..Self::default() };
        for run in runs? {
            if run.get(2) {
                known.claimed.insert((run.get(0), run.get(1)));
            }
            let (request_id, state): (uuid::Uuid, &str) = (run.get(3), run.get(5));
            if asked.contains(&request_id) && matches!(state, "waiting" | "running") {
                known.own.insert(request_id, OpenRun { id: run.get(4), waiting: state == "waiting" });
            }
        }
        known.marks = marks?.iter().map(|trigger| (trigger.get(0), trigger.get(1))).collect();
        for run in open? {
            let open = OpenRun { id: run.get(1), waiting: run.get::<_, &str>(2) == "waiting" };
            known.open.entry(run.get(0)).or_default().push(open);
        }
        Ok(known)
    }

    /// Settles the overlap and takes the run.
    fn claim(&mut self, request: &ClaimRequest) -> Claim {
        if let Some(own) = self.own.get(&request.request_id) {
            return self.once_more(request, *own);
        }
        if self.is_claimed(request) {
            return Claim::AlreadyClaimed;
        }
        if request.overlap == Overlap::Allow {
            return self.take(request, false);
        }
        let open = self.open.get(&request.function).cloned().unwrap_or_default();
        let waiting = open.iter().filter(|run| run.waiting).count();
        let busy = !open.is_empty();
        match request.overlap {
            Overlap::Skip if busy => self.skip(request),
            Overlap::Queue(limit) if busy && waiting >= limit as usize => self.skip(request),
            Overlap::Allow | Overlap::Skip | Overlap::Queue(_) => self.take(request, busy),
            Overlap::Replace => match self.take(request, busy) {
                Claim::Waiting(run) if busy => {
                    for old in open.iter().filter(|run| run.waiting) {
                        self.replace(request, old.id);
                    }
                    Claim::Replaces { run, old: open.into_iter().map(|run| run.id).collect() }
                }
                claim => claim,
            },
        }
    }

    /// The answer to a claim that held, and whose answer did not arrive.
    fn once_more(&self, request: &ClaimRequest, own: OpenRun) -> Claim {
        let open = self.open.get(&request.function).into_iter().flatten();
        let older: Vec<_> = open.map(|run| run.id).filter(|run| *run < own.id).collect();
        match own {
            OpenRun { id, waiting: false } => Claim::Started(id),
            OpenRun { id, .. } if request.overlap == Overlap::Replace && !older.is_empty() => {
                Claim::Replaces { run: id, old: older }
            }
            OpenRun { id, .. } => Claim::Waiting(id),
        }
    }

    /// The fire time has a run already, or is accounted for by the trigger's mark.
    fn is_claimed(&self, request: &ClaimRequest) -> bool {
        let ClaimRequest { trigger, fire_time, reason, .. } = *request;
        let marked = self.marks.get(&trigger).is_some_and(|mark| *mark >= fire_time);
        reason.is_scheduled() && (marked || self.claimed.contains(&(trigger, fire_time)))
    }

    fn take(&mut self, request: &ClaimRequest, wait: bool) -> Claim {
        let waiting = wait || !request.room;
        self.last_run += 1;
        let id = self.last_run;
        if request.reason.is_scheduled() {
            self.claimed.insert((request.trigger, request.fire_time));
        }
        self.open.entry(request.function).or_default().push(OpenRun { id, waiting });
        self.new.push(NewRun { id, request: *request, waiting, replaced: false });
        if waiting { Claim::Waiting(id) } else { Claim::Started(id) }
    }

    /// A run that waits never starts.
    fn replace(&mut self, request: &ClaimRequest, old: RunId) {
        if let Some(open) = self.open.get_mut(&request.function) {
            open.retain(|run| run.id != old);
        }
        if let Some(new) = self.new.iter_mut().find(|run| run.id == old) {
            new.replaced = true;
        } else {
            let outcome = Outcome::interrupted(REPLACED);
            self.replaced.push(Ended { run: old, outcome, at: request.now });
        }
    }

    fn skip(&mut self, request: &ClaimRequest) -> Claim {
        if request.reason.is_scheduled() {
            // With it goes what it stands for.
            let (first, last, count) = (request.since, request.fire_time, 1 + i64::from(request.missed));
            let span =
                SkippedSpan { trigger: request.trigger, first, last, count, reason: SkipReason::Overlap };
            self.skipped.push(Skipped { span, now: request.now });
            if let Some(mark) = self.marks.get_mut(&request.trigger) {
                *mark = last.max(*mark);
            }
        }
        Claim::Skipped
    }

    /// Runs come before spans: a span is not lengthened over a run.
    async fn write(self, session: &Session, epoch: i64) -> Result<(), StoreError> {
        if !self.new.is_empty() {
            insert(session, epoch, &self.new, self.last_run).await?;
        }
        if !self.replaced.is_empty() {
            runs::finish_all(session, &self.replaced).await?;
        }
        skips::record(session, &self.skipped).await
    }
}

async fn insert(session: &Session, epoch: i64, new: &[NewRun], last: RunId) -> Result<(), StoreError> {
    fn column<T>(new: &[NewRun], of: impl Fn(&NewRun) -> T) -> Vec<T> {
        new.iter().map(of).collect()
    }
    let replaced = Status::Interrupted.as_str();
    let ids = column(new, |run| run.id);
    let request_ids = column(new, |run| run.request.request_id);
    let functions = column(new, |run| run.request.function);
    let triggers = column(new, |run| run.request.trigger);
    let fire_times = column(new, |run| run.request.fire_time);
    let claims = column(new, |run| run.request.reason.is_scheduled().then_some(1_i16));
    let reasons = column(new, |run| run.request.reason.as_str());
    let attempts = column(new, |run| i64::from(run.request.attempt));
    let missed = column(new, |run| i64::from(run.request.missed));
    let created = column(new, |run| run.request.now);
    let states = column(new, |run| match run {
        NewRun { replaced: true, .. } => replaced,
        NewRun { waiting: true, .. } => "waiting",
        NewRun { .. } => "running",
    });
    let message = storable(REPLACED);
    let rows: [super::session::Param<'_>; 14] = [
        &ids,
        &request_ids,
        &functions,
        &triggers,
        &fire_times,
        &claims,
        &reasons,
        &attempts,
        &missed,
        &states,
        &epoch,
        &replaced,
        &message,
        &created,
    ];
    let more = i64::try_from(new.len()).unwrap_or(i64::MAX);
    let count: [super::session::Param<'_>; 2] = [&last, &more];
    let (inserted, counted) =
        tokio::join!(biased; session.execute(INSERT, &rows), session.execute(COUNT, &count));
    inserted?;
    counted?;
    Ok(())
}
