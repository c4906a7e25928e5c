//! After a crash: what an earlier run left in the ledger is settled before anything else.

use chrono::{DateTime, Utc};

use super::BatchError;
use super::job::Job;
use super::key::Key;
use super::source::{Marked, ToMark};
use crate::settings::OnUncertain;
use crate::store::ledger::{EntryKey, Unmarked};

/// Rows that are marked in one transaction.
const GROUP: usize = 1000;

/// What a recovery found and did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Rows that were recorded but not marked; they are marked now.
    pub marked: u64,
    /// Rows that may or may not have been delivered and wait for an operator now.
    pub held: u64,
    /// Rows that may or may not have been delivered and will be delivered again.
    pub resent: u64,
    /// Fires whose run was cut off or stopped, and should be resumed; oldest first.
    pub interrupted: Vec<InterruptedFire>,
}

/// A fire whose run was cut off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InterruptedFire {
    /// The trigger's full name, `function/trigger`.
    pub trigger: String,
    /// When the fire was due.
    pub fire_time: DateTime<Utc>,
}

/// Marks what is recorded, and holds or queues what is not. No run of the batch may be under way.
pub(super) async fn settle<A>(job: &Job<A>) -> Result<Recovery, BatchError> {
    let resend = job.settings.on_uncertain == OnUncertain::Resend;
    let unrecorded = job.ledger.settle_unrecorded(resend, job.clock.now()).await?;
    let mut recovery = Recovery::default();
    if resend {
        recovery.resent = unrecorded;
    } else {
        recovery.held = unrecorded;
    }
    report(job, &recovery);
    recovery.marked = mark_recorded(job).await?;
    let fires = job.ledger.open_fires().await?;
    recovery.interrupted = fires
        .into_iter()
        .filter_map(|fire| {
            let fire_time = DateTime::from_timestamp(fire.fire_time, 0)?;
            Some(InterruptedFire { trigger: fire.trigger, fire_time })
        })
        .collect();
    Ok(recovery)
}

fn report<A>(job: &Job<A>, recovery: &Recovery) {
    let batch = job.settings.id.as_str();
    if recovery.held > 0 {
        tracing::warn!(
            batch,
            rows = recovery.held,
            "a run was cut off: these rows may or may not have been delivered and are held; look at them with \
             `gulou batch rows {batch} --held`, then `gulou batch release` (not delivered) or `gulou batch resend`"
        );
    }
    if recovery.resent > 0 {
        tracing::warn!(
            batch,
            rows = recovery.resent,
            "a run was cut off: these rows may or may not have been delivered and will be delivered again"
        );
    }
}

/// Marks every row that is recorded and not marked. Answers how many.
async fn mark_recorded<A>(job: &Job<A>) -> Result<u64, BatchError> {
    let mut marked = 0;
    let mut after = None;
    loop {
        let group = job.ledger.unmarked(after.take(), GROUP).await?;
        let Some(last) = group.last() else { return Ok(marked) };
        after = Some(last.entry.clone());
        let settled = mark_group(job, group).await?;
        marked += settled.len() as u64;
        job.ledger.forget(settled).await?;
    }
}

/// Marks rows of possibly several fires. Answers the entries that may go.
async fn mark_group<A>(job: &Job<A>, group: Vec<Unmarked>) -> Result<Vec<EntryKey>, BatchError> {
    let mut settled = Vec::with_capacity(group.len());
    for rows in group.chunk_by(|one, other| one.fire_time == other.fire_time) {
        let fire_time = DateTime::from_timestamp(rows[0].fire_time, 0).unwrap_or_default();
        let mut entries = Vec::with_capacity(rows.len());
        let mut to_mark = Vec::with_capacity(rows.len());
        for row in rows {
            let Some(key) = Key::decode(&row.entry.key) else { continue };
            entries.push(row.entry.clone());
            to_mark.push(ToMark { key, failure: row.failure.clone() });
        }
        let keys: Vec<Key> = to_mark.iter().map(|row| row.key.clone()).collect();
        let marked = job.source.mark(to_mark, job.moment(fire_time)).await?;
        if let Some(at) = marked.iter().position(|marked| *marked == Marked::Stuck) {
            return Err(BatchError::Stuck(job.source.stuck(&keys[at])));
        }
        settled.extend(entries);
    }
    Ok(settled)
}
