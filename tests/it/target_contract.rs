//! What functions of both languages are held to alike, and the bounds that a configuration may set.

use gulou::run::{Status, Stream};
use gulou::settings::{CodeSettings, Runtime};
use gulou::target::Target;
use serde_json::json;

use crate::support::eventually;
use crate::target_harness::{Recorder, code, fire, host, is_alive, run};

fn settings(runtime: Runtime) -> CodeSettings {
    let folder = match runtime {
        Runtime::NodeJs => "acts",
        Runtime::Python => "python-acts",
    };
    code(runtime, folder)
}

async fn as_much_as_the_cloud_takes(runtime: Runtime) {
    let target = Target::function(&settings(runtime), &host());
    let (outcome, _) = run(&target, "six-megabytes").await;
    assert_eq!((outcome.status, outcome.message), (Status::Succeeded, None));
    assert_eq!(outcome.result.unwrap().as_str().unwrap().len(), 6 * 1024 * 1024 - 2);
    let (outcome, recorder) = run(&target, "prints-a-megabyte").await;
    assert_eq!((outcome.status, outcome.result), (Status::Succeeded, Some(json!(null))));
    let lines = recorder.lines(Stream::Stdout);
    assert_eq!(lines.len(), 1024);
    assert!(lines.iter().all(|line| line.len() == 1023));
    assert_eq!(
        recorder.lines(Stream::System).len(),
        3,
        "nothing is cut: {:?}",
        recorder.lines(Stream::System)
    );
    target.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nodejs_may_return_six_mebibytes_and_print_one() {
    as_much_as_the_cloud_takes(Runtime::NodeJs).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn python_may_return_six_mebibytes_and_print_one() {
    as_much_as_the_cloud_takes(Runtime::Python).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bound_on_output_of_a_nodejs_function_can_be_set() {
    let settings = CodeSettings { max_output: Some(5000), ..settings(Runtime::NodeJs) };
    let target = Target::function(&settings, &host());
    let (_, recorder) = run(&target, "prints-a-megabyte").await;
    assert_eq!(recorder.lines(Stream::Stdout).len(), 4);
    let notes = recorder.lines(Stream::System);
    assert_eq!(notes[1], "the output is cut here: 5000 bytes of a run's output are kept");
    target.shutdown().await;
}

/// The run is over when the handler has returned; what comes later is the worker's affair.
#[tokio::test(flavor = "multi_thread")]
async fn a_rejection_after_the_return_costs_the_nodejs_worker_and_no_run() {
    let target = Target::function(&settings(Runtime::NodeJs), &host());
    let (outcome, recorder) = run(&target, "rejects-later").await;
    assert_eq!(outcome.status, Status::Succeeded);
    let pid = outcome.result.unwrap().to_string();
    eventually("the worker's death", || (!is_alive(&pid)).then_some(()));
    assert!(!recorder.all().iter().any(|line| line.contains("too late")), "{:?}", recorder.all());
    assert!(recorder.all().last().unwrap().starts_with("Report "));
    let (outcome, _) = run(&target, "pid").await;
    assert_eq!(outcome.status, Status::Succeeded);
    assert_ne!(outcome.result.unwrap().to_string(), pid);
    target.shutdown().await;
}

/// A call of `act` in a task of its own.
fn start(target: &Target, act: &'static str) -> (tokio::task::JoinHandle<Status>, Recorder) {
    let (target, recorder) = (target.clone(), Recorder::new());
    let context = recorder.context.clone();
    (tokio::spawn(async move { target.run(&fire(act), &context).await.status }), recorder)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_nodejs_call_beyond_its_concurrency_waits_and_says_so() {
    let settings = CodeSettings { concurrency: 1, ..settings(Runtime::NodeJs) };
    let target = Target::function(&settings, &host());
    let (first, hanging) = start(&target, "hangs");
    hanging.wait_for("hanging ").await;
    let (second, waiting) = start(&target, "returns");
    let note = "waits: `concurrency` is 1, and as many calls are under way";
    waiting.wait_for_note(note).await;
    let (third, given_up) = start(&target, "returns");
    given_up.wait_for_note(note).await;
    // Who waits can be told to stop, and has begun nothing.
    given_up.context.abort.cancel();
    assert_eq!(third.await.unwrap(), Status::Interrupted);
    assert!(!second.is_finished());
    hanging.context.abort.cancel();
    assert_eq!(first.await.unwrap(), Status::Interrupted);
    assert_eq!(second.await.unwrap(), Status::Succeeded);
    let lines = waiting.lines(Stream::System);
    assert_eq!(lines[1], note);
    assert!(lines[2].starts_with("waited ") && lines[2].ends_with(" ms"), "{lines:?}");
    target.shutdown().await;
}
