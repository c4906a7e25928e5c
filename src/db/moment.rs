//! The times that statements, conditions and marks may name.

use chrono::{DateTime, Utc};
use chrono_tz::Tz;

use crate::run::Scalar;

/// The parameters that a statement, a condition, a query or a mark may use.
pub(crate) const PARAMETERS: [&str; 6] =
    [":now", ":now_local", ":now_unix", ":fire_time", ":fire_time_local", ":fire_time_unix"];

/// The two times of a run, and the zone of their `_local` forms.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// When the fire was due.
    pub fire_time: DateTime<Utc>,
    /// The present.
    pub now: DateTime<Utc>,
    /// Of the `_local` forms.
    pub timezone: Tz,
}

impl Moment {
    /// The value of a parameter, in the spelling of SQLite's own `datetime()`: `2026-06-01 01:00:00`, UTC
    /// or local, or unix seconds.
    pub fn parameter(&self, name: &str) -> Option<Scalar> {
        let (time, form) = self.look_up(name)?;
        match form {
            "" => Some(Scalar::Text(time.format(FORMAT).to_string())),
            "_local" => Some(Scalar::Text(time.with_timezone(&self.timezone).format(FORMAT).to_string())),
            "_unix" => Some(Scalar::Int(time.timestamp())),
            _ => None,
        }
    }

    /// The instant that a parameter means, in whatever form.
    pub(crate) fn time(&self, name: &str) -> Option<DateTime<Utc>> {
        self.look_up(name).map(|(time, _)| time)
    }

    fn look_up<'n>(&self, name: &'n str) -> Option<(DateTime<Utc>, &'n str)> {
        let now = name.strip_prefix(":now").map(|form| (self.now, form));
        now.or_else(|| Some((self.fire_time, name.strip_prefix(":fire_time")?)))
    }
}

const FORMAT: &str = "%Y-%m-%d %H:%M:%S";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_parameter_has_its_value() {
        let moment = Moment {
            fire_time: DateTime::from_timestamp(1_780_275_600, 0).unwrap(),
            now: DateTime::from_timestamp(1_780_275_601, 999_000_000).unwrap(),
            timezone: Tz::Asia__Shanghai,
        };
        let text = |text: &str| Some(Scalar::Text(text.to_owned()));
        assert_eq!(moment.parameter(":fire_time"), text("2026-06-01 01:00:00"));
        assert_eq!(moment.parameter(":fire_time_local"), text("2026-06-01 09:00:00"));
        assert_eq!(moment.parameter(":fire_time_unix"), Some(Scalar::Int(1_780_275_600)));
        assert_eq!(moment.parameter(":now"), text("2026-06-01 01:00:01"));
        assert!(PARAMETERS.iter().all(|name| moment.parameter(name).is_some()));
        assert_eq!(moment.parameter(":nowhere"), None);
        assert_eq!(moment.parameter(":error"), None);
    }
}
