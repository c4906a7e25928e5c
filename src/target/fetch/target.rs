//! The run of a fetch: ask, pick, compare, save, send, remember.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::memory::Memory;
use super::pick::{Item, Page, Wanted, hash, items, key};
use crate::action::Outcome as Delivered;
use crate::action::follow::{Follow, Occasion};
use crate::action::http::{HttpAction, HttpClients, HttpRequest, Reply};
use crate::action::mail::Transport;
use crate::db::{Database, Upsert, Upserted};
use crate::run::{Fire, Outcome, Preview, RunContext};
use crate::settings::FetchSettings;
use crate::store::memo::Memo;
use crate::target::cut::Cut;
use crate::target::host::Host;
use crate::target::http::undone;
use crate::target::log::RunLog;

/// How long a database may take for the rows of a page; somebody may hold a lock on the table for ever.
const SAVE: Duration = Duration::from_secs(60);

/// The parts of the daemon that a fetch uses.
#[derive(Clone, Debug)]
pub struct Links {
    /// Connections to servers.
    pub clients: HttpClients,
    /// Where it remembers.
    pub memo: Memo,
    /// The database that it saves to, if it saves.
    pub database: Option<Database>,
    /// The way out of its mail, if it sends one.
    pub transport: Option<Arc<Transport>>,
}

/// A page that is looked at.
#[derive(Debug)]
pub struct FetchTarget {
    settings: FetchSettings,
    host: Host,
    action: HttpAction,
    follow: Option<Follow>,
    links: Links,
}

/// How a run ends early.
struct Ending(Box<Outcome>);

impl FetchTarget {
    /// The reason, when a template cannot be used.
    pub fn new(settings: &FetchSettings, host: &Host, links: Links) -> Result<Self, String> {
        let action = HttpAction::new(&settings.request, &links.clients).map_err(|error| error.to_string())?;
        let follow = settings.then.as_ref();
        let follow =
            follow.map(|then| Follow::new(then, &links.clients, links.transport.clone())).transpose()?;
        Ok(Self { settings: settings.clone(), host: host.clone(), action, follow, links })
    }

    /// One attempt, from `START` to `Report`.
    pub async fn run(&self, fire: &Fire, context: &RunContext) -> Outcome {
        let limit = self.host.limits.output;
        let log = RunLog::start(&context.output, &fire.request_id, limit, &self.host.clock);
        let outcome = tokio::select! {
            biased;
            () = context.abort.cancelled() => Cut::Abort.outcome(),
            ended = self.attempt(fire, &log) => ended.unwrap_or_else(|Ending(outcome)| *outcome),
        };
        log.end(&outcome, &[], None);
        outcome
    }

    /// What a run would do.
    pub fn preview(&self, fire: &Fire) -> Preview {
        super::preview(&self.settings, &self.links.clients, &self.host.clock, fire)
    }

    async fn attempt(&self, fire: &Fire, log: &RunLog) -> Result<Outcome, Ending> {
        let before = self.remembered().await?;
        let (request, url) = self.request(fire, before.as_ref())?;
        log.note(request.title());
        let reply = self.ask(&request, log).await?;
        if reply.status == 304 {
            return Ok(unchanged(304));
        }
        let found = self.pick(&request, &reply).await?;
        let after = Memory::after(&self.settings, &url, &reply, &found, before.as_ref());
        if before.as_ref().is_some_and(|before| before.is_same(&after)) {
            // Other validators for the same content: the next look asks with these.
            if before.as_ref() != Some(&after) {
                self.remember(&after).await?;
            }
            return Ok(unchanged(reply.status));
        }
        let saved = self.save(&found).await?;
        let news = news(&found, before.as_ref());
        let said = self.say(fire, &request, &found, &news, before.is_none(), log).await?;
        self.remember(&after).await?;
        let mut parts = vec![format!("{} items, {} new", found.len(), news.len())];
        let mut result = json!({ "status": reply.status, "items": found.len(), "new": news.len() });
        if let Some(Upserted { inserted, updated, unchanged }) = saved {
            parts.push(format!("{inserted} rows inserted, {updated} updated"));
            result["saved"] = json!({ "inserted": inserted, "updated": updated, "unchanged": unchanged });
        }
        if let Some(said) = said {
            result["then"] = said.as_str().into();
            parts.push(said);
        }
        let message = parts.join("; ");
        log.note(&message);
        Ok(Outcome { message: Some(message), ..Outcome::succeeded(Some(result)) })
    }

    async fn remembered(&self) -> Result<Option<Memory>, Ending> {
        let text = self.links.memo.read().await;
        let text = text.map_err(|error| failed(format!("could not read what was seen before: {error}")))?;
        Ok(text.and_then(|text| Memory::read(&text, &self.settings)))
    }

    async fn remember(&self, memory: &Memory) -> Result<(), Ending> {
        let written = self.links.memo.write(memory.text()).await;
        written.map_err(|error| {
            failed(format!("could not remember what was seen, so the next run does all of it again: {error}"))
        })
    }

    /// The request, with conditions if anything is known, and its URL.
    fn request(&self, fire: &Fire, before: Option<&Memory>) -> Result<(HttpRequest, String), Ending> {
        let rendered = self.action.render(&fire.values(), fire.fire_time, self.host.clock.now());
        let mut request = rendered.map_err(|error| failed(error.to_string()))?;
        let url = request.url().to_owned();
        for (name, value) in before.map(|before| before.conditions(&url)).unwrap_or_default() {
            // What a server sent as a header is one.
            request.set_header(name, value).map_err(failed)?;
        }
        Ok((request, url))
    }

    /// The answer, if it is a success or says that nothing has changed.
    async fn ask(&self, request: &HttpRequest, log: &RunLog) -> Result<Reply, Ending> {
        let began = self.host.clock.monotonic();
        let reply = match self.action.exchange(request).await {
            Ok(reply) => reply,
            Err(fault) => return Err(Ending(Box::new(undone(fault.into())))),
        };
        let took = self.host.clock.monotonic().saturating_sub(began).as_millis();
        log.note(format!("{} in {took} ms, {} bytes", reply.status_text(), reply.body.len()));
        if reply.status == 304 && request.is_conditional() {
            return Ok(reply);
        }
        let delivery = self.action.judge(request, reply.clone());
        if matches!(delivery.outcome, Delivered::Sent { .. }) {
            Ok(reply)
        } else {
            Err(Ending(Box::new(undone(delivery))))
        }
    }

    /// Reads the page. A large one takes a while, in which the daemon has other things to do, and an abort counts.
    async fn pick(&self, request: &HttpRequest, reply: &Reply) -> Result<Vec<Item>, Ending> {
        let (settings, reply) = (self.settings.clone(), reply.clone());
        let reading = tokio::task::spawn_blocking(move || {
            let key = key(&settings);
            let columns = settings.save.as_ref().map_or(&[][..], |save| &save.columns);
            let absolute = |link: &str| reply.absolute(link);
            let content_type = reply.header("content-type");
            let page = Page { body: &reply.body, content_type, absolute: &absolute };
            items(&settings.pick, page, Wanted { columns, key: &key })
        });
        let found = reading.await.map_err(|error| failed(format!("could not read the page: {error}")))?;
        found.map_err(|reason| failed(request.without_secrets(&reason)))
    }

    async fn save(&self, found: &[Item]) -> Result<Option<Upserted>, Ending> {
        let (Some(save), Some(database)) = (&self.settings.save, &self.links.database) else {
            return Ok(None);
        };
        let upsert = Upsert {
            table: save.table.clone(),
            key: save.key.clone(),
            columns: save.columns.iter().map(|(column, _)| column.clone()).collect(),
            rows: found.iter().map(|item| item.cells.clone()).collect(),
        };
        let refuse = |reason: &str| failed(format!("could not save to `{}`: {reason}", save.table));
        match tokio::time::timeout(SAVE, database.upsert(upsert)).await {
            Ok(saved) => saved.map(Some).map_err(|error| refuse(&error.to_string())),
            Err(_) => Err(refuse(&format!("the database took longer than {} s", SAVE.as_secs()))),
        }
    }

    /// Does what follows a change, if anything does; answers what to say of it.
    async fn say(
        &self,
        fire: &Fire,
        request: &HttpRequest,
        found: &[Item],
        news: &[&Item],
        is_first: bool,
        log: &RunLog,
    ) -> Result<Option<String>, Ending> {
        let Some(follow) = &self.follow else { return Ok(None) };
        if is_first && !self.settings.report_first {
            log.note("the first look: all of it is remembered, and nothing is said of it");
            return Ok(None);
        }
        // Items with a key are news when they are new, not when they are gone or say something else.
        if news.is_empty() && !key(&self.settings).is_empty() {
            return Ok(None);
        }
        let list =
            |items: &mut dyn Iterator<Item = &Item>| items.map(|item| item.value.clone()).collect::<Value>();
        let mut values = fire.values();
        values.insert("url".to_owned(), request.shown().into());
        values.insert("items".to_owned(), list(&mut found.iter()));
        let new = list(&mut news.iter().copied());
        let change = hash(&format!("{} {new}", fire.function));
        values.insert("new".to_owned(), new);
        let (fire_time, now) = (fire.fire_time, self.host.clock.now());
        let delivery =
            follow.send(&Occasion { values: &values, fire_time, now, id: &change, file: None }).await;
        if let Delivered::Sent { detail } = &delivery.outcome {
            let said = format!("{}: {detail}", follow.name());
            log.note(&said);
            return Ok(Some(said));
        }
        let mut outcome = undone(delivery);
        outcome.message = outcome.message.map(|message| format!("{}: {message}", follow.name()));
        Err(Ending(Box::new(outcome)))
    }
}

/// Items that were not there before, the first of each.
fn news<'i>(found: &'i [Item], before: Option<&Memory>) -> Vec<&'i Item> {
    let has_seen = before.map(Memory::has_seen);
    let mut known = std::collections::HashSet::new();
    let is_new = |item: &&Item| !has_seen.as_ref().is_some_and(|has_seen| has_seen(item));
    found.iter().filter(is_new).filter(|item| known.insert(&item.id)).collect()
}

fn unchanged(status: u16) -> Outcome {
    Outcome { idle: true, ..Outcome::succeeded(Some(json!({ "status": status, "unchanged": true }))) }
}

fn failed(reason: String) -> Ending {
    Ending(Box::new(Outcome::failed(reason)))
}
