//! The engine through the real daemon: overlap, drain, what a crash leaves, what was missed.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::Command;

use gulou::clock::Clock;
use gulou::store::Reader;
use gulou::store::runs::{HistoryFilter, RunRecord, SkippedRecord};
use serde_json::{Value, json};

use crate::support::{Project, eventually};

/// A project with one function `f` whose trigger `t` fires every second.
struct Engine {
    project: Project,
}

impl Engine {
    /// With a command that ends at once.
    fn new(rules: &Value) -> Self {
        Self::with_command(rules, "true")
    }

    /// With a command that says it has started and then waits for [`Engine::let_one_end`].
    fn blocking(rules: &Value) -> Self {
        let engine = Self::with_command(rules, "echo started; read word < gate; echo ended");
        let gate = engine.gate();
        assert!(Command::new("mkfifo").arg(&gate).status().unwrap().success());
        engine
    }

    fn with_command(rules: &Value, script: &str) -> Self {
        let project = Project::new(&json!({ "state": "sqlite://gulou.db" }));
        let mut function = json!({
            "triggers": [{ "name": "t", "type": "timer", "config": "* * * * * * *" }],
            "target": { "command": { "argv": ["/bin/sh", "-c", script], "timeout": "10m" } },
        });
        merge(&mut function, rules);
        project.function("f", &function);
        Self { project }
    }

    fn gate(&self) -> PathBuf {
        self.project.path("triggers/f/gate")
    }

    /// Lets the one blocked run go on; waits until there is one.
    fn let_one_end(&self) {
        let mut gate = OpenOptions::new().write(true).open(self.gate()).unwrap();
        gate.write_all(b"go\n").unwrap();
    }

    /// All runs, the oldest first.
    fn runs(&self) -> Vec<RunRecord> {
        let Some(reader) = self.reader() else { return Vec::new() };
        let filter = HistoryFilter { limit: 10_000, ..HistoryFilter::default() };
        let mut runs = reader.history(&filter).unwrap();
        runs.reverse();
        runs
    }

    fn skipped(&self) -> Vec<SkippedRecord> {
        self.reader().map(|reader| reader.skipped(None, 10_000).unwrap()).unwrap_or_default()
    }

    fn reader(&self) -> Option<Reader> {
        Reader::open(&self.project.path("gulou.db")).unwrap()
    }

    fn in_state(&self, state: &str) -> Vec<RunRecord> {
        self.runs().into_iter().filter(|run| run.state == state).collect()
    }

    /// Puts the trigger's high-water mark this many seconds before (after, if negative) now.
    fn pretend_last_fire(&self, seconds_ago: i64) -> i64 {
        let mark = Clock::system().now().timestamp() - seconds_ago;
        let state = rusqlite::Connection::open(self.project.path("gulou.db")).unwrap();
        state.execute("INSERT OR IGNORE INTO function (name) VALUES ('f')", []).unwrap();
        let insert =
            "INSERT INTO trigger (function, name, mark) SELECT id, 't', ?1 FROM function WHERE name = 'f'
                      ON CONFLICT DO UPDATE SET mark = excluded.mark";
        state.execute(insert, [mark]).unwrap();
        mark
    }

    /// Lets a daemon make the state, without a fire in between that would move the mark.
    fn make_state(&self) {
        drop(gulou::store::Store::open(&self.project.path("gulou.db")).unwrap());
    }
}

fn merge(into: &mut Value, from: &Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                merge(into.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (Value::Array(into), Value::Array(from)) => into.iter_mut().zip(from).for_each(|(i, f)| merge(i, f)),
        (into, from) => *into = from.clone(),
    }
}

#[test]
fn every_second_is_one_run() {
    let engine = Engine::new(&json!({}));
    let daemon = engine.project.serve("config.json");
    eventually("four runs", || (engine.in_state("succeeded").len() >= 4).then_some(()));
    let (code, log) = daemon.stop();
    assert_eq!(code, Some(0), "{log}");
    let times: Vec<i64> = engine.runs().iter().map(|run| run.fire_time).collect();
    assert!(times.windows(2).all(|pair| pair[1] == pair[0] + 1), "{times:?}");
    assert!(engine.runs().iter().all(|run| run.state == "succeeded" && run.reason == "timed"));
}

#[test]
fn overlap_allow_runs_side_by_side() {
    let engine = Engine::blocking(&json!({}));
    let daemon = engine.project.serve("config.json");
    eventually("three runs at once", || (engine.in_state("running").len() >= 3).then_some(()));
    daemon.kill();
}

#[test]
fn overlap_skip_accounts_for_each_fire_it_passes_over() {
    let engine = Engine::blocking(&json!({ "overlap": "skip" }));
    let mut daemon = engine.project.serve("config.json");
    let span = eventually("three skipped fires", || engine.skipped().pop().filter(|span| span.count >= 3));
    assert_eq!(span.reason, "overlap");
    let runs = engine.runs();
    assert_eq!(runs.len(), 1, "one run, whatever was skipped");
    daemon.terminate();
    daemon.wait_for("STOPPING=1");
    engine.let_one_end();
    let (code, log) = daemon.wait();
    assert_eq!(code, Some(0), "{log}");
    let span = engine.skipped().pop().unwrap();
    assert_eq!((span.first, span.count), (runs[0].fire_time + 1, span.last - span.first + 1));
}

#[test]
fn overlap_queue_runs_one_after_the_other() {
    let engine = Engine::blocking(&json!({ "overlap": { "queue": 2 } }));
    let daemon = engine.project.serve("config.json");
    eventually("one runs, two wait, one is skipped", || {
        let counts =
            (engine.in_state("running").len(), engine.in_state("waiting").len(), engine.skipped().len());
        assert!(counts.0 <= 1 && counts.1 <= 2, "{counts:?}");
        (counts == (1, 2, 1)).then_some(())
    });
    for ended in 1..=3 {
        engine.let_one_end();
        eventually("its end", || (engine.in_state("succeeded").len() >= ended).then_some(()));
    }
    let ended = engine.in_state("succeeded");
    for pair in ended.windows(2) {
        assert!(pair[1].started_at.unwrap() >= pair[0].finished_at.unwrap(), "{pair:?}");
    }
    daemon.kill();
}

#[test]
fn overlap_replace_stops_the_old_run_for_the_new_one() {
    let engine = Engine::blocking(&json!({ "overlap": "replace" }));
    let daemon = engine.project.serve("config.json");
    let stopped = eventually("two replaced runs", || {
        let stopped: Vec<_> =
            engine.in_state("interrupted").into_iter().filter(|run| run.started_at.is_some()).collect();
        (stopped.len() >= 2).then_some(stopped)
    });
    assert!(engine.in_state("running").len() <= 1);
    assert!(stopped.iter().all(|run| run.reason == "timed"));
    daemon.kill();
}

#[test]
fn a_drain_waits_for_the_run_and_keeps_its_output() {
    let engine = Engine::blocking(&json!({ "overlap": "skip" }));
    let mut daemon = engine.project.serve("config.json");
    let run = eventually("a run", || engine.in_state("running").pop());
    daemon.terminate();
    daemon.wait_for("STOPPING=1");
    assert!(daemon.is_running());
    engine.let_one_end();
    let (code, log) = daemon.wait();
    assert_eq!(code, Some(0), "{log}");
    let runs = engine.runs();
    assert_eq!((runs.len(), runs[0].state.as_str()), (1, "succeeded"));
    let printed = engine.project.gulou(&["logs", &run.id.to_string()]).expect_code(0).stdout;
    let said: Vec<&str> = printed.lines().filter(|line| line.contains(" stdout ")).collect();
    assert!(said.len() == 2 && said[0].ends_with("started") && said[1].ends_with("ended"), "{printed}");
}

#[test]
fn a_second_signal_stops_what_still_runs() {
    let engine = Engine::blocking(&json!({ "overlap": "skip" }));
    let mut daemon = engine.project.serve("config.json");
    eventually("a run", || engine.in_state("running").pop());
    daemon.terminate();
    daemon.wait_for("STOPPING=1");
    daemon.terminate();
    let (code, log) = daemon.wait();
    assert_eq!(code, Some(1), "{log}");
    let runs = engine.runs();
    assert_eq!((runs.len(), runs[0].state.as_str()), (1, "interrupted"));
}

#[test]
fn a_run_that_a_crash_cut_off_is_recorded_as_interrupted() {
    let engine = Engine::blocking(&json!({ "overlap": "skip" }));
    let daemon = engine.project.serve("config.json");
    let run = eventually("a run", || engine.in_state("running").pop());
    daemon.kill();
    let daemon = engine.project.serve("config.json");
    let ended = engine.runs().into_iter().find(|other| other.id == run.id).unwrap();
    assert_eq!(ended.state, "interrupted");
    assert!(engine.runs().iter().all(|run| run.reason == "timed"));
    daemon.kill();
}

#[test]
fn a_run_that_a_crash_cut_off_runs_again_when_the_folder_says_so() {
    let engine = Engine::blocking(&json!({ "overlap": "skip", "on_interrupted": "rerun" }));
    let daemon = engine.project.serve("config.json");
    let run = eventually("a run", || engine.in_state("running").pop());
    daemon.kill();
    let daemon = engine.project.serve("config.json");
    let again = engine.runs().into_iter().find(|other| other.reason == "retry").unwrap();
    assert_eq!((again.fire_time, again.attempt, again.state.as_str()), (run.fire_time, 2, "running"));
    daemon.kill();
}

#[test]
fn what_was_missed_while_down_is_skipped_and_accounted_for() {
    let engine = Engine::new(&json!({}));
    engine.make_state();
    let mark = engine.pretend_last_fire(3600);
    let daemon = engine.project.serve("config.json");
    eventually("a live run", || engine.in_state("succeeded").pop());
    daemon.stop();
    let spans = engine.skipped();
    let [span] = spans.as_slice() else { panic!("{spans:?}") };
    assert_eq!((span.reason.as_str(), span.first), ("down", mark + 1));
    let mut runs: Vec<i64> = engine.runs().iter().map(|run| run.fire_time).collect();
    runs.sort_unstable();
    assert_eq!(runs[0], span.last + 1, "nothing between what was skipped and what ran");
    assert_eq!(span.count, span.last - span.first + 1);
    assert!(runs.windows(2).all(|pair| pair[1] == pair[0] + 1), "{runs:?}");
}

#[test]
fn misfire_once_runs_once_for_all_that_was_missed() {
    let engine = Engine::new(&json!({ "triggers": [{ "misfire": "once" }] }));
    engine.make_state();
    engine.pretend_last_fire(3600);
    let daemon = engine.project.serve("config.json");
    let late = eventually("the catch-up", || {
        engine.in_state("succeeded").into_iter().find(|run| run.reason == "catch-up")
    });
    daemon.stop();
    assert!(late.missed > 3000, "{late:?}");
    let reasons =
        engine.runs().into_iter().fold(BTreeMap::new(), |mut counts: BTreeMap<String, u32>, run| {
            *counts.entry(run.reason).or_default() += 1;
            counts
        });
    assert_eq!(reasons["catch-up"], 1);
    assert!(engine.skipped().is_empty());
}

#[test]
fn misfire_all_runs_each_in_order_and_live_fires_behind() {
    let engine =
        Engine::new(&json!({ "triggers": [{ "misfire": "all", "start_within": "1s", "catch_up": "20s" }] }));
    engine.make_state();
    engine.pretend_last_fire(60);
    let daemon = engine.project.serve("config.json");
    eventually("live fires behind the late ones", || {
        engine.in_state("succeeded").iter().rev().find(|run| run.reason == "timed").map(|_| ())
    });
    daemon.stop();
    let runs = engine.runs();
    let times: Vec<i64> = runs.iter().map(|run| run.fire_time).collect();
    assert!(times.windows(2).all(|pair| pair[1] == pair[0] + 1), "{times:?}");
    let late = runs.iter().filter(|run| run.reason == "catch-up").count();
    assert!((15..=20).contains(&late), "{late} late runs");
    assert_eq!(engine.skipped()[0].reason, "catch-up-limit");
}

#[test]
fn a_high_water_mark_in_the_future_is_an_error_and_not_an_end() {
    let engine = Engine::new(&json!({}));
    engine.make_state();
    engine.pretend_last_fire(-86_400);
    let daemon = engine.project.serve("config.json");
    eventually("a run all the same", || engine.in_state("succeeded").pop());
    let (_, log) = daemon.stop();
    assert!(log.contains("ERROR") && log.contains("future"), "{log}");
}

#[test]
fn the_limit_of_runs_makes_them_wait_and_loses_none() {
    let engine = Engine::blocking(&json!({}));
    engine.project.write("config.json", r#"{ "state": "sqlite://gulou.db", "max_runs": 1 }"#);
    let daemon = engine.project.serve("config.json");
    eventually("one runs and two wait", || {
        let (running, waiting) = (engine.in_state("running").len(), engine.in_state("waiting").len());
        assert!(running <= 1);
        (running == 1 && waiting >= 2).then_some(())
    });
    for ended in 1..=2 {
        engine.let_one_end();
        eventually("its end", || (engine.in_state("succeeded").len() == ended).then_some(()));
    }
    daemon.kill();
    assert!(engine.skipped().is_empty());
}

#[test]
fn a_functions_own_limit_makes_its_runs_wait_and_no_more_than_may() {
    let engine = Engine::blocking(&json!({ "max_runs": 2 }));
    engine.project.write("config.json", r#"{ "state": "sqlite://gulou.db", "max_waiting": 2 }"#);
    let free = json!({
        "triggers": [{ "name": "t", "type": "timer", "config": "0 0 0 1 1 * 2099" }],
        "target": { "command": { "argv": ["true"] } },
    });
    engine.project.function("free", &free);
    let daemon = engine.project.serve("config.json");
    let skipped = eventually("two run, two wait, and others are skipped", || {
        assert!(engine.in_state("running").len() <= 2);
        engine.skipped().pop()
    });
    assert_eq!((engine.in_state("running").len(), engine.in_state("waiting").len()), (2, 2));
    assert_eq!(skipped.reason, "full");
    let status = engine.project.gulou(&["status"]).expect_code(0).stdout;
    assert!(status.contains("2 for room (as many run as `max_runs` allows)"), "{status}");
    // The others of the daemon do not care.
    engine.project.gulou(&["fire", "free"]).expect_code(0);
    engine.let_one_end();
    eventually("a waiting one to run", || {
        let ended = engine.in_state("succeeded").iter().any(|run| run.function == "f");
        (ended && engine.in_state("running").len() == 2).then_some(())
    });
    daemon.kill();
}

#[test]
fn fire_runs_in_the_foreground_by_the_same_path() {
    let engine = Engine::with_command(&json!({}), "echo \"$GULOU_REASON\"; exit 3");
    let ran = engine.project.gulou(&["fire", "f/t"]).expect_code(1);
    assert!(ran.stdout.lines().any(|line| line == "manual"), "{}", ran.stdout);
    let runs = engine.runs();
    assert_eq!((runs.len(), runs[0].state.as_str(), runs[0].reason.as_str()), (1, "failed", "manual"));
    let wrong = engine.project.gulou(&["fire", "g"]).expect_code(1);
    assert!(wrong.stderr.contains("no function `g`; did you mean `f`?"), "{}", wrong.stderr);
}
