//! SQL of triggers: numbers, marks and pauses.

use std::collections::{HashMap, HashSet};

use super::StoreError;
use super::session::Session;
use crate::settings::TriggerSettings;
use crate::store::triggers::{Enrolled, Enrolment, FunctionId, Others, Pause, Place, TriggerId};

const SETTLE: &str = "
    UPDATE trigger SET mark = newest.fire_time
    FROM (SELECT trigger, max(fire_time) AS fire_time FROM run WHERE claim = 1 GROUP BY trigger) AS newest
    WHERE trigger.id = newest.trigger AND trigger.mark < newest.fire_time";
const NEW_FUNCTIONS: &str = "
    INSERT INTO function (name)
    SELECT name FROM unnest($1::text[]) WITH ORDINALITY AS new (name, nth)
    WHERE NOT EXISTS (SELECT FROM function WHERE function.name = new.name) ORDER BY nth";
const FUNCTIONS: &str = "SELECT name, id FROM function WHERE name = ANY($1)";
const ALL_TRIGGERS: &str = "SELECT function, name, id, mark, paused_since, paused_because FROM trigger";
const TRIGGERS_OF: &str =
    "SELECT function, name, id, mark, paused_since, paused_because FROM trigger WHERE function = ANY($1)";
const NEW_TRIGGERS: &str = "
    INSERT INTO trigger (function, name, mark)
    SELECT function, name, mark
    FROM unnest($1::bigint[], $2::text[], $3::bigint[]) WITH ORDINALITY AS new (function, name, mark, nth)
    ORDER BY nth RETURNING function, name, id";
const SET_MARKS: &str = "
    UPDATE trigger SET mark = new.mark FROM unnest($1::bigint[], $2::bigint[]) AS new (id, mark)
    WHERE trigger.id = new.id";
const PAUSE: &str = "UPDATE trigger SET paused_since = $2, paused_because = $3 WHERE id = ANY($1)";

/// Lifts each trigger's mark to its newest scheduled run: afterwards the marks alone say how far triggers are
/// accounted for. For the opening of the state.
pub(super) async fn settle_marks(session: &Session) -> Result<(), StoreError> {
    session.execute(SETTLE, &[]).await?;
    Ok(())
}

/// A trigger's row: number, mark, pause and its reason.
type Known = (TriggerId, Option<i64>, Option<i64>, Option<String>);

/// See [`crate::store::Store::enroll`].
pub(in crate::store) async fn enroll(
    session: &Session,
    enrolments: &[Enrolment],
    others: Others,
    now: i64,
) -> Result<Vec<Enrolled>, StoreError> {
    let functions = function_ids(session, enrolments).await?;
    let mut known = known_triggers(session, &functions, others).await?;
    // What is to be written: rows of new triggers, and marks of known ones.
    let (mut new, mut marks) = (Vec::new(), Vec::new());
    let mut enrolled = Vec::with_capacity(enrolments.len());
    for (enrolment, function) in enrolments.iter().zip(functions) {
        let mut triggers = Vec::with_capacity(enrolment.triggers.len());
        for settings in enrolment.triggers.iter() {
            let Some(known) = known.remove(&(function, settings.name.to_string())) else {
                new.push((function, &*settings.name, settings.enabled.then_some(now)));
                triggers.push(Place {
                    id: 0,
                    accounted: now,
                    paused_since: None,
                    paused_because: None,
                    ahead: None,
                });
                continue;
            };
            let (place, anew) = place(settings, known, others, now);
            if anew {
                marks.push((place.id, settings.enabled.then_some(now)));
            }
            triggers.push(place);
        }
        enrolled.push(Enrolled { function, triggers });
    }
    if others == Others::Leave {
        let strangers = known.into_values().filter(|(_, mark, ..)| mark.is_some());
        marks.extend(strangers.map(|(id, ..)| (id, None)));
    }
    set_marks(session, &marks).await?;
    let ids = insert(session, &new).await?;
    for (enrolment, enrolled) in enrolments.iter().zip(&mut enrolled) {
        for (settings, place) in enrolment.triggers.iter().zip(&mut enrolled.triggers) {
            if let Some(id) = ids.get(&(enrolled.function, settings.name.to_string())) {
                place.id = *id;
            }
        }
    }
    Ok(enrolled)
}

/// Where a known trigger stands, and whether its mark is set anew.
fn place(
    settings: &TriggerSettings,
    (id, mark, paused_since, paused_because): Known,
    others: Others,
    now: i64,
) -> (Place, bool) {
    let accounted = mark.filter(|mark| settings.enabled && *mark <= now);
    let ahead = mark.filter(|mark| settings.enabled && *mark > now);
    // A mark in the future is put back by a start alone: whoever fires triggers now goes on behind it.
    let anew = accounted.is_none() && (ahead.is_none() || others == Others::Leave);
    (Place { id, accounted: accounted.unwrap_or(now), paused_since, paused_because, ahead }, anew)
}

/// Numbers of the functions, in order; new ones for those that have none.
async fn function_ids(session: &Session, enrolments: &[Enrolment]) -> Result<Vec<FunctionId>, StoreError> {
    let names: Vec<_> = enrolments.iter().map(|enrolment| enrolment.function.as_str()).collect();
    session.execute(NEW_FUNCTIONS, &[&names]).await?;
    let rows = session.query(FUNCTIONS, &[&names]).await?;
    let ids: HashMap<&str, FunctionId> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    Ok(names.iter().filter_map(|name| ids.get(name).copied()).collect())
}

async fn known_triggers(
    session: &Session,
    functions: &[FunctionId],
    others: Others,
) -> Result<HashMap<(FunctionId, String), Known>, StoreError> {
    let rows = match others {
        Others::Leave => session.query(ALL_TRIGGERS, &[]).await?,
        Others::Stay => session.query(TRIGGERS_OF, &[&functions]).await?,
    };
    Ok(rows
        .iter()
        .map(|row| ((row.get(0), row.get(1)), (row.get(2), row.get(3), row.get(4), row.get(5))))
        .collect())
}

async fn insert(
    session: &Session,
    new: &[(FunctionId, &str, Option<i64>)],
) -> Result<HashMap<(FunctionId, String), TriggerId>, StoreError> {
    if new.is_empty() {
        return Ok(HashMap::new());
    }
    let functions: Vec<_> = new.iter().map(|(function, _, _)| *function).collect();
    let names: Vec<_> = new.iter().map(|(_, name, _)| *name).collect();
    let marks: Vec<_> = new.iter().map(|(_, _, mark)| *mark).collect();
    let rows = session.query(NEW_TRIGGERS, &[&functions, &names, &marks]).await?;
    Ok(rows.iter().map(|row| ((row.get(0), row.get(1)), row.get(2))).collect())
}

async fn set_marks(session: &Session, marks: &[(TriggerId, Option<i64>)]) -> Result<(), StoreError> {
    if !marks.is_empty() {
        let (triggers, marks): (Vec<_>, Vec<_>) = marks.iter().copied().unzip();
        session.execute(SET_MARKS, &[&triggers, &marks]).await?;
    }
    Ok(())
}

pub(in crate::store) async fn dismiss(session: &Session, triggers: &[TriggerId]) -> Result<(), StoreError> {
    let marks: Vec<_> = distinct(triggers).map(|trigger| (trigger, None)).collect();
    set_marks(session, &marks).await
}

pub(in crate::store) async fn start_anew(
    session: &Session,
    triggers: &[TriggerId],
    now: i64,
) -> Result<(), StoreError> {
    let marks: Vec<_> = distinct(triggers).map(|trigger| (trigger, Some(now))).collect();
    set_marks(session, &marks).await
}

fn distinct(triggers: &[TriggerId]) -> impl Iterator<Item = TriggerId> {
    triggers.iter().copied().collect::<HashSet<_>>().into_iter()
}

pub(in crate::store) async fn set_paused(
    session: &Session,
    triggers: &[TriggerId],
    pause: Option<&Pause>,
) -> Result<(), StoreError> {
    let (since, because) = (pause.map(|pause| pause.since), pause.and_then(|pause| pause.because.as_deref()));
    session.execute(PAUSE, &[&triggers, &since, &because]).await?;
    Ok(())
}
