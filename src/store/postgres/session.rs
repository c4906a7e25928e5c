//! A connection with its prepared statements.

use std::collections::HashMap;
use std::error::Error as _;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio_postgres::error::{DbError, Severity};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Config, Row, Statement};

use super::{Server, StoreError, application_name};
use crate::db::postgres::{Unconnected, connect};

/// How long a server may take to answer the first word.
const CONNECT: Duration = Duration::from_secs(5);
/// When a server that says nothing is taken for gone.
const SILENT: Duration = Duration::from_secs(30);

pub(super) type Param<'a> = &'a (dyn ToSql + Sync);

/// A connection. Statements are prepared once.
#[derive(Debug)]
pub(in crate::store) struct Session {
    client: Client,
    statements: Mutex<HashMap<&'static str, Statement>>,
}

impl Session {
    /// To be called within a runtime, which drives the connection from then on.
    pub(super) async fn connect(server: &Server) -> Result<Self, StoreError> {
        let mut config: Config = server.config.clone();
        config
            .connect_timeout(CONNECT)
            .keepalives_idle(SILENT)
            .tcp_user_timeout(SILENT)
            .application_name(application_name());
        let failed = |error: &tokio_postgres::Error| server.unreachable(said(error));
        let connecting = connect(&mut config, &server.tls);
        // The time of the configuration ends when there is a socket, and not when somebody answers on it.
        let client = tokio::time::timeout(2 * CONNECT, connecting)
            .await
            .map_err(|_| server.unreachable("it does not answer".to_owned()))?
            .map_err(|problem| match problem {
                Unconnected::Certificates(reason) => server.unreachable(reason),
                Unconnected::Server(error) => failed(&error),
            })?;
        let session = Self { client, statements: Mutex::default() };
        session.client.batch_execute(&server.settings()).await.map_err(|error| failed(&error))?;
        Ok(session)
    }

    /// Runs statements without parameters, as they are.
    pub(super) async fn batch(&self, sql: &str) -> Result<(), StoreError> {
        Ok(self.client.batch_execute(sql).await?)
    }

    pub(super) async fn prepare(&self, sql: &'static str) -> Result<Statement, StoreError> {
        let known = {
            let statements = self.statements.lock().unwrap_or_else(PoisonError::into_inner);
            statements.get(sql).cloned()
        };
        if let Some(statement) = known {
            return Ok(statement);
        }
        let statement = self.client.prepare(sql).await?;
        let mut statements = self.statements.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(statements.entry(sql).or_insert(statement).clone())
    }

    /// Prepares statements whose order matters: those sent together are sent in the order they are asked in only
    /// when none of them has to be prepared first.
    pub(super) async fn ready(&self, statements: &[&'static str]) -> Result<(), StoreError> {
        for sql in statements {
            self.prepare(sql).await?;
        }
        Ok(())
    }

    /// How many rows were written.
    pub(super) async fn execute(&self, sql: &'static str, params: &[Param<'_>]) -> Result<u64, StoreError> {
        let statement = self.prepare(sql).await?;
        Ok(self.client.execute(&statement, params).await?)
    }

    pub(super) async fn query(
        &self,
        sql: &'static str,
        params: &[Param<'_>],
    ) -> Result<Vec<Row>, StoreError> {
        let statement = self.prepare(sql).await?;
        Ok(self.client.query(&statement, params).await?)
    }

    pub(super) async fn query_one(&self, sql: &'static str, params: &[Param<'_>]) -> Result<Row, StoreError> {
        let statement = self.prepare(sql).await?;
        Ok(self.client.query_one(&statement, params).await?)
    }

    pub(super) async fn query_opt(
        &self,
        sql: &'static str,
        params: &[Param<'_>],
    ) -> Result<Option<Row>, StoreError> {
        let statement = self.prepare(sql).await?;
        Ok(self.client.query_opt(&statement, params).await?)
    }

    /// Whether `error` means that the connection is gone, and not that a statement was refused.
    pub(super) fn is_lost(&self, error: &StoreError) -> bool {
        let StoreError::Postgres(error) = error else { return false };
        let severity = error.as_db_error().and_then(DbError::parsed_severity);
        let fatal = matches!(severity, Some(Severity::Fatal | Severity::Panic));
        let broken = error.source().is_some_and(<dyn std::error::Error>::is::<std::io::Error>);
        fatal || broken || error.is_closed() || self.client.is_closed()
    }
}

/// The whole of an error in one line: the library says only "db error" by itself.
pub(in crate::store) fn said(error: &tokio_postgres::Error) -> String {
    match (error.as_db_error(), error.source()) {
        (Some(refusal), _) => format!("{} (SQLSTATE {})", refusal.message(), refusal.code().code()),
        (None, Some(source)) => format!("{error}: {source}"),
        (None, None) => error.to_string(),
    }
}
