//! The types that a statement's times are bound in: those that the server makes of them by what they stand beside.

use tokio_postgres::types::Type;
use tokio_postgres::{Error, Statement};

use super::super::{Moment, PARAMETERS};
use super::Session;
use super::session::is_about_tables;

/// How a time is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// An instant.
    Instant,
    /// What a clock in UTC shows.
    Utc,
    /// What a clock in the trigger's zone shows.
    Local,
    /// The same two in the spelling of SQLite's `datetime()`.
    UtcText,
    LocalText,
    /// Unix seconds.
    Seconds,
}

/// How the time called `name` (`:now`, `:now_local` and so on) is written where the server expects `kind`. None: it is
/// no time at all.
pub(crate) fn form_of(name: &str, kind: &Type) -> Option<Form> {
    if name.ends_with("_unix") {
        return Some(Form::Seconds);
    }
    let local = name.ends_with("_local");
    match *kind {
        Type::TIMESTAMPTZ | Type::TIMETZ => Some(Form::Instant),
        Type::TIMESTAMP | Type::DATE | Type::TIME if local => Some(Form::Local),
        Type::TIMESTAMP | Type::DATE | Type::TIME => Some(Form::Utc),
        Type::TEXT | Type::VARCHAR | Type::BPCHAR | Type::NAME | Type::UNKNOWN if local => {
            Some(Form::LocalText)
        }
        Type::TEXT | Type::VARCHAR | Type::BPCHAR | Type::NAME | Type::UNKNOWN => Some(Form::UtcText),
        _ if kind.name() == "citext" => Some(if local { Form::LocalText } else { Form::UtcText }),
        _ => None,
    }
}

/// The time called `name` where the server expects `kind`; the reason, when it cannot be one.
pub(crate) fn time(moment: &Moment, name: &str, kind: &Type) -> Result<String, String> {
    let form = form_of(name, kind).ok_or_else(|| misplaced(name, kind))?;
    let time = moment.time(name).ok_or_else(|| format!("{name} is unknown"))?;
    let local = || time.with_timezone(&moment.timezone).naive_local();
    Ok(match form {
        Form::Instant => format!("{}+00", time.format(PRECISE)),
        Form::Utc => time.format(PRECISE).to_string(),
        Form::Local => local().format(PRECISE).to_string(),
        Form::UtcText => time.format(SECONDS).to_string(),
        Form::LocalText => local().format(SECONDS).to_string(),
        Form::Seconds => time.timestamp().to_string(),
    })
}

fn misplaced(name: &str, kind: &Type) -> String {
    let unix = if name.ends_with("_local") { "" } else { "; unix seconds are " };
    let seconds = if unix.is_empty() { String::new() } else { format!("{name}_unix") };
    format!("{name} stands where the database expects a value of type {kind}{unix}{seconds}")
}

/// The first time among `names`, a statement's parameters, that stands where none can be.
pub(super) fn misplaced_time(statement: &Statement, names: &[String]) -> Option<String> {
    let mut found = names.iter().zip(statement.params());
    found.find_map(|(name, kind)| (!is_fit(name, kind)).then(|| misplaced(name, kind)))
}

fn is_fit(name: &str, kind: &Type) -> bool {
    !is_time(name) || form_of(name, kind).is_some()
}

fn is_time(name: &str) -> bool {
    PARAMETERS.contains(&name)
}

const PRECISE: &str = "%Y-%m-%d %H:%M:%S%.6f";
const SECONDS: &str = "%Y-%m-%d %H:%M:%S";

impl Session {
    /// Prepares a statement whose first parameters are `names`, times most of them. `due < :now - interval '1 day'` says
    /// nothing of the type of `:now`, or rather something wrong: then it is an instant.
    pub(crate) async fn describe(&mut self, sql: &str, names: &[String]) -> Result<Statement, Error> {
        self.try_twice(sql, names, false).await
    }

    /// The same within a transaction, which a try that fails would spoil.
    pub(super) async fn describe_within(&mut self, sql: &str, names: &[String]) -> Result<Statement, Error> {
        if names.is_empty() {
            return self.describe(sql, names).await;
        }
        self.client().batch_execute("SAVEPOINT gulou").await?;
        let statement = self.try_twice(sql, names, true).await?;
        self.client().batch_execute("RELEASE SAVEPOINT gulou").await?;
        Ok(statement)
    }

    async fn try_twice(
        &mut self,
        sql: &str,
        names: &[String],
        has_savepoint: bool,
    ) -> Result<Statement, Error> {
        let is_unix = |name: &String| name.ends_with("_unix");
        let open = |name| if is_unix(name) { Type::INT8 } else { Type::UNKNOWN };
        let first = self.client().prepare_typed(sql, &names.iter().map(open).collect::<Vec<_>>()).await;
        let is_settled = match &first {
            Ok(statement) => misplaced_time(statement, names).is_none(),
            Err(error) => !is_about_tables(error),
        };
        if is_settled || !names.iter().any(|name| is_time(name) && !is_unix(name)) {
            return first;
        }
        let fixed = |name: &String| match name.as_str() {
            _ if is_unix(name) => Type::INT8,
            _ if !is_time(name) => Type::UNKNOWN,
            ":now_local" | ":fire_time_local" => Type::TIMESTAMP,
            _ => Type::TIMESTAMPTZ,
        };
        if has_savepoint && first.is_err() {
            self.client().batch_execute("ROLLBACK TO SAVEPOINT gulou").await?;
        }
        let second = self.client().prepare_typed(sql, &names.iter().map(fixed).collect::<Vec<_>>()).await;
        if has_savepoint && second.is_err() {
            self.client().batch_execute("ROLLBACK TO SAVEPOINT gulou").await?;
        }
        second.or(first)
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    #[test]
    fn times_are_written_for_their_type() {
        let moment = Moment {
            fire_time: DateTime::from_timestamp(1_780_275_600, 0).unwrap(),
            now: DateTime::from_timestamp(1_780_275_601, 500_000_000).unwrap(),
            timezone: chrono_tz::Tz::Asia__Shanghai,
        };
        let time = |name, kind| time(&moment, name, &kind);
        assert_eq!(time(":now", Type::TIMESTAMPTZ).unwrap(), "2026-06-01 01:00:01.500000+00");
        assert_eq!(time(":now_local", Type::TIMESTAMPTZ).unwrap(), "2026-06-01 01:00:01.500000+00");
        assert_eq!(time(":now", Type::TIMESTAMP).unwrap(), "2026-06-01 01:00:01.500000");
        assert_eq!(time(":fire_time_local", Type::DATE).unwrap(), "2026-06-01 09:00:00.000000");
        assert_eq!(time(":now_local", Type::TEXT).unwrap(), "2026-06-01 09:00:01");
        assert_eq!(time(":now_unix", Type::INT8).unwrap(), "1780275601");
        let message = time(":now", Type::INT8).unwrap_err();
        assert!(message.contains("of type int8; unix seconds are :now_unix"), "{message}");
        assert!(time(":now_local", Type::INTERVAL).unwrap_err().ends_with("of type interval"));
    }
}
