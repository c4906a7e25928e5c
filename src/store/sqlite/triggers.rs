//! SQL of triggers: numbers, marks and pauses.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension, params};

use super::StoreError;
use crate::settings::TriggerSettings;
use crate::store::triggers::{Enrolled, Enrolment, FunctionId, Others, Pause, Place, TriggerId};

/// Lifts each trigger's mark to its newest scheduled run: afterwards the marks alone say how far triggers are
/// accounted for. For the opening of the state.
pub(super) fn settle_marks(connection: &Connection) -> Result<(), StoreError> {
    connection.execute(
        "UPDATE trigger SET mark = newest.fire_time
         FROM (SELECT trigger, max(fire_time) AS fire_time FROM run WHERE claim = 1 GROUP BY trigger) AS newest
         WHERE trigger.id = newest.trigger AND trigger.mark < newest.fire_time",
        [],
    )?;
    Ok(())
}

/// See [`crate::store::Store::enroll`].
pub(in crate::store) fn enroll(
    connection: &Connection,
    functions: &[Enrolment],
    others: Others,
    now: i64,
) -> Result<Vec<Enrolled>, StoreError> {
    if others == Others::Leave {
        leave_strangers(connection, functions)?;
    }
    let enrolled = functions.iter().map(|enrolment| enroll_one(connection, enrolment, others, now)).collect();
    if others == Others::Leave {
        // A start reads every trigger once, which needs no cache. From here on it is to hold what a hundred thousand
        // claims and ends touch, so that no page is read again within a second; KiB.
        connection.pragma_update(None, "cache_size", -24_000)?;
    }
    enrolled
}

fn enroll_one(
    connection: &Connection,
    enrolment: &Enrolment,
    others: Others,
    now: i64,
) -> Result<Enrolled, StoreError> {
    let function = function_id(connection, &enrolment.function)?;
    let mut known = known_triggers(connection, function)?;
    let mut triggers = Vec::with_capacity(enrolment.triggers.len());
    for settings in enrolment.triggers.iter() {
        let known = known.remove(&*settings.name);
        triggers.push(place(connection, function, settings, known, others, now)?);
    }
    Ok(Enrolled { function, triggers })
}

/// A trigger's row: number, mark, pause and its reason.
type Known = (TriggerId, Option<i64>, Option<i64>, Option<String>);

fn place(
    connection: &Connection,
    function: FunctionId,
    settings: &TriggerSettings,
    known: Option<Known>,
    others: Others,
    now: i64,
) -> Result<Place, StoreError> {
    let Some((id, mark, paused_since, paused_because)) = known else {
        let mark = settings.enabled.then_some(now);
        connection
            .prepare_cached("INSERT INTO trigger (function, name, mark) VALUES (?1, ?2, ?3)")?
            .execute(params![function, &*settings.name, mark])?;
        let id = connection.last_insert_rowid();
        return Ok(Place { id, accounted: now, paused_since: None, paused_because: None, ahead: None });
    };
    let accounted = mark.filter(|mark| settings.enabled && *mark <= now);
    let ahead = mark.filter(|mark| settings.enabled && *mark > now);
    // A mark in the future is put back by a start alone: whoever fires triggers now goes on behind it.
    if accounted.is_none() && (ahead.is_none() || others == Others::Leave) {
        let mark = settings.enabled.then_some(now);
        set_mark(connection, id, mark)?;
    }
    Ok(Place { id, accounted: accounted.unwrap_or(now), paused_since, paused_because, ahead })
}

fn function_id(connection: &Connection, name: &str) -> Result<FunctionId, StoreError> {
    let known = connection
        .prepare_cached("SELECT id FROM function WHERE name = ?1")?
        .query_row([name], |row| row.get(0))
        .optional()?;
    if let Some(id) = known {
        return Ok(id);
    }
    connection.prepare_cached("INSERT INTO function (name) VALUES (?1)")?.execute([name])?;
    Ok(connection.last_insert_rowid())
}

fn known_triggers(
    connection: &Connection,
    function: FunctionId,
) -> Result<HashMap<String, Known>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT name, id, mark, paused_since, paused_because FROM trigger WHERE function = ?1",
    )?;
    let known = statement.query_map([function], |row| {
        Ok((row.get(0)?, (row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?)))
    })?;
    Ok(known.collect::<Result<_, _>>()?)
}

/// Takes the marks of all triggers that `functions` does not name.
fn leave_strangers(connection: &Connection, functions: &[Enrolment]) -> Result<(), StoreError> {
    let named: HashMap<&str, &Enrolment> =
        functions.iter().map(|enrolment| (enrolment.function.as_str(), enrolment)).collect();
    let mut statement = connection.prepare("SELECT id, name FROM function")?;
    let known = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let known: Vec<(FunctionId, String)> = known.collect::<Result<_, _>>()?;
    for (function, name) in known {
        let Some(enrolment) = named.get(name.as_str()) else {
            connection
                .prepare_cached("UPDATE trigger SET mark = NULL WHERE function = ?1 AND mark IS NOT NULL")?
                .execute([function])?;
            continue;
        };
        let mut strangers = known_triggers(connection, function)?;
        for trigger in enrolment.triggers.iter() {
            strangers.remove(&*trigger.name);
        }
        for (id, ..) in strangers.into_values() {
            set_mark(connection, id, None)?;
        }
    }
    Ok(())
}

fn set_mark(connection: &Connection, trigger: TriggerId, mark: Option<i64>) -> Result<(), StoreError> {
    connection
        .prepare_cached("UPDATE trigger SET mark = ?2 WHERE id = ?1")?
        .execute(params![trigger, mark])?;
    Ok(())
}

/// Lifts a mark: fire times up to `fire_time` are accounted for.
pub(super) fn raise_mark(
    connection: &Connection,
    trigger: TriggerId,
    fire_time: i64,
) -> Result<(), StoreError> {
    connection
        .prepare_cached("UPDATE trigger SET mark = ?2 WHERE id = ?1 AND mark < ?2")?
        .execute(params![trigger, fire_time])?;
    Ok(())
}

pub(in crate::store) fn dismiss(connection: &Connection, triggers: &[TriggerId]) -> Result<(), StoreError> {
    triggers.iter().try_for_each(|trigger| set_mark(connection, *trigger, None))
}

pub(in crate::store) fn start_anew(
    connection: &Connection,
    triggers: &[TriggerId],
    now: i64,
) -> Result<(), StoreError> {
    triggers.iter().try_for_each(|trigger| set_mark(connection, *trigger, Some(now)))
}

pub(in crate::store) fn set_paused(
    connection: &Connection,
    triggers: &[TriggerId],
    pause: Option<&Pause>,
) -> Result<(), StoreError> {
    let (since, because) = (pause.map(|pause| pause.since), pause.and_then(|pause| pause.because.as_deref()));
    let mut statement = connection
        .prepare_cached("UPDATE trigger SET paused_since = ?2, paused_because = ?3 WHERE id = ?1")?;
    for trigger in triggers {
        statement.execute(params![trigger, since, because])?;
    }
    Ok(())
}
