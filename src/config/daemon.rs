//! The daemon config: what is not about one function.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::decode::{Keys, Node};
use super::units::{duration, positive_duration, timezone};
use super::{alerts, database, state, transport, wechat};
use crate::settings::{
    AlertSettings, DatabaseSettings, EventSettings, FunctionSettings, HistorySettings, MailTransportSettings,
    Settings, StateSettings, WechatAccountSettings,
};

/// The zone of triggers that name none: the cloud's.
const DEFAULT_ZONE: &str = "Asia/Shanghai";

pub(super) const KEYS: Keys = Keys {
    known: &[
        "state",
        "socket",
        "triggers",
        "timezone",
        "app_id",
        "event_type",
        "databases",
        "mail",
        "wechat",
        "history",
        "alerts",
        "max_runs",
        "max_waiting",
        "drain_timeout",
    ],
    ignored: &["$schema"],
    later: &["server", "console", "api", "node", "secrets", "http", "wecom"],
};

/// The daemon config, read. What could not be read has its default, and an error was reported.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct DaemonConfig {
    pub state: StateSettings,
    /// None: see [`DaemonConfig::socket`].
    socket: Option<PathBuf>,
    /// Where its file is.
    pub folder: PathBuf,
    /// The folder of function folders, as the user would reach it.
    pub triggers: PathBuf,
    pub timezone: String,
    pub event: EventSettings,
    pub databases: BTreeMap<String, DatabaseSettings>,
    pub mail: BTreeMap<String, MailTransportSettings>,
    pub wechat: BTreeMap<String, WechatAccountSettings>,
    /// Names that the file has, right or wrong: a reference to a wrong entry is not an error of its own.
    /// None when the file could not be read.
    pub database_names: Option<Vec<String>>,
    pub mail_names: Option<Vec<String>>,
    pub wechat_names: Option<Vec<String>>,
    pub history: HistorySettings,
    /// Of functions that have none of their own.
    pub alerts: Option<Arc<AlertSettings>>,
    pub max_runs: usize,
    pub max_waiting: usize,
    pub drain_timeout: Duration,
}

impl DaemonConfig {
    /// What an empty file in `folder` says.
    pub fn defaults(folder: &Path) -> Self {
        Self {
            state: StateSettings::Sqlite(absolute(folder, "gulou.db")),
            socket: None,
            folder: folder.to_owned(),
            triggers: folder.join("triggers"),
            timezone: DEFAULT_ZONE.to_owned(),
            event: EventSettings { app_id: None, event_type: "timer".to_owned() },
            databases: BTreeMap::new(),
            mail: BTreeMap::new(),
            wechat: BTreeMap::new(),
            database_names: None,
            mail_names: None,
            wechat_names: None,
            history: HistorySettings {
                keep: Duration::from_secs(30 * 86_400),
                keep_runs: 100_000,
                keep_output: 1 << 30,
            },
            alerts: None,
            max_runs: 1000,
            max_waiting: 1000,
            drain_timeout: Duration::from_secs(60),
        }
    }

    /// Reads the file whose root is `node`; relative paths start at `folder`.
    pub fn read(node: &Node<'_>, folder: &Path) -> Self {
        let mut config = Self::defaults(folder);
        let Some(fields) = node.object(&KEYS) else { return config };
        if let Some(state) = fields.read("state", |node| state::read(node, folder)) {
            config.state = state;
        }
        config.socket = fields.read("socket", |node| Some(absolute(folder, node.text()?)));
        if let Some(triggers) = fields.read("triggers", Node::text) {
            config.triggers = folder.join(triggers);
        }
        if let Some(zone) = fields.read("timezone", timezone) {
            config.timezone = zone;
        }
        config.event.app_id = fields.read("app_id", Node::text).map(str::to_owned);
        if let Some(word) = fields.read("event_type", |node| node.word(&["timer", "Timer"])) {
            word.clone_into(&mut config.event.event_type);
        }
        let databases = fields.read("databases", Node::entries).unwrap_or_default();
        config.database_names = Some(databases.iter().map(|(name, _)| (*name).to_owned()).collect());
        for (name, entry) in databases {
            if let Some(database) = database::read(&entry, folder) {
                let state = &config.state;
                if matches!((&database, state), (DatabaseSettings::Sqlite(file), StateSettings::Sqlite(path)) if file.path == *path)
                {
                    let help =
                        "give one of them a file of its own: the state belongs to Gulou alone".to_owned();
                    entry.error(format!("the database `{name}` is the state itself"), help);
                }
                config.databases.insert(name.to_owned(), database);
            }
        }
        let transports = fields.read("mail", Node::entries).unwrap_or_default();
        config.mail_names = Some(transports.iter().map(|(name, _)| (*name).to_owned()).collect());
        for (name, entry) in transports {
            if let Some(transport) = transport::read(&entry, folder) {
                config.mail.insert(name.to_owned(), transport);
            }
        }
        let accounts = fields.read("wechat", Node::entries).unwrap_or_default();
        config.wechat_names = Some(accounts.iter().map(|(name, _)| (*name).to_owned()).collect());
        for (name, entry) in accounts {
            if let Some(account) = wechat::account(&entry, folder) {
                config.wechat.insert(name.to_owned(), account);
            }
        }
        let mail_names = config.mail_names.as_deref();
        config.alerts = fields.read("alerts", |node| alerts::read(node, folder, mail_names)).map(Arc::new);
        if let Some(history) = fields.get("history") {
            read_history(history, &mut config.history);
        }
        if let Some(max_waiting) = fields.read("max_waiting", |node| node.integer(1..=1_000_000)) {
            config.max_waiting = usize::try_from(max_waiting).unwrap_or(usize::MAX);
        }
        if let Some(max_runs) = fields.read("max_runs", |node| node.integer(1..=1_000_000)) {
            config.max_runs = usize::try_from(max_runs).unwrap_or(usize::MAX);
        }
        if let Some(timeout) = fields.read("drain_timeout", duration) {
            config.drain_timeout = timeout;
        }
        config
    }

    /// Where the API listens: beside the state file, so that no two states share a socket. A state elsewhere leaves it
    /// beside this file.
    pub fn socket(&self) -> PathBuf {
        match (&self.socket, &self.state) {
            (Some(path), _) => path.clone(),
            (None, StateSettings::Sqlite(state)) => {
                let mut name = state.clone().into_os_string();
                name.push(".sock");
                name.into()
            }
            (None, StateSettings::Postgres { .. }) => absolute(&self.folder, "gulou.sock"),
        }
    }

    /// All settings, with those of the functions.
    pub fn settings(self, functions: Vec<FunctionSettings>) -> Settings {
        Settings {
            socket: self.socket(),
            state: self.state,
            databases: self.databases,
            mail: self.mail,
            wechat: self.wechat,
            event: self.event,
            history: self.history,
            max_runs: self.max_runs,
            max_waiting: self.max_waiting,
            drain_timeout: self.drain_timeout,
            functions,
        }
    }
}

fn read_history(node: &Node<'_>, history: &mut HistorySettings) {
    let Some(fields) = node.object(&Keys::only(&["keep", "keep_runs", "keep_output_mb"])) else { return };
    if let Some(keep) = fields.read("keep", positive_duration) {
        history.keep = keep;
    }
    if let Some(runs) = fields.read("keep_runs", |node| node.integer(1..=u64::from(u32::MAX))) {
        history.keep_runs = u32::try_from(runs).unwrap_or(u32::MAX);
    }
    if let Some(megabytes) = fields.read("keep_output_mb", |node| node.integer(1..=1 << 30)) {
        history.keep_output = megabytes << 20;
    }
}

/// `path` seen from `folder`, absolute, so that no later change of directory moves it.
pub(super) fn absolute(folder: &Path, path: &str) -> PathBuf {
    // Joining an empty path would add a slash.
    let joined = if path.is_empty() { folder.to_owned() } else { folder.join(path) };
    std::path::absolute(&joined).unwrap_or(joined)
}
