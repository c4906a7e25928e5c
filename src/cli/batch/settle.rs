//! `resend`, `release`, `discard`: what an operator decides about rows.

use anyhow::{Context as _, bail};
use clap::Args;
use serde_json::{Value, json};

use super::{Which, show, spellings};
use crate::cli::client::Daemon;
use crate::cli::logging::{self, LogFormat};
use crate::cli::{ConfigArg, exit};
use crate::clock::Clock;
use crate::daemon;
use crate::server::ledger::{Pick, Picked as Answer, State};
use crate::store::Store;
use crate::store::ledger_rows::{Requeue, Selection};

#[derive(Args, Debug)]
pub(super) struct Picked {
    /// The batch's id
    #[arg(value_name = "BATCH")]
    batch: String,
    /// Keys of the rows, as in the table; a key of several columns as a JSON array
    #[arg(value_name = "KEY", required_unless_present = "all", conflicts_with = "all")]
    keys: Vec<String>,
    /// All rows in that state
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    which: Which,
    /// Print one JSON object, as docs/api.md has it
    #[arg(long)]
    json: bool,
}

/// What is done with the rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deed {
    Resend,
    Release,
    Discard,
}

impl Picked {
    pub(super) fn resend(self, config: &ConfigArg) -> anyhow::Result<u8> {
        self.settle(config, Deed::Resend)
    }

    pub(super) fn release(self, config: &ConfigArg) -> anyhow::Result<u8> {
        if !matches!(self.which.state(), None | Some(State::Held)) {
            bail!("only held rows are released; use `gulou batch resend`");
        }
        self.settle(config, Deed::Release)
    }

    pub(super) fn discard(self, config: &ConfigArg) -> anyhow::Result<u8> {
        self.settle(config, Deed::Discard)
    }

    fn settle(self, config: &ConfigArg, deed: Deed) -> anyhow::Result<u8> {
        let place = match config.place() {
            Ok(place) => place,
            Err(code) => return Ok(code),
        };
        let (answer, when) = match Daemon::find(&place.socket)? {
            Some(mut daemon) => {
                let order = match deed {
                    Deed::Resend => "batches/resend",
                    Deed::Release => "batches/release",
                    Deed::Discard => "batches/discard",
                };
                let answer = daemon.post(order, &self.pick())?;
                (daemon.typed(answer)?, "as soon as nothing is in the way")
            }
            None => match self.alone(config, deed)? {
                Ok(answer) => (answer, "when the daemon runs"),
                Err(code) => return Ok(code),
            },
        };
        self.tell(&answer, deed, when);
        let all_found = self.all || answer.rows >= self.keys.len() as u64;
        Ok(if all_found { exit::OK } else { exit::FAILED })
    }

    fn pick(&self) -> Pick {
        let keys = self.keys.iter().flat_map(|key| spellings(key)).collect();
        Pick {
            batch: self.batch.clone(),
            state: Some(self.state()),
            keys: (!self.all).then_some(keys),
            all: self.all.then_some(true),
        }
    }

    fn state(&self) -> State {
        self.which.state().unwrap_or(State::Held)
    }

    /// No daemon: the state is changed here.
    fn alone(&self, config: &ConfigArg, deed: Deed) -> anyhow::Result<Result<Answer, u8>> {
        let known = match show::one(config, &self.batch) {
            Ok(known) => known?,
            Err(code) => return Ok(Err(code)),
        };
        let mut settings = match config.load() {
            Ok(loaded) => loaded.settings,
            Err(code) => return Ok(Err(code)),
        };
        let clock = Clock::system();
        let keys = self.keys.iter().flat_map(|key| spellings(key));
        let rows = Selection {
            batch: self.batch.clone(),
            state: self.state().into(),
            keys: (!self.all).then(|| keys.map(|key| Value::from(key).to_string()).collect()),
            now: clock.now().timestamp_millis(),
        };
        let runtime = tokio::runtime::Runtime::new().context("could not start")?;
        if deed == Deed::Discard && known.function.is_some() {
            logging::start(LogFormat::Text, "warn", &clock);
            settings.functions.retain(|function| Some(&function.name) == known.function.as_ref());
            let discarded = runtime.block_on(daemon::discard(&settings, clock, rows))?;
            return Ok(Ok(Answer { rows: discarded.rows, note: discarded.marks.note() }));
        }
        let store = Store::take(&settings.state)?;
        let rows = match deed {
            Deed::Discard => runtime.block_on(store.discard(rows, false))?,
            Deed::Resend | Deed::Release => {
                let doubtful = deed == Deed::Resend && self.state() == State::Held;
                runtime.block_on(store.requeue(Requeue { rows, doubtful }))?
            }
        };
        Ok(Ok(Answer { rows, note: None }))
    }

    fn tell(&self, answer: &Answer, deed: Deed, when: &str) {
        let Answer { rows, note } = answer;
        if self.json {
            println!("{:#}", json!(answer));
        } else {
            let (noun, go) = if *rows == 1 { ("row", "goes") } else { ("rows", "go") };
            match deed {
                Deed::Discard => println!("{rows} {noun} of {} will never be delivered", self.batch),
                Deed::Resend | Deed::Release => println!("{rows} {noun} of {} {go} out {when}", self.batch),
            }
            if let Some(note) = note.as_ref().filter(|_| *rows > 0) {
                println!("{note}");
            }
        }
    }
}
