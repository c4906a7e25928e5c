//! The scheduler beside `tokio-cron-scheduler`: what triggers cost that wait, and how late they fire.
//!
//! `cargo bench --bench scheduler` runs every part in a process of its own, ours and the rival's in turn, and prints
//! tables; `cargo bench --bench scheduler -- held lag` runs some. `GULOU_BENCH_SECONDS` (60) and `TMPDIR` change it.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "a benchmark fails by panicking")]
#![allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "counts and times are small beside 2^52"
)]

mod held;
mod lag;
mod measure;
mod ours;
mod rival;

use std::process::Command;

fn main() {
    // cargo adds `--bench`.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    if let [part, kind, triggers] = arguments.as_slice() {
        let triggers = triggers.parse().unwrap();
        match (part.as_str(), kind.as_str()) {
            ("held", "gulou") => held::ours(triggers),
            ("held", "rival") => held::rival(triggers),
            ("lag", "gulou") => lag::ours(triggers),
            ("lag", "rival") => lag::rival(triggers),
            _ => panic!("no part {part} {kind}"),
        }
        return;
    }
    let wants = |part: &str| arguments.is_empty() || arguments.iter().any(|word| word == part);
    if wants("held") {
        println!("{}", held::HEADING);
        for (kind, triggers) in [("gulou", 1_000_000), ("rival", 100_000)] {
            child("held", kind, triggers);
        }
    }
    if wants("lag") {
        println!("{}", lag::HEADING);
        for triggers in [1, 1_000, 10_000, 100_000] {
            for kind in ["gulou", "rival"] {
                child("lag", kind, triggers);
            }
        }
    }
}

/// Runs a part in a process of its own, which prints its row.
fn child(part: &str, kind: &str, triggers: usize) {
    let program = std::env::current_exe().unwrap();
    let status = Command::new(program).args([part, kind, &triggers.to_string()]).status().unwrap();
    assert!(status.success(), "{part} {kind} {triggers}: {status}");
}
