//! A mass mailing end to end beside `smtp-source`, into one `smtp-sink` on the same machine.
//!
//! `cargo bench --bench mass_mail` prints mails a second of each round and the medians. What ours
//! does in that time and the rival does not: reads the rows, renders a text and an HTML part for
//! each, reserves, records and marks every row with durable commits.
//! `storage` is the part of the time in which the threads of the state and of the source computed or waited for the disk,
//! `MB` the most memory that the process had.
//! `GULOU_BENCH_ROWS` (100000) and `GULOU_BENCH_ROUNDS` (5) change its size.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "a benchmark fails by panicking")]

mod process;
mod sink;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use gulou::clock::Clock;
use process::Seen;
use serde_json::json;
use sink::{SESSIONS, Sink, from_env, median};

fn main() {
    let rows: u32 = from_env("GULOU_BENCH_ROWS", 100_000);
    let rounds: u32 = from_env("GULOU_BENCH_ROUNDS", 5);
    let sink = Sink::start();
    println!("{rows} mails a round, {SESSIONS} connections, into smtp-sink; mails a second");
    println!(
        "{:>6}  {:>12}  {:>12}  {:>6}  {:>7}  {:>4}",
        "round", "smtp-source", "gulou", "ratio", "storage", "MB"
    );
    let (mut rival, mut ours, mut ratios, mut shares) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for round in 1..=rounds {
        let source = sink.smtp_source(rows);
        let (gulou, seen) = gulou(&sink, rows);
        let share = 100.0 * seen.storage_share;
        println!(
            "{round:>6}  {source:>12.0}  {gulou:>12.0}  {:>6.2}  {share:>5.0} %  {:>4}",
            gulou / source,
            seen.peak_kib.div_ceil(1024)
        );
        rival.push(source);
        ours.push(gulou);
        ratios.push(gulou / source);
        shares.push(share);
    }
    let (rival, ours, ratio, share) = (median(rival), median(ours), median(ratios), median(shares));
    println!("median  {rival:>12.0}  {ours:>12.0}  {ratio:>6.2}  {share:>5.0} %");
}

/// Rows a second of one run of a fresh batch, process start and end included.
fn gulou(sink: &Sink, rows: u32) -> (f64, Seen) {
    let dir = tempfile::tempdir().unwrap();
    write_project(dir.path(), &sink.address.to_string(), rows);
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
    let people = rusqlite::Connection::open(dir.path().join("main.db")).unwrap();
    let sent: u32 = people.query_row("SELECT count(*) FROM people WHERE sent", [], |row| row.get(0)).unwrap();
    assert_eq!(sent, rows, "not all rows are marked");
    (f64::from(rows) / seconds, seen)
}

fn write_project(dir: &Path, address: &str, rows: u32) {
    let config = json!({
        "state": "sqlite://state.db",
        "databases": { "main": { "url": "sqlite://main.db" } },
        "mail": { "out": { "url": format!("smtp://{address}"), "from": "鼓楼 <a@b.test>" } },
    });
    let paragraph = "您好，{{ name }}。鼓楼为您报时，已有六百年。每到更时，钟鼓齐鸣，声闻十余里。".repeat(4);
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
    let people = rusqlite::Connection::open(dir.join("main.db")).unwrap();
    people
        .execute_batch(&format!(
            "PRAGMA journal_mode = WAL;
             CREATE TABLE people (id INTEGER PRIMARY KEY, email TEXT NOT NULL, name TEXT NOT NULL,
                                  sent INTEGER NOT NULL DEFAULT 0, sent_at TEXT);
             CREATE INDEX unsent ON people (id) WHERE sent = 0;
             WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows})
             INSERT INTO people (id, email, name) SELECT i, 'u' || i || '@ex.test', '用户' || i FROM n;"
        ))
        .unwrap();
}
