//! Parse and next beside `cron`, `croner` and `saffron`, in one run.
//!
//! `cargo bench --bench cron` ends with a table of geometric means. The expressions are those that all four accept:
//! saffron has five fields, so the second is 0 and the year `*`, and it knows UTC only; `cron` wants both day fields to
//! match, so at most one is given.
#![allow(
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    missing_docs,
    reason = "a benchmark fails by panicking, and its counts are small"
)]

use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use criterion::Criterion;
use gulou::cron::{Cron, Zone};
use gulou::schedule::Schedule;

const EXPRESSIONS: [&str; 12] = [
    "0 * * * * * *",
    "0 */5 * * * * *",
    "0 0 * * * * *",
    "0 30 9 * * * *",
    "0 0 9-17 * * * *",
    "0 0 9 * * MON-FRI *",
    "0 30 17 * * FRI *",
    "0 0,15,30,45 8-18 * * MON,WED,FRI *",
    "0 0 0 1 * * *",
    "0 15 10 15 * * *",
    "0 0 0 1 1 * *",
    "0 0 0 29 2 * *",
];

const NEVER: &str = "0 0 0 30 2 * *";

/// Instants asked in one iteration.
const INSTANTS: usize = 64;

const ENGINES: [&str; 4] = ["gulou", "cron", "croner", "saffron"];

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(100))
        .measurement_time(Duration::from_millis(400))
        .configure_from_args();
    for (index, text) in EXPRESSIONS.iter().enumerate() {
        parse(&mut criterion, index, text);
        next(&mut criterion, index, text);
    }
    never(&mut criterion);
    zones(&mut criterion);
    count(&mut criterion);
    criterion.final_summary();
    table();
}

/// Instants of ten years from 2024 on, in no order (a linear congruential generator, so that runs compare).
fn instants() -> Vec<i64> {
    let mut state = 42_u64;
    let mut instant = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        1_704_067_200 + i64::try_from((state >> 33) % 315_576_000).unwrap()
    };
    (0..INSTANTS).map(|_| instant()).collect()
}

/// The five fields in the middle.
fn five(text: &str) -> &str {
    text.strip_prefix("0 ").and_then(|text| text.strip_suffix(" *")).unwrap()
}

fn parse(criterion: &mut Criterion, index: usize, text: &'static str) {
    let mut group = criterion.benchmark_group(format!("parse-{index}"));
    group.bench_function("gulou", |bencher| bencher.iter(|| Cron::parse(black_box(text)).unwrap()));
    group.bench_function("cron", |bencher| {
        bencher.iter(|| cron::Schedule::from_str(black_box(text)).unwrap());
    });
    group.bench_function("croner", |bencher| {
        bencher.iter(|| croner::Cron::from_str(black_box(text)).unwrap());
    });
    let text = five(text);
    group.bench_function("saffron", |bencher| bencher.iter(|| text_to_saffron(black_box(text))));
}

fn text_to_saffron(text: &str) -> saffron::Cron {
    text.parse().unwrap()
}

fn next(criterion: &mut Criterion, index: usize, text: &'static str) {
    let tz = Tz::Asia__Shanghai;
    let unix = instants();
    let local: Vec<DateTime<Tz>> = unix.iter().map(|unix| utc(*unix).with_timezone(&tz)).collect();
    let universal: Vec<DateTime<Utc>> = unix.iter().map(|unix| utc(*unix)).collect();

    let mut group = criterion.benchmark_group(format!("next-{index}"));
    let schedule = Schedule::parse(text, tz.name()).unwrap();
    group.bench_function("gulou", |bencher| {
        bencher.iter(|| {
            unix.iter().map(|unix| schedule.next(black_box(*unix)).unwrap()).fold(0, i64::wrapping_add)
        });
    });
    group.bench_function("gulou-datetime", |bencher| {
        bencher.iter(|| {
            for time in &local {
                let next = schedule.next(black_box(time).timestamp()).unwrap();
                black_box(utc(next).with_timezone(&tz));
            }
        });
    });
    let schedule = cron::Schedule::from_str(text).unwrap();
    group.bench_function("cron", |bencher| {
        bencher.iter(|| {
            for time in &local {
                black_box(schedule.after(black_box(time)).next().unwrap());
            }
        });
    });
    let schedule = croner::Cron::from_str(text).unwrap();
    group.bench_function("croner", |bencher| {
        bencher.iter(|| {
            for time in &local {
                black_box(schedule.find_next_occurrence(black_box(time), false).unwrap());
            }
        });
    });
    let schedule = text_to_saffron(five(text));
    group.bench_function("saffron", |bencher| {
        bencher.iter(|| {
            for time in &universal {
                black_box(schedule.next_after(black_box(*time)).unwrap());
            }
        });
    });
}

fn utc(unix: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(unix, 0).unwrap()
}

/// The 30th of February.
fn never(criterion: &mut Criterion) {
    let start = utc(1_704_067_200).with_timezone(&Tz::Asia__Shanghai);
    let mut group = criterion.benchmark_group("never");
    let schedule = Schedule::parse(NEVER, "Asia/Shanghai").unwrap();
    group.bench_function("gulou", |bencher| bencher.iter(|| schedule.next(black_box(start.timestamp()))));
    let schedule = cron::Schedule::from_str(NEVER).unwrap();
    group.bench_function("cron", |bencher| bencher.iter(|| schedule.after(black_box(&start)).next()));
    let schedule = croner::Cron::from_str(NEVER).unwrap();
    group.bench_function("croner", |bencher| {
        bencher.iter(|| schedule.find_next_occurrence(black_box(&start), false).is_err());
    });
}

/// Random instants where clocks change twice a year.
fn zones(criterion: &mut Criterion) {
    let unix = instants();
    let mut group = criterion.benchmark_group("new-york");
    for (name, text) in [("fixed", "0 30 2 * * * *"), ("interval", "0 */5 * * * * *")] {
        let cron = Cron::parse(text).unwrap();
        let zone = Zone::of(Tz::America__New_York);
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                unix.iter()
                    .map(|unix| cron.next_after(black_box(*unix), &zone).unwrap())
                    .fold(0, i64::wrapping_add)
            });
        });
    }
}

/// All fires from 1970 to 2099.
fn count(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("count");
    for (name, text, zone) in [
        ("seconds-shanghai", "* * * * * * *", "Asia/Shanghai"),
        ("seconds-new-york", "* * * * * * *", "America/New_York"),
        ("workdays-new-york", "0 0 9 * * MON-FRI *", "America/New_York"),
    ] {
        let schedule = Schedule::parse(text, zone).unwrap();
        group.bench_function(name, |bencher| {
            bencher.iter(|| schedule.count(black_box(i64::MIN), black_box(i64::MAX)));
        });
    }
}

/// Geometric means of the medians, in nanoseconds a call, and how many times ours each rival needs.
fn table() {
    println!("\ngeometric mean over {} expressions, ns a call (times ours)", EXPRESSIONS.len());
    for (what, calls) in [("parse", 1.0), ("next", INSTANTS as f64)] {
        let mean = |engine: &str| -> Option<f64> {
            let medians: Option<Vec<f64>> =
                (0..EXPRESSIONS.len()).map(|index| median(&format!("{what}-{index}/{engine}"))).collect();
            let logarithms: f64 = medians?.iter().map(|median| (median / calls).ln()).sum();
            Some((logarithms / EXPRESSIONS.len() as f64).exp())
        };
        let Some(ours) = mean("gulou") else { continue };
        for engine in ENGINES {
            if let Some(theirs) = mean(engine) {
                println!("{what:>8}  {engine:<16} {theirs:>10.1}  {:>8.1}", theirs / ours);
            }
        }
        if let Some(mean) = mean("gulou-datetime") {
            println!("{what:>8}  {:<16} {mean:>10.1}", "gulou, DateTime");
        }
    }
    for (name, calls) in [
        ("never/gulou", 1.0),
        ("never/cron", 1.0),
        ("never/croner", 1.0),
        ("new-york/fixed", INSTANTS as f64),
        ("new-york/interval", INSTANTS as f64),
        ("count/seconds-shanghai", 1.0),
        ("count/seconds-new-york", 1.0),
        ("count/workdays-new-york", 1.0),
    ] {
        if let Some(median) = median(name) {
            println!("{name:<24} {:>12.1}", median / calls);
        }
    }
    println!(
        "bytes: gulou {} (a schedule with its zone and bounds {}), cron {}, croner {}, saffron {}",
        size_of::<Cron>(),
        size_of::<Schedule>(),
        size_of::<cron::Schedule>(),
        size_of::<croner::Cron>(),
        size_of::<saffron::Cron>()
    );
}

/// What criterion wrote down for a benchmark of this run.
fn median(name: &str) -> Option<f64> {
    let root = std::env::var("CARGO_TARGET_DIR").unwrap_or_else(|_| "target".to_owned());
    let path = Path::new(&root).join("criterion").join(name).join("new/estimates.json");
    let estimates: serde_json::Value = serde_json::from_str(&fs::read_to_string(path).ok()?).ok()?;
    estimates["median"]["point_estimate"].as_f64()
}
