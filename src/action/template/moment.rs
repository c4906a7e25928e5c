//! A point in time as templates see it: Beijing time.

use std::fmt::{self, Write};
use std::sync::Arc;

use chrono::{DateTime, Datelike, Timelike, Utc};
use chrono_tz::{Asia::Shanghai, Tz};
use minijinja::value::{Enumerator, Object, Value, from_args};
use minijinja::{Error, ErrorKind, State};

/// Shown as `2026-06-01 09:00:00`; has `year` to `second`, `weekday` (0 is Sunday), `unix`, and
/// `strftime("%Y年%m月%d日")`.
#[derive(Debug)]
pub(super) struct Moment(DateTime<Tz>);

impl Moment {
    pub(super) fn value(at: DateTime<Utc>) -> Value {
        Value::from_object(Self(at.with_timezone(&Shanghai)))
    }
}

const FIELDS: &[&str] = &["year", "month", "day", "hour", "minute", "second", "weekday", "unix"];

impl Object for Moment {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let at = &self.0;
        Some(match key.as_str()? {
            "year" => Value::from(at.year()),
            "month" => Value::from(at.month()),
            "day" => Value::from(at.day()),
            "hour" => Value::from(at.hour()),
            "minute" => Value::from(at.minute()),
            "second" => Value::from(at.second()),
            "weekday" => Value::from(at.weekday().num_days_from_sunday()),
            "unix" => Value::from(at.timestamp()),
            _ => return None,
        })
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Str(FIELDS)
    }

    fn call_method(
        self: &Arc<Self>,
        _state: &mut State<'_, '_>,
        method: &str,
        args: &[Value],
    ) -> Result<Value, Error> {
        if method != "strftime" {
            return Err(Error::from(ErrorKind::UnknownMethod));
        }
        let (pattern,): (&str,) = from_args(args)?;
        let mut text = String::new();
        write!(text, "{}", self.0.format(pattern)).map_err(|_| {
            Error::new(ErrorKind::InvalidOperation, format!("{pattern:?} is not a time format"))
        })?;
        Ok(Value::from(text))
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.format("%Y-%m-%d %H:%M:%S"))
    }
}
