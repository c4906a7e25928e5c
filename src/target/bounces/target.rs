//! The run: read, look up, remember, mark, put away.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use super::maildir::Maildir;
use super::preview::nothing;
use super::report::{self, Letter};
use super::table::{Change, Row, Soft, Table};
use super::tally::Tally;
use super::words::Class;
use crate::db::{Database, Moment};
use crate::run::{Fire, Outcome, Preview, RunContext, Stream};
use crate::settings::BouncesSettings;
use crate::store::memo::Memo;
use crate::target::cut::Cut;
use crate::target::host::Host;
use crate::target::log::RunLog;

/// Mails that are marked in one transaction.
const GROUP: usize = 100;

/// How often somebody else may change a count before it is given up.
const TRIES: usize = 5;

/// A Maildir of bounces.
#[derive(Debug)]
pub struct BouncesTarget {
    settings: Arc<BouncesSettings>,
    table: Table,
    memo: Memo,
    /// Of the `_local` parameters.
    timezone: Tz,
    host: Host,
}

/// Mails that are dealt with together.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Group {
    /// The table that it is about.
    of: String,
    bounces: Vec<String>,
    others: Vec<String>,
    changes: Vec<Change>,
    tally: Tally,
}

impl BouncesTarget {
    /// Opens nothing yet.
    pub fn new(
        settings: &BouncesSettings,
        database: Database,
        memo: Memo,
        timezone: Tz,
        host: &Host,
    ) -> Self {
        let settings = Arc::new(settings.clone());
        let table = Table::new(&settings, database);
        Self { settings, table, memo, timezone, host: host.clone() }
    }

    /// One attempt, from `START` to `Report`.
    pub async fn run(&self, fire: &Fire, context: &RunContext) -> Outcome {
        let limit = self.host.limits.output;
        let log = RunLog::start(&context.output, &fire.request_id, limit, &self.host.clock);
        let mut tally = Tally::default();
        let ended = self.attempt(fire, context, &mut tally, &log).await;
        let result = (tally.read > 0).then(|| tally.json());
        let outcome = match ended {
            Ok(()) => Outcome {
                message: Some(tally.shown()),
                idle: tally.read == 0,
                ..Outcome::succeeded(Some(tally.json()))
            },
            Err(_) if context.abort.is_cancelled() => Outcome { result, ..Cut::Abort.outcome() },
            Err(reason) => Outcome { result, ..Outcome::failed(reason) },
        };
        log.end(&outcome, &[], None);
        outcome
    }

    /// What a run would do, without looking at the database.
    pub fn preview(&self) -> Preview {
        nothing(&self.settings.maildir)
    }

    async fn attempt(
        &self,
        fire: &Fire,
        context: &RunContext,
        tally: &mut Tally,
        log: &RunLog,
    ) -> Result<(), String> {
        let folder = self.settings.maildir.clone();
        let maildir = Arc::new(blocking(move || Maildir::take(&folder)).await?);
        let before = self.memo.read().await.map_err(|error| forgotten(&error))?;
        let before = before.and_then(|text| serde_json::from_str::<Group>(&text).ok());
        let mut remembers = before.is_some();
        if let Some(group) = before.filter(|group| group.of == of(&self.settings)) {
            log.note("what was counted before the last run broke off is put away first");
            // Mails are put away when their rows are written: if one is, they are.
            let (folder, mails) = (Arc::clone(&maildir), [&group.bounces[..], &group.others].concat());
            if blocking(move || Ok(folder.has(&mails))).await? {
                self.write(&group, fire, context).await?;
            }
            self.put_away(&maildir, &group).await?;
            *tally += group.tally;
        }
        let folder = Arc::clone(&maildir);
        let unread = blocking(move || folder.unread().map_err(|error| unread(&error))).await?;
        for mails in unread.chunks(GROUP) {
            let letters = self.letters(&maildir, mails).await?;
            let mut group = self.group(letters, fire, context, log).await?;
            // What is only set, and not counted, may be done twice.
            settle(self, &mut group, fire, context, &mut remembers).await?;
            self.put_away(&maildir, &group).await?;
            *tally += group.tally;
        }
        if remembers {
            self.memo.write(String::new()).await.map_err(|error| forgotten(&error))?;
        }
        Ok(())
    }

    /// Reads mails, off the async threads.
    async fn letters(
        &self,
        maildir: &Arc<Maildir>,
        mails: &[String],
    ) -> Result<Vec<(String, Option<Letter>)>, String> {
        let (maildir, mails) = (Arc::clone(maildir), mails.to_vec());
        blocking(move || {
            let read = |mail: String| match maildir.read(&mail) {
                Ok(Some(bytes)) => Some((mail, Some(report::read(&bytes)))),
                Ok(None) => None,
                Err(error) => {
                    tracing::warn!(mail, %error, "could not read a mail of a Maildir");
                    Some((mail, None))
                }
            };
            Ok(mails.into_iter().filter_map(read).collect())
        })
        .await
    }

    /// Finds out what mails change.
    async fn group(
        &self,
        letters: Vec<(String, Option<Letter>)>,
        fire: &Fire,
        context: &RunContext,
        log: &RunLog,
    ) -> Result<Group, String> {
        let mut group = Group { of: of(&self.settings), ..Group::default() };
        let mut places: HashMap<String, usize> = HashMap::new();
        for (mail, letter) in letters {
            if context.abort.is_cancelled() {
                return Err(stopped());
            }
            group.tally.read += 1;
            let failures = match letter {
                Some(Letter::Bounce(failures)) => failures,
                Some(Letter::Other(what)) => {
                    log.line(Stream::System, format!("{mail} is left in `cur`: {what}"));
                    group.tally.unknown += 1;
                    group.others.push(mail);
                    continue;
                }
                None => {
                    log.line(Stream::System, format!("{mail} could not be read, and stays where it is"));
                    group.tally.unknown += 1;
                    continue;
                }
            };
            // An alias of several mailboxes has one report of all of them.
            let mut counted = HashSet::new();
            for failure in failures {
                let rows = self.table.find(&failure, self.moment(fire));
                let rows = context.abort.run_until_cancelled(rows).await.ok_or_else(stopped)?;
                let rows = rows.map_err(|error| {
                    format!("could not look for rows of `{}`: {error}", self.settings.table)
                })?;
                let class = self.table.class(&failure);
                log.line(Stream::System, group.tally.count(&failure, &rows, class));
                for row in rows {
                    if class == Class::Soft && !counted.insert(row.key.clone()) {
                        continue;
                    }
                    let place = *places.entry(row.key.clone()).or_insert_with(|| {
                        group.changes.push(Change { key: row.key.clone(), hard: None, soft: None });
                        group.changes.len() - 1
                    });
                    if let Some(change) = group.changes.get_mut(place) {
                        self.add(change, &row, class, &failure.reason);
                    }
                }
            }
            group.bounces.push(mail);
        }
        Ok(group)
    }

    fn add(&self, change: &mut Change, row: &Row, class: Class, reason: &str) {
        match class {
            Class::Hard => change.hard = Some(reason.to_owned()),
            Class::Soft if self.settings.soft.is_none() => {}
            Class::Soft => {
                let before = change.soft.as_ref().map_or((row.count, row.count), |soft| (soft.old, soft.new));
                change.soft = Some(Soft { old: before.0, new: before.1 + 1, reason: reason.to_owned() });
            }
        }
    }

    /// Answers what is to be done again: rows whose counts somebody else has changed.
    async fn write(&self, group: &Group, fire: &Fire, context: &RunContext) -> Result<Vec<Change>, String> {
        let missed = self.table.write(&group.changes, self.moment(fire), &context.abort).await?;
        Ok(missed.into_iter().filter_map(|at| group.changes.get(at).cloned()).collect())
    }

    async fn put_away(&self, maildir: &Arc<Maildir>, group: &Group) -> Result<(), String> {
        let (maildir, bounces, others) = (Arc::clone(maildir), group.bounces.clone(), group.others.clone());
        let folder = self.settings.maildir.display().to_string();
        blocking(move || {
            maildir.put_away(&bounces, &others).map_err(|error| {
                format!("the rows are marked, but the mails could not be moved within {folder}: {error}")
            })
        })
        .await
    }

    fn moment(&self, fire: &Fire) -> Moment {
        Moment { fire_time: fire.fire_time, now: self.host.clock.now(), timezone: self.timezone }
    }
}

/// Writes a group, again where counts have changed since they were read. What is written is remembered first.
async fn settle(
    target: &BouncesTarget,
    group: &mut Group,
    fire: &Fire,
    context: &RunContext,
    remembers: &mut bool,
) -> Result<(), String> {
    for _ in 0..TRIES {
        if group.changes.iter().any(|change| change.soft.is_some()) {
            let text = serde_json::to_string(group).unwrap_or_default();
            target.memo.write(text).await.map_err(|error| forgotten(&error))?;
            *remembers = true;
        }
        let missed = target.write(group, fire, context).await?;
        if missed.is_empty() {
            return Ok(());
        }
        group.changes.clear();
        for Change { key, soft, .. } in missed {
            let row =
                target.table.again(&key, target.moment(fire)).await.map_err(|error| error.to_string())?;
            let (Some(row), Some(soft)) = (row, soft) else { continue };
            let new = row.count + (soft.new - soft.old);
            group.changes.push(Change { key, hard: None, soft: Some(Soft { old: row.count, new, ..soft }) });
        }
    }
    Err(format!(
        "could not mark rows of `{}`: somebody else keeps changing their counts",
        target.settings.table
    ))
}

/// What a group is about: it means nothing to another table.
fn of(settings: &BouncesSettings) -> String {
    let BouncesSettings { maildir, database, table, key, soft, .. } = settings;
    let count = soft.as_ref().map(|soft| &soft.count);
    format!("{} {database} {table} {key} {count:?}", maildir.display())
}

fn stopped() -> String {
    "was stopped before it ended".to_owned()
}

fn forgotten(error: &impl std::fmt::Display) -> String {
    format!("could not remember what is counted, so nothing was: {error}")
}

fn unread(error: &std::io::Error) -> String {
    format!("could not read the Maildir: {error}")
}

/// Does what may wait for a disk.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Result<T, String> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|lost| Err(format!("the thread that read the Maildir is gone: {lost}")))
}
