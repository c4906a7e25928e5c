//! Thousands of runs that crash leave nothing behind: no process, no descriptor, no memory.
//!
//! `./scripts/torture.sh --crashes N` does it as often as you like. In a process of its own, because the tests of this
//! binary share theirs: what one opens meanwhile would be counted here.

use std::fs;
use std::process::Command;

use gulou::run::Status;
use gulou::settings::{CommandSettings, ResourceLimits, Runtime};
use gulou::target::Target;

use crate::support::eventually;
use crate::target_harness::{LONG, code, env, host, run};

/// Set in the process that does the work: how many runs.
const ROUNDS: &str = "GULOU_CRASHES";

/// Runs in the suite; enough to see a leak of one descriptor in ten runs.
const A_FEW: u32 = 120;

/// KiB that the allocator may keep of what once was needed.
const SLACK: u64 = 16 * 1024;

#[test]
fn crashing_nodejs_and_python_and_commands_leak_nothing() {
    let rounds = std::env::var("GULOU_TORTURE_CRASHES").unwrap_or_else(|_| A_FEW.to_string());
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "target_crashes::the_work_of_another_nodejs_python_process", "--nocapture"]);
    let done = child.env(ROUNDS, &rounds).output().unwrap();
    let said = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success(), "{said}{}", String::from_utf8_lossy(&done.stderr));
    // The torture shows its figures.
    let figures: Vec<&str> = said.lines().filter(|line| line.contains("descriptors")).collect();
    assert_eq!(figures.len(), 2, "{said}");
    println!("{}", figures.join("\n"));
}

/// Does nothing unless it is asked to.
#[test]
fn the_work_of_another_nodejs_python_process() {
    let Ok(rounds) = std::env::var(ROUNDS) else { return };
    let rounds: u32 = rounds.parse().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let targets = Crashers::new();
        // What is made once and kept is there afterwards, and not counted.
        targets.crash(20).await;
        let before = Held::now();
        println!("before: {before:?}");
        targets.crash(rounds).await;
        // The tasks that read from the last workers may still have to hear of their end.
        let after = eventually("nothing to be left behind", || {
            let now = Held::now();
            (now.processes <= before.processes && now.descriptors <= before.descriptors).then_some(now)
        });
        println!("after {rounds}: {after:?}");
        assert!(after.resident_kib < before.resident_kib + SLACK, "{before:?} {after:?}");
    });
}

/// What this process holds.
#[derive(Debug)]
struct Held {
    processes: usize,
    descriptors: usize,
    resident_kib: u64,
}

impl Held {
    fn now() -> Self {
        let threads = fs::read_dir("/proc/self/task").unwrap().flatten();
        let children = threads.filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
        let status = fs::read_to_string("/proc/self/status").unwrap();
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        Self {
            processes: children.map(|list| list.split_whitespace().count()).sum(),
            descriptors: fs::read_dir("/proc/self/fd").unwrap().count(),
            resident_kib: resident.split_whitespace().next().unwrap().parse().unwrap(),
        }
    }
}

/// Targets that crash in all ways, a kind each.
struct Crashers(Vec<(Target, Vec<&'static str>)>);

impl Crashers {
    fn new() -> Self {
        let function = |runtime, folder: &str| Target::function(&code(runtime, folder), &host());
        let command = CommandSettings {
            argv: ["sh", "-c", "(setsid sleep 1000 &); kill -SEGV $$"].map(str::to_owned).to_vec(),
            cwd: "/".into(),
            env: env(&[]),
            timeout: LONG,
            max_output: None,
            success_codes: vec![0],
            user: None,
            nice: 0,
            limits: ResourceLimits::default(),
        };
        Self(vec![
            (function(Runtime::NodeJs, "acts"), vec!["exits", "crashes", "unhandled-rejection"]),
            (function(Runtime::Python, "python-acts"), vec!["exits-at-once", "crashes", "exits"]),
            (Target::command(&command, &host()), vec![""]),
        ])
    }

    /// So many runs, two at a time, a third of each kind.
    async fn crash(&self, rounds: u32) {
        let one = |round: u32| async move {
            let (target, acts) = &self.0[round as usize % self.0.len()];
            let act = acts[round as usize / self.0.len() % acts.len()];
            let (outcome, recorder) = run(target, act).await;
            assert_eq!(outcome.status, Status::Failed, "{act}: {:?}", recorder.all());
            let how = outcome.message.unwrap();
            assert!(!how.contains("hangs in the kernel"), "{act}: {how}");
        };
        for round in (0..rounds).step_by(2) {
            tokio::join!(one(round), one(round + 1));
        }
    }
}
