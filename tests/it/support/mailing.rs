//! A project with one batch that mails a table of numbered recipients.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use super::home::Home;
use super::ledger::Ledger;
use super::promise::{Entry, Event, Figures, Flag, Run, Testimony};
use super::{Project, SmtpSink, eventually};
use crate::servers;

/// The project, and what is asked of its databases.
pub(crate) struct Mailing {
    project: Project,
    home: Home,
    ledger: Ledger,
}

impl Mailing {
    /// `rows` recipients, all of them unsent, mailed by the function `mailing`, which fires every
    /// second and goes through the whole table. `settings` go into its `batch`.
    pub(crate) fn new(sink: &SmtpSink, rows: u32, settings: &Value) -> Self {
        Self::to(&format!("smtp://{}:{}", sink.host(), sink.port()), rows, settings)
    }

    /// The same with any mail URL.
    pub(crate) fn to(url: &str, rows: u32, settings: &Value) -> Self {
        Self::at(Home::sqlite, url, rows, settings)
    }

    /// The same with the state in a database of the shared PostgreSQL.
    pub(crate) fn on_postgres(sink: &SmtpSink, rows: u32, settings: &Value) -> Self {
        let ledger = Ledger::Postgres(servers::postgres().database());
        let url = format!("smtp://{}:{}", sink.host(), sink.port());
        Self::with(Project::empty(), Home::sqlite, ledger, &url, rows, settings)
    }

    /// The same with any database, which may live in the project's folder.
    pub(crate) fn at(home: impl FnOnce(&Path) -> Home, url: &str, rows: u32, settings: &Value) -> Self {
        let project = Project::empty();
        let ledger = Ledger::File(project.path("state.db"));
        Self::with(project, home, ledger, url, rows, settings)
    }

    fn with(
        project: Project,
        home: impl FnOnce(&Path) -> Home,
        ledger: Ledger,
        url: &str,
        rows: u32,
        settings: &Value,
    ) -> Self {
        let home = home(&project.path(""));
        let config = json!({
            "state": ledger.url(),
            "triggers": "triggers",
            "databases": { "main": home.config() },
            "mail": { "out": { "url": url, "from": "鼓楼 <tower@ex.test>" } },
        });
        project.write("config.json", &serde_json::to_string_pretty(&config).unwrap());
        let mut batch = json!({
            "id": "mailing",
            "source": {
                "database": "main", "table": "people", "key": "id", "where": "sent = false",
                "columns": ["id", "email", "name"], "page": 250
            },
            "action": { "mail": {
                "via": "out", "to": "{{ email }}", "subject": "{{ name }}，您好", "text": "第 {{ id }} 封"
            } },
            "mark": { "sent": { "sent": true } },
            "pages": "all",
        });
        for (key, value) in settings.as_object().unwrap() {
            batch[key] = value.clone();
        }
        project.function(
            "mailing",
            &json!({
                "triggers": [{ "name": "always", "type": "timer", "config": "* * * * * * *" }],
                "target": { "batch": batch },
            }),
        );
        home.fill(rows);
        Self { project, home, ledger }
    }

    pub(crate) fn project(&self) -> &Project {
        &self.project
    }

    pub(crate) fn home(&mut self) -> &mut Home {
        &mut self.home
    }

    /// Rows whose flag is not set.
    pub(crate) fn open_rows(&self) -> u32 {
        self.home.open_rows()
    }

    /// Every row is marked, or in the ledger for a reason that lasts.
    fn is_through(&self) -> bool {
        self.open_rows() == self.ledger.parked(false)
    }

    /// Waits until every row is marked, or in the ledger for a reason that lasts.
    pub(crate) fn wait_until_through(&self) {
        eventually("every row to be settled", || self.is_through().then_some(()));
    }

    /// Nothing is left to do before the next try of some row is due.
    pub(crate) fn is_idle(&self) -> bool {
        self.open_rows() == self.ledger.parked(true)
    }

    /// How many rows are reserved, and not recorded.
    pub(crate) fn reserved(&self) -> u32 {
        self.ledger.count("state = 'reserved'")
    }

    /// Makes due what waits for another try, as minutes and hours would. Answers how many rows.
    pub(crate) fn let_time_pass(&self) -> usize {
        self.ledger.let_time_pass()
    }

    /// What table, ledger and runs say, beside what happened. Call it when no daemon is running.
    pub(crate) fn testimony(&self, history: Vec<Event>) -> Testimony {
        let mut testimony = Testimony { history, runs: self.runs(), ..Testimony::default() };
        let mut emails = BTreeMap::new();
        for person in self.home.people() {
            // The ledger writes keys as JSON arrays.
            emails.insert(format!("[{}]", person.id), person.email.clone());
            testimony.rows.insert(person.email, if person.sent { Flag::Sent } else { Flag::Open });
        }
        for (key, state) in self.ledger.entries() {
            let entry = match state.as_str() {
                "held" => Entry::Held,
                "kept" => Entry::Failed,
                "waiting" => Entry::Retrying,
                "resend" => Entry::Resending,
                _ => Entry::Unsettled,
            };
            testimony.ledger.insert(emails.get(&key).cloned().unwrap_or(key), entry);
        }
        testimony
    }

    fn runs(&self) -> Vec<Run> {
        let args = ["history", "--config", "config.json", "mailing", "-n", "1000000", "--json"];
        let ran = self.project.gulou(&args).expect_code(0);
        let runs: Vec<Value> = serde_json::from_str(&ran.stdout).unwrap();
        runs.iter().map(run).collect()
    }
}

fn run(run: &Value) -> Run {
    let figures = |account: &Value| {
        let count = |name: &str| account[name].as_u64().unwrap_or_else(|| panic!("no {name}: {account}"));
        Figures {
            selected: count("selected"),
            sent: count("sent"),
            failed: count("failed"),
            held: count("held"),
            retrying: count("retrying"),
            uncertain: count("uncertain"),
            vanished: count("vanished"),
        }
    };
    Run {
        id: run["run"].as_u64().unwrap(),
        state: run["state"].as_str().unwrap().to_owned(),
        figures: Some(&run["result"]).filter(|result| result.is_object()).map(figures),
    }
}
