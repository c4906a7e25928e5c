//! A session with its prepared statements.

use std::collections::HashMap;

use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Error, Statement, Transaction};

/// A session of the server.
#[derive(Debug)]
pub(crate) struct Session {
    client: Client,
    statements: HashMap<String, Statement>,
    is_abandoned: bool,
}

impl Session {
    pub(super) fn new(client: Client) -> Self {
        Self { client, statements: HashMap::new(), is_abandoned: false }
    }

    /// The server, or the way to it, is gone, or what the session does is not to be waited for.
    pub(super) fn is_closed(&self) -> bool {
        self.is_abandoned || self.client.is_closed()
    }

    /// Nobody knows what is under way in it: the next use opens another.
    pub(crate) const fn abandon(&mut self) {
        self.is_abandoned = true;
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// The prepared statement; `types` are those of its first parameters.
    pub(crate) async fn prepare(&mut self, sql: &str, types: &[Type]) -> Result<Statement, Error> {
        if let Some(known) = self.statements.get(sql) {
            return Ok(known.clone());
        }
        let statement = self.client.prepare_typed(sql, types).await?;
        self.statements.insert(sql.to_owned(), statement.clone());
        Ok(statement)
    }

    /// Forgets the statements: tables may have changed.
    pub(crate) fn forget(&mut self) {
        self.statements.clear();
        self.client.clear_type_cache();
    }

    /// Rolls back when it is dropped.
    pub(crate) async fn begin(&mut self) -> Result<Transaction<'_>, Error> {
        self.client.transaction().await
    }
}

/// A table is not what it was when the statement was made, or the statement is wrong.
pub(crate) fn is_about_tables(error: &Error) -> bool {
    error.code().is_some_and(|code| *code == SqlState::FEATURE_NOT_SUPPORTED || code.code().starts_with("42"))
}

/// Another transaction was in the way; the same may do on another try.
pub(crate) fn is_in_the_way(error: &Error) -> bool {
    error.code().is_some_and(|code| {
        [SqlState::T_R_DEADLOCK_DETECTED, SqlState::T_R_SERIALIZATION_FAILURE].contains(code)
    })
}
