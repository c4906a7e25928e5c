//! Who owns the state: the lock, the epoch, and how an owner comes back after its connection was lost.

use std::time::Duration;

use super::queue::Refusal;
use super::session::Session;
use super::{Server, StoreError, application_name, schema, triggers};

/// How long a lock may still be held by a process that has just died, in milliseconds.
const DYING: &str = "SET lock_timeout = 2000";
/// Between two tries to get back to a server that is away.
const TRY_AGAIN: Duration = Duration::from_millis(200);

/// Every transaction of the owner begins with it; no row: another one has opened the state since.
pub(super) const FENCE: &str = "UPDATE owner SET commits = commits + 1 WHERE epoch = $1 RETURNING commits";

const TAKE_LOCK: &str = "SELECT pg_advisory_lock(1735748719, hashtext(current_schema))";
const TRY_LOCK: &str = "SELECT pg_try_advisory_lock(1735748719, hashtext(current_schema))";
const HOLDER: &str = "
    SELECT activity.pid, activity.application_name
    FROM pg_locks LEFT JOIN pg_stat_activity AS activity ON activity.pid = pg_locks.pid
    WHERE locktype = 'advisory' AND classid = 1735748719 AND objid::bigint = hashtext(current_schema)::bigint & 4294967295
      AND objsubid = 2 AND granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";

/// Planning for the owner's statements: they find few rows by key in tables that grow and shrink faster than their
/// statistics, and each is planned once.
const BY_KEY: &str = "SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off; SET enable_hashjoin = off; \
                      SET enable_mergejoin = off; SET jit = off";

/// The owner of a state.
#[derive(Debug)]
pub(super) struct Owner {
    server: Server,
    epoch: i64,
    /// None: the connection is lost.
    session: Option<Session>,
    /// The server's number of the last session.
    backend: i32,
}

impl Owner {
    /// Takes the lock, makes or migrates the tables, and starts a new epoch.
    pub(super) async fn open(server: Server) -> Result<Self, StoreError> {
        let session = Session::connect(&server).await?;
        schema::make(&session, &server).await?;
        session.batch(DYING).await?;
        if let Err(error) = session.query_one(TAKE_LOCK, &[]).await {
            return Err(match holder(&session).await? {
                Some((pid, name)) => StoreError::Locked {
                    state: server.name(),
                    owner: format!(": {name}, session {pid} of the server"),
                },
                None => error,
            });
        }
        session.batch("SET lock_timeout = 0").await?;
        schema::migrate(&session, &server).await?;
        let epoch: i64 = session
            .query_one("UPDATE owner SET epoch = epoch + 1, commits = 0 RETURNING epoch", &[])
            .await?
            .get(0);
        triggers::settle_marks(&session).await?;
        let backend = prepare(&session).await?;
        Ok(Self { server, epoch, session: Some(session), backend })
    }

    pub(super) const fn epoch(&self) -> i64 {
        self.epoch
    }

    pub(super) const fn session(&self) -> Option<&Session> {
        self.session.as_ref()
    }

    /// The connection is lost.
    pub(super) fn lose(&mut self, reason: &str) {
        if self.session.take().is_some() {
            tracing::error!(state = self.server.name(), reason, "lost the state's server, connecting again");
        }
    }

    /// Connects again until the lock is ours again, for as long as it takes. Answers how many commits of this epoch
    /// the state has.
    pub(super) async fn regain(&mut self, reason: &mut String) -> Result<i64, Refusal> {
        loop {
            match self.try_to_regain().await {
                Ok(Some(commits)) => {
                    tracing::info!(state = self.server.name(), "the state's server is back");
                    return Ok(commits);
                }
                Ok(None) => "another session holds the lock".clone_into(reason),
                Err(StoreError::StaleEpoch { ours, current }) => {
                    return Err(Refusal::Stale { ours, current });
                }
                Err(error) => *reason = error.to_string(),
            }
            tokio::time::sleep(TRY_AGAIN).await;
        }
    }

    /// None: somebody has the lock, and has not opened the state yet; or our own old session, which is told to end.
    async fn try_to_regain(&mut self) -> Result<Option<i64>, StoreError> {
        let session = Session::connect(&self.server).await?;
        let locked: bool = session.query_one(TRY_LOCK, &[]).await?.get(0);
        if !locked {
            if let Some((pid, name)) = holder(&session).await?
                && pid == self.backend
                && name == application_name()
            {
                session.execute("SELECT pg_terminate_backend($1)", &[&pid]).await?;
                return Ok(None);
            }
            still_ours(&session, self.epoch).await?;
            return Ok(None);
        }
        let commits = still_ours(&session, self.epoch).await?;
        self.backend = prepare(&session).await?;
        self.session = Some(session);
        Ok(Some(commits))
    }

    /// Lets go of the lock before anybody can ask for it.
    pub(super) async fn close(self) {
        if let Some(session) = self.session
            && let Err(error) = session.batch("SELECT pg_advisory_unlock_all()").await
        {
            tracing::warn!(%error, "could not let go of the state's lock; it goes with the connection");
        }
    }
}

/// Makes the session the writer's; answers the server's number of it.
async fn prepare(session: &Session) -> Result<i32, StoreError> {
    session.batch(BY_KEY).await?;
    session.ready(&[FENCE]).await?;
    Ok(session.query_one("SELECT pg_backend_pid()", &[]).await?.get(0))
}

/// How many commits the state has of our epoch; an error when it has another owner by now.
async fn still_ours(session: &Session, ours: i64) -> Result<i64, StoreError> {
    let owner = session.query_one("SELECT epoch, commits FROM owner", &[]).await?;
    let current: i64 = owner.get(0);
    if current == ours { Ok(owner.get(1)) } else { Err(StoreError::StaleEpoch { ours, current }) }
}

/// The epoch on record, for a transaction that was refused.
pub(super) async fn current_epoch(session: &Session) -> Result<i64, StoreError> {
    Ok(session.query_one("SELECT epoch FROM owner", &[]).await?.get(0))
}

/// The session that has the lock, and what it calls itself.
async fn holder(session: &Session) -> Result<Option<(i32, String)>, StoreError> {
    let holder = session.query_opt(HOLDER, &[]).await?;
    Ok(holder.and_then(|row| {
        let name: Option<String> = row.get(1);
        Some((row.get::<_, Option<i32>>(0)?, name.unwrap_or_default()))
    }))
}
