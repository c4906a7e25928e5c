//! Runs of several attempts: a run that failed and is to be tried again stays open, and the state knows until when it
//! waits, so that the next process goes on with it.

use super::postgres::{self, Session};
use super::runs::RunId;
use super::{Backend, Store, StoreError, sqlite};

/// A run that waits for its next attempt.
#[derive(Clone, Debug)]
pub struct PutOff {
    /// Its number.
    pub run: RunId,
    /// The number of the next attempt.
    pub attempt: u32,
    /// When that is due; unix milliseconds.
    pub retry_at: i64,
    /// Why the last one failed; one line.
    pub message: Option<String>,
}

impl Store {
    /// A run waits for its next attempt.
    pub async fn put_off(&self, wait: PutOff) -> Result<(), StoreError> {
        match &self.0 {
            Backend::Sqlite(store) => {
                store.write(move |connection| sqlite::attempts::put_off(connection, &wait)).await
            }
            Backend::Postgres(store) => {
                store
                    .write(1, async move |session: &Session| {
                        postgres::attempts::put_off(session, &wait).await
                    })
                    .await
            }
        }
    }

    /// The next attempt of a run begins: from now on nobody knows how far it gets.
    pub async fn begin_attempt(&self, run: RunId) -> Result<(), StoreError> {
        match &self.0 {
            Backend::Sqlite(store) => {
                store.write(move |connection| sqlite::attempts::begin(connection, run)).await
            }
            Backend::Postgres(store) => {
                store
                    .write(1, async move |session: &Session| postgres::attempts::begin(session, run).await)
                    .await
            }
        }
    }
}
