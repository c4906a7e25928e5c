//! A server that a case may stop.

use crate::db::server_settings;
use crate::settings::DatabaseSettings;
use crate::test_servers::{MariaDb, Postgres};

pub(super) enum OwnServer {
    Postgres(Postgres, String),
    MariaDb(MariaDb, String),
}

/// The same call for either.
macro_rules! either {
    ($self:ident, |$server:ident| $call:expr) => {
        match $self {
            OwnServer::Postgres($server, _) => $call,
            OwnServer::MariaDb($server, _) => $call,
        }
    };
}

impl OwnServer {
    pub(super) fn postgres() -> Self {
        let server = Postgres::start();
        let url = server.database();
        Self::Postgres(server, url)
    }

    pub(super) fn mariadb() -> Self {
        let server = MariaDb::start();
        let url = server.database();
        Self::MariaDb(server, url)
    }

    /// An empty database on it.
    pub(super) fn settings(&self) -> DatabaseSettings {
        match self {
            Self::Postgres(_, url) => DatabaseSettings::Postgres(server_settings(url)),
            Self::MariaDb(_, url) => DatabaseSettings::MySql(server_settings(url)),
        }
    }

    /// Runs a script in that database.
    #[track_caller]
    pub(super) fn execute(&self, sql: &str) -> String {
        match self {
            Self::Postgres(server, url) => server.execute(url, sql),
            Self::MariaDb(server, url) => server.execute(url, sql),
        }
    }

    /// A condition that takes ten minutes.
    pub(super) fn slow(&self) -> &'static str {
        match self {
            Self::Postgres(..) => "pg_sleep(600) IS NULL",
            Self::MariaDb(..) => "sleep(600) = 7",
        }
    }

    /// Whether somebody waits for it.
    pub(super) fn is_busy(&self) -> bool {
        let sql = match self {
            Self::Postgres(..) => {
                "select count(*) from pg_stat_activity
                 where query like '%pg_sleep%' and state = 'active' and pid <> pg_backend_pid()"
            }
            Self::MariaDb(..) => {
                "select count(*) from information_schema.processlist
                 where info like '%sleep(600)%' and id <> connection_id()"
            }
        };
        either!(self, |server| server.execute(&server.admin(), sql).trim() == "1")
    }

    pub(super) fn terminate_connections(&self) {
        either!(self, |server| server.terminate_connections());
    }

    pub(super) fn stop(&mut self) {
        either!(self, |server| server.stop());
    }

    pub(super) fn restart(&mut self) {
        either!(self, |server| server.restart());
    }

    pub(super) fn port(&self) -> u16 {
        either!(self, |server| server.port())
    }
}
