//! A mass mailing end to end beside `smtp-source`, into one `smtp-sink` on the same machine.
//!
//! `cargo bench --bench mass_mail` prints mails a second of each round and the medians, with ledger and table on SQLite,
//! and then both on a private PostgreSQL. What ours does in that time and the rival does not: reads the rows, renders a text
//! and an HTML part for each, reserves, records and marks every row with durable commits.
//! `CPU` is what the process used, in µs a mail (a server of the database not counted), `storage` the part of the time in
//! which its threads of the state and of the source computed or waited for the disk, `MB` the most memory that it had.
//! `GULOU_BENCH_ROWS` (100000) and `GULOU_BENCH_ROUNDS` (5) change its size, `GULOU_BENCH_ON=sqlite` (or `postgres`)
//! leaves the other one out.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "a benchmark fails by panicking")]

mod process;
mod sink;

#[path = "../tests/servers/mod.rs"]
mod servers;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use gulou::clock::Clock;
use process::Seen;
use serde_json::{Value, json};
use sink::{SESSIONS, Sink, from_env, median};

/// Where ledger and table are.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Home {
    Sqlite,
    Postgres,
}

impl Home {
    fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
        }
    }
}

/// One run of ours.
#[derive(Clone, Copy, Debug)]
struct Run {
    speed: f64,
    seen: Seen,
}

fn main() {
    let rows: u32 = from_env("GULOU_BENCH_ROWS", 100_000);
    let rounds: u32 = from_env("GULOU_BENCH_ROUNDS", 5);
    let only = std::env::var("GULOU_BENCH_ON").ok();
    let mut homes = vec![Home::Sqlite, Home::Postgres];
    homes.retain(|home| only.as_ref().is_none_or(|only| only == home.name()));
    assert!(!homes.is_empty(), "GULOU_BENCH_ON is `sqlite` or `postgres`");
    let sink = Sink::start();
    println!("{rows} mails a round, {SESSIONS} connections, into smtp-sink; mails a second");
    let titles = homes.iter().map(|home| format!("{:>9}  ratio    CPU  storage   MB", home.name()));
    println!("{:>6}  {:>11}{}", "round", "smtp-source", line(titles));
    let (mut rivals, mut ours) = (Vec::new(), vec![Vec::new(); homes.len()]);
    for round in 1..=rounds {
        let rival = sink.smtp_source(rows);
        rivals.push(rival);
        let runs: Vec<Run> = homes.iter().map(|home| run(*home, &sink, rows)).collect();
        show(&round.to_string(), rival, rows, &runs);
        ours.iter_mut().zip(runs).for_each(|(ours, run)| ours.push(run));
    }
    let medians: Vec<Run> = ours.iter().map(|runs| middle(runs)).collect();
    show("median", median(rivals), rows, &medians);
}

fn show(name: &str, rival: f64, rows: u32, runs: &[Run]) {
    let cells = runs.iter().map(|Run { speed, seen }| {
        let cpu = 1e6 * seen.cpu_seconds / f64::from(rows);
        let (share, mib) = (100.0 * seen.storage_share, seen.peak_kib.div_ceil(1024));
        format!("{speed:>9.0}  {:>5.2}  {cpu:>5.1}  {share:>5.0} %  {mib:>3}", speed / rival)
    });
    println!("{name:>6}  {rival:>11.0}{}", line(cells));
}

fn line(cells: impl Iterator<Item = String>) -> String {
    cells.fold(String::new(), |line, cell| line + "  " + &cell)
}

/// The run with the median speed.
fn middle(runs: &[Run]) -> Run {
    let mut runs = runs.to_vec();
    runs.sort_by(|one, other| one.speed.total_cmp(&other.speed));
    runs[runs.len() / 2]
}

/// One run of a fresh batch, process start and end included.
fn run(home: Home, sink: &Sink, rows: u32) -> Run {
    let dir = tempfile::tempdir().unwrap();
    let ground = Ground::new(home, dir.path(), rows);
    ground.write_project(dir.path(), &sink.address.to_string());
    let clock = Clock::system();
    let mut gulou = Command::new(env!("CARGO_BIN_EXE_gulou"))
        .args(["fire", "mailing"])
        .current_dir(dir.path())
        .env("RUST_LOG", "warn")
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let seen = Seen::of(&mut gulou);
    let seconds = clock.monotonic().as_secs_f64();
    assert!(gulou.wait().unwrap().success());
    assert_eq!(ground.sent(), rows, "not all rows are marked");
    Run { speed: f64::from(rows) / seconds, seen }
}

/// The databases of a run: the people's and the state's.
enum Ground {
    Sqlite(rusqlite::Connection),
    Postgres { people: String, state: String },
}

impl Ground {
    fn new(home: Home, dir: &Path, rows: u32) -> Self {
        match home {
            Home::Sqlite => {
                let people = rusqlite::Connection::open(dir.join("main.db")).unwrap();
                people
                    .execute_batch(&format!(
                        "PRAGMA journal_mode = WAL;
                         CREATE TABLE people (id INTEGER PRIMARY KEY, email TEXT NOT NULL, name TEXT NOT NULL,
                                              sent INTEGER NOT NULL DEFAULT 0, sent_at TEXT);
                         CREATE INDEX unsent ON people (id) WHERE sent = 0;
                         WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows})
                         INSERT INTO people (id, email, name)
                         SELECT i, 'u' || i || '@ex.test', '用户' || i FROM n;"
                    ))
                    .unwrap();
                Self::Sqlite(people)
            }
            Home::Postgres => {
                let server = servers::postgres();
                let (people, state) = (server.database(), server.database());
                server.execute(
                    &people,
                    &format!(
                        "CREATE TABLE people (id bigint PRIMARY KEY, email text NOT NULL, name text NOT NULL,
                                              sent boolean NOT NULL DEFAULT false, sent_at timestamptz);
                         CREATE INDEX unsent ON people (id) WHERE NOT sent;
                         INSERT INTO people (id, email, name)
                         SELECT i, 'u' || i || '@ex.test', '用户' || i FROM generate_series(1, {rows}) i;
                         ANALYZE people;"
                    ),
                );
                Self::Postgres { people, state }
            }
        }
    }

    /// How many rows are marked.
    fn sent(&self) -> u32 {
        let count = "SELECT count(*) FROM people WHERE sent";
        match self {
            Self::Sqlite(people) => people.query_row(count, [], |row| row.get(0)).unwrap(),
            Self::Postgres { people, .. } => {
                servers::postgres().execute(people, count).trim().parse().unwrap()
            }
        }
    }

    fn write_project(&self, dir: &Path, address: &str) {
        let (people, state): (Value, Value) = match self {
            Self::Sqlite(_) => (json!({ "url": "sqlite://main.db" }), json!("sqlite://state.db")),
            Self::Postgres { people, state } => (on_server(people), on_server(state)),
        };
        let config = json!({
            "state": state,
            "databases": { "main": people },
            "mail": { "out": { "url": format!("smtp://{address}"), "from": "鼓楼 <a@b.test>" } },
        });
        let paragraph =
            "您好，{{ name }}。鼓楼为您报时，已有六百年。每到更时，钟鼓齐鸣，声闻十余里。".repeat(4);
        let function = json!({
            "triggers": [{ "name": "manual", "type": "timer", "config": "0 0 0 1 1 * 2099" }],
            "target": { "batch": {
                "id": "mailing",
                "source": {
                    "database": "main", "table": "people", "key": "id", "where": "sent = false",
                    "columns": ["id", "email", "name"]
                },
                "action": { "mail": {
                    "via": "out", "to": "{{ email }}", "subject": "{{ name }}，您好",
                    "text": &paragraph, "html": format!("<p>{paragraph}</p>")
                } },
                "mark": { "sent": { "sent": true, "sent_at": ":now" } },
                "pages": "all", "concurrency": SESSIONS
            } },
        });
        fs::create_dir_all(dir.join("triggers/mailing")).unwrap();
        fs::write(dir.join("config.json"), config.to_string()).unwrap();
        fs::write(dir.join("triggers/mailing/config.json"), function.to_string()).unwrap();
    }
}

fn on_server(url: &str) -> Value {
    let [user, password, host, port, database] = servers::parts(url);
    json!({ "url": format!("postgres://{user}@{host}:{port}/{database}"), "password": password })
}
