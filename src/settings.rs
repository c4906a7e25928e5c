//! What a valid configuration says, as plain data.
//!
//! `config` produces these; each part of the program is handed only its own. No logic, no I/O, no
//! serde: the file format is `config`'s business. All paths are absolute or relative to the
//! working directory of the process, already joined with the folder of the file that named them.

mod alerts;
mod bounces;
mod dkim;
mod export;
mod fetch;
mod http;
mod mail;
mod programs;
mod quota;
mod retry;
mod secret;
mod sql;
mod transport;
mod wechat;

use std::collections::BTreeMap;
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::schedule::Schedule;

pub use alerts::AlertSettings;
pub use bounces::{BouncesSettings, SoftBounces};
pub use dkim::{DkimKey, DkimSettings, PrivateKey};
pub use export::{ExportFormat, ExportSettings, ROWS_A_SHEET};
pub use fetch::{FetchSettings, FollowSettings, Pick, SaveSettings};
pub use http::{
    HttpBody, HttpHeader, HttpSettings, HttpSuccess, HttpUrl, JsonRule, WecomKind, WecomRobotSettings,
};
pub use mail::{AttachedFile, AttachmentSettings, MOST_ENCLOSED, MailExtras, MailSettings};
pub use programs::{CodeSettings, CommandSettings, ResourceLimits, Runtime, UserSettings, Variables};
pub use quota::QuotaSettings;
pub use retry::{RetryOn, RetryPolicy};
pub use secret::Secret;
pub use sql::{BackupSettings, SqlPages, SqlSettings, SqlStatement, SqlWork};
pub use transport::{
    DomainLimits, LoginProof, MailRoute, MailTransportSettings, PasswordMethod, SmtpLogin, SmtpSecurity,
    SmtpServerSettings, SmtpSettings,
};
pub use wechat::{WechatAccountSettings, WechatKind, WechatSettings, WechatValue};

/// The whole daemon.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Where the state is.
    pub state: StateSettings,
    /// The socket of the daemon's API.
    pub socket: PathBuf,
    /// Name, kind and place of the databases that batches, `sql` and `fetch` use.
    pub databases: BTreeMap<String, DatabaseSettings>,
    /// Name and transport of each `mail` entry.
    pub mail: BTreeMap<String, MailTransportSettings>,
    /// Name and account of each `wechat` entry.
    pub wechat: BTreeMap<String, WechatAccountSettings>,
    /// What every event carries.
    pub event: EventSettings,
    /// How long history is kept.
    pub history: HistorySettings,
    /// Runs in flight for the whole daemon; 1000 unless configured.
    pub max_runs: usize,
    /// Runs of one function that may wait for room; 1000 unless configured.
    pub max_waiting: usize,
    /// How long a drain waits for running work before it kills; 60 s unless configured.
    pub drain_timeout: Duration,
    /// The function folders, sorted by name.
    pub functions: Vec<FunctionSettings>,
}

/// Where a state is.
#[derive(Clone, Debug, PartialEq)]
pub enum StateSettings {
    /// In a SQLite file.
    Sqlite(PathBuf),
    /// On a PostgreSQL server.
    Postgres {
        /// The database.
        server: ServerSettings,
        /// The schema of the tables, which belongs to them alone.
        schema: String,
    },
}

/// What every event carries.
#[derive(Clone, Debug, PartialEq)]
pub struct EventSettings {
    /// `userInfo.appId`.
    pub app_id: Option<String>,
    /// `Type`: `timer`, or `Timer` for functions written for the other spelling.
    pub event_type: String,
}

/// How long finished runs and their output are kept. The first bound that is passed prunes.
#[derive(Clone, Debug, PartialEq)]
pub struct HistorySettings {
    /// By age.
    pub keep: Duration,
    /// By count.
    pub keep_runs: u32,
    /// Bytes of output of all runs together, about; the output of the oldest goes first.
    pub keep_output: u64,
}

/// A database that batches read and mark.
#[derive(Clone, Debug, PartialEq)]
pub enum DatabaseSettings {
    /// A file.
    Sqlite(SqliteSettings),
    /// A server that speaks PostgreSQL's protocol.
    Postgres(ServerSettings),
    /// A server that speaks MySQL's protocol: MySQL or MariaDB.
    MySql(ServerSettings),
}

/// A SQLite file.
#[derive(Clone, Debug, PartialEq)]
pub struct SqliteSettings {
    /// The file.
    pub path: PathBuf,
    /// An SQL script that makes the file when it does not exist yet.
    pub create_with: Option<PathBuf>,
}

/// A database on a server.
#[derive(Clone, Debug, PartialEq)]
pub struct ServerSettings {
    /// Name or address.
    pub host: String,
    /// The protocol's own unless given.
    pub port: u16,
    /// Who logs in.
    pub user: String,
    /// With what.
    pub password: Option<Secret>,
    /// The database's name on the server.
    pub database: String,
    /// How the connection is kept from others.
    pub tls: TlsMode,
}

/// How a connection is kept from others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TlsMode {
    /// It is not: the default towards this machine itself.
    Off,
    /// Encrypted, and the server proves that it is the one that was asked for: the default elsewhere.
    Verify {
        /// Certificates to trust, in a PEM file; none: those that the system trusts.
        ca: Option<PathBuf>,
    },
    /// Encrypted to whoever answers.
    Unverified,
}

/// A function folder.
#[derive(Clone, Debug, PartialEq)]
pub struct FunctionSettings {
    /// The folder's name.
    pub name: String,
    /// The folder.
    pub dir: PathBuf,
    /// Its triggers, in the order of the file.
    pub triggers: Arc<[TriggerSettings]>,
    /// What happens when a fire finds the function still running.
    pub overlap: Overlap,
    /// Runs of it at a time; more wait. None: as many as the daemon has.
    pub max_runs: Option<NonZeroUsize>,
    /// What happens to a run that a crash of the daemon cut off. Batches always resume.
    pub on_interrupted: OnInterrupted,
    /// Who is told of what goes wrong.
    pub alerts: Option<Arc<AlertSettings>>,
    /// When a run that failed is tried again; none: it is not. Never of a batch.
    pub retry: Option<Arc<RetryPolicy>>,
    /// What a fire runs.
    pub target: TargetSettings,
}

/// A timer trigger.
#[derive(Clone, Debug, PartialEq)]
pub struct TriggerSettings {
    /// Unique within the function; at most 60 of `a-z A-Z 0-9 - _`, starting with a letter.
    pub name: Box<str>,
    /// When it fires.
    pub schedule: Schedule,
    /// The text of `config`, as written.
    pub expression: Box<str>,
    /// Becomes the event's `Message`; at most 4 KB.
    pub argument: Box<str>,
    /// A disabled trigger is listed, and never fires.
    pub enabled: bool,
    /// How it fires; shared by the triggers that say the same.
    pub rules: Arc<FireRules>,
}

/// How a trigger fires.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FireRules {
    /// What happens to fire times that were missed.
    pub misfire: Misfire,
    /// A fire that cannot start within this is a misfire; 60 s unless configured.
    pub start_within: Duration,
    /// Every fire is put off by 0 to this much, the same for the same trigger and fire time.
    pub jitter: Duration,
    /// Missed fire times older than this are never caught up; 1 h unless configured.
    pub catch_up: Duration,
}

/// What happens to fire times that could not start in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Misfire {
    /// They are recorded as skipped.
    Skip,
    /// One run for all, with the newest fire time.
    Once,
    /// Each, oldest first, at most 1000.
    All,
}

/// What happens when a fire finds the function still running.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overlap {
    /// Both run.
    Allow,
    /// The new one waits, at most this many; more are skipped.
    Queue(u32),
    /// The new one is skipped.
    Skip,
    /// The old one is stopped first.
    Replace,
}

/// What happens to a run that a crash of the daemon cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnInterrupted {
    /// It is recorded as interrupted.
    Fail,
    /// It runs again.
    Rerun,
}

/// What a fire runs.
#[derive(Clone, Debug, PartialEq)]
pub enum TargetSettings {
    /// Code with a handler.
    Function(CodeSettings),
    /// A program.
    Command(CommandSettings),
    /// An HTTP request.
    Http(Box<HttpSettings>),
    /// Statements, or a copy of a database.
    Sql(Box<SqlSettings>),
    /// A page that is looked at.
    Fetch(Box<FetchSettings>),
    /// Mails that came back.
    Bounces(Box<BouncesSettings>),
    /// Rows of a table.
    Batch(Box<BatchSettings>),
}

/// A batch: `source → page → reserve → deliver → record → mark`.
#[derive(Clone, Debug, PartialEq)]
pub struct BatchSettings {
    /// Names the batch in the ledger; must stay the same for as long as the batch lives.
    pub id: String,
    /// The rows.
    pub source: SourceSettings,
    /// What is done with each row, or with all of them.
    pub action: ActionSettings,
    /// How delivered rows are marked; none: each row once per fire.
    pub mark: Option<MarkSettings>,
    /// Pages a run.
    pub pages: Pages,
    /// Rows in delivery at a time; 16 unless configured.
    pub concurrency: usize,
    /// Rows reserved ahead of what is recorded; 256 unless configured.
    pub window: usize,
    /// Upper bound of deliveries.
    pub rate: Option<Rate>,
    /// Upper bound within any span of time, through restarts.
    pub quota: Option<QuotaSettings>,
    /// What happens to rows that a crash left reserved but unrecorded.
    pub on_uncertain: OnUncertain,
    /// The run stops after this long, at a checkpoint.
    pub time_limit: Option<Duration>,
    /// How long a run waits while nobody is there to take deliveries; 5 min unless configured.
    pub patience: Duration,
    /// When so many rows fail, or none could go out, the run stops and the function is paused; none: it is never paused.
    pub pause_on_errors: Option<ErrorLimit>,
}

/// How many rows may fail before a batch is paused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ErrorLimit {
    /// So many of a hundred are too many; 50 unless configured.
    pub percent: u32,
    /// Of so many rows, the last that were sent or failed; 200 unless configured.
    pub of_last: usize,
}

/// Where the rows of a batch come from.
#[derive(Clone, Debug, PartialEq)]
pub struct SourceSettings {
    /// A name in [`Settings::databases`].
    pub database: String,
    /// A table with a `where`, or a query.
    pub relation: Relation,
    /// The columns that pages are cut by: together unique, and never null. Empty only for a digest.
    pub key: Vec<String>,
    /// The columns a row has. Empty: all of them.
    pub columns: Vec<String>,
    /// Deliverable rows a page; 1000 unless configured.
    pub page: u32,
}

/// A table with a condition, or a query of the user's own.
#[derive(Clone, Debug, PartialEq)]
pub enum Relation {
    /// Rows of a table that match.
    Table {
        /// The table or view.
        name: String,
        /// SQL condition; may use `:fire_time`, `:now` and their `_local` and `_unix` forms.
        filter: Option<String>,
    },
    /// A `SELECT`; may use the same parameters.
    Query(String),
}

/// What a batch does.
#[derive(Clone, Debug, PartialEq)]
pub enum ActionSettings {
    /// A mail a row.
    Mail(MailSettings),
    /// An HTTP request a row.
    Http(Box<HttpSettings>),
    /// A message to a WeCom group a row.
    WecomRobot(WecomRobotSettings),
    /// A message to a user of WeChat a row.
    Wechat(Box<WechatSettings>),
    /// One mail for all rows of the run, with `rows` in its templates.
    Digest {
        /// The mail.
        mail: MailSettings,
        /// More rows than this fail the run; 1000 unless configured.
        max_rows: u32,
    },
    /// One file for all rows of the run.
    Export(Box<ExportSettings>),
}

/// A template and where it was written, for error messages.
#[derive(Clone, Debug, PartialEq)]
pub struct TemplateSource {
    /// The file, or the JSON path of the inline text.
    pub origin: String,
    /// The template.
    pub text: String,
}

/// How rows are marked in the source.
#[derive(Clone, Debug, PartialEq)]
pub struct MarkSettings {
    /// Columns of a delivered row.
    pub sent: Vec<(String, MarkValue)>,
    /// Columns of a row that failed for good; none: `"keep"`, the row stays in the ledger alone.
    pub failed: Option<Vec<(String, MarkValue)>>,
}

/// What a mark writes into a column.
#[derive(Clone, Debug, PartialEq)]
pub enum MarkValue {
    /// A JSON scalar.
    Literal(Value),
    /// `":now"`, `":fire_time"` and their `_local` and `_unix` forms, or `":error"`.
    Parameter(String),
}

/// Pages a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pages {
    /// This many.
    Count(NonZeroU32),
    /// Until the sweep ends.
    All,
}

/// Deliveries per second, minute or hour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many.
    pub count: NonZeroU32,
    /// In how long.
    pub per: Duration,
}

/// What happens to rows that a crash left reserved but unrecorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnUncertain {
    /// They wait for an operator.
    Hold,
    /// They are delivered again.
    Resend,
}
