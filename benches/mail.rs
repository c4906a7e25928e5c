//! The mail engine alone beside `smtp-source`, into one `smtp-sink` on the same machine.
//!
//! `cargo bench --bench mail` prints mails a second of each round and the medians: `wire` sends a
//! rendered mail of 2 KB again and again, `row` renders a text and an HTML part for each row and
//! sends them, `maildir` writes and syncs them to a Maildir in the temporary folder. CPU is this
//! process's own, a mail.
//! `GULOU_BENCH_MAILS` (40000) and `GULOU_BENCH_ROUNDS` (5) change its size.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "a benchmark fails by panicking")]

mod sink;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use chrono::{DateTime, Utc};
use gulou::action::mail::{MailAction, RenderedMail, Transport};
use gulou::action::{Delivery, Outcome};
use gulou::clock::Clock;
use gulou::run::{Row, Scalar};
use gulou::settings::{
    MailRoute, MailSettings, MailTransportSettings, SmtpSecurity, SmtpServerSettings, SmtpSettings,
    TemplateSource,
};
use rustix::time::{ClockId, clock_gettime};
use sink::{LENGTH, SESSIONS, Sink, from_env, median};

/// Mails a second, and µs of CPU a mail.
type Figure = [f64; 2];

fn main() {
    if !std::env::args().any(|arg| arg == "--bench") {
        return;
    }
    let mails = from_env("GULOU_BENCH_MAILS", 40_000);
    let rounds = from_env("GULOU_BENCH_ROUNDS", 5);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let sink = Sink::start();
    let (host, port) = (sink.address.ip().to_string(), sink.address.port());
    let server = SmtpServerSettings { host, port, security: SmtpSecurity::Plain, login: None };
    let smtp = MailRoute::Smtp(Box::new(SmtpSettings { server }));
    let line = "A line of seventy-six characters, as a plain text mail has many of them...\n";
    let plain = Arc::new(action(smtp.clone(), &line.repeat(LENGTH / line.len() - 3), None));
    let paragraph = "您好，{{ name }}。鼓楼为您报时，已有六百年。每到更时，钟鼓齐鸣，声闻十余里。".repeat(4);
    let html = format!("<p>{paragraph}</p>");
    let rich = Arc::new(action(smtp, &paragraph, Some(&html)));
    let folder = tempfile::tempdir().unwrap();
    let maildir = Arc::new(action(MailRoute::Maildir(folder.path().to_owned()), &paragraph, Some(&html)));
    println!("wire: {} bytes a mail, row: {}", mail(&plain, 1).bytes().len(), mail(&rich, 1).bytes().len());
    println!("render alone: {:.2} µs a row", render(&rich, mails));
    println!("{mails} mails a round, {SESSIONS} at a time; mails a second (µs CPU a mail)");
    println!(
        "{:>6}  {:>11}  {:>16}  {:>5}  {:>16}  {:>5}  {:>16}",
        "round", "smtp-source", "wire", "ratio", "row", "ratio", "maildir"
    );
    let mut figures: [Vec<f64>; 9] = Default::default();
    for round in 1..=rounds {
        let source = sink.smtp_source(mails);
        let wire = runtime.block_on(run(&plain, mails, false));
        let row = runtime.block_on(run(&rich, mails, true));
        let files = runtime.block_on(run(&maildir, mails / 10, true));
        let ratios = [wire[0] / source, row[0] / source];
        let all = [source, wire[0], wire[1], ratios[0], row[0], row[1], ratios[1], files[0], files[1]];
        print_line(&round.to_string(), all);
        for (column, figure) in figures.iter_mut().zip(all) {
            column.push(figure);
        }
    }
    print_line("median", figures.map(median));
}

fn print_line(
    name: &str,
    [source, wire, wire_cpu, wire_ratio, row, row_cpu, row_ratio, file, file_cpu]: [f64; 9],
) {
    println!(
        "{name:>6}  {source:>11.0}  {wire:>8.0} ({wire_cpu:>5.1})  {wire_ratio:>5.2}  \
         {row:>8.0} ({row_cpu:>5.1})  {row_ratio:>5.2}  {file:>8.0} ({file_cpu:>5.1})"
    );
}

/// Delivers in as many lanes as `smtp-source` has connections.
async fn run(action: &Arc<MailAction>, mails: u32, render_each: bool) -> Figure {
    let next = Arc::new(AtomicU32::new(0));
    let clock = Clock::system();
    let cpu = cpu_seconds();
    let lanes: Vec<_> = (0..SESSIONS)
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

fn action(route: MailRoute, text: &str, html: Option<&str>) -> MailAction {
    let settings = MailTransportSettings { route, from: "鼓楼 <a@b.test>".into() };
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
    };
    MailAction::new(&mail, Transport::open(&settings, Clock::system())).unwrap()
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
