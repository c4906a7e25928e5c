//! SQL of quotas. What a quota allows is decided in `store::quota`.

use rusqlite::{Connection, OptionalExtension, params};

use super::StoreError;
use super::ledger::owned;
use crate::store::quota::{Decision, Slots, Take, Taken, decide};

pub(in crate::store) fn take(connection: &Connection, epoch: i64, take: &Take) -> Result<Taken, StoreError> {
    owned(connection, epoch)?;
    let mut found = Vec::with_capacity(take.limits.len());
    let mut find = connection
        .prepare_cached("SELECT slot, taken FROM quota WHERE name = ?1 AND per = ?2 ORDER BY slot")?;
    for limit in &take.limits {
        let slots = find.query_map(params![limit.name, limit.per], |row| Ok((row.get(0)?, row.get(1)?)))?;
        found.push(slots.collect::<Result<Slots, _>>()?);
    }
    let mut rest: Option<(String, i64)> = None;
    let mut resting = connection.prepare_cached("SELECT until FROM quota_rest WHERE name = ?1")?;
    for name in &take.names {
        let until: Option<i64> = resting.query_row([name], |row| row.get(0)).optional()?;
        if let Some(until) = until.filter(|until| rest.as_ref().is_none_or(|(_, longest)| until > longest)) {
            rest = Some((name.clone(), until));
        }
    }
    let Decision { taken, slots } = decide(take, found, rest);
    let mut clear = connection.prepare_cached("DELETE FROM quota WHERE name = ?1 AND per = ?2")?;
    let mut write =
        connection.prepare_cached("INSERT INTO quota (name, per, slot, taken) VALUES (?1, ?2, ?3, ?4)")?;
    for (limit, slots) in take.limits.iter().zip(slots) {
        clear.execute(params![limit.name, limit.per])?;
        for (slot, count) in slots {
            write.execute(params![limit.name, limit.per, slot, count])?;
        }
    }
    Ok(taken)
}

pub(in crate::store) fn rest(
    connection: &Connection,
    epoch: i64,
    name: &str,
    until: i64,
) -> Result<(), StoreError> {
    owned(connection, epoch)?;
    connection
        .prepare_cached(
            "INSERT INTO quota_rest (name, until) VALUES (?1, ?2)
             ON CONFLICT (name) DO UPDATE SET until = max(until, excluded.until)",
        )?
        .execute(params![name, until])?;
    Ok(())
}
