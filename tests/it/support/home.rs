//! Where a mailing's table lives, and how it can be taken away from the daemon.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags, Row};
use serde_json::{Value, json};

use crate::servers::{MariaDb, Postgres};

/// The database with the table `people`.
pub(crate) enum Home {
    Sqlite {
        path: PathBuf,
        /// Holds the file while it is away.
        lock: Option<Connection>,
    },
    /// A server of its own, and the URL of a database there.
    Postgres(Postgres, String),
    /// The same.
    MariaDb(MariaDb, String),
}

/// A row of the table.
#[derive(Debug)]
pub(crate) struct Person {
    pub(crate) id: i64,
    pub(crate) email: String,
    pub(crate) sent: bool,
}

impl Home {
    /// A file in `folder`.
    pub(crate) fn sqlite(folder: &Path) -> Self {
        Self::Sqlite { path: folder.join("main.db"), lock: None }
    }

    /// A server, wherever the project is.
    pub(crate) fn postgres(_: &Path) -> Self {
        let server = Postgres::start();
        let url = server.database();
        Self::Postgres(server, url)
    }

    /// The same.
    pub(crate) fn mariadb(_: &Path) -> Self {
        let server = MariaDb::start();
        let url = server.database();
        Self::MariaDb(server, url)
    }

    /// What the daemon's configuration says of it.
    pub(crate) fn config(&self) -> Value {
        match self {
            Self::Sqlite { path, .. } => json!({ "url": format!("sqlite://{}", path.display()) }),
            Self::Postgres(_, url) | Self::MariaDb(_, url) => {
                json!({ "url": url.replace(":secret@", "@"), "password": "secret" })
            }
        }
    }

    /// Makes the table, with `rows` people of whom none got mail.
    pub(crate) fn fill(&self, rows: u32) {
        match self {
            Self::Sqlite { path, .. } => fill_file(path, rows),
            Self::Postgres(server, url) => {
                server.execute(
                    url,
                    &format!(
                        "create table people (
                           id bigint primary key, email text not null, name text not null,
                           sent boolean not null default false
                         );
                         create index people_open on people (id) where sent = false;
                         insert into people (id, email, name)
                           select n, 'p' || n || '@ex.test', '收件人' || n from generate_series(1, {rows}) n;
                         analyze people"
                    ),
                );
            }
            Self::MariaDb(server, url) => {
                server.execute(
                    url,
                    &format!(
                        "create table people (
                           id bigint primary key, email varchar(60) not null, name varchar(60) not null,
                           sent boolean not null default false, key people_open (sent, id)
                         );
                         insert into people (id, email, name)
                           select seq, concat('p', seq, '@ex.test'), concat('收件人', seq) from seq_1_to_{rows}"
                    ),
                );
            }
        }
    }

    /// How many are not marked.
    pub(crate) fn open_rows(&self) -> u32 {
        const COUNT: &str = "SELECT count(*) FROM people WHERE sent = false";
        match self {
            Self::Sqlite { path, .. } => read(path).query_row(COUNT, [], |row| row.get(0)).unwrap(),
            Self::Postgres(server, url) => server.execute(url, COUNT).trim().parse().unwrap(),
            Self::MariaDb(server, url) => server.execute(url, COUNT).trim().parse().unwrap(),
        }
    }

    /// The whole table.
    pub(crate) fn people(&self) -> Vec<Person> {
        const ALL: &str = "SELECT id, email, CASE WHEN sent THEN 1 ELSE 0 END FROM people";
        match self {
            Self::Sqlite { path, .. } => {
                let person =
                    |row: &Row<'_>| Ok(Person { id: row.get(0)?, email: row.get(1)?, sent: row.get(2)? });
                let connection = read(path);
                let mut statement = connection.prepare(ALL).unwrap();
                statement.query_map([], person).unwrap().collect::<Result<_, _>>().unwrap()
            }
            Self::Postgres(server, url) => parse(&server.execute(url, ALL), '|'),
            Self::MariaDb(server, url) => parse(&server.execute(url, ALL), '\t'),
        }
    }

    /// Takes it away from the daemon in the middle of whatever it does: a server is killed, a file is locked.
    pub(crate) fn take_away(&mut self) {
        match self {
            Self::Sqlite { path, lock } => {
                let connection = Connection::open(path).unwrap();
                connection.busy_timeout(super::PATIENCE).unwrap();
                connection.execute_batch("BEGIN EXCLUSIVE").unwrap();
                *lock = Some(connection);
            }
            Self::Postgres(server, _) => server.kill(),
            Self::MariaDb(server, _) => server.kill(),
        }
    }

    /// Puts it back where it was.
    pub(crate) fn give_back(&mut self) {
        match self {
            Self::Sqlite { lock, .. } => *lock = None,
            Self::Postgres(server, _) => server.restart(),
            Self::MariaDb(server, _) => server.restart(),
        }
    }

    /// Ends the connections that the daemon has; a file has none.
    pub(crate) fn cut_connections(&self) {
        match self {
            Self::Sqlite { .. } => {}
            Self::Postgres(server, _) => server.terminate_connections(),
            Self::MariaDb(server, _) => server.terminate_connections(),
        }
    }
}

/// Opens a database that another process may be writing.
pub(crate) fn read(path: &Path) -> Connection {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    connection.busy_timeout(super::PATIENCE).unwrap();
    connection
}

/// What a client printed, a row a line.
fn parse(rows: &str, parted: char) -> Vec<Person> {
    let person = |line: &str| {
        let [id, email, sent] = *line.split(parted).collect::<Vec<_>>() else { panic!("no person: {line}") };
        Person { id: id.parse().unwrap(), email: email.to_owned(), sent: sent == "1" }
    };
    rows.lines().map(person).collect()
}

fn fill_file(path: &Path, rows: u32) {
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
