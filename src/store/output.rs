//! What runs print: lines come, and the oldest go when they take too much room.

use super::postgres::{self, Session};
use super::runs::{OutputLine, RunId};
use super::{Backend, Store, StoreError, sqlite};

impl Store {
    /// Lines of a run's output.
    pub async fn append_output(&self, run: RunId, lines: Vec<OutputLine>) -> Result<(), StoreError> {
        match &self.0 {
            Backend::Sqlite(store) => {
                store.write(move |connection| sqlite::output::append(connection, run, &lines)).await
            }
            Backend::Postgres(store) => {
                store
                    .write(1, async move |session: &Session| {
                        postgres::output::append(session, run, &lines).await
                    })
                    .await
            }
        }
    }

    /// Deletes the output of the oldest ended runs while that of all runs takes more than `bytes`; of at most `limit` runs.
    /// The runs stay. Answers of how many it went.
    pub async fn prune_output(&self, bytes: i64, limit: u32) -> Result<usize, StoreError> {
        match &self.0 {
            Backend::Sqlite(store) => {
                store.write(move |connection| sqlite::output::prune(connection, bytes, limit)).await
            }
            Backend::Postgres(store) => {
                store
                    .write(1, async move |session: &Session| {
                        postgres::output::prune(session, bytes, limit).await
                    })
                    .await
            }
        }
    }
}
