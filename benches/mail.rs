//! The mail engine alone beside `smtp-source` and `lettre`, into one `smtp-sink` on the same machine, and beside
//! `lettre` to a server that answers after ten milliseconds. What encryption and signatures cost, to a
//! server of this benchmark's own.
//!
//! `cargo bench --bench mail` prints mails a second of each round and the medians: `lettre` and `wire` send a
//! rendered mail of 2 KB again and again, `row` renders a text and an HTML part for each row and
//! sends them, `maildir` writes and syncs them to a Maildir in the temporary folder. CPU is this
//! process's own, a mail.
//! `GULOU_BENCH_MAILS` (40000) and `GULOU_BENCH_ROUNDS` (5) change its size.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "a benchmark fails by panicking")]

mod lettre_client;
mod sink;
mod slow_server;
mod tls_sink;

use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use chrono::{DateTime, Utc};
use gulou::action::mail::{MailAction, RenderedMail, Transport};
use gulou::action::{Delivery, Outcome};
use gulou::clock::Clock;
use gulou::run::{Row, Scalar};
use gulou::settings::{
    DkimKey, DkimSettings, MailExtras, MailRoute, MailSettings, MailTransportSettings, PrivateKey,
    SmtpSecurity, SmtpServerSettings, SmtpSettings, TemplateSource, TlsMode,
};
use rustix::time::{ClockId, clock_gettime};
use sink::{LENGTH, SESSIONS, Sink, from_env, median};
use tls_sink::TlsSink;
use tokio::runtime::Runtime;

/// Mails a second, and µs of CPU a mail.
type Figure = [f64; 2];

/// To the far server.
const FAR_SESSIONS: usize = 64;

fn main() {
    tls_sink::serve_if_asked();
    if !std::env::args().any(|arg| arg == "--bench") {
        return;
    }
    let mails = from_env("GULOU_BENCH_MAILS", 40_000);
    let rounds = from_env("GULOU_BENCH_ROUNDS", 5);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    near(&runtime, mails, rounds);
    far(&runtime, mails, rounds);
    guarded(&runtime, mails, rounds);
}

/// Into `smtp-sink`, and into a Maildir.
fn near(runtime: &Runtime, mails: u32, rounds: u32) {
    let sink = Sink::start();
    let text = plain_text();
    let plain = Arc::new(action(smtp(sink.address), &text, None).over(SESSIONS));
    let paragraph = "您好，{{ name }}。鼓楼为您报时，已有六百年。每到更时，钟鼓齐鸣，声闻十余里。".repeat(4);
    let html = format!("<p>{paragraph}</p>");
    let rich = Arc::new(action(smtp(sink.address), &paragraph, Some(&html)).over(SESSIONS));
    let folder = tempfile::tempdir().unwrap();
    let maildir = action(MailRoute::Maildir(folder.path().to_owned()), &paragraph, Some(&html));
    let maildir = Arc::new(maildir.over(SESSIONS));
    let ready_made = mail(&plain, 1).bytes().to_vec();
    println!("wire: {} bytes a mail, row: {}", ready_made.len(), mail(&rich, 1).bytes().len());
    println!("render alone: {:.2} µs a row", render(&rich, mails));
    println!("{mails} mails a round, {SESSIONS} connections; mails a second (µs CPU a mail)");
    let mut table = Table::new(&["smtp-source", "lettre", "wire", "row", "maildir"]);
    for _ in 0..rounds {
        let source = [sink.smtp_source(mails), f64::NAN];
        let lettre = runtime.block_on(lettre(sink.address, SESSIONS, mails, &ready_made));
        let wire = runtime.block_on(run(&plain, mails, false));
        let row = runtime.block_on(run(&rich, mails, true));
        let files = runtime.block_on(run(&maildir, mails / 10, true));
        table.round(&[source, lettre, wire, row, files]);
    }
    table.end();
}

/// To a server that answers after ten milliseconds.
fn far(runtime: &Runtime, mails: u32, rounds: u32) {
    let address = slow_server::start();
    let plain = Arc::new(action(smtp(address), "A short mail.\n", None).over(FAR_SESSIONS));
    let ready_made = mail(&plain, 1).bytes().to_vec();
    println!("a server that answers after 10 ms, {FAR_SESSIONS} connections; CPU with the server's");
    let mut table = Table::new(&["lettre", "wire"]);
    for _ in 0..rounds {
        let lettre = runtime.block_on(lettre(address, FAR_SESSIONS, mails / 10, &ready_made));
        let wire = runtime.block_on(run(&plain, mails / 2, false));
        table.round(&[lettre, wire]);
    }
    table.end();
}

/// To a server in a process of its own: in the clear, encrypted, and signed (DKIM). Needs the program `openssl`.
fn guarded(runtime: &Runtime, mails: u32, rounds: u32) {
    let (clear, encrypted) = (TlsSink::start(false), TlsSink::start(true));
    let text = plain_text();
    let to = |address, security, dkim| {
        let settings = MailTransportSettings { dkim, ..transport(server(address, security)) };
        Arc::new(action_by(&settings, &text, None).over(SESSIONS))
    };
    let plain = to(clear.address, SmtpSecurity::Plain, None);
    let tls = to(encrypted.address, SmtpSecurity::Implicit(TlsMode::Unverified), None);
    let rsa = DkimKey::RsaPkcs1(key(&["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"]));
    let rsa = to(clear.address, SmtpSecurity::Plain, Some(dkim(rsa)));
    let ed25519 = DkimKey::Ed25519(key(&["-algorithm", "ed25519"]));
    let ed25519 = to(clear.address, SmtpSecurity::Plain, Some(dkim(ed25519)));
    println!("a server of our own, {SESSIONS} connections");
    let mut table = Table::new(&["plain", "TLS", "RSA-2048", "Ed25519"]);
    for _ in 0..rounds {
        let plain = runtime.block_on(run(&plain, mails, false));
        let tls = runtime.block_on(run(&tls, mails, false));
        let rsa = runtime.block_on(run(&rsa, mails / 4, false));
        let ed25519 = runtime.block_on(run(&ed25519, mails, false));
        table.round(&[plain, tls, rsa, ed25519]);
    }
    table.end();
}

fn dkim(key: DkimKey) -> DkimSettings {
    DkimSettings { domain: "b.test".to_owned(), selector: "s1".to_owned(), key }
}

/// A new private key; `openssl` writes one of RSA in the form of PKCS#1.
fn key(how: &[&str]) -> PrivateKey {
    let made = Command::new("openssl").args(["genpkey", "-outform", "DER"]).args(how).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    PrivateKey::new(made.stdout)
}

/// As much as makes a mail of about [`LENGTH`].
fn plain_text() -> String {
    let line = "A line of seventy-six characters, as a plain text mail has many of them...\n";
    line.repeat(LENGTH / line.len() - 3)
}

/// Prints rounds, and in the end the medians and how much faster each is than the first.
struct Table {
    names: &'static [&'static str],
    rounds: Vec<Vec<Figure>>,
}

impl Table {
    fn new(names: &'static [&'static str]) -> Self {
        println!("{:>6}{}", "round", Self::cells(names.iter().map(|name| format!("{name:>16}"))));
        Self { names, rounds: Vec::new() }
    }

    fn round(&mut self, figures: &[Figure]) {
        self.rounds.push(figures.to_vec());
        Self::line(&self.rounds.len().to_string(), figures);
    }

    fn line(name: &str, figures: &[Figure]) {
        let cell = |[speed, cpu]: &Figure| {
            if cpu.is_nan() { format!("{speed:>16.0}") } else { format!("{speed:>8.0} ({cpu:>5.1})") }
        };
        println!("{name:>6}{}", Self::cells(figures.iter().map(cell)));
    }

    fn cells(cells: impl Iterator<Item = String>) -> String {
        cells.fold(String::new(), |line, cell| line + "  " + &cell)
    }

    fn end(&self) {
        let column =
            |index: usize, part: usize| median(self.rounds.iter().map(|round| round[index][part]).collect());
        let medians: Vec<Figure> =
            (0..self.names.len()).map(|index| [column(index, 0), column(index, 1)]).collect();
        Self::line("median", &medians);
        for (base, [speed, _]) in medians.iter().enumerate().take(self.names.len() - 1) {
            let ratios = medians.iter().map(|[other, _]| format!("{:>16.2}", other / speed));
            println!("{:>6}{}  times {}", "", Self::cells(ratios), self.names[base]);
        }
    }
}

fn smtp(address: SocketAddr) -> MailRoute {
    server(address, SmtpSecurity::Plain)
}

fn server(address: SocketAddr, security: SmtpSecurity) -> MailRoute {
    let (host, port) = (address.ip().to_string(), address.port());
    let server = SmtpServerSettings { host, port, security, login: None, connections: None };
    MailRoute::Smtp(Box::new(SmtpSettings { server, fallback: None, per_domain: None }))
}

async fn lettre(address: SocketAddr, connections: usize, mails: u32, message: &[u8]) -> Figure {
    let cpu = cpu_seconds();
    let speed = lettre_client::send(address, connections, mails, message.to_vec()).await;
    [speed, (cpu_seconds() - cpu) * 1e6 / f64::from(mails)]
}

/// Delivers in as many lanes as keep its connections full.
async fn run(action: &Arc<MailAction>, mails: u32, render_each: bool) -> Figure {
    let next = Arc::new(AtomicU32::new(0));
    let clock = Clock::system();
    let cpu = cpu_seconds();
    let lanes: Vec<_> = (0..action.at_once())
        .map(|_| {
            let (action, next) = (action.clone(), next.clone());
            tokio::spawn(async move {
                let same = mail(&action, 0);
                loop {
                    let id = next.fetch_add(1, Ordering::Relaxed);
                    if id >= mails {
                        return;
                    }
                    let outcome = if render_each {
                        action.deliver(&mail(&action, id)).await
                    } else {
                        action.deliver(&same).await
                    };
                    assert!(matches!(outcome, Outcome::Sent { .. }), "{outcome:?}");
                }
            })
        })
        .collect();
    for lane in lanes {
        lane.await.unwrap();
    }
    let seconds = clock.monotonic().as_secs_f64();
    [f64::from(mails) / seconds, (cpu_seconds() - cpu) * 1e6 / f64::from(mails)]
}

/// µs a row.
fn render(action: &MailAction, rows: u32) -> f64 {
    let cpu = cpu_seconds();
    for id in 0..rows {
        std::hint::black_box(mail(action, id));
    }
    (cpu_seconds() - cpu) * 1e6 / f64::from(rows)
}

fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    #[allow(clippy::cast_precision_loss, reason = "seconds of a benchmark")]
    let seconds = time.tv_sec as f64 + time.tv_nsec as f64 / 1e9;
    seconds
}

fn transport(route: MailRoute) -> MailTransportSettings {
    MailTransportSettings { route, from: "鼓楼 <a@b.test>".into(), dkim: None }
}

fn action(route: MailRoute, text: &str, html: Option<&str>) -> MailAction {
    action_by(&transport(route), text, html)
}

fn action_by(settings: &MailTransportSettings, text: &str, html: Option<&str>) -> MailAction {
    let source = |text: &str| TemplateSource { origin: "bench".into(), text: text.to_owned() };
    let mail = MailSettings {
        via: "sink".into(),
        from: None,
        to: "{{ email }}".into(),
        reply_to: None,
        subject: "{{ name }}，您好".into(),
        text: Some(source(text)),
        html: html.map(source),
        list_unsubscribe: None,
        extras: MailExtras::default(),
    };
    MailAction::new(&mail, Transport::open(settings, Clock::system())).unwrap()
}

fn mail(action: &MailAction, id: u32) -> RenderedMail {
    let row = Row {
        columns: columns(),
        values: vec![
            Scalar::Int(id.into()),
            Scalar::Text(format!("u{id}@ex.test")),
            Scalar::Text(format!("用户{id}")),
        ],
    };
    let at = DateTime::<Utc>::UNIX_EPOCH;
    let reservation = format!("{id:032x}");
    action.render(&Delivery { row: &row, reservation: &reservation, fire_time: at, now: at }).unwrap()
}

fn columns() -> Arc<[String]> {
    static COLUMNS: std::sync::OnceLock<Arc<[String]>> = std::sync::OnceLock::new();
    COLUMNS.get_or_init(|| ["id", "email", "name"].map(str::to_owned).into()).clone()
}
