//! PostgreSQL: a connection is one session of the server, which one caller at a time has to itself.

mod connect;
mod execute;
mod inspect;
mod session;
mod text;
mod texts;
mod times;
mod upsert;

use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{MappedMutexGuard, Mutex, MutexGuard};
use tokio_postgres::error::ErrorPosition;
use tokio_postgres::{Client, Config};

pub(crate) use self::connect::{Unconnected, connect};
pub use self::inspect::Inspector;
pub(crate) use self::session::{Session, is_about_tables, is_in_the_way};
pub(crate) use self::text::Text;
pub(crate) use self::times::{form_of, time};
use super::{Access, DbError, place};
use crate::settings::{Secret, ServerSettings};

/// How long a server may take until it has let us in.
const CONNECT: Duration = Duration::from_secs(10);
/// When a server that says nothing is asked whether it is there, and when it is taken for gone.
const SILENT: Duration = Duration::from_secs(30);

/// A connection to a database on a PostgreSQL server. Clones share it.
///
/// It is opened when it is first used, and again at the next use after it was lost or could not be opened.
#[derive(Clone, Debug)]
pub struct Database {
    settings: Arc<ServerSettings>,
    access: Access,
    place: Arc<str>,
    session: Arc<Mutex<Option<Session>>>,
}

impl Database {
    /// Connects to nothing yet.
    pub fn new(settings: ServerSettings, access: Access) -> Self {
        let place = place(&settings).into();
        Self { settings: Arc::new(settings), access, place, session: Arc::default() }
    }

    /// Another connection to the same database.
    pub(crate) fn another(&self) -> Self {
        Self { session: Arc::default(), ..self.clone() }
    }

    /// The session, when all who asked before are done with it.
    pub(crate) async fn session(&self) -> Result<MappedMutexGuard<'_, Session>, DbError> {
        let mut slot = self.session.lock().await;
        if slot.as_ref().is_none_or(Session::is_closed) {
            *slot = None;
            let connected = tokio::time::timeout(CONNECT, open(&self.settings, self.access)).await;
            let problem = match connected {
                Ok(Ok(session)) => {
                    *slot = Some(session);
                    None
                }
                Ok(Err(problem)) => Some(problem),
                Err(_) => Some("it does not answer".to_owned()),
            };
            if let Some(problem) = problem {
                return Err(DbError::Connect { place: self.place.to_string(), problem });
            }
        }
        MutexGuard::try_map(slot, Option::as_mut).map_err(|_| DbError::Closed)
    }

    /// What to say when the server, or the way to it, failed at the statement `sql`.
    pub(crate) fn fault(&self, error: &tokio_postgres::Error, sql: &str) -> DbError {
        DbError::Server { place: self.place.to_string(), problem: said(error, sql) }
    }
}

/// A session with what marks and keys rely on; the reason, when there is none.
async fn open(settings: &ServerSettings, access: Access) -> Result<Session, String> {
    let mut config = Config::new();
    config
        .host(&settings.host)
        .port(settings.port)
        .user(&settings.user)
        .dbname(&settings.database)
        .application_name("gulou")
        .connect_timeout(CONNECT)
        .keepalives(true)
        .keepalives_idle(SILENT)
        .tcp_user_timeout(SILENT);
    if let Some(password) = settings.password.as_ref().map(Secret::reveal) {
        config.password(password);
    }
    let said = |error: &tokio_postgres::Error| said(error, "");
    let client = connect(&mut config, &settings.tls).await.map_err(|problem| match problem {
        Unconnected::Certificates(reason) => reason,
        Unconnected::Server(error) => said(&error),
    })?;
    prepare(&client, access).await.map_err(|error| said(&error))?;
    Ok(Session::new(client))
}

async fn prepare(client: &Client, access: Access) -> Result<(), tokio_postgres::Error> {
    // Times and intervals are spelled the same on every server; a backslash is no escape, as `sql` reads it. Plans
    // are made for the page and the keys at hand: nothing is known of them beforehand.
    client
        .batch_execute(
            "SET timezone = 'UTC'; SET datestyle = 'ISO, YMD'; SET intervalstyle = 'postgres'; \
             SET standard_conforming_strings = on; SET plan_cache_mode = force_custom_plan; \
             SET default_transaction_isolation = 'read committed'",
        )
        .await?;
    if access == Access::ReadOnly {
        return client.batch_execute("SET default_transaction_read_only = on").await;
    }
    // A mark that a power cut undoes would be a second delivery. All other values sync the server's own disk.
    let durable = "SELECT set_config('synchronous_commit', 'on', false) \
                   WHERE current_setting('synchronous_commit') = 'off'";
    client.batch_execute(durable).await
}

/// The whole of an error in one line: the library says only "db error" by itself.
fn said(error: &tokio_postgres::Error, sql: &str) -> String {
    let Some(refusal) = error.as_db_error() else {
        return match error.source() {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        };
    };
    let mut text = refusal.message().to_owned();
    if let Some(near) = refusal.position().and_then(|position| near(position, sql)) {
        text = format!("{text}, near `{near}`");
    }
    if let Some(hint) = refusal.hint() {
        text = format!("{text} ({hint})");
    }
    text
}

/// The start of what the server stumbled over.
fn near(position: &ErrorPosition, sql: &str) -> Option<String> {
    let (at, sql) = match position {
        ErrorPosition::Original(at) => (*at, sql),
        ErrorPosition::Internal { position, query } => (*position, query.as_str()),
    };
    let rest = sql.chars().skip(usize::try_from(at).ok()?.checked_sub(1)?);
    let near: String = rest.take(30).take_while(|c| *c != '\n').collect();
    Some(near.trim_end().to_owned()).filter(|near| !near.is_empty())
}

#[cfg(test)]
mod tests;
