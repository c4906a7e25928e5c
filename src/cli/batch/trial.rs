//! `try`: one mail to somebody who wants to see it.

use std::sync::Arc;

use anyhow::{Context as _, bail};
use chrono::DateTime;
use chrono_tz::Asia::Shanghai;
use clap::Args;
use serde_json::{Value, json};

use super::{configured, shown_key, spellings};
use crate::action::Outcome;
use crate::action::mail::{Address, MailAction, Transport};
use crate::batch::{self, Occasion, Trial};
use crate::cli::{ConfigArg, exit};
use crate::clock::Clock;
use crate::run::{Fire, Reason};
use crate::settings::{ActionSettings, BatchSettings, FunctionSettings, Settings};
use crate::store::Reader;

/// Send one mail of a batch to an address of yours, and to nobody else
///
/// The mail is rendered from the row that would be delivered first, or from the row that --key names, and goes out through
/// the batch's own transport: only its recipient is another. Nothing is reserved, recorded or marked; the row stays
/// as it is. Links in the mail are the row's: an unsubscribe link unsubscribes its recipient.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  gulou batch try mass-mail --to me@example.com
  gulou batch try mass-mail --to me@example.com --key 17

Exit code 1 when nothing was sent.")]
pub(super) struct Try {
    /// The batch's id
    #[arg(value_name = "BATCH")]
    batch: String,
    /// The address, or `name <address>`
    #[arg(long, value_name = "ADDRESS")]
    to: String,
    /// The key of the row, which must be deliverable
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl Try {
    pub(super) fn run(self, config: &ConfigArg) -> anyhow::Result<u8> {
        let to = match Address::parse(&self.to) {
            Ok(to) => to,
            Err(error) => {
                eprintln!("error: --to: {error}");
                return Ok(exit::USAGE);
            }
        };
        let settings = match config.load() {
            Ok(loaded) => loaded.settings,
            Err(code) => return Ok(code),
        };
        let Some((function, batch)) = configured(&settings).find(|(_, batch)| batch.id == self.batch) else {
            bail!("no function runs a batch `{}`; `gulou batch list` lists them", self.batch);
        };
        match self.send(&settings, function, batch, to)? {
            Some(trial) => self.tell(&trial),
            None => match &self.key {
                Some(key) => bail!("the row {key} is not there, or does not match the source's condition"),
                None => bail!("nothing was sent: there is no deliverable row"),
            },
        }
    }

    fn send(
        &self,
        settings: &Settings,
        function: &FunctionSettings,
        batch: &BatchSettings,
        to: Address,
    ) -> anyhow::Result<Option<Trial>> {
        let clock = Clock::system();
        let name = &batch.source.database;
        let database =
            settings.databases.get(name).with_context(|| format!("there is no database `{name}`"))?;
        let (ActionSettings::Mail(mail) | ActionSettings::Digest { mail, .. }) = &batch.action else {
            bail!("the batch `{}` sends no mail; `gulou dry-run` shows its first request", batch.id);
        };
        let transport = settings.mail.get(&mail.via);
        let transport = transport.with_context(|| format!("there is no mail transport `{}`", mail.via))?;
        let transport = Transport::open(transport, clock.clone());
        let action = Arc::new(MailAction::new(mail, Arc::clone(&transport))?.diverted(to));
        let reader = Reader::of(&settings.state)?;
        let trigger = function.triggers.first();
        let now = clock.now();
        let fire = Fire {
            request_id: uuid::Uuid::nil().to_string(),
            function: function.name.clone(),
            trigger: trigger.map(|trigger| trigger.name.to_string()).unwrap_or_default(),
            fire_time: DateTime::from_timestamp(now.timestamp(), 0).unwrap_or(now),
            reason: Reason::Manual,
            attempt: 1,
            missed: 0,
            argument: String::new(),
            event_type: settings.event.event_type.clone(),
            app_id: settings.event.app_id.clone(),
            own_event: None,
        };
        let timezone = trigger.map_or(Shanghai, |trigger| trigger.schedule.timezone());
        let occasion = Occasion { fire: &fire, now, timezone, interval: None };
        let keys: Vec<String> =
            self.key.iter().flat_map(|key| spellings(key)).map(|key| Value::from(key).to_string()).collect();
        let runtime = tokio::runtime::Runtime::new().context("could not start the async runtime")?;
        Ok(runtime.block_on(async {
            let trial = batch::trial(batch, database, &action, reader.as_ref(), occasion, &keys).await;
            transport.close().await;
            trial
        })?)
    }

    fn tell(&self, trial: &Trial) -> anyhow::Result<u8> {
        let Trial { key, instead_of, outcome } = trial;
        let key: Option<Value> = key.as_ref().and_then(|key| serde_json::from_str(key).ok());
        let sent = matches!(outcome, Outcome::Sent { .. });
        if self.json {
            println!(
                "{:#}",
                json!({
                    "sent": sent, "to": self.to, "key": key, "instead_of": instead_of, "detail": outcome.text()
                })
            );
            return Ok(if sent { exit::OK } else { exit::FAILED });
        }
        let row = key.as_ref().map(|key| format!("the mail of row {}", shown_key(key)));
        let mail = row.unwrap_or_else(|| "the mail".to_owned());
        if !sent {
            bail!("{mail} was not sent to {}: {}", self.to, outcome.text());
        }
        println!("sent {mail} to {}, which is for {instead_of}: {}", self.to, outcome.text());
        println!("nothing was reserved or marked");
        Ok(exit::OK)
    }
}
