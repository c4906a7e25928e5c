//! The types that a statement's times are bound in: those that the server makes of them by what they stand beside.

use tokio_postgres::types::Type;
use tokio_postgres::{Error, Statement};

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

impl Session {
    /// Prepares a statement whose first parameters are the times `names`. `due < :now - interval '1 day'` says
    /// nothing of the type of `:now`, or rather something wrong: then it is an instant.
    pub(crate) async fn describe(&mut self, sql: &str, names: &[String]) -> Result<Statement, Error> {
        let is_unix = |name: &String| name.ends_with("_unix");
        let open = |name| if is_unix(name) { Type::INT8 } else { Type::UNKNOWN };
        let first = self.client().prepare_typed(sql, &names.iter().map(open).collect::<Vec<_>>()).await;
        let fits = |statement: &Statement| {
            names.iter().zip(statement.params()).all(|(name, kind)| form_of(name, kind).is_some())
        };
        let is_settled = match &first {
            Ok(statement) => fits(statement),
            Err(error) => !is_about_tables(error),
        };
        if is_settled || names.iter().all(is_unix) {
            return first;
        }
        let fixed = |name: &String| match name.as_str() {
            _ if is_unix(name) => Type::INT8,
            ":now_local" | ":fire_time_local" => Type::TIMESTAMP,
            _ => Type::TIMESTAMPTZ,
        };
        let second = self.client().prepare_typed(sql, &names.iter().map(fixed).collect::<Vec<_>>()).await;
        second.or(first)
    }
}
