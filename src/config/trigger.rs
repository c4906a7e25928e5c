//! One timer trigger of a function folder.

use std::time::Duration;

use super::decode::{Keys, Node};
use super::function::Scope;
use super::period::Period;
use super::units::{duration, name_problem, positive_duration, timezone};
use crate::schedule::{Schedule, ScheduleError};
use crate::settings::{FireRules, Misfire, TriggerSettings};

/// The longest `argument`, in bytes of UTF-8: the cloud's limit.
const ARGUMENT_LENGTH: usize = 4096;

const KEYS: Keys = Keys {
    known: &[
        "name",
        "type",
        "config",
        "argument",
        "enabled",
        "timezone",
        "misfire",
        "start_within",
        "jitter",
        "catch_up",
        "start",
        "end",
    ],
    ignored: &[],
    later: &["node", "blackout", "after"],
};

/// Reads one element of `triggers`.
pub(super) fn read(node: &Node<'_>, scope: &Scope<'_>) -> Option<TriggerSettings> {
    let fields = node.object(&KEYS)?;
    let name = fields.need("name", |node| {
        let name = node.string()?;
        match name_problem(name) {
            None => Some(name.to_owned()),
            Some(problem) => {
                node.error(format!("`{name}` cannot name a trigger: {problem}"), None);
                None
            }
        }
    });
    fields.read("type", |node| node.word(&["timer"]));
    let enabled = fields.read("enabled", Node::boolean).unwrap_or(true);
    let zone = fields.read("timezone", timezone).unwrap_or_else(|| scope.daemon.timezone.clone());
    let period = Period::read(&fields, &zone);
    let schedule = fields.need("config", |node| {
        let expression = node.text()?;
        Some((expression.to_owned(), schedule(node, expression, &zone, period, enabled, scope)?))
    });
    let argument = fields.read("argument", argument).unwrap_or_default();
    let misfire = fields.read("misfire", |node| node.word(&["skip", "once", "all"])).map(|word| match word {
        "once" => Misfire::Once,
        "all" => Misfire::All,
        _ => Misfire::Skip,
    });
    let start_within = fields.read("start_within", positive_duration).unwrap_or(Duration::from_secs(60));
    let jitter = fields.read("jitter", duration).unwrap_or_default();
    let catch_up = fields.read("catch_up", duration).unwrap_or(Duration::from_secs(3600));
    let (expression, schedule) = schedule?;
    Some(TriggerSettings {
        name: name?.into(),
        schedule,
        argument: argument.into(),
        enabled,
        rules: scope.shared(FireRules {
            misfire: misfire.unwrap_or(if is_once(&expression) { Misfire::Once } else { Misfire::Skip }),
            start_within,
            jitter,
            catch_up,
        }),
        expression: expression.into(),
    })
}

fn schedule(
    node: &Node<'_>,
    text: &str,
    zone: &str,
    period: Period,
    enabled: bool,
    scope: &Scope<'_>,
) -> Option<Schedule> {
    let endless = match Schedule::parse(text, zone) {
        Ok(schedule) => schedule,
        Err(ScheduleError::Expression(error)) => {
            let message = format!("{}: {}", error.part(), error.problem());
            node.error_inside(error.column() - 1, error.length(), message, error.help().map(str::to_owned));
            return None;
        }
        Err(ScheduleError::Timezone(error)) => {
            node.error(error.to_string(), None);
            return None;
        }
    };
    let schedule = period.of(endless.clone());
    let now = scope.now.timestamp();
    if schedule.next(now).is_none() {
        never_again(node, text, period, &endless, &schedule, enabled, now);
    } else if is_once(text) {
        let (all, within) = (endless.count(i64::MIN, i64::MAX), schedule.count(i64::MIN, i64::MAX));
        if within < all {
            let message = format!("{} of {all} times are outside of {}", all - within, period.words());
            node.warning(message, None);
        }
    }
    Some(schedule)
}

/// Says that `schedule`, which is what its period leaves of `endless`, has no fire time after `now`.
fn never_again(
    node: &Node<'_>,
    text: &str,
    period: Period,
    endless: &Schedule,
    schedule: &Schedule,
    enabled: bool,
    now: i64,
) {
    let fired_once = schedule.previous(i64::MAX).is_some();
    let (message, did_its_duty) = if endless.next(now).is_some() && fired_once {
        (format!("`{text}` never fires again: its end has passed"), true)
    } else if fired_once || endless.previous(i64::MAX).is_none() {
        (format!("`{text}` never fires again"), is_once(text))
    } else {
        (format!("`{text}` never fires within {}", period.words()), false)
    };
    if enabled && !did_its_duty {
        node.error(message, "correct it, or say `\"enabled\": false`".to_owned());
    } else {
        // What has fired to its end did its duty: it must not keep the daemon from starting.
        node.warning(message, None);
    }
}

fn is_once(expression: &str) -> bool {
    expression.trim_start().starts_with("@at")
}

fn argument(node: &Node<'_>) -> Option<String> {
    let text = node.string()?;
    if text.len() > ARGUMENT_LENGTH {
        node.error(format!("the argument has {} bytes; 4096 (4 KB) are allowed", text.len()), None);
        return None;
    }
    Some(text.to_owned())
}
