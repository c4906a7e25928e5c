//! A project with one batch that mails a table of numbered recipients to an SMTP sink.

use std::collections::BTreeMap;
use std::path::Path;

use rusqlite::{Connection, OpenFlags};
use serde_json::{Value, json};

use super::promise::{Entry, Flag, Testimony};
use super::{Delivered, Project, SmtpSink, eventually};
use crate::servers;

/// The project, and what is asked of its databases.
#[derive(Debug)]
pub(crate) struct Mailing {
    project: Project,
    /// The URL of a state in PostgreSQL; none: it is the file `state.db`.
    server: Option<String>,
}

impl Mailing {
    /// `rows` recipients, all of them unsent, mailed by the function `mailing`, which fires every
    /// second and goes through the whole table. `settings` go into its `batch`.
    pub(crate) fn new(sink: &SmtpSink, rows: u32, settings: &Value) -> Self {
        Self::to(&format!("smtp://{}:{}", sink.host(), sink.port()), rows, settings)
    }

    /// The same with any mail URL.
    pub(crate) fn to(url: &str, rows: u32, settings: &Value) -> Self {
        Self::with_state(None, url, rows, settings)
    }

    /// The same with the state in a database of the shared PostgreSQL.
    pub(crate) fn on_postgres(sink: &SmtpSink, rows: u32, settings: &Value) -> Self {
        let server = Some(servers::postgres().database());
        Self::with_state(server, &format!("smtp://{}:{}", sink.host(), sink.port()), rows, settings)
    }

    fn with_state(server: Option<String>, url: &str, rows: u32, settings: &Value) -> Self {
        let project = Project::new(&json!({
            "state": server.as_deref().unwrap_or("sqlite://state.db"),
            "triggers": "triggers",
            "databases": { "main": { "url": "sqlite://main.db" } },
            "mail": { "out": { "url": url, "from": "鼓楼 <tower@ex.test>" } },
        }));
        let mut batch = json!({
            "id": "mailing",
            "source": {
                "database": "main", "table": "people", "key": "id", "where": "sent = false",
                "columns": ["id", "email", "name"], "page": 250
            },
            "action": { "mail": {
                "via": "out", "to": "{{ email }}", "subject": "{{ name }}，您好", "text": "第 {{ id }} 封"
            } },
            "mark": { "sent": { "sent": true } },
            "pages": "all",
        });
        for (key, value) in settings.as_object().unwrap() {
            batch[key] = value.clone();
        }
        project.function(
            "mailing",
            &json!({
                "triggers": [{ "name": "always", "type": "timer", "config": "* * * * * * *" }],
                "target": { "batch": batch },
            }),
        );
        fill(&project.path("main.db"), rows);
        Self { project, server }
    }

    pub(crate) fn project(&self) -> &Project {
        &self.project
    }

    /// Rows whose flag is not set.
    pub(crate) fn open_rows(&self) -> u32 {
        let count = "SELECT count(*) FROM people WHERE NOT sent";
        self.read("main.db").query_row(count, [], |row| row.get(0)).unwrap()
    }

    /// Waits until every row is marked, or in the ledger for a reason that lasts.
    pub(crate) fn wait_until_through(&self) {
        eventually("every row to be settled", || {
            let parked =
                self.ledger().into_iter().filter(|(_, state)| matches!(state.as_str(), "held" | "kept"));
            (self.open_rows() as usize == parked.count()).then_some(())
        });
    }

    /// Keys and states of the ledger's entries.
    fn ledger(&self) -> Vec<(String, String)> {
        if let Some(url) = &self.server {
            let rows = servers::postgres().execute(url, "select key, state from gulou.ledger_entry");
            let entry =
                |line: &str| line.split_once('|').map(|(key, state)| (key.to_owned(), state.to_owned()));
            return rows.lines().map(|line| entry(line).unwrap()).collect();
        }
        let state = self.read("state.db");
        let mut statement = state.prepare("SELECT key, state FROM ledger_entry").unwrap();
        let entries = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        entries.map(Result::unwrap).collect()
    }

    /// What table and ledger say, beside what was delivered. Call it when no daemon is running.
    pub(crate) fn testimony(&self, delivered: Delivered) -> Testimony {
        let mut testimony = Testimony { delivered: delivered.recipients, ..Testimony::default() };
        let mut emails = BTreeMap::new();
        let main = self.read("main.db");
        let mut statement = main.prepare("SELECT id, email, sent FROM people").unwrap();
        let mut rows = statement.query([]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            let email: String = row.get(1).unwrap();
            let flag = if row.get(2).unwrap() { Flag::Sent } else { Flag::Open };
            // The ledger writes keys as JSON arrays.
            emails.insert(format!("[{}]", row.get::<_, i64>(0).unwrap()), email.clone());
            testimony.rows.insert(email, flag);
        }
        for (key, state) in self.ledger() {
            let entry = match state.as_str() {
                "held" => Entry::Held,
                "kept" => Entry::Failed,
                "waiting" => Entry::Retrying,
                _ => Entry::Unsettled,
            };
            testimony.ledger.insert(emails.get(&key).cloned().unwrap_or(key), entry);
        }
        testimony
    }

    fn read(&self, name: &str) -> Connection {
        read(&self.project.path(name))
    }
}

/// Opens a database that another process may be writing.
pub(crate) fn read(path: &Path) -> Connection {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    connection.busy_timeout(super::PATIENCE).unwrap();
    connection
}

fn fill(path: &Path, rows: u32) {
    let connection = Connection::open(path).unwrap();
    connection
        .execute_batch(
            "PRAGMA journal_mode = WAL;
             CREATE TABLE people (
               id INTEGER PRIMARY KEY, email TEXT NOT NULL, name TEXT NOT NULL,
               sent BOOLEAN NOT NULL DEFAULT false
             );
             CREATE INDEX people_open ON people (id) WHERE sent = false;",
        )
        .unwrap();
    connection
        .execute(
            "WITH RECURSIVE number (n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM number WHERE n < ?1)
             INSERT INTO people (id, email, name) SELECT n, 'p' || n || '@ex.test', '收件人' || n FROM number",
            [rows],
        )
        .unwrap();
}
