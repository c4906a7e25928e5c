//! Python functions, with real workers: the guarantees of Node.js ones.

use std::fs;
use std::time::Duration;

use gulou::run::{Outcome, Status, Stream};
use gulou::settings::{CodeSettings, Runtime};
use gulou::target::{Limits, Target};
use serde_json::{Value, json};

use crate::support::{Project, eventually};
use crate::target_harness::{Recorder, code, env, fire, host, is_alive, result, run};

fn settings(folder: &str) -> CodeSettings {
    code(Runtime::Python, folder)
}

fn target(folder: &str) -> Target {
    Target::function(&settings(folder), &host())
}

/// Runs one act of a new `python-acts` function.
async fn act(message: &str) -> (Outcome, Recorder) {
    let target = target("python-acts");
    let done = run(&target, message).await;
    target.shutdown().await;
    done
}

#[tokio::test(flavor = "multi_thread")]
async fn event_context_and_surroundings_are_the_clouds() {
    let settings =
        CodeSettings { env: env(&[("GREETING", "你好"), ("A", "1")]), ..settings("python-echo") };
    let target = Target::function(&settings, &host());
    let mut pids = Vec::new();
    for calls in 1..=3 {
        let (outcome, _) = run(&target, "hello").await;
        let result = result(&outcome);
        assert_eq!(result["event"], fire("hello").event());
        let context = json!({
            "request_id": fire("").request_id, "requestId": fire("").request_id,
            "function_name": "notice", "function_version": "$LATEST",
            "memory_limit_in_mb": 256, "time_limit_in_ms": 600_000,
            "namespace": "default", "environ": "A=1;GREETING=你好", "environment": r#"{"A":"1","GREETING":"你好"}"#,
            "reason": "timed", "attempt": 1, "missed": 0,
        });
        assert_eq!(result["context"], context);
        assert_eq!((&result["tz"], &result["greeting"]), (&json!("UTC"), &json!("你好")));
        assert_eq!((&result["cwd"], &result["path"]), (&json!(settings.dir), &json!(settings.dir)));
        assert_eq!(result["argv"], json!([settings.dir.join("index.py")]));
        assert_eq!(result["main"], json!([]));
        assert_eq!(result["calls"], calls);
        pids.push(result["pid"].to_string());
    }
    assert!(pids.iter().all(|pid| pid == &pids[0]) && is_alive(&pids[0]));
    let line = fs::read(format!("/proc/{}/cmdline", pids[0])).unwrap();
    assert!(line.len() < 300, "{}", String::from_utf8_lossy(&line));
    target.shutdown().await;
    assert!(!is_alive(&pids[0]), "an idle worker ends with the target");
    assert!(!settings.dir.join("__pycache__").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_may_lie_deeper_and_be_a_coroutine() {
    let settings = CodeSettings { handler: "jobs/nightly.clean".to_owned(), ..settings("python-nested") };
    let (outcome, recorder) = run(&Target::function(&settings, &host()), "x").await;
    assert_eq!(result(&outcome), "hello x", "{:?}", recorder.all());
    let target = target("python-acts");
    let loops = [run(&target, "coroutine").await.0, run(&target, "coroutine").await.0];
    assert_eq!(result(&loops[0]), result(&loops[1]), "what holds on to the event loop lives on");
    target.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exception_fails_the_run_with_its_traceback_and_keeps_the_worker() {
    let target = target("python-acts");
    let before = run(&target, "pid").await.0;
    let errors = [
        ("raises", "ValueError: boom"),
        ("raises-odd", "index.Odd: "),
        ("chains", "RuntimeError: second"),
        ("interrupts", "KeyboardInterrupt"),
    ];
    for (message, expected) in errors {
        let (outcome, recorder) = run(&target, message).await;
        assert_eq!(outcome.status, Status::Failed);
        let said = outcome.message.unwrap();
        assert!(said.starts_with(expected), "{said}");
        let lines = recorder.lines(Stream::System);
        assert_eq!(lines[1], format!("ERROR RequestId: {} {said}", fire("").request_id));
        assert!(lines.iter().any(|line| line.contains("python-acts/index.py\", line ")), "{lines:?}");
        assert!(!lines.iter().any(|line| line.contains("gulou\"")), "{lines:?}");
    }
    let (_, recorder) = run(&target, "raises").await;
    assert!(recorder.lines(Stream::System).contains(&"and a second line".to_owned()));
    let after = run(&target, "pid").await.0;
    assert_eq!(result(&before), result(&after));
    target.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_ends_fails_its_run_and_is_replaced() {
    let ends = [
        ("exits", "the function called sys.exit(7) before it returned"),
        ("exits-beside-a-thread", "the function called sys.exit(7) before it returned"),
        ("exits-well", "the function called sys.exit(0) before it returned"),
        ("exits-with-text", "the function called sys.exit(1) before it returned"),
        ("exits-at-once", "the function's process exited with code 3"),
        ("crashes", "the function's process was killed by SIGKILL (by hand, or because memory ran out)"),
    ];
    let target = target("python-acts");
    for (message, expected) in ends {
        let (outcome, recorder) = run(&target, message).await;
        assert_eq!((outcome.status, outcome.message.as_deref()), (Status::Failed, Some(expected)));
        let errors = recorder.lines(Stream::Stderr);
        assert_eq!(errors.contains(&"the disk is full".to_owned()), message == "exits-with-text");
        assert_eq!(result(&run(&target, "returns").await.0), "fine");
    }
    let pid = result(&run(&target, "dies-later").await.0).to_string();
    eventually("its death between two calls", || (!is_alive(&pid)).then_some(()));
    assert_eq!(result(&run(&target, "returns").await.0), "fine");
    target.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_loop_without_end_and_a_sleep_time_out_with_all_their_processes() {
    let limits = Limits { grace: Duration::from_millis(200), ..Limits::default() };
    for (message, who) in [("blocks", "blocking "), ("hangs", "hanging "), ("escapes", "escaped ")] {
        let settings = CodeSettings { timeout: Duration::from_secs(3), ..settings("python-acts") };
        let target = Target::function(&settings, &host().with_limits(limits));
        let (outcome, recorder) = run(&target, message).await;
        assert_eq!(outcome.status, Status::TimedOut);
        assert_eq!(outcome.message.as_deref(), Some("did not end within its timeout of 3 s and was killed"));
        assert!(!is_alive(&recorder.wait_for(who).await), "{message}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn return_values_are_recorded_as_far_as_they_are_json() {
    for (message, expected) in [("returns", json!("fine")), ("nothing", Value::Null), ("stdin", json!(""))] {
        assert_eq!(result(&act(message).await.0), &expected);
    }
    let (outcome, _) = act("megabytes 5").await;
    assert_eq!(result(&outcome).as_str().map(str::len), Some(5 * 1024 * 1024));
    let unrecorded = [
        ("cycle", "it is no JSON: ValueError: Circular reference detected"),
        ("set", "it is no JSON: TypeError: Object of type set is not JSON serializable"),
        ("nan", "it is no JSON: ValueError: Out of range float values are not JSON compliant"),
        ("surrogate", "it is no JSON: UnicodeEncodeError: "),
        ("megabytes 6", "it is 6291458 bytes of JSON, and 6291456 are recorded"),
    ];
    for (message, why) in unrecorded {
        let (outcome, recorder) = act(message).await;
        let why = format!("the return value is not recorded: {why}");
        assert_eq!((outcome.status, outcome.result), (Status::Succeeded, None));
        assert!(outcome.message.as_ref().unwrap().starts_with(&why), "{:?}", outcome.message);
        assert!(recorder.lines(Stream::System).contains(&outcome.message.unwrap()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_line_is_in_its_own_run_before_its_end() {
    let target = target("python-acts");
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
    let (_, recorder) = run(&target, "logs").await;
    assert_eq!(recorder.lines(Stream::Stderr), ["a line of a logger"]);
    target.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn output_before_an_exit_is_not_lost_and_a_fork_answers_nothing() {
    let limits = Limits { output: 2_000_000, line: 2_000_000, ..Limits::default() };
    let target = Target::function(&settings("python-acts"), &host().with_limits(limits));
    let (_, recorder) = run(&target, "prints-and-exits").await;
    let lines = recorder.lines(Stream::Stdout);
    assert_eq!((lines[0].len(), lines[1].as_str()), (1_000_000, "end"));
    assert_eq!(result(&run(&target, "forks").await.0), "from the parent");
    target.shutdown().await;
}

/// It goes to the worker's log when no call is under way.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_thread_prints_after_the_return_is_not_in_the_runs_log() {
    let target = target("python-acts");
    let (outcome, recorder) = run(&target, "thread-prints-later").await;
    assert_eq!(result(&outcome), "returned");
    let (_, other) = run(&target, "returns").await;
    target.shutdown().await;
    assert!(recorder.lines(Stream::Stdout).is_empty(), "{:?}", recorder.all());
    assert_eq!(recorder.all().last(), recorder.lines(Stream::System).last());
    assert!(other.all().last().unwrap().starts_with("Report "));
}

#[tokio::test(flavor = "multi_thread")]
async fn children_of_a_worker_do_not_hold_its_conversation() {
    let (outcome, _) = act("descriptors").await;
    let mut low: Vec<_> = result(&outcome).as_array().unwrap().iter().filter_map(Value::as_u64).collect();
    low.retain(|descriptor| *descriptor < 10);
    assert_eq!(low, [0, 1, 2, 3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn code_that_cannot_be_loaded_says_why() {
    let with = |folder, handler: &str| CodeSettings { handler: handler.to_owned(), ..settings(folder) };
    let failures = [
        (with("python-broken", "index.main_handler"), ["SyntaxError: ", "python-broken/index.py, line 1)"]),
        (
            with("python-broken", "needs.main_handler"),
            ["No module named 'a_module_that_nobody_installed'", "`pip install --target "],
        ),
        (with("python-echo", "index.other"), ["has no function other", "it has main_handler"]),
        (with("python-echo", "absent.main"), ["the handler `absent.main` has no file", "needs absent.py"]),
    ];
    for (settings, parts) in failures {
        let (outcome, _) = run(&Target::function(&settings, &host()), "").await;
        let message = outcome.message.unwrap();
        assert_eq!(outcome.status, Status::Failed);
        assert!(parts.iter().all(|part| message.contains(part)), "{message}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_python_the_run_says_what_to_install() {
    let settings = CodeSettings { env: env(&[("PATH", "")]), ..settings("python-echo") };
    let target = Target::function(&settings, &host());
    let message = run(&target, "").await.0.message.unwrap();
    assert!(message.starts_with("Python is not installed: there is no `python3`"), "{message}");
    assert!(message.contains("apt install python3"), "{message}");
    let preview = target.preview(&fire("hi"));
    assert_eq!(preview.problem, Some(message));
    assert_eq!(
        (&preview.data["runtime"], &preview.data["event"]["Message"]),
        (&json!("python"), &json!("hi"))
    );
    assert!(preview.lines[0].ends_with("(Python)"), "{:?}", preview.lines);
}

/// What a worker holds in memory is the code that lies in the folder.
#[test]
fn scenario_changed_code_gets_a_fresh_worker_and_compiled_files_do_not_count() {
    let project = Project::new(&json!({ "state": "sqlite://gulou.db" }));
    let trigger = json!({ "name": "t", "type": "timer", "config": "* * * * * * *" });
    let code = |version: u32| {
        format!("import helper\ndef main_handler(event, context):\n    return [{version}, helper.count()]\n")
    };
    project.write(
        "triggers/snake/helper.py",
        "calls = []\ndef count():\n    calls.append(1)\n    return len(calls)\n",
    );
    project.write("triggers/snake/index.py", &code(1));
    // One run at a time: two that overlap on a slow machine have a worker each.
    project.function("snake", &json!({ "triggers": [trigger], "overlap": "queue" }));
    let daemon = project.serve("config.json");
    let results = || {
        let history = project.gulou(&["history", "snake", "--json"]).expect_code(0);
        let history: Vec<Value> = serde_json::from_str(&history.stdout).unwrap();
        history.into_iter().map(|run| run["result"].clone()).collect::<Vec<_>>()
    };
    eventually("a second call of the same worker", || results().contains(&json!([1, 2])).then_some(()));
    project.write("triggers/snake/__pycache__/helper.cpython-311.pyc", "compiled");
    project.write("triggers/snake/index.py", &code(2));
    eventually("the new code", || results().contains(&json!([2, 2])).then_some(()));
    project.write("triggers/snake/__pycache__/index.cpython-311.pyc", "compiled");
    let seen = results().len();
    eventually("two more calls", || (results().len() >= seen + 2).then_some(()));
    let all = results();
    assert_eq!(all.iter().filter(|result| **result == json!([2, 1])).count(), 1, "{all:?}");
    assert_eq!(daemon.stop().0, Some(0));
}
