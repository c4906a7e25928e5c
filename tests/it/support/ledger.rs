//! The ledger of a mailing, as its state has it.

use std::path::PathBuf;

use rusqlite::Connection;

use super::home::read;
use crate::servers;

/// Where the state is.
pub(crate) enum Ledger {
    File(PathBuf),
    /// The URL of a database of the shared PostgreSQL.
    Postgres(String),
}

impl Ledger {
    /// What the daemon's configuration says of it.
    pub(crate) fn url(&self) -> String {
        match self {
            Self::File(path) => format!("sqlite://{}", path.display()),
            Self::Postgres(url) => url.clone(),
        }
    }

    /// Entries that wait for an operator, or failed for good; with those of the retry lane that are not due within five
    /// seconds when `lane`.
    pub(crate) fn parked(&self, lane: bool) -> u32 {
        let now = match self {
            Self::File(_) => "unixepoch('now', '+5 seconds')",
            Self::Postgres(_) => "extract(epoch from now() + interval '5 seconds')",
        };
        let lane = format!("OR (state IN ('waiting', 'resend') AND {lane} AND at > 1000 * {now})");
        self.count(&format!("state IN ('held', 'kept') {lane}"))
    }

    /// Entries that are as the SQL condition `which` says.
    pub(crate) fn count(&self, which: &str) -> u32 {
        let count = format!("SELECT count(*) FROM {} WHERE {which}", self.table());
        match self {
            Self::File(path) => read(path).query_row(&count, [], |row| row.get(0)).unwrap(),
            Self::Postgres(url) => servers::postgres().execute(url, &count).trim().parse().unwrap(),
        }
    }

    /// Makes due what waits for another try. Answers how many rows.
    pub(crate) fn let_time_pass(&self) -> usize {
        const LANE: &str = "state IN ('waiting', 'resend')";
        match self {
            Self::File(path) => {
                let state = Connection::open(path).unwrap();
                state.busy_timeout(super::PATIENCE).unwrap();
                state.execute(&format!("UPDATE ledger_entry SET at = 0 WHERE {LANE}"), []).unwrap()
            }
            Self::Postgres(url) => {
                let table = self.table();
                let due = format!("UPDATE {table} SET at = 0, due = 0 WHERE {LANE} RETURNING 1");
                servers::postgres().execute(url, &due).lines().count()
            }
        }
    }

    /// Keys and states of all entries.
    pub(crate) fn entries(&self) -> Vec<(String, String)> {
        let all = format!("SELECT key, state FROM {}", self.table());
        match self {
            Self::File(path) => {
                let state = read(path);
                let mut statement = state.prepare(&all).unwrap();
                let entries = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
                entries.map(Result::unwrap).collect()
            }
            Self::Postgres(url) => {
                let rows = servers::postgres().execute(url, &all);
                let entry = |line: &str| {
                    let (key, state) = line.split_once('|').unwrap();
                    (key.to_owned(), state.to_owned())
                };
                rows.lines().map(entry).collect()
            }
        }
    }

    const fn table(&self) -> &'static str {
        match self {
            Self::File(_) => "ledger_entry",
            Self::Postgres(_) => "gulou.ledger_entry",
        }
    }
}
