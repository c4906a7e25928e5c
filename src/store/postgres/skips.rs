//! Fire times that never become a run.

use std::collections::{BTreeSet, HashMap};

use super::StoreError;
use super::session::{Param, Session};
use crate::store::runs::SkippedSpan;
use crate::store::triggers::TriggerId;

/// A span, and when it is recorded; unix milliseconds.
#[derive(Clone, Copy, Debug)]
pub(in crate::store) struct Skipped {
    pub(in crate::store) span: SkippedSpan,
    pub(in crate::store) now: i64,
}

/// Where a trigger stands.
#[derive(Debug, Default)]
struct Stand {
    mark: Option<i64>,
    /// Fire time of the newest scheduled run.
    newest_run: Option<i64>,
    /// Which of the rows to be written is the newest.
    newest: Option<usize>,
    raised: bool,
}

#[derive(Debug)]
struct Written {
    /// None: a new one.
    id: Option<i64>,
    trigger: TriggerId,
    first: i64,
    last: i64,
    count: i64,
    reason: String,
    now: i64,
    changed: bool,
}

const STANDS: &str = "
    SELECT wanted.trigger, trigger.mark,
           (SELECT max(fire_time) FROM run WHERE run.trigger = wanted.trigger AND claim = 1),
           newest.id, newest.first, newest.last, newest.count, newest.reason, newest.recorded_at
    FROM unnest($1::bigint[]) AS wanted (trigger)
    LEFT JOIN trigger ON trigger.id = wanted.trigger
    LEFT JOIN LATERAL (SELECT * FROM skipped WHERE skipped.trigger = wanted.trigger ORDER BY id DESC LIMIT 1) AS newest
      ON true";
const INSERT: &str = "
    INSERT INTO skipped (trigger, first, last, count, reason, recorded_at)
    SELECT trigger, first, last, count, reason, recorded_at
    FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::text[], $6::bigint[]) WITH ORDINALITY
      AS new (trigger, first, last, count, reason, recorded_at, nth)
    ORDER BY nth";
const LENGTHEN: &str = "
    UPDATE skipped SET last = longer.last, count = longer.count, recorded_at = longer.recorded_at
    FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[]) AS longer (id, last, count, recorded_at)
    WHERE skipped.id = longer.id";
const RAISE: &str = "
    UPDATE trigger SET mark = raised.mark FROM unnest($1::bigint[], $2::bigint[]) AS raised (id, mark)
    WHERE trigger.id = raised.id AND trigger.mark < raised.mark";

/// Records spans, or lengthens the trigger's newest one when it has the same reason and nothing lies in between: a
/// second that is skipped every second must not fill the disk. Runs that are gone, and times that the trigger passed
/// over, are known by its mark.
pub(in crate::store) async fn record(session: &Session, skipped: &[Skipped]) -> Result<(), StoreError> {
    if skipped.is_empty() {
        return Ok(());
    }
    let (mut stands, mut rows) = load(session, skipped).await?;
    for Skipped { span, now } in skipped {
        let stand = stands.entry(span.trigger).or_default();
        let newest = stand.newest.map(|at| &mut rows[at]).filter(|newest| {
            newest.reason == span.reason.as_str()
                && newest.last < span.first
                && stand.mark.is_some_and(|mark| mark <= newest.last)
                && stand.newest_run.is_none_or(|run| run <= newest.last)
        });
        if let Some(newest) = newest {
            newest.last = span.last;
            newest.count += span.count;
            newest.now = *now;
            newest.changed = true;
        } else {
            stand.newest = Some(rows.len());
            let SkippedSpan { trigger, first, last, count, reason } = *span;
            let reason = reason.as_str().to_owned();
            rows.push(Written { id: None, trigger, first, last, count, reason, now: *now, changed: true });
        }
        if let Some(mark) = &mut stand.mark
            && *mark < span.last
        {
            *mark = span.last;
            stand.raised = true;
        }
    }
    write(session, &stands, &rows).await
}

async fn load(
    session: &Session,
    skipped: &[Skipped],
) -> Result<(HashMap<TriggerId, Stand>, Vec<Written>), StoreError> {
    let triggers: BTreeSet<_> = skipped.iter().map(|skipped| skipped.span.trigger).collect();
    let triggers: Vec<_> = triggers.into_iter().collect();
    let (mut stands, mut rows) = (HashMap::new(), Vec::new());
    for row in session.query(STANDS, &[&triggers]).await? {
        let trigger = row.get(0);
        let id: Option<i64> = row.get(3);
        let newest = id.map(|_| rows.len());
        stands.insert(trigger, Stand { mark: row.get(1), newest_run: row.get(2), newest, raised: false });
        if id.is_some() {
            rows.push(Written {
                id,
                trigger,
                first: row.get(4),
                last: row.get(5),
                count: row.get(6),
                reason: row.get(7),
                now: row.get(8),
                changed: false,
            });
        }
    }
    Ok((stands, rows))
}

async fn write(
    session: &Session,
    stands: &HashMap<TriggerId, Stand>,
    rows: &[Written],
) -> Result<(), StoreError> {
    let (old, new): (Vec<&Written>, Vec<&Written>) =
        rows.iter().filter(|row| row.changed).partition(|row| row.id.is_some());
    if !new.is_empty() {
        let reasons: Vec<_> = new.iter().map(|row| row.reason.as_str()).collect();
        let column = |of: fn(&Written) -> i64| new.iter().map(|row| of(row)).collect::<Vec<_>>();
        let (triggers, firsts, lasts) =
            (column(|row| row.trigger), column(|row| row.first), column(|row| row.last));
        let (counts, now) = (column(|row| row.count), column(|row| row.now));
        let params: [Param<'_>; 6] = [&triggers, &firsts, &lasts, &counts, &reasons, &now];
        session.execute(INSERT, &params).await?;
    }
    if !old.is_empty() {
        let ids: Vec<_> = old.iter().filter_map(|row| row.id).collect();
        let column = |of: fn(&Written) -> i64| old.iter().map(|row| of(row)).collect::<Vec<_>>();
        let (lasts, counts, now) = (column(|row| row.last), column(|row| row.count), column(|row| row.now));
        session.execute(LENGTHEN, &[&ids, &lasts, &counts, &now]).await?;
    }
    let raised = stands.iter().filter(|(_, stand)| stand.raised);
    let (triggers, marks): (Vec<_>, Vec<_>) =
        raised.filter_map(|(trigger, stand)| Some((*trigger, stand.mark?))).unzip();
    if !triggers.is_empty() {
        session.execute(RAISE, &[&triggers, &marks]).await?;
    }
    Ok(())
}
