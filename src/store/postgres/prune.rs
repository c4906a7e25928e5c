//! SQL that forgets: old runs go, and leave their triggers' marks behind.

use super::StoreError;
use super::session::Session;
use crate::store::runs::RunId;

const SKIPPED: &str = "
    DELETE FROM skipped WHERE id IN (
      SELECT id FROM skipped WHERE recorded_at < $1 OR id <= (SELECT max(id) FROM skipped) - $2 ORDER BY id LIMIT $3)";
const BY_COUNT: &str = "SELECT id FROM run WHERE finished_at IS NOT NULL ORDER BY id LIMIT 1 OFFSET $1";
const BY_AGE: &str = "
    SELECT max(id) FROM (
      SELECT id, bool_and(finished_at < $1) OVER (ORDER BY id) AS older
      FROM (SELECT id, finished_at FROM run WHERE finished_at IS NOT NULL ORDER BY id LIMIT $2) AS oldest) AS aged
    WHERE older";
const MARK: &str = "
    UPDATE trigger SET mark = gone.fire_time
    FROM (SELECT trigger, max(fire_time) AS fire_time FROM run
          WHERE id <= $1 AND finished_at IS NOT NULL AND claim = 1 GROUP BY trigger) AS gone
    WHERE trigger.id = gone.trigger AND trigger.mark < gone.fire_time";
const OUTPUT: &str = "
    DELETE FROM output WHERE run IN (SELECT id FROM run WHERE id <= $1 AND finished_at IS NOT NULL)";
const RUNS: &str = "DELETE FROM run WHERE id <= $1 AND finished_at IS NOT NULL";
const COUNT: &str = "UPDATE owner SET runs = runs - $1";

/// See [`crate::store::Store::prune`].
pub(in crate::store) async fn prune(
    session: &Session,
    before: i64,
    keep_runs: i64,
    limit: u32,
) -> Result<usize, StoreError> {
    let limit = i64::from(limit);
    session.execute(SKIPPED, &[&before, &keep_runs, &limit]).await?;
    prune_runs(session, before, keep_runs, limit).await
}

/// Deletes ended runs from the oldest on. Numbers grow with time, so the walk ends at the first run that stays.
async fn prune_runs(session: &Session, before: i64, keep_runs: i64, limit: i64) -> Result<usize, StoreError> {
    let runs: i64 = session.query_one("SELECT runs FROM owner", &[]).await?.get(0);
    let excess = (runs - keep_runs).clamp(0, limit);
    // Runs that are still open may stand among the old ones; they are passed over, and do not hold up the rest.
    let by_count: Option<RunId> = match excess {
        0 => None,
        _ => session.query_opt(BY_COUNT, &[&(excess - 1)]).await?.map(|row| row.get(0)),
    };
    let by_age: Option<RunId> = session.query_one(BY_AGE, &[&before, &limit]).await?.get(0);
    let Some(last) = by_count.max(by_age) else { return Ok(0) };
    session.execute(MARK, &[&last]).await?;
    session.execute(OUTPUT, &[&last]).await?;
    let gone = session.execute(RUNS, &[&last]).await?;
    session.execute(COUNT, &[&i64::try_from(gone).unwrap_or(i64::MAX)]).await?;
    Ok(usize::try_from(gone).unwrap_or(usize::MAX))
}
