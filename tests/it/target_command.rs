//! Commands, with real processes.

use std::path::{Path, PathBuf};
use std::time::Duration;

use gulou::run::{Status, Stream};
use gulou::settings::{CommandSettings, ResourceLimits, UserSettings};
use gulou::target::{Limits, Target};
use serde_json::json;

use crate::target_harness::{LONG, Recorder, env, fire, host, is_alive, run};

fn settings(argv: &[&str]) -> CommandSettings {
    CommandSettings {
        argv: argv.iter().map(|word| (*word).to_owned()).collect(),
        cwd: PathBuf::from("/"),
        env: env(&[]),
        timeout: LONG,
        max_output: None,
        success_codes: vec![0],
        user: None,
        nice: 0,
        limits: ResourceLimits::default(),
    }
}

fn shell(script: &str) -> CommandSettings {
    settings(&["sh", "-c", script])
}

fn target(settings: &CommandSettings) -> Target {
    Target::command(settings, &host())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_reads_like_the_clouds() {
    let (outcome, recorder) = run(&target(&settings(&["printf", "%s\\n", "$HOME", "two words"])), "").await;
    assert_eq!(outcome.status, Status::Succeeded);
    let id = fire("").request_id;
    let lines = recorder.all();
    assert_eq!(
        lines[..4],
        [
            format!("START RequestId: {id}"),
            "$HOME".into(),
            "two words".into(),
            format!("END RequestId: {id}")
        ]
    );
    assert!(lines[4].starts_with(&format!("Report RequestId: {id} Duration:")), "{lines:?}");
    assert_eq!(lines.len(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_event_is_on_stdin_and_in_variables() {
    let script = "cat; env | grep ^GULOU_ | grep -v ^GULOU_RUN= | sort; echo $GREETING; pwd";
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().canonicalize().unwrap();
    let settings = CommandSettings { env: env(&[("GREETING", "你好")]), cwd: dir.clone(), ..shell(script) };
    let (outcome, recorder) = run(&target(&settings), "a \"b\"\u{0}c").await;
    assert_eq!(outcome.status, Status::Succeeded, "{outcome:?}");
    let lines = recorder.lines(Stream::Stdout);
    let event: serde_json::Value = serde_json::from_str(&lines[0]).unwrap();
    let expected = json!({
        "Message": "a \"b\"\u{0}c", "Time": "2020-06-11T11:43:35Z", "TriggerName": "daily", "Type": "timer",
        "userInfo": { "appId": "wxda99" }
    });
    assert_eq!(event, expected);
    let variables = [
        "GULOU_ATTEMPT=1",
        "GULOU_FIRE_TIME=2020-06-11T11:43:35Z",
        "GULOU_FUNCTION=notice",
        "GULOU_MESSAGE=a \"b\"\u{fffd}c",
        "GULOU_MISSED=0",
        "GULOU_REASON=timed",
        "GULOU_REQUEST_ID=0f2cd6a5-5d2e-4c8e-9f35-0a57f5a1c9de",
        "GULOU_TRIGGER=daily",
        "你好",
        dir.to_str().unwrap(),
    ];
    assert_eq!(lines[1..], variables);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_says_how_it_ended() {
    let failures = [("exit 3", "sh exited with code 3"), ("kill -SEGV $$", "sh was killed by SIGSEGV")];
    for (script, message) in failures {
        let (outcome, recorder) = run(&target(&shell(script)), "").await;
        assert_eq!((outcome.status, outcome.message.as_deref()), (Status::Failed, Some(message)));
        let error = format!("ERROR RequestId: {} {message}", fire("").request_id);
        assert!(recorder.lines(Stream::System).contains(&error), "{:?}", recorder.all());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_program_is_named_with_a_way_out() {
    for (program, part) in [("no-such-program-here", "install it"), ("./missing.sh", "chmod +x")] {
        let target = target(&settings(&[program]));
        let (outcome, _) = run(&target, "").await;
        let message = outcome.message.unwrap();
        assert_eq!(outcome.status, Status::Failed);
        assert!(message.contains(program.trim_start_matches('.')) && message.contains(part), "{message}");
        assert_eq!(target.preview(&fire("")).problem, Some(message));
    }
    let nowhere = CommandSettings { cwd: PathBuf::from("/no/such/folder"), ..shell("true") };
    let (outcome, _) = run(&target(&nowhere), "").await;
    assert!(outcome.message.unwrap().contains("/no/such/folder does not exist"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_is_looked_up_in_its_own_folder_and_path() {
    let dir = tempfile::tempdir().unwrap();
    write_program(&dir.path().join("hello"), "#!/bin/sh\necho hello\n");
    let here = CommandSettings { cwd: dir.path().to_owned(), ..settings(&["./hello"]) };
    let path = env(&[("PATH", dir.path().to_str().unwrap())]);
    let on_path = CommandSettings { env: path, ..settings(&["hello"]) };
    for settings in [here, on_path] {
        let (outcome, recorder) = run(&target(&settings), "").await;
        assert_eq!(outcome.status, Status::Succeeded, "{outcome:?}");
        assert_eq!(recorder.lines(Stream::Stdout), ["hello"]);
    }
}

fn write_program(path: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_are_kept_apart_and_the_last_line_needs_no_end() {
    let (_, recorder) = run(&target(&shell("echo out; echo err >&2; printf 'a\\377b\\r\\nlast'")), "").await;
    assert_eq!(recorder.lines(Stream::Stdout), ["out", "a\u{fffd}b", "last"]);
    assert_eq!(recorder.lines(Stream::Stderr), ["err"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn too_much_output_is_cut_with_a_note_and_long_lines_are_split() {
    let limits = Limits { output: 1000, line: 100, ..Limits::default() };
    let host = host().with_limits(limits);
    let script =
        "printf '%0250d\\n' 0; i=0; while [ $i -lt 500 ]; do echo 1234567; i=$((i+1)); done; echo end";
    let (outcome, recorder) = run(&Target::command(&shell(script), &host), "").await;
    assert_eq!(outcome.status, Status::Succeeded);
    let lines = recorder.lines(Stream::Stdout);
    assert_eq!(lines[..3].iter().map(String::len).collect::<Vec<_>>(), [100, 100, 50]);
    let kept: usize = lines.iter().map(|line| line.len() + 1).sum();
    assert!((990..=1001).contains(&kept), "{kept}");
    let notes = recorder.lines(Stream::System);
    assert_eq!(notes[1], "the output is cut here: 1000 bytes of a run's output are kept");
    let total = 253 + 500 * 8 + 4;
    assert_eq!(notes[2], format!("{} bytes of output were not kept", total - kept));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bound_on_output_can_be_set() {
    let settings = CommandSettings { max_output: Some(0), ..shell("echo one; echo two") };
    let (outcome, recorder) = run(&target(&settings), "").await;
    assert_eq!(outcome.status, Status::Succeeded);
    assert!(recorder.lines(Stream::Stdout).is_empty());
    assert!(recorder.lines(Stream::System).contains(&"8 bytes of output were not kept".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn success_is_what_the_codes_say() {
    let codes = CommandSettings { success_codes: vec![0, 3], ..shell("exit 3") };
    assert_eq!(run(&target(&codes), "").await.0.status, Status::Succeeded);
    let other = CommandSettings { success_codes: vec![1], ..shell("exit 3") };
    assert_eq!(run(&target(&other), "").await.0.message.as_deref(), Some("sh exited with code 3"));
    let not_even_zero = CommandSettings { success_codes: vec![1], ..shell("true") };
    let message = run(&target(&not_even_zero), "").await.0.message.unwrap();
    assert_eq!(message, "sh exited with code 0, which is not in its `success_codes`");
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_and_niceness_hold_from_the_first_instruction() {
    let limits = ResourceLimits {
        memory_mb: Some(64),
        cpu_seconds: Some(1),
        files: Some(32),
        processes: Some(50_000),
    };
    let nice = CommandSettings { limits, nice: 5, ..shell("ulimit -v; ulimit -t; ulimit -n; nice; echo $0") };
    let (outcome, recorder) = run(&target(&nice), "").await;
    assert_eq!(outcome.status, Status::Succeeded, "{outcome:?} {:?}", recorder.all());
    let lines = recorder.lines(Stream::Stdout);
    assert_eq!(lines[..3], ["65536", "1", "32"]);
    assert!(lines[3].parse::<i32>().unwrap() >= 5 && lines[4].ends_with("sh"), "{lines:?}");
    let busy = CommandSettings { limits, ..shell("while :; do :; done") };
    let message = run(&target(&busy), "").await.0.message.unwrap();
    assert_eq!(message, "sh was killed by SIGXCPU (its limit of processor time)");
    let preview = target(&nice).preview(&fire(""));
    assert!(preview.lines.iter().any(|line| line.contains("--as=67108864")), "{:?}", preview.lines);
}

/// Only root can become another user; anybody else is told so before anything runs.
#[tokio::test(flavor = "multi_thread")]
async fn a_command_runs_as_its_user_or_not_at_all() {
    let nobody = UserSettings {
        name: "nobody".to_owned(),
        uid: 65534,
        gid: 65534,
        home: "/nonexistent".to_owned(),
        shell: "/usr/sbin/nologin".to_owned(),
    };
    let script = "id -u; id -g; id -G; echo $HOME $USER; cat > /dev/null; sleep 1000 & echo child $!";
    let settings = CommandSettings { user: Some(nobody), ..shell(script) };
    let (outcome, recorder) = run(&target(&settings), "").await;
    if rustix::process::geteuid().is_root() {
        assert_eq!(outcome.status, Status::Succeeded, "{outcome:?} {:?}", recorder.all());
        let lines = recorder.lines(Stream::Stdout);
        assert_eq!(lines[..4], ["65534", "65534", "65534", "/nonexistent nobody"]);
        assert!(!is_alive(&recorder.wait_for("child ").await));
    } else {
        let expected = "only root can run a program as `nobody`, and this process is not root's";
        assert_eq!(outcome.message.as_deref(), Some(expected));
        assert_eq!(target(&settings).preview(&fire("")).problem.as_deref(), Some(expected));
    }
}

/// A child in its own session, started by a parent that is gone, which ignores TERM.
const ESCAPE: &str = r#"
    (setsid sh -c 'trap "" TERM; echo escaped $$; while :; do sleep 1000; done' &)
    echo leader $$
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_timeout_ends_the_whole_tree() {
    // The timeout must not be over before the tree stands; it stands when the lines are there.
    let limits = Limits { grace: Duration::from_millis(200), ..Limits::default() };
    let script = format!("{ESCAPE} sleep 1000 & echo child $!; wait");
    let settings = CommandSettings { timeout: Duration::from_secs(5), ..shell(&script) };
    let (outcome, recorder) = run(&Target::command(&settings, &host().with_limits(limits)), "").await;
    assert_eq!(outcome.status, Status::TimedOut);
    assert_eq!(outcome.message.as_deref(), Some("did not end within its timeout of 5 s and was killed"));
    for who in ["leader ", "escaped ", "child "] {
        assert!(!is_alive(&recorder.wait_for(who).await), "{who} lives");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_abort_ends_the_whole_tree() {
    let limits = Limits { grace: Duration::from_millis(200), ..Limits::default() };
    let target = Target::command(&shell(&format!("{ESCAPE} sleep 1000")), &host().with_limits(limits));
    let recorder = Recorder::new();
    let (given, context) = (fire(""), recorder.context.clone());
    let run = tokio::spawn(async move { target.run(&given, &context).await });
    let escaped = recorder.wait_for("escaped ").await;
    assert!(is_alive(&escaped));
    recorder.context.abort.cancel();
    let outcome = run.await.unwrap();
    assert_eq!(outcome.status, Status::Interrupted);
    assert!(!is_alive(&escaped));
    assert!(!is_alive(&recorder.wait_for("leader ").await));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_finished_command_leaves_behind_is_ended_and_named() {
    let script = "(setsid sleep 1000 & echo escaped $!); sleep 1000 & echo child $!";
    let (outcome, recorder) = run(&target(&shell(script)), "").await;
    assert_eq!(outcome.status, Status::Succeeded);
    for who in ["escaped ", "child "] {
        assert!(!is_alive(&recorder.wait_for(who).await), "{who} lives");
    }
    let notes = recorder.lines(Stream::System);
    assert!(notes.iter().any(|note| note.starts_with("ended what the run left behind: ")), "{notes:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_ends_when_its_caller_goes_away() {
    let target = target(&shell("echo leader $$; sleep 1000"));
    let recorder = Recorder::new();
    let (given, context) = (fire(""), recorder.context.clone());
    let caller = tokio::spawn(async move { target.run(&given, &context).await });
    let leader = recorder.wait_for("leader ").await;
    caller.abort();
    crate::support::eventually("the command's end", || (!is_alive(&leader)).then_some(()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_runs_nothing_and_says_what_would_run() {
    let dir = tempfile::tempdir().unwrap();
    let settings = CommandSettings {
        cwd: dir.path().to_owned(),
        env: env(&[("TOKEN", "secret")]),
        ..settings(&["touch", "made"])
    };
    let preview = target(&settings).preview(&fire("hi"));
    assert_eq!(preview.problem, None);
    assert_eq!(preview.data["argv"], json!(["touch", "made"]));
    assert_eq!(preview.data["event"]["Message"], "hi");
    assert_eq!(preview.data["variables"]["GULOU_TRIGGER"], "daily");
    let text = format!("{} {}", preview.lines.join("\n"), preview.data);
    assert!(text.contains("TOKEN") && !text.contains("secret"), "{text}");
    assert!(!dir.path().join("made").exists());
}
