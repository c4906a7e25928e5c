//! Node.js functions, with real workers.

use std::path::PathBuf;
use std::time::Duration;

use gulou::run::{Outcome, Status, Stream};
use gulou::settings::{CodeSettings, Runtime};
use gulou::target::{Limits, Target};
use serde_json::{Value, json};

use crate::support::eventually;
use crate::target_harness::{Recorder, code, env, fire, host, is_alive, result, run};

fn settings(folder: &str) -> CodeSettings {
    code(Runtime::NodeJs, folder)
}

fn target(folder: &str) -> Target {
    Target::function(&settings(folder), &host())
}

/// Runs one act of a new `acts` function.
async fn act(message: &str) -> (Outcome, Recorder) {
    let target = target("acts");
    let done = run(&target, message).await;
    target.shutdown().await;
    done
}

#[tokio::test(flavor = "multi_thread")]
async fn event_and_context_are_the_clouds() {
    let settings = CodeSettings { env: env(&[("GREETING", "你好"), ("A", "1")]), ..settings("echo") };
    let target = Target::function(&settings, &host());
    let (outcome, _) = run(&target, "hello").await;
    let result = result(&outcome);
    let event = json!({
        "Message": "hello", "Time": "2020-06-11T11:43:35Z", "TriggerName": "daily", "Type": "timer",
        "userInfo": { "appId": "wxda99" }
    });
    assert_eq!(result["event"], event);
    let context = json!({
        "request_id": fire("").request_id, "requestId": fire("").request_id,
        "function_name": "notice", "function_version": "$LATEST",
        "memory_limit_in_mb": 256, "time_limit_in_ms": 600_000,
        "namespace": "default", "environ": "A=1;GREETING=你好", "environment": r#"{"A":"1","GREETING":"你好"}"#,
        "reason": "timed", "attempt": 1, "missed": 0, "callbackWaitsForEmptyEventLoop": true,
    });
    assert_eq!(result["context"], context);
    assert_eq!((&result["tz"], &result["greeting"]), (&json!("UTC"), &json!("你好")));
    assert_eq!(result["cwd"], json!(settings.dir));
    target.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_zone_can_be_chosen() {
    let settings = CodeSettings { env: env(&[("TZ", "Asia/Shanghai")]), ..settings("echo") };
    let (outcome, _) = run(&Target::function(&settings, &host()), "").await;
    assert_eq!(result(&outcome)["tz"], "Asia/Shanghai");
}

#[tokio::test(flavor = "multi_thread")]
async fn handlers_of_every_form_are_called() {
    let with = |folder, handler: &str| CodeSettings { handler: handler.to_owned(), ..settings(folder) };
    let forms = [
        (with("esm-extension", "index.main"), json!("index.mjs got x")),
        (with("esm-package", "index.main"), json!("loaded with await")),
        (with("nested", "jobs/nightly.clean"), json!("hello x")),
    ];
    for (settings, expected) in forms {
        let (outcome, recorder) = run(&Target::function(&settings, &host()), "x").await;
        assert_eq!(result(&outcome), &expected, "{:?}", recorder.all());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_callback_form_works() {
    for (way, expected) in
        [("value", "called back"), ("later", "later"), ("waits", "waited"), ("leaves", "left")]
    {
        let (outcome, recorder) = run(&target("callback"), way).await;
        assert_eq!(result(&outcome), expected);
        assert_eq!(recorder.lines(Stream::Stdout).len(), usize::from(way == "waits"), "{way}");
    }
    let (outcome, _) = run(&target("callback"), "error").await;
    assert_eq!(outcome.message.as_deref(), Some("Error: called back with an error"));
    let (outcome, recorder) = run(&target("callback"), "never").await;
    assert_eq!(
        (result(&outcome), recorder.lines(Stream::Stdout)),
        (&Value::Null, vec!["no callback".into()])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_is_kept_and_module_state_survives() {
    let target = target("echo");
    let mut pids = Vec::new();
    for count in 1..=3 {
        let (outcome, _) = run(&target, "").await;
        assert_eq!(result(&outcome)["calls"], count);
        pids.push(result(&outcome)["pid"].to_string());
    }
    assert!(pids.iter().all(|pid| pid == &pids[0]) && is_alive(&pids[0]));
    target.shutdown().await;
    assert!(!is_alive(&pids[0]), "an idle worker ends with the target");
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_calls_get_workers_of_their_own() {
    let target = target("acts");
    let start = || {
        let (target, recorder) = (target.clone(), Recorder::new());
        let context = recorder.context.clone();
        (tokio::spawn(async move { target.run(&fire("hangs"), &context).await }), recorder)
    };
    let ((first, one), (second, two)) = (start(), start());
    let (one_pid, two_pid) = (one.wait_for("hanging ").await, two.wait_for("hanging ").await);
    assert_ne!(one_pid, two_pid);
    one.context.abort.cancel();
    assert_eq!(first.await.unwrap().status, Status::Interrupted);
    assert!(!is_alive(&one_pid) && is_alive(&two_pid), "an abort costs its own worker only");
    two.context.abort.cancel();
    assert_eq!(second.await.unwrap().status, Status::Interrupted);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_worker_retires() {
    let limits = Limits { idle: Duration::from_millis(1), ..Limits::default() };
    let target = Target::function(&settings("acts"), &host().with_limits(limits));
    let (outcome, _) = run(&target, "pid").await;
    let pid = result(&outcome).to_string();
    eventually("the worker's retirement", || (!is_alive(&pid)).then_some(()));
    let (outcome, _) = run(&target, "pid").await;
    assert_ne!(result(&outcome).to_string(), pid);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_died_between_calls_costs_nobody_a_run() {
    let target = target("acts");
    for _ in 0..5 {
        let (outcome, _) = run(&target, "dies-later").await;
        result(&outcome);
    }
    let (outcome, _) = run(&target, "returns").await;
    assert_eq!(result(&outcome), "fine");
    target.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_fails_the_run_with_its_stack_and_keeps_the_worker() {
    let target = target("acts");
    let before = run(&target, "pid").await.0;
    let (outcome, recorder) = run(&target, "throws").await;
    assert_eq!((outcome.status, outcome.message.as_deref()), (Status::Failed, Some("TypeError: boom")));
    let lines = recorder.lines(Stream::System);
    assert_eq!(lines[1], format!("ERROR RequestId: {} TypeError: boom", fire("").request_id));
    assert_eq!(lines[2], "and a second line");
    assert!(lines[3].contains("acts/index.js:"), "{lines:?}");
    assert!(!lines.iter().any(|line| line.contains("[eval]")), "{lines:?}");
    let after = run(&target, "pid").await.0;
    assert_eq!(result(&before), result(&after));
    target.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn anything_can_be_thrown() {
    let errors = [
        ("throws-text", "'only text'"),
        ("throws-nothing", "undefined"),
        ("throws-hostile", "an error that cannot be shown"),
        ("rejects", "RangeError: rejected"),
        (
            "waits-for-nothing",
            "Error: nothing is left to wait for, but the promise of the handler never settled",
        ),
    ];
    for (message, expected) in errors {
        let (outcome, _) = act(message).await;
        assert_eq!((outcome.status, outcome.message.as_deref()), (Status::Failed, Some(expected)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_ends_fails_its_run_and_is_replaced() {
    let ends = [
        ("exits", "the function called process.exit(7) before it returned"),
        ("exits-well", "the function called process.exit(0) before it returned"),
        ("crashes", "the function's process was killed by SIGKILL (by hand, or because memory ran out)"),
        ("unhandled-rejection", "unhandled rejection: Error: nobody listens"),
        ("uncaught-exception", "uncaught exception: Error: nobody catches"),
    ];
    let target = target("acts");
    for (message, expected) in ends {
        let (outcome, _) = run(&target, message).await;
        assert_eq!((outcome.status, outcome.message.as_deref()), (Status::Failed, Some(expected)));
        let (outcome, _) = run(&target, "returns").await;
        assert_eq!(result(&outcome), "fine");
    }
    target.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn output_before_an_exit_is_not_lost() {
    let limits = Limits { output: 2_000_000, line: 2_000_000, ..Limits::default() };
    let target = Target::function(&settings("acts"), &host().with_limits(limits));
    let (_, recorder) = run(&target, "prints-and-exits").await;
    let lines = recorder.lines(Stream::Stdout);
    assert_eq!((lines[0].len(), lines[1].as_str()), (1_000_000, "end"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blocked_event_loop_and_an_endless_promise_time_out() {
    for message in ["blocks", "hangs"] {
        let settings = CodeSettings { timeout: Duration::from_secs(2), ..settings("acts") };
        let target = Target::function(&settings, &host());
        let (outcome, recorder) = run(&target, message).await;
        assert_eq!(outcome.status, Status::TimedOut);
        assert_eq!(outcome.message.as_deref(), Some("did not end within its timeout of 2 s and was killed"));
        let line = recorder.lines(Stream::Stdout).pop().unwrap();
        assert!(!is_alive(line.split(' ').nth(1).unwrap()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_timeout_ends_children_in_sessions_of_their_own() {
    let limits = Limits { grace: Duration::from_millis(200), ..Limits::default() };
    let settings = CodeSettings { timeout: Duration::from_secs(5), ..settings("acts") };
    let target = Target::function(&settings, &host().with_limits(limits));
    let (outcome, recorder) = run(&target, "escapes").await;
    assert_eq!(outcome.status, Status::TimedOut);
    for who in ["worker ", "escaped "] {
        assert!(!is_alive(&recorder.wait_for(who).await), "{who} lives");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn children_of_a_worker_end_with_it() {
    let target = target("acts");
    let (outcome, _) = run(&target, "leaves-a-child").await;
    let child = result(&outcome).to_string();
    assert!(is_alive(&child));
    target.shutdown().await;
    assert!(!is_alive(&child));
}

#[tokio::test(flavor = "multi_thread")]
async fn return_values_are_recorded_as_far_as_they_are_json() {
    for (message, expected) in [("returns", json!("fine")), ("nothing", Value::Null)] {
        assert_eq!(result(&act(message).await.0), &expected);
    }
    let (outcome, _) = act("megabytes 5").await;
    assert_eq!(result(&outcome).as_str().map(str::len), Some(5 * 1024 * 1024));
    let unrecorded = [
        ("cycle", "it is no JSON: TypeError: Converting circular structure to JSON"),
        ("bigint", "it is no JSON: TypeError: Do not know how to serialize a BigInt"),
        ("megabytes 6", "it is 6291458 bytes of JSON, and 6291456 are recorded"),
        ("deep", "its JSON cannot be read: recursion limit exceeded at line 1 column 128"),
    ];
    for (message, why) in unrecorded {
        let (outcome, recorder) = act(message).await;
        let why = format!("the return value is not recorded: {why}");
        assert_eq!((outcome.status, outcome.result), (Status::Succeeded, None));
        assert_eq!(outcome.message.as_deref(), Some(why.as_str()));
        assert!(recorder.lines(Stream::System).contains(&why));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_line_is_in_its_own_run_before_its_end() {
    let target = target("acts");
    for count in [5000, 0, 1, 5000] {
        let (outcome, recorder) = run(&target, &format!("prints {count}")).await;
        assert_eq!(result(&outcome), "printed");
        let lines = recorder.all();
        let expected: Vec<String> = (0..count).map(|i| format!("line {i}")).collect();
        assert_eq!(lines[1..=count], expected);
        assert_eq!(lines[count + 1], format!("END RequestId: {}", fire("").request_id));
        let report = &lines[count + 2];
        assert!(report.contains(" Duration:") && report.ends_with("MB"), "{report}");
        assert_eq!(lines.len(), count + 3);
    }
    let (_, recorder) = run(&target, "no-line-end").await;
    assert_eq!(recorder.lines(Stream::Stdout), ["out without end"]);
    assert_eq!(recorder.lines(Stream::Stderr), ["err without end"]);
    target.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_looks_like_a_program_of_its_own() {
    assert_eq!(result(&act("globals").await.0), &json!(["object"]));
    assert_eq!(result(&act("stdin").await.0), "");
    // 3 is the folder that `ls` itself reads; far above may be what the test was started with.
    let (outcome, _) = act("descriptors").await;
    let mut low: Vec<_> = result(&outcome).as_array().unwrap().iter().filter_map(Value::as_u64).collect();
    low.retain(|descriptor| *descriptor < 10);
    assert_eq!(low, [0, 1, 2, 3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn code_that_cannot_be_loaded_says_why() {
    let with = |folder, handler: &str| CodeSettings { handler: handler.to_owned(), ..settings(folder) };
    let failures = [
        (with("broken", "index.main"), "SyntaxError: Unexpected identifier"),
        (with("broken", "lib/needs.main"), "'a-module-that-nobody-installed' (run `npm install` in "),
        (with("echo", "index.other"), "exports no function other; it exports main"),
        (with("echo", "absent.main"), "needs absent.js, absent.mjs or absent.cjs"),
    ];
    for (settings, part) in failures {
        let target = Target::function(&settings, &host());
        let (outcome, _) = run(&target, "").await;
        let message = outcome.message.unwrap();
        assert_eq!(outcome.status, Status::Failed);
        assert!(message.contains(part), "{message}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn code_that_could_not_be_loaded_is_loaded_again_by_the_next_run() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("index.js");
    let target = Target::function(&CodeSettings { dir: dir.path().to_owned(), ..settings("") }, &host());
    std::fs::write(&file, "nonsense(").unwrap();
    assert_eq!(run(&target, "").await.0.status, Status::Failed);
    std::fs::write(&file, "exports.main = () => 'mended'").unwrap();
    assert_eq!(result(&run(&target, "").await.0), "mended");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_node_the_run_says_what_to_install() {
    let settings = CodeSettings { env: env(&[("PATH", "")]), ..settings("echo") };
    let target = Target::function(&settings, &host());
    let (outcome, recorder) = run(&target, "").await;
    let message = outcome.message.unwrap();
    assert_eq!(outcome.status, Status::Failed);
    assert!(
        message.starts_with("Node.js is not installed") && message.contains("apt install nodejs"),
        "{message}"
    );
    let log = recorder.all();
    assert_eq!(log[1], format!("ERROR RequestId: {} {message}", fire("").request_id));
    assert_eq!(log.len(), 4, "{log:?}");
    assert_eq!(target.preview(&fire("")).problem, Some(message));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_says_what_would_be_called() {
    let settings = CodeSettings { env: env(&[("TOKEN", "secret")]), ..settings("echo") };
    let preview = Target::function(&settings, &host()).preview(&fire("hi"));
    assert_eq!(preview.problem, None);
    assert_eq!(preview.data["file"], json!(settings.dir.join("index.js")));
    assert_eq!(preview.data["event"]["Message"], "hi");
    assert_eq!(preview.data["context"]["function_name"], "notice");
    let text = format!("{} {}", preview.lines.join("\n"), preview.data);
    assert!(text.contains("TOKEN") && !text.contains("secret"), "{text}");
    let absent = CodeSettings { dir: PathBuf::from("/nowhere"), ..settings };
    assert!(Target::function(&absent, &host()).preview(&fire("")).problem.unwrap().contains("/nowhere"));
}
