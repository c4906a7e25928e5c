//! A mass mailing end to end beside `smtp-source`, into one `smtp-sink` on the same machine.
//!
//! `cargo bench --bench mass_mail` prints mails a second of each round and the medians. What ours
//! does in that time and the rival does not: reads the rows, renders a text and an HTML part for
//! each, reserves, records and marks every row with durable commits.
//! `GULOU_BENCH_ROWS` (100000) and `GULOU_BENCH_ROUNDS` (5) change its size.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "a benchmark fails by panicking")]

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use gulou::clock::Clock;
use serde_json::json;

/// What DESIGN and every listmonk user have: sixteen connections.
const SESSIONS: u32 = 16;
/// Bytes of smtp-source's mails; about what ours have.
const LENGTH: u32 = 2048;

fn main() {
    let rows: u32 = from_env("GULOU_BENCH_ROWS", 100_000);
    let rounds: u32 = from_env("GULOU_BENCH_ROUNDS", 5);
    let sink = Sink::start();
    println!("{rows} mails a round, {SESSIONS} connections, into smtp-sink; mails a second");
    println!("{:>5}  {:>12}  {:>12}  {:>6}", "round", "smtp-source", "gulou", "ratio");
    let (mut rival, mut ours, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for round in 1..=rounds {
        let source = sink.smtp_source(rows);
        let gulou = sink.gulou(rows);
        println!("{round:>5}  {source:>12.0}  {gulou:>12.0}  {:>6.2}", gulou / source);
        rival.push(source);
        ours.push(gulou);
        ratios.push(gulou / source);
    }
    let (rival, ours, ratio) = (median(rival), median(ours), median(ratios));
    println!("median  {rival:>10.0}  {ours:>12.0}  {ratio:>6.2}");
}

fn from_env(name: &str, default: u32) -> u32 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name}: {text}")))
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

struct Sink {
    child: Child,
    address: String,
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Sink {
    fn start() -> Self {
        // Two sinks could share a port without an error: take one that is free now.
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let mut command = Command::new(program("smtp-sink"));
        if rustix::process::getuid().is_root() {
            command.args(["-u", "nobody"]);
        }
        let child = command.args(["-m", "512", &address, "1024"]).stdout(Stdio::null()).spawn().unwrap();
        while TcpStream::connect(&address).is_err() {
            std::thread::yield_now();
        }
        Self { child, address }
    }

    /// Mails a second of Postfix's own load generator, one recipient a mail, sessions kept open.
    fn smtp_source(&self, mails: u32) -> f64 {
        let clock = Clock::system();
        let status = Command::new(program("smtp-source"))
            .args(["-d", "-N", "-s", &SESSIONS.to_string(), "-l", &LENGTH.to_string()])
            .args(["-m", &mails.to_string(), "-f", "a@b.test", "-t", "u@ex.test", &self.address])
            .status()
            .unwrap();
        assert!(status.success());
        f64::from(mails) / clock.monotonic().as_secs_f64()
    }

    /// Rows a second of one run of a fresh batch, process start and end included.
    fn gulou(&self, rows: u32) -> f64 {
        let dir = tempfile::tempdir().unwrap();
        write_project(dir.path(), &self.address, rows);
        let clock = Clock::system();
        let ran = Command::new(env!("CARGO_BIN_EXE_gulou"))
            .args(["fire", "mailing"])
            .current_dir(dir.path())
            .env("RUST_LOG", "warn")
            .output()
            .unwrap();
        let seconds = clock.monotonic().as_secs_f64();
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
        let people = rusqlite::Connection::open(dir.path().join("main.db")).unwrap();
        let sent: u32 =
            people.query_row("SELECT count(*) FROM people WHERE sent", [], |row| row.get(0)).unwrap();
        assert_eq!(sent, rows, "not all rows are marked");
        f64::from(rows) / seconds
    }
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

fn program(name: &str) -> String {
    // Debian keeps them in a folder that a user's PATH may lack.
    let folders = ["/usr/sbin", "/usr/local/sbin", "/usr/bin", "/usr/local/bin"];
    let found =
        folders.iter().map(|folder| format!("{folder}/{name}")).find(|path| Path::new(path).is_file());
    found.unwrap_or_else(|| panic!("{name} is not installed; it comes with Debian's package postfix"))
}
