//! What the tests of targets share: a fire, a place for its output, a look into `/proc`.

use std::fs;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::DateTime;
use gulou::clock::Clock;
use gulou::run::{Fire, Outcome, Output, Progress, Reason, RunContext, Status, Stream};
use gulou::settings::{CodeSettings, Runtime, Secret, Variables};
use gulou::target::{Host, Target};
use serde_json::Value;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::support::{PATIENCE, repository};

/// A timeout that no test is meant to reach.
pub(crate) const LONG: Duration = Duration::from_secs(600);

/// A fire of `notice/daily` with `argument`.
pub(crate) fn fire(argument: &str) -> Fire {
    Fire {
        request_id: "0f2cd6a5-5d2e-4c8e-9f35-0a57f5a1c9de".to_owned(),
        function: "notice".to_owned(),
        trigger: "daily".to_owned(),
        fire_time: DateTime::from_timestamp(1_591_875_815, 0).unwrap(),
        reason: Reason::Timed,
        attempt: 1,
        missed: 0,
        argument: argument.to_owned(),
        event_type: "timer".to_owned(),
        app_id: Some("wxda99".to_owned()),
        own_event: None,
    }
}

pub(crate) fn host() -> Host {
    Host::new(Clock::system())
}

pub(crate) fn env(pairs: &[(&str, &str)]) -> Variables {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), Secret::new((*value).to_owned()))).collect()
}

/// A function of `tests/fixtures/functions`, with the handler that its language has if it names none.
pub(crate) fn code(runtime: Runtime, folder: &str) -> CodeSettings {
    let handler = match runtime {
        Runtime::NodeJs => "index.main",
        Runtime::Python => "index.main_handler",
    };
    CodeSettings {
        runtime,
        dir: repository().join("tests/fixtures/functions").join(folder),
        handler: handler.to_owned(),
        timeout: LONG,
        memory_mb: 256,
        concurrency: 64,
        max_output: None,
        env: env(&[]),
    }
}

/// What a run that succeeded returned.
#[track_caller]
pub(crate) fn result(outcome: &Outcome) -> &Value {
    assert_eq!(outcome.status, Status::Succeeded, "{outcome:?}");
    outcome.result.as_ref().unwrap()
}

/// A run's lines as they come.
#[derive(Clone)]
pub(crate) struct Recorder {
    lines: Arc<Mutex<Vec<(Stream, String)>>>,
    count: Arc<watch::Sender<usize>>,
    pub(crate) context: RunContext,
}

impl Recorder {
    pub(crate) fn new() -> Self {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let count = Arc::new(watch::Sender::new(0));
        let (to, counter) = (lines.clone(), count.clone());
        let output = Output::new(move |stream, line| {
            to.lock().unwrap().push((stream, line));
            counter.send_modify(|count| *count += 1);
        });
        let (drain, abort) = (CancellationToken::new(), CancellationToken::new());
        Self { lines, count, context: RunContext { output, progress: Progress::default(), drain, abort } }
    }

    /// The lines of one stream.
    pub(crate) fn lines(&self, stream: Stream) -> Vec<String> {
        let lines = self.lines.lock().unwrap();
        lines.iter().filter(|(of, _)| *of == stream).map(|(_, line)| line.clone()).collect()
    }

    /// Every line, in order.
    pub(crate) fn all(&self) -> Vec<String> {
        self.lines.lock().unwrap().iter().map(|(_, line)| line.clone()).collect()
    }

    /// Waits for a line of standard output that starts with `prefix`, and answers the rest of it.
    pub(crate) async fn wait_for(&self, prefix: &str) -> String {
        self.wait_on(Stream::Stdout, prefix).await
    }

    /// Waits for a remark of ours that starts with `prefix`.
    pub(crate) async fn wait_for_note(&self, prefix: &str) {
        self.wait_on(Stream::System, prefix).await;
    }

    async fn wait_on(&self, stream: Stream, prefix: &str) -> String {
        let mut count = self.count.subscribe();
        let found = async {
            loop {
                let lines = self.lines(stream);
                if let Some(rest) = lines.iter().find_map(|line| line.strip_prefix(prefix)) {
                    return rest.to_owned();
                }
                count.changed().await.unwrap();
            }
        };
        let found = tokio::time::timeout(PATIENCE, found).await;
        found.unwrap_or_else(|_| panic!("no line {prefix:?} in {:#?}", self.all()))
    }
}

/// Runs `target` once to its end.
pub(crate) async fn run(target: &Target, argument: &str) -> (Outcome, Recorder) {
    let recorder = Recorder::new();
    let outcome = target.run(&fire(argument), &recorder.context).await;
    (outcome, recorder)
}

/// Whether a process with this number runs; a dead one that nobody reaped yet does not.
pub(crate) fn is_alive(pid: &str) -> bool {
    let pid = pid.trim();
    assert!(pid.parse::<u32>().is_ok(), "{pid:?} is no process number");
    let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { return false };
    !stat.rsplit(')').next().unwrap().trim_start().starts_with('Z')
}
