//! The store on a PostgreSQL server: one owner, one connection that writes, commits shared by all who wait.
//!
//! Who opens the state takes an advisory lock of the database for as long as its session lives, and counts the
//! opening: the *epoch*. The session that holds the lock is the one that writes, so an owner that lost the lock has
//! lost the means to write as well. Every transaction writes the one row of `owner` first, on condition that the epoch
//! is still its own: whoever was taken for dead and is not finds out before it can change anything
//! ([`StoreError::StaleEpoch`]).
//!
//! What waits while a transaction is under way goes into the next one together. When a piece of work fails, the
//! transaction is undone and each of its pieces is done in one of its own, so that a failure undoes only itself. A
//! reply means durable (`synchronous_commit = on`).
//!
//! **A lost connection.** The store connects again, takes the lock, and goes on if the epoch is still its own. A
//! transaction that was not committed is done again from its beginning. When the connection is lost during `COMMIT`
//! nobody knows what came of it; but the row of `owner` counts commits, the lock tells that the old session is over, and
//! so the count tells what came of it: work is done once. Who waits longer than [`writer::PATIENCE`] is told
//! [`StoreError::Away`], and may ask again: a claim that did hold is known by its request id and answered as it was,
//! ends and starts of runs change nothing the second time, a span of skipped fires may be recorded twice. A batch
//! run ends; what it had delivered and not recorded is uncertain, and the next run's recovery settles it.

pub(in crate::store) mod attempts;
pub(in crate::store) mod claims;
pub(in crate::store) mod history;
pub(in crate::store) mod ledger;
pub(in crate::store) mod ledger_rows;
pub(in crate::store) mod memo;
pub(in crate::store) mod output;
mod owner;
pub(in crate::store) mod prune;
mod queue;
pub(in crate::store) mod quota;
mod reader;
pub(in crate::store) mod runs;
mod schema;
pub(in crate::store) mod scopes;
mod session;
pub(in crate::store) mod skips;
pub(in crate::store) mod triggers;
mod writer;

use std::borrow::Cow;
use std::sync::Arc;

use tokio::sync::oneshot;

use self::queue::Message;
pub use self::reader::Reader;
pub(in crate::store) use self::session::{Session, said};
use self::writer::Writer;
use super::StoreError;
use super::runs::Ended;
use crate::settings::{ServerSettings, TlsMode};

/// Where a state is on a PostgreSQL server.
#[derive(Clone, Debug)]
pub struct Server {
    config: tokio_postgres::Config,
    tls: TlsMode,
    schema: String,
}

impl Server {
    /// The tables in `schema` of the database that `config` names, without encryption.
    pub fn new(config: tokio_postgres::Config, schema: impl Into<String>) -> Self {
        Self { config, tls: TlsMode::Off, schema: schema.into() }
    }

    /// The database that the settings name.
    pub fn of(settings: &ServerSettings, schema: &str) -> Self {
        let ServerSettings { host, port, user, password, database, tls } = settings;
        let mut config = tokio_postgres::Config::new();
        config.host(host).port(*port).user(user).dbname(database);
        if let Some(password) = password {
            config.password(password.reveal());
        }
        Self { config, tls: tls.clone(), schema: schema.to_owned() }
    }

    /// For messages: host, database and schema.
    pub(in crate::store) fn name(&self) -> String {
        let host = match self.config.get_hosts() {
            [tokio_postgres::config::Host::Tcp(host), ..] => host.as_str(),
            _ => "localhost",
        };
        let database = self.config.get_dbname().or(self.config.get_user()).unwrap_or_default();
        match self.config.get_ports() {
            [port, ..] => format!("postgres://{host}:{port}/{database}?schema={}", self.schema),
            [] => format!("postgres://{host}/{database}?schema={}", self.schema),
        }
    }

    /// What a session of this program begins with.
    fn settings(&self) -> String {
        // A server that cannot reach a dead owner any more has to let go of its lock within a minute or so.
        format!(
            "SET search_path = {}; SET synchronous_commit = on; SET idle_in_transaction_session_timeout = 0; \
             SET tcp_keepalives_idle = 30; SET tcp_keepalives_interval = 10; SET tcp_keepalives_count = 3",
            quoted(&self.schema)
        )
    }

    fn unreachable(&self, reason: String) -> StoreError {
        StoreError::Unreachable { state: self.name(), reason }
    }
}

/// Tells who holds the lock; PostgreSQL keeps 63 bytes of it.
fn application_name() -> String {
    let system = rustix::system::uname();
    format!("gulou (pid {}) on {}", std::process::id(), system.nodename().to_string_lossy())
}

fn quoted(identifier: &str) -> String {
    format!("\"{}\"", identifier.replace('"', "\"\""))
}

/// PostgreSQL's text knows no NUL.
fn storable(text: &str) -> Cow<'_, str> {
    if text.contains('\0') { Cow::Owned(text.replace('\0', "\u{fffd}")) } else { Cow::Borrowed(text) }
}

/// The daemon's handle on the state. Clones share one writer; the last one to go lets go of the lock.
#[derive(Clone, Debug)]
pub struct Store {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    writer: Writer,
    epoch: i64,
}

impl Store {
    /// Takes the lock, makes or migrates the tables, and starts a new epoch. Blocks until that is done.
    ///
    /// Fails when the server cannot be reached, when another process holds the lock, or when the tables are
    /// those of a newer version.
    pub fn open(server: &Server) -> Result<Self, StoreError> {
        let (writer, epoch) = Writer::start(server.clone())?;
        Ok(Self { inner: Arc::new(Inner { writer, epoch }) })
    }

    /// The number of this opening: greater than every earlier one. Reservations carry it.
    pub fn epoch(&self) -> i64 {
        self.inner.epoch
    }

    /// Does `work` in the writer and answers once its effect is durable. It is handed over at once, not when the answer is
    /// awaited. An error of `work` undoes what `work` did, and nothing else.
    ///
    /// `rows`: about how many it writes. It may be done more than once, and only the last time counts.
    pub(in crate::store) fn write<T, F>(
        &self,
        rows: usize,
        work: F,
    ) -> impl Future<Output = Result<T, StoreError>> + Send + use<T, F>
    where
        T: Send + 'static,
        F: AsyncFn(&Session) -> Result<T, StoreError> + Send + 'static,
    {
        let (sender, receiver) = oneshot::channel();
        let submitted = self.inner.writer.submit(Message::work(rows, work, sender));
        async move {
            submitted?;
            receiver.await.map_err(|_| StoreError::Closed)?
        }
    }

    /// Ends that come while others wait are written together, after all other work that waits.
    pub(in crate::store) async fn finish(&self, end: Ended) -> Result<(), StoreError> {
        let (sender, receiver) = oneshot::channel();
        self.inner.writer.submit(Message::End(end, sender))?;
        receiver.await.map_err(|_| StoreError::Closed)?
    }
}
