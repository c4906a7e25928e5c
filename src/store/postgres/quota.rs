//! SQL of quotas. What a quota allows is decided in `store::quota`.

use super::session::Session;
use super::{StoreError, storable};
use crate::store::quota::{Decision, Take, Taken, decide};

const SLOTS: &str = "SELECT slot, taken FROM quota WHERE name = $1 AND per = $2 ORDER BY slot";
const RESTS: &str = "SELECT name, until FROM quota_rest WHERE name = ANY ($1) ORDER BY until DESC LIMIT 1";
const CLEAR: &str = "DELETE FROM quota WHERE name = $1 AND per = $2 AND slot <> ALL ($3)";
const WRITE: &str = "
    INSERT INTO quota (name, per, slot, taken) SELECT $1, $2, slot, taken FROM unnest($3::bigint[], $4::bigint[]) AS s (slot, taken)
    ON CONFLICT (name, per, slot) DO UPDATE SET taken = EXCLUDED.taken";
const REST: &str = "
    INSERT INTO quota_rest (name, until) VALUES ($1, $2)
    ON CONFLICT (name) DO UPDATE SET until = greatest(quota_rest.until, EXCLUDED.until)";

/// Whoever writes holds the row of `owner`, so nobody else takes from a quota meanwhile.
pub(in crate::store) async fn take(session: &Session, take: &Take) -> Result<Taken, StoreError> {
    let mut found = Vec::with_capacity(take.limits.len());
    for limit in &take.limits {
        let rows = session.query(SLOTS, &[&storable(&limit.name), &limit.per]).await?;
        found.push(rows.iter().map(|row| (row.get(0), row.get(1))).collect());
    }
    let names: Vec<_> = take.names.iter().map(|name| storable(name)).collect();
    let rest = session.query_opt(RESTS, &[&names]).await?.map(|row| (row.get(0), row.get(1)));
    let Decision { taken, slots } = decide(take, found, rest);
    for (limit, slots) in take.limits.iter().zip(slots) {
        let (at, counts): (Vec<i64>, Vec<i64>) = slots.into_iter().unzip();
        let name = storable(&limit.name);
        session.execute(CLEAR, &[&name, &limit.per, &at]).await?;
        session.execute(WRITE, &[&name, &limit.per, &at, &counts]).await?;
    }
    Ok(taken)
}

pub(in crate::store) async fn rest(session: &Session, name: &str, until: i64) -> Result<(), StoreError> {
    session.execute(REST, &[&storable(name), &until]).await?;
    Ok(())
}
