//! What the ledger costs: deliveries that do nothing, through reserve, record and mark, beside a bare
//! loop that selects and marks the same rows without a ledger. The source is a SQLite file; the ledger is one as well,
//! and then on a private PostgreSQL server that syncs what it commits.
//!
//! `cargo bench --bench ledger` prints rows a second of each round and the medians.
//! `GULOU_BENCH_ROWS` (200000), `GULOU_BENCH_ROUNDS` (5), `GULOU_BENCH_WINDOW` (256), `GULOU_BENCH_CONCURRENCY` (16)
//! and `TMPDIR` change it. `GULOU_BENCH_STATE=sqlite` (or `postgres`) runs that one alone, once; every ten seconds a line says
//! how far it is, so that one sees whether ten million rows go as fast as ten thousand, and in how much memory.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "a benchmark fails by panicking")]
#![allow(clippy::cast_possible_wrap, clippy::cast_precision_loss, reason = "rows are few beside 2^52")]

use std::path::Path;

use gulou::action::{Delivery, Outcome};
use gulou::batch::{Batch, Deliver};
use gulou::clock::Clock;
use gulou::db::{Access, Database};
use gulou::run::{Fire, Output, Progress, Reason, Row, RunContext, Status};
use gulou::settings::{
    ActionSettings, BatchSettings, DatabaseSettings, MailExtras, MailSettings, MarkSettings, MarkValue,
    OnUncertain, Pages, Relation, SourceSettings, SqliteSettings,
};
use gulou::store::{Server, Store};
use rusqlite::{Connection, params};
use tokio_util::sync::CancellationToken;

#[path = "../tests/servers/mod.rs"]
mod servers;

fn main() {
    let rows: u32 = from_env("GULOU_BENCH_ROWS", 200_000);
    let rounds: u32 = from_env("GULOU_BENCH_ROUNDS", 5);
    if let Ok(state) = std::env::var("GULOU_BENCH_STATE") {
        return alone(&state, rows);
    }
    println!("{rows} rows a round; rows a second");
    println!(
        "{:>6}  {:>10}  {:>10}  {:>6}  {:>10}  {:>6}",
        "round", "bare", "sqlite", "ratio", "postgres", "ratio"
    );
    let server = servers::postgres();
    let mut figures = [Vec::new(), Vec::new(), Vec::new()];
    let show = |name: &str, [bare, sqlite, postgres]: [f64; 3]| {
        let (one, other) = (sqlite / bare, postgres / bare);
        println!("{name:>6}  {bare:>10.0}  {sqlite:>10.0}  {one:>6.2}  {postgres:>10.0}  {other:>6.2}");
    };
    for round in 1..=rounds {
        let dir = tempfile::tempdir().unwrap();
        let bare = bare_loop(rows);
        let sqlite = through_the_ledger(rows, Store::open(&dir.path().join("state.db")).unwrap());
        let state = Server::new(server.database().parse().unwrap(), "gulou");
        let postgres = through_the_ledger(rows, Store::open_postgres(&state).unwrap());
        show(&round.to_string(), [bare, sqlite, postgres]);
        for (figures, figure) in figures.iter_mut().zip([bare, sqlite, postgres]) {
            figures.push(figure);
        }
    }
    show("median", figures.map(median));
}

/// One run on one kind of state.
fn alone(state: &str, rows: u32) {
    let dir = tempfile::tempdir().unwrap();
    let server = (state != "sqlite").then(servers::postgres);
    let store = match &server {
        None => Store::open(&dir.path().join("state.db")).unwrap(),
        Some(server) => {
            Store::open_postgres(&Server::new(server.database().parse().unwrap(), "gulou")).unwrap()
        }
    };
    println!("{rows} rows, state on {state}");
    let rate = through_the_ledger(rows, store);
    println!("{rate:.0} rows a second; peak memory {} MB", peak_memory());
}

/// Of this process so far.
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

fn from_env(name: &str, default: u32) -> u32 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name}: {text}")))
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

fn fill(path: &Path, rows: u32) -> Connection {
    let connection = Connection::open(path).unwrap();
    connection
        .execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
             CREATE TABLE users (id INTEGER PRIMARY KEY, email TEXT, status BOOLEAN NOT NULL DEFAULT false);
             CREATE INDEX open ON users (id) WHERE status = false",
        )
        .unwrap();
    connection
        .execute(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)
             INSERT INTO users (id, email) SELECT i, 'user' || i || '@ex.test' FROM n",
            [rows],
        )
        .unwrap();
    connection
}

/// The same reads and marks, a page a transaction, in one thread.
fn bare_loop(rows: u32) -> f64 {
    let dir = tempfile::tempdir().unwrap();
    let mut source = fill(&dir.path().join("main.db"), rows);
    let clock = Clock::system();
    let mut last = 0_i64;
    loop {
        let transaction = source.transaction().unwrap();
        let page: Vec<(i64, String)> = transaction
            .prepare_cached(
                "SELECT id, email FROM users WHERE status = false AND id > ?1 ORDER BY id LIMIT 1000",
            )
            .unwrap()
            .query_map([last], |row| Ok((row.get(0)?, row.get(1)?)))
            .unwrap()
            .map(Result::unwrap)
            .collect();
        let mut mark = transaction.prepare_cached("UPDATE users SET status = true WHERE id = ?1").unwrap();
        for (id, _) in &page {
            mark.execute(params![id]).unwrap();
        }
        drop(mark);
        transaction.commit().unwrap();
        match page.last() {
            Some((id, _)) => last = *id,
            None => break f64::from(rows) / clock.monotonic().as_secs_f64(),
        }
    }
}

#[derive(Debug)]
struct Nothing;

impl Deliver for Nothing {
    type Rendered = ();
    type Turn = ();

    async fn render(&self, _: &Delivery<'_>) -> Result<(), Outcome> {
        Ok(())
    }

    async fn render_digest(&self, _: &Delivery<'_>, _: &[Row]) -> Result<(), Outcome> {
        Ok(())
    }

    async fn turn(&self, (): &()) {}

    async fn deliver(&self, (): (), (): &()) -> Outcome {
        Outcome::Sent { detail: String::new() }
    }

    fn show(&self, (): &()) -> Vec<String> {
        Vec::new()
    }
}

fn through_the_ledger(rows: u32, store: Store) -> f64 {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("main.db");
    drop(fill(&path, rows));
    let source = DatabaseSettings::Sqlite(SqliteSettings { path, create_with: None });
    let database = Database::new(&source, Access::Full).unwrap();
    let clock = Clock::system();
    let batch =
        Batch::new(&settings(), database, Nothing, store, clock.clone(), chrono_tz::Asia::Shanghai).unwrap();
    let fire = Fire {
        request_id: "bench".to_owned(),
        function: "bench".to_owned(),
        trigger: "t".to_owned(),
        fire_time: clock.now(),
        reason: Reason::Manual,
        attempt: 1,
        missed: 0,
        argument: String::new(),
        event_type: "timer".to_owned(),
        app_id: None,
        own_event: None,
    };
    let context = RunContext {
        output: Output::new(|_, line| println!("        {line}; peak memory {} MB", peak_memory())),
        progress: Progress::default(),
        drain: CancellationToken::new(),
        abort: CancellationToken::new(),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let began = clock.monotonic();
    let outcome = runtime.block_on(batch.run(&fire, &context));
    let took = clock.monotonic().saturating_sub(began);
    assert_eq!(outcome.status, Status::Succeeded, "{outcome:?}");
    assert_eq!(outcome.result.unwrap()["sent"], rows);
    f64::from(rows) / took.as_secs_f64()
}

fn settings() -> BatchSettings {
    BatchSettings {
        id: "bench".to_owned(),
        source: SourceSettings {
            database: "main".to_owned(),
            relation: Relation::Table { name: "users".to_owned(), filter: Some("status = false".to_owned()) },
            key: vec!["id".to_owned()],
            columns: vec!["id".to_owned(), "email".to_owned()],
            page: 1000,
        },
        action: ActionSettings::Mail(MailSettings {
            via: String::new(),
            from: None,
            to: String::new(),
            reply_to: None,
            subject: String::new(),
            text: None,
            html: None,
            list_unsubscribe: None,
            extras: MailExtras::default(),
        }),
        mark: Some(MarkSettings {
            sent: vec![("status".to_owned(), MarkValue::Literal(true.into()))],
            failed: None,
        }),
        pages: Pages::All,
        concurrency: from_env("GULOU_BENCH_CONCURRENCY", 16) as usize,
        window: from_env("GULOU_BENCH_WINDOW", 256) as usize,
        rate: None,
        quota: None,
        on_uncertain: OnUncertain::Hold,
        time_limit: None,
        patience: std::time::Duration::ZERO,
        pause_on_errors: None,
    }
}
