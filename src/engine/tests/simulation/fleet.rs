//! Function folders as somebody might write them, and change them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::super::settings;
use super::rng::Rng;
use crate::engine::runner::Function;
use crate::schedule::Schedule;
use crate::settings::{FireRules, Misfire, OnInterrupted, Overlap, TriggerSettings};

const ZONES: [&str; 6] = [
    "Asia/Shanghai",
    "Asia/Shanghai",
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "Africa/Casablanca",
];

/// Folders with so many triggers. `from` and `until` bound the life, unix seconds.
pub(super) fn fleet(rng: &mut Rng, triggers: usize, life: (i64, i64)) -> BTreeMap<String, Arc<Function>> {
    let (mut folders, mut made) = (BTreeMap::new(), 0);
    while made < triggers {
        let count = usize::try_from(rng.between(1, 4)).unwrap().min(triggers - made);
        let name = format!("f{:04}", folders.len());
        folders.insert(name.clone(), function(rng, &name, count, life));
        made += count;
    }
    folders
}

pub(super) fn function(rng: &mut Rng, name: &str, triggers: usize, life: (i64, i64)) -> Arc<Function> {
    let triggers = (0..triggers).map(|nth| trigger(rng, &format!("t{nth}"), life)).collect();
    let overlap = overlap(rng);
    let function = settings::function(name, overlap, triggers);
    Arc::new(Function { on_interrupted: on_interrupted(rng), ..Function::clone(&function) })
}

fn overlap(rng: &mut Rng) -> Overlap {
    let queue = Overlap::Queue(u32::try_from(rng.between(0, 3)).unwrap());
    rng.pick(&[Overlap::Allow, Overlap::Allow, Overlap::Skip, Overlap::Replace, queue])
}

fn on_interrupted(rng: &mut Rng) -> OnInterrupted {
    rng.pick(&[OnInterrupted::Fail, OnInterrupted::Fail, OnInterrupted::Rerun])
}

fn trigger(rng: &mut Rng, name: &str, life: (i64, i64)) -> TriggerSettings {
    let (expression, schedule) = schedule(rng, life);
    TriggerSettings {
        schedule,
        expression: expression.into(),
        enabled: !rng.one_in(20),
        rules: Arc::new(rules(rng)),
        ..settings::trigger(name, "0 0 0 1 1 * 2020", Misfire::Skip)
    }
}

fn rules(rng: &mut Rng) -> FireRules {
    let misfires = [Misfire::Skip, Misfire::Skip, Misfire::Once, Misfire::All];
    let seconds = |seconds: i64| Duration::from_secs(seconds.unsigned_abs());
    let start_within = if rng.one_in(3) { rng.scaled(0, 7200) } else { 60 };
    let jitter = if rng.one_in(4) { rng.scaled(1, 3600) } else { 0 };
    let catch_up = if rng.one_in(3) { rng.scaled(0, 7 * 86_400) } else { 3600 };
    FireRules {
        misfire: rng.pick(&misfires),
        start_within: seconds(start_within),
        jitter: seconds(jitter),
        catch_up: seconds(catch_up),
    }
}

fn schedule(rng: &mut Rng, life: (i64, i64)) -> (String, Schedule) {
    let (s, m, h) = (rng.between(0, 59), rng.between(0, 59), rng.between(0, 23));
    let (day, week_day) = (rng.between(1, 31), rng.between(0, 6));
    let at = rng.between(life.0, life.1);
    let instant = |unix| chrono::DateTime::from_timestamp(unix, 0).unwrap_or_default().to_rfc3339();
    let mut bounds = (None, None);
    let expression = match rng.between(0, 19) {
        0 => format!("{s} {m} {h} {day} * {week_day} *"),
        1 => format!("{s} {m} {h} L * * *"),
        2 => format!("{s} {m} {h} ? * {week_day}#2 *"),
        3 => format!("{s} {m} {h} 29 2 * *"),
        4 => format!("@at {},{}", instant(at), instant(at + rng.scaled(1, 90 * 86_400))),
        5 => format!("@every {}s", rng.scaled(4000, 400_000)),
        6 => format!("@every {}h from {}", rng.between(5, 50), instant(at)),
        7 => format!("{s} {m} */6 * * * *"),
        8 => format!("{s} {m} 1-3 * * * *"),
        // Dense, for a while: seconds, or minutes around where clocks change.
        9 => {
            bounds = (Some(at), Some(at + rng.scaled(60, 6 * 3600)));
            format!("*/{} * * * * * *", rng.between(1, 20))
        }
        10 => {
            bounds = (Some(at), Some(at + rng.scaled(3600, 20 * 86_400)));
            format!("{s} */{} * * * * *", rng.between(1, 20))
        }
        _ => format!("{s} {m} {h} * * * *"),
    };
    if rng.one_in(8) && bounds == (None, None) {
        bounds = (Some(at), rng.one_in(2).then_some(at + rng.scaled(86_400, 3000 * 86_400)));
    }
    let schedule = Schedule::parse(&expression, rng.pick(&ZONES)).unwrap().within(bounds.0, bounds.1);
    (expression, schedule)
}

/// A folder as somebody has changed it; none: it is gone.
pub(super) fn edited(rng: &mut Rng, old: &Arc<Function>, life: (i64, i64)) -> Option<Arc<Function>> {
    let mut function = Function::clone(old);
    let mut triggers = function.triggers.to_vec();
    let one = rng.index(triggers.len());
    match rng.between(0, 8) {
        0 => return None,
        1 => function.overlap = overlap(rng),
        2 => function.on_interrupted = on_interrupted(rng),
        3 => {
            let free = (0..).map(|nth| format!("t{nth}"));
            let name = free.into_iter().find(|name| triggers.iter().all(|other| *other.name != **name));
            triggers.insert(one.min(triggers.len()), trigger(rng, &name.unwrap_or_default(), life));
        }
        _ if triggers.is_empty() => {}
        4 => drop(triggers.remove(one)),
        5 => triggers[one].enabled = !triggers[one].enabled,
        6 => triggers[one].name = format!("{}x", &triggers[one].name[..2]).into(),
        7 => triggers[one].rules = Arc::new(rules(rng)),
        _ => {
            (triggers[one].expression, triggers[one].schedule) = {
                let (expression, schedule) = schedule(rng, life);
                (expression.into(), schedule)
            }
        }
    }
    // Names are unique, whatever the change.
    let mut seen = std::collections::HashSet::new();
    triggers.retain(|trigger| seen.insert(trigger.name.clone()));
    function.triggers = triggers.into();
    Some(Arc::new(function))
}
