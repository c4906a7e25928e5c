//! The memory of functions is a limit, of the worker and of all it started.

use gulou::run::{Outcome, Status, Stream};
use gulou::settings::{CodeSettings, Runtime};
use gulou::target::Target;
use serde_json::json;

use crate::target_harness::{Recorder, code, host, is_alive, run};

fn nodejs() -> CodeSettings {
    CodeSettings { memory_mb: 128, ..code(Runtime::NodeJs, "acts") }
}

fn python() -> CodeSettings {
    CodeSettings { memory_mb: 128, ..code(Runtime::Python, "python-acts") }
}

/// How many MiB the failure says that were used.
#[track_caller]
fn used(outcome: &Outcome) -> u32 {
    assert_eq!(outcome.status, Status::Failed, "{outcome:?}");
    let message = outcome.message.as_deref().unwrap();
    let used = message
        .strip_prefix("used ")
        .and_then(|rest| rest.strip_suffix(" MiB, more than its memory of 128 MiB"));
    used.unwrap_or_else(|| panic!("{message}")).parse().unwrap()
}

/// What `Report` says.
fn reported(recorder: &Recorder) -> u32 {
    let lines = recorder.lines(Stream::System);
    let memory = lines.last().unwrap().rsplit_once(" Memory:").unwrap().1;
    memory.strip_suffix("MB").unwrap().parse().unwrap()
}

async fn one_that_grows_is_ended(settings: CodeSettings) {
    let target = Target::function(&settings, &host());
    let (outcome, recorder) = run(&target, "grows 4000").await;
    // Nearly eight seconds of growth are to come.
    assert!((129..2000).contains(&used(&outcome)), "{outcome:?}");
    assert!(reported(&recorder) >= used(&outcome), "{:?}", recorder.all());
    assert!(!is_alive(&recorder.wait_for("growing ").await));
    let (outcome, recorder) = run(&target, "returns").await;
    assert_eq!(outcome.result, Some(json!("fine")), "{outcome:?}");
    assert!(reported(&recorder) < 128);
    target.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nodejs_that_grows_is_ended() {
    one_that_grows_is_ended(nodejs()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn python_that_grows_is_ended() {
    one_that_grows_is_ended(python()).await;
}

/// Too short to be looked at while it lasts; the kernel has kept note.
#[tokio::test(flavor = "multi_thread")]
async fn a_nodejs_or_python_call_that_peaks_for_a_moment_fails_too_and_one_below_is_reported() {
    let target = Target::function(&nodejs(), &host());
    let (outcome, recorder) = run(&target, "grows-at-once 30").await;
    assert_eq!(outcome.status, Status::Succeeded, "{outcome:?}");
    let first = reported(&recorder);
    assert!((60..128).contains(&first), "{first}");
    let (outcome, _) = run(&target, "grows-at-once 200").await;
    assert!(used(&outcome) > 128);
    // The peak is of the call, not of the worker's life.
    let roomy = Target::function(&CodeSettings { memory_mb: 1024, ..nodejs() }, &host());
    let (_, big) = run(&roomy, "grows-at-once 300").await;
    let forget = CodeSettings { memory_mb: 1024, ..python() };
    let forget = Target::function(&forget, &host());
    let (_, first) = run(&forget, "megabytes 300").await;
    let (_, second) = run(&forget, "returns").await;
    assert!(reported(&big) > 300 && reported(&first) > 300);
    assert!(reported(&second) < 200, "{:?}", second.all());
    for target in [target, roomy, forget] {
        target.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_nodejs_heap_is_a_matter_of_memory_and_of_no_signal() {
    // Three quarters for the heap leave enough for all else: it is Node.js that gives up.
    let target = Target::function(&CodeSettings { memory_mb: 1024, ..nodejs() }, &host());
    let (outcome, recorder) = run(&target, "fills-its-heap").await;
    assert_eq!(outcome.status, Status::Failed);
    let expected = "used more than its memory of 1024 MiB: its heap was full";
    assert_eq!(outcome.message.as_deref(), Some(expected), "{:?}", recorder.all());
    assert_eq!(run(&target, "returns").await.0.result, Some(json!("fine")));
    target.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_nodejs_child_uses_in_another_session_counts() {
    let target = Target::function(&nodejs(), &host());
    let (outcome, recorder) = run(&target, "child-grows").await;
    assert!(used(&outcome) > 128);
    assert!(!is_alive(&recorder.wait_for("child ").await));
}
