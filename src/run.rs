//! A fire, its run and its outcome: the words that engine, targets, batches and store share.

mod progress;

use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;

pub use self::progress::{Counts, HowFar, Progress};

/// Why a run happens. Every run carries its reason; all reasons take the same path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The schedule said so.
    Timed,
    /// A fire time that was missed while the daemon was down, and is caught up.
    CatchUp,
    /// Somebody asked for it.
    Manual,
    /// A later attempt of a run that failed.
    Retry,
    /// The rest of a batch run that a stop or a crash cut off.
    Resume,
}

impl Reason {
    /// The word that the store, the event context and the log use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Timed => "timed",
            Self::CatchUp => "catch-up",
            Self::Manual => "manual",
            Self::Retry => "retry",
            Self::Resume => "resume",
        }
    }

    /// The schedule asked for it: one run a fire time.
    pub const fn is_scheduled(self) -> bool {
        matches!(self, Self::Timed | Self::CatchUp)
    }

    /// The reason that `word` names.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Timed, Self::CatchUp, Self::Manual, Self::Retry, Self::Resume]
            .into_iter()
            .find(|reason| reason.as_str() == word)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One fire of a trigger, as its target sees it.
#[derive(Clone, Debug)]
pub struct Fire {
    /// Unique for each run, the same for all its attempts as in the cloud; a UUID in its usual spelling.
    pub request_id: String,
    /// The function (folder) name.
    pub function: String,
    /// The trigger's name within the function.
    pub trigger: String,
    /// When the fire was due; whole seconds.
    pub fire_time: DateTime<Utc>,
    /// Why this run happens.
    pub reason: Reason,
    /// 1 for the first attempt.
    pub attempt: u32,
    /// How many missed fire times this run stands for (misfire `once`), 0 otherwise.
    pub missed: u32,
    /// The trigger's `argument`, at most 4 KB.
    pub argument: String,
    /// `Type` of the event: `timer`, or what the daemon config says.
    pub event_type: String,
    /// `userInfo.appId` of the event.
    pub app_id: Option<String>,
    /// In the place of a timer's event, when somebody fired by hand with one of their own.
    pub own_event: Option<Arc<Value>>,
}

impl Fire {
    /// The event that a function receives, in the shape of WeChat's cloud, or whatever it was fired with.
    pub fn event(&self) -> Value {
        if let Some(event) = &self.own_event {
            return Value::clone(event);
        }
        let user_info = self.app_id.as_ref().map_or_else(|| json!({}), |id| json!({ "appId": id }));
        json!({
            "Message": self.argument,
            "Time": self.fire_time.format("%Y-%m-%dT%H:%M:%SZ").to_string(),
            "TriggerName": self.trigger,
            "Type": self.event_type,
            "userInfo": user_info,
        })
    }

    /// What templates see of it, beside `fire_time` and `now`.
    pub fn values(&self) -> Map<String, Value> {
        let values = [
            ("event", self.event()),
            ("function", self.function.clone().into()),
            ("trigger", self.trigger.clone().into()),
            ("request_id", self.request_id.clone().into()),
            ("reason", self.reason.as_str().into()),
            ("attempt", self.attempt.into()),
            ("missed", self.missed.into()),
        ];
        values.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    /// `function/trigger`.
    pub fn full_name(&self) -> String {
        format!("{}/{}", self.function, self.trigger)
    }
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    /// The work is done.
    Succeeded,
    /// The work was tried and failed.
    Failed,
    /// The target did not end within its time and was killed.
    TimedOut,
    /// A stop, a replacement or a crash of the daemon cut the run off.
    Interrupted,
}

impl Status {
    /// The word that the store and the CLI use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::TimedOut => "timed-out",
            Self::Interrupted => "interrupted",
        }
    }
}

/// What a run came to.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// How it ended.
    pub status: Status,
    /// One line for people: the error of a failure, the summary of a success.
    pub message: Option<String>,
    /// What a function returned, or the account of a batch.
    pub result: Option<Value>,
    /// A success that found nothing to do; history folds repetitions of it.
    pub idle: bool,
    /// A failure that would repeat itself, or worse: the function is to be paused until somebody has seen to it.
    pub pause: bool,
}

impl Outcome {
    /// A success with an optional result.
    pub const fn succeeded(result: Option<Value>) -> Self {
        Self { status: Status::Succeeded, message: None, result, idle: false, pause: false }
    }

    /// A run that was cut off, with the one-line reason.
    pub fn interrupted(message: impl Into<String>) -> Self {
        Self { status: Status::Interrupted, ..Self::failed(message) }
    }

    /// A failure with its one-line reason.
    pub fn failed(message: impl Into<String>) -> Self {
        Self {
            status: Status::Failed,
            message: Some(message.into()),
            result: None,
            idle: false,
            pause: false,
        }
    }
}

/// Which stream a line of output came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// Gulou's own words: START, END, Report, progress, notes on cut output.
    System,
}

impl Stream {
    /// The word that the store uses.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
            Self::System => "system",
        }
    }
}

/// Where a run's lines of output go. Cheap to clone; may be called from any thread.
#[derive(Clone)]
pub struct Output(Arc<dyn Fn(Stream, String) + Send + Sync>);

impl Output {
    /// Hands every line to `sink`, without its line end.
    pub fn new(sink: impl Fn(Stream, String) + Send + Sync + 'static) -> Self {
        Self(Arc::new(sink))
    }

    /// Throws every line away.
    pub fn discard() -> Self {
        Self::new(|_, _| {})
    }

    /// One line of output.
    pub fn line(&self, stream: Stream, text: impl Into<String>) {
        (self.0)(stream, text.into());
    }
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Output")
    }
}

/// What a runner gets beside the fire.
#[derive(Clone, Debug)]
pub struct RunContext {
    /// Where the run's output goes.
    pub output: Output,
    /// Where a batch writes how far it is.
    pub progress: Progress,
    /// Fires when the daemon drains: batches stop at the next checkpoint and return
    /// [`Status::Interrupted`]; functions and commands ignore it and run to their end.
    pub drain: CancellationToken,
    /// Fires when this run must end now: a replacement, or a second signal.
    pub abort: CancellationToken,
}

/// A value of a row, in the few types that every database has.
#[derive(Clone, Debug, PartialEq)]
pub enum Scalar {
    /// SQL NULL.
    Null,
    /// A boolean, from databases that have one.
    Bool(bool),
    /// Any integer type.
    Int(i64),
    /// Any floating-point type.
    Float(f64),
    /// Text, decimals and timestamps in the database's own spelling.
    Text(String),
    /// A blob.
    Bytes(Vec<u8>),
}

/// A row: names shared by all rows of a page, and this row's values in the same order.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Column names, in the order of `values`.
    pub columns: Arc<[String]>,
    /// One value a column.
    pub values: Vec<Scalar>,
}

impl Row {
    /// The value of the column called `name`.
    pub fn get(&self, name: &str) -> Option<&Scalar> {
        let index = self.columns.iter().position(|column| column == name)?;
        self.values.get(index)
    }
}

/// What a fire would do, found without doing it.
#[derive(Clone, Debug)]
pub struct Preview {
    /// For people, one line each.
    pub lines: Vec<String>,
    /// The same for programs.
    pub data: Value,
    /// What would make the fire fail, if that is known already.
    pub problem: Option<String>,
}
