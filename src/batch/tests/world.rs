//! A table, a state and an action that writes down what it is asked to deliver.

use std::collections::BTreeMap;
use std::future::pending;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use rusqlite::Connection;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::Fuse;
use crate::action::{Delivery, Outcome};
use crate::batch::{Batch, Deliver, Line};
use crate::clock::Clock;
use crate::db::{Access, Database};
use crate::run::{self, Fire, Output, Progress, Reason, Row, RunContext, Scalar};
use crate::settings::{
    ActionSettings, BatchSettings, DatabaseSettings, ErrorLimit, MailExtras, MailSettings, MarkSettings,
    MarkValue, OnUncertain, Pages, QuotaSettings, Relation, SourceSettings, SqliteSettings,
};
use crate::store::{Store, StoreError};

/// What the action answers for a row's email; `sent` for any that is not scripted.
type Script = Box<dyn Fn(&str) -> Answer + Send + Sync>;

/// Whether the turn of a row's email never comes.
type Kept = Box<dyn Fn(&str) -> bool + Send + Sync>;

#[derive(Clone, Debug)]
pub(super) enum Answer {
    Give(Outcome),
    /// The other side takes the row and never answers.
    Silent,
}

pub(super) fn sent() -> Answer {
    Answer::Give(Outcome::Sent { detail: "250 ok".to_owned() })
}

pub(super) fn retry() -> Answer {
    Answer::Give(Outcome::Retry { reason: "451 busy".to_owned() })
}

pub(super) fn failed() -> Answer {
    Answer::Give(Outcome::Failed { reason: "550 no such user".to_owned() })
}

pub(super) fn uncertain() -> Answer {
    Answer::Give(Outcome::Uncertain { reason: "dropped at the end".to_owned() })
}

pub(super) fn unreachable() -> Answer {
    Answer::Give(Outcome::Unreachable { reason: "nobody listens".to_owned() })
}

pub(super) fn halt() -> Answer {
    Answer::Give(Outcome::Halt { reason: "530 log in first".to_owned() })
}

/// The other side: what it took, by email.
#[derive(Default)]
pub(super) struct Post {
    script: Mutex<Option<Script>>,
    taken: Mutex<Vec<(String, String)>>,
    fuse: Mutex<Fuse>,
    quota: Mutex<Option<QuotaSettings>>,
    kept_waiting: Mutex<Option<Kept>>,
}

impl std::fmt::Debug for Post {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Post")
    }
}

impl Post {
    /// Answers by email from now on.
    pub(super) fn answers(&self, script: impl Fn(&str) -> Answer + Send + Sync + 'static) {
        *self.script.lock().unwrap() = Some(Box::new(script));
    }

    /// Emails whose turn does not come from now on.
    pub(super) fn keeps_waiting(&self, kept: impl Fn(&str) -> bool + Send + Sync + 'static) {
        *self.kept_waiting.lock().unwrap() = Some(Box::new(kept));
    }

    /// The other side keeps a quota of this name.
    pub(super) fn is_of(&self, quota: &str) {
        let quota = QuotaSettings { name: quota.to_owned(), limits: Vec::new() };
        *self.quota.lock().unwrap() = Some(quota);
    }

    /// Emails in the order they were taken.
    pub(super) fn taken(&self) -> Vec<String> {
        self.taken.lock().unwrap().iter().map(|(email, _)| email.clone()).collect()
    }

    /// Reservation ids in the same order.
    pub(super) fn reservations(&self) -> Vec<String> {
        self.taken.lock().unwrap().iter().map(|(_, reservation)| reservation.clone()).collect()
    }

    /// How often each email was taken.
    pub(super) fn counts(&self) -> BTreeMap<String, u32> {
        let mut counts = BTreeMap::new();
        for email in self.taken() {
            *counts.entry(email).or_default() += 1;
        }
        counts
    }
}

#[derive(Clone, Debug)]
pub(super) struct Recorder(Arc<Post>);

impl Recorder {
    pub(super) fn new(post: &Arc<Post>) -> Self {
        Self(Arc::clone(post))
    }
}

#[derive(Debug)]
pub(super) struct Letter {
    email: String,
    reservation: String,
}

impl Deliver for Recorder {
    type Rendered = Letter;
    type Turn = ();

    async fn render(&self, delivery: &Delivery<'_>) -> Result<Letter, Outcome> {
        let Some(Scalar::Text(email)) = delivery.row.get("email") else {
            return Err(Outcome::Failed { reason: "no email".to_owned() });
        };
        Ok(Letter { email: email.clone(), reservation: delivery.reservation.to_owned() })
    }

    async fn render_digest(&self, delivery: &Delivery<'_>, rows: &[Row]) -> Result<Letter, Outcome> {
        let emails = rows.iter().filter_map(|row| match row.get("email") {
            Some(Scalar::Text(email)) => Some(email.as_str()),
            _ => None,
        });
        let email = emails.collect::<Vec<_>>().join("+");
        Ok(Letter { email, reservation: delivery.reservation.to_owned() })
    }

    async fn turn(&self, letter: &Letter) {
        let waits = self.0.kept_waiting.lock().unwrap().as_ref().is_some_and(|kept| kept(&letter.email));
        if waits {
            pending::<()>().await;
        }
    }

    async fn deliver(&self, (): (), letter: &Letter) -> Outcome {
        let fuse = self.0.fuse.lock().unwrap().clone();
        fuse.burn().await;
        let answer = match &*self.0.script.lock().unwrap() {
            Some(script) => script(&letter.email),
            None => sent(),
        };
        let silent = matches!(answer, Answer::Silent);
        let outcome = match answer {
            Answer::Give(outcome) => outcome,
            Answer::Silent => Outcome::Sent { detail: String::new() },
        };
        if matches!(outcome, Outcome::Sent { .. } | Outcome::Uncertain { .. }) {
            self.0.taken.lock().unwrap().push((letter.email.clone(), letter.reservation.clone()));
        }
        if silent {
            return pending().await;
        }
        tokio::task::yield_now().await;
        outcome
    }

    fn quota(&self) -> Option<QuotaSettings> {
        self.0.quota.lock().unwrap().clone()
    }

    fn show(&self, letter: &Letter) -> Vec<String> {
        vec![format!("To: {}", letter.email)]
    }
}

/// A table `users` with a flag, and all that a batch over it needs.
pub(super) struct World {
    dir: TempDir,
    pub(super) settings: BatchSettings,
    pub(super) post: Arc<Post>,
    pub(super) clock: Clock,
    pub(super) fuse: Fuse,
    fires: i64,
}

pub(super) fn start_of_time() -> DateTime<Utc> {
    DateTime::from_timestamp(1_780_275_600, 0).unwrap()
}

impl World {
    /// `rows` users `1@x` and so on, with keys 1 and so on, not sent to.
    pub(super) fn new(rows: u32) -> Self {
        // Nothing here outlives the process, so no disk need spin for it.
        let memory = Path::new("/dev/shm");
        let dir = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap();
        let world = Self {
            settings: settings(),
            post: Arc::default(),
            clock: Clock::manual(start_of_time()),
            fuse: Fuse::default(),
            fires: 0,
            dir,
        };
        world.sql(
            "PRAGMA journal_mode = WAL;
             CREATE TABLE users (id INTEGER PRIMARY KEY, email TEXT, status BOOLEAN NOT NULL DEFAULT false,
                                 sent_at TEXT, error TEXT, due INTEGER NOT NULL DEFAULT 0)",
        );
        world.add(1, rows);
        world
    }

    /// Users with these keys.
    pub(super) fn add(&self, first: u32, last: u32) {
        self.sql(&format!(
            "WITH RECURSIVE n(i) AS (SELECT {first} UNION ALL SELECT i + 1 FROM n WHERE i < {last})
             INSERT INTO users (id, email) SELECT i, i || '@x' FROM n WHERE i <= {last}"
        ));
    }

    pub(super) fn database(&self) -> PathBuf {
        self.dir.path().join("users.db")
    }

    pub(super) fn source(&self) -> DatabaseSettings {
        DatabaseSettings::Sqlite(SqliteSettings { path: self.database(), create_with: None })
    }

    pub(super) fn state(&self) -> PathBuf {
        self.dir.path().join("gulou.db")
    }

    /// Runs a script in the source.
    pub(super) fn sql(&self, script: &str) {
        Connection::open(self.database()).unwrap().execute_batch(script).unwrap();
    }

    /// Runs a script in the state.
    pub(super) fn state_sql(&self, script: &str) {
        let state = Connection::open(self.state()).unwrap();
        state.busy_timeout(Duration::from_secs(10)).unwrap();
        state.execute_batch(script).unwrap();
    }

    /// Keys of rows that match `condition`.
    pub(super) fn keys(&self, condition: &str) -> Vec<i64> {
        let connection = Connection::open(self.database()).unwrap();
        let mut statement =
            connection.prepare(&format!("SELECT id FROM users WHERE {condition} ORDER BY id")).unwrap();
        let keys = statement.query_map([], |row| row.get(0)).unwrap();
        keys.map(Result::unwrap).collect()
    }

    /// What the ledger holds: key → state.
    pub(super) fn ledger(&self) -> BTreeMap<String, String> {
        let connection = Connection::open(self.state()).unwrap();
        let mut statement = connection.prepare("SELECT key, state FROM ledger_entry").unwrap();
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        rows.map(Result::unwrap).collect()
    }

    /// States of all entries that the ledger holds, of whatever fire.
    pub(super) fn states(&self) -> Vec<String> {
        let connection = Connection::open(self.state()).unwrap();
        let mut statement = connection.prepare("SELECT state FROM ledger_entry").unwrap();
        let states = statement.query_map([], |row| row.get(0)).unwrap();
        states.map(Result::unwrap).collect()
    }

    /// A fire a second after the last one.
    pub(super) fn next_fire(&mut self) -> Fire {
        self.fires += 1;
        fire(start_of_time() + TimeDelta::seconds(self.fires), Reason::Timed)
    }

    /// Why the settings are refused.
    pub(super) fn refused(&self) -> String {
        let store = Store::open(&self.state()).unwrap();
        let database = Database::new(&self.source(), Access::Full).unwrap();
        let action = Recorder::new(&self.post);
        let zone = Tz::Asia__Shanghai;
        let made = Batch::new(&self.settings, database, action, store, self.clock.clone(), zone);
        made.unwrap_err().to_string()
    }

    /// A daemon: the state is locked while it lives.
    pub(super) async fn start(&self) -> Daemon {
        let [daemon] = self.start_versions().await;
        daemon
    }

    /// Versions of the batch in one daemon.
    pub(super) async fn start_versions<const N: usize>(&self) -> [Daemon; N] {
        let store = loop {
            match Store::open(&self.state()) {
                // Workers of a run that was cut off are still being dropped.
                Err(StoreError::Locked { .. }) => tokio::task::yield_now().await,
                opened => break opened.unwrap(),
            }
        };
        *self.post.fuse.lock().unwrap() = self.fuse.clone();
        let line = Line::default();
        std::array::from_fn(|_| {
            let database = Database::new(&self.source(), Access::Full).unwrap();
            let (action, store) = (Recorder(Arc::clone(&self.post)), store.clone());
            let zone = Tz::Asia__Shanghai;
            let batch = Batch::new(&self.settings, database, action, store, self.clock.clone(), zone);
            let mut batch = batch.unwrap().in_line(line.clone());
            batch.set_fuse(&self.fuse);
            Daemon { batch }
        })
    }

    /// Starts, runs once for a new fire, and stops.
    pub(super) async fn run(&mut self) -> run::Outcome {
        let fire = self.next_fire();
        self.start().await.run(&fire).await
    }
}

pub(super) struct Daemon {
    pub(super) batch: Batch<Recorder>,
}

impl Daemon {
    pub(super) async fn run(&self, fire: &Fire) -> run::Outcome {
        self.batch.run(fire, &context()).await
    }
}

pub(super) fn context() -> RunContext {
    RunContext {
        output: Output::discard(),
        progress: Progress::default(),
        drain: CancellationToken::new(),
        abort: CancellationToken::new(),
    }
}

pub(super) fn fire(fire_time: DateTime<Utc>, reason: Reason) -> Fire {
    Fire {
        request_id: "r".to_owned(),
        function: "mass-mail".to_owned(),
        trigger: "t".to_owned(),
        fire_time,
        reason,
        attempt: 1,
        missed: 0,
        argument: String::new(),
        event_type: "timer".to_owned(),
        app_id: None,
        own_event: None,
    }
}

fn settings() -> BatchSettings {
    BatchSettings {
        id: "mass-mail".to_owned(),
        source: SourceSettings {
            database: "main".to_owned(),
            relation: Relation::Table {
                name: "users".to_owned(),
                filter: Some("status = false -- open".to_owned()),
            },
            key: vec!["id".to_owned()],
            columns: vec!["id".to_owned(), "email".to_owned()],
            page: 10,
        },
        action: ActionSettings::Mail(mail()),
        mark: Some(MarkSettings {
            sent: vec![
                ("status".to_owned(), MarkValue::Literal(json!(true))),
                ("sent_at".to_owned(), MarkValue::Parameter(":now".to_owned())),
            ],
            failed: None,
        }),
        pages: Pages::Count(NonZeroU32::MIN),
        concurrency: 3,
        window: 4,
        rate: None,
        quota: None,
        on_uncertain: OnUncertain::Hold,
        time_limit: None,
        patience: Duration::from_secs(300),
        pause_on_errors: Some(ErrorLimit { percent: 50, of_last: 200 }),
    }
}

pub(super) fn mail() -> MailSettings {
    MailSettings {
        via: "outbox".to_owned(),
        from: None,
        to: "{{ email }}".to_owned(),
        reply_to: None,
        subject: String::new(),
        text: None,
        html: None,
        list_unsubscribe: None,
        extras: MailExtras::default(),
    }
}

/// Waits until the ledger in `state` has the row `key` reserved. Blocks.
pub(super) fn wait_until_reserved(state: &Path, key: &str) {
    let connection = Connection::open(state).unwrap();
    let mut reserved =
        connection.prepare("SELECT 1 FROM ledger_entry WHERE key = ?1 AND state = 'reserved'").unwrap();
    let clock = Clock::system();
    while !reserved.exists([key]).unwrap() {
        assert!(clock.monotonic() < Duration::from_secs(60), "{key} is not reserved");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// The counts of an account, those that are not zero.
pub(super) fn counts(outcome: &run::Outcome) -> Vec<(String, u64)> {
    let Some(Value::Object(account)) = &outcome.result else { panic!("no account: {outcome:?}") };
    let count = |name: &str| account[name].as_u64().unwrap_or_default();
    let parts = ["sent", "failed", "held", "retrying", "uncertain", "vanished"];
    assert_eq!(parts.iter().map(|name| count(name)).sum::<u64>(), count("selected"), "{account:?}");
    parts.iter().map(|name| ((*name).to_owned(), count(name))).filter(|(_, count)| *count > 0).collect()
}

/// The same, as text: `sent 10, failed 1`.
pub(super) fn account(outcome: &run::Outcome) -> String {
    let counts = counts(outcome);
    counts.iter().map(|(name, count)| format!("{name} {count}")).collect::<Vec<_>>().join(", ")
}
