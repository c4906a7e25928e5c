//! One file with all rows of a run: a snapshot of the source, whole or not there.
//!
//! Rows never see the ledger; the fire does, so that a run that was cut off is resumed, and one that was done is not done
//! again. What is done with the file (`then`) may be done twice if the machine dies between it and the record: a mail
//! has the same `Message-ID` then. `writing` moves the rows, `shelf` remembers the files, so that only files of our own
//! are ever removed.

mod shelf;
mod writing;

use std::path::Path;

use serde_json::{Value, json};

use self::shelf::Shelf;
use super::deliver::Deliver;
use super::flow::Ended;
use super::job::{Job, is_lane_run};
use crate::action::Outcome as Delivered;
use crate::action::export::{Draft, FileName, Written};
use crate::action::follow::{Follow, Occasion};
use crate::action::mail::Attachment;
use crate::run::{Fire, Outcome, RunContext, Status, Stream};
use crate::settings::{ExportSettings, MOST_ENCLOSED};
use crate::store::Store;
use crate::store::ledger::{FireState, Scope, Step};

/// A file of more bytes is not posted: it is in memory while it goes out.
const MOST_POSTED: u64 = 256 << 20;

/// What an export needs beside the rows.
#[derive(Debug)]
pub struct Export {
    pub(super) settings: ExportSettings,
    pub(super) name: FileName,
    follow: Option<Follow>,
}

/// Why there is no file, or nothing was done with it.
enum Trouble {
    Failed(String),
    /// The run was told to end.
    Cut(String),
}

impl From<String> for Trouble {
    fn from(reason: String) -> Self {
        Self::Failed(reason)
    }
}

impl Export {
    /// The reason, when a template cannot be used. `follow`: what is done with the file.
    pub fn new(settings: &ExportSettings, follow: Option<Follow>) -> Result<Self, String> {
        let name = FileName::new(settings).map_err(|error| error.to_string())?;
        Ok(Self { settings: settings.clone(), name, follow })
    }
}

/// Writes the file, and does with it what is to be done.
pub(super) async fn run<A: Deliver>(
    job: &Job<A>,
    export: &Export,
    store: &Store,
    fire: &Fire,
    context: &RunContext,
    scope: Scope,
) -> Ended {
    if is_lane_run(fire) {
        // No row of an export ever waits.
        return Ended { outcome: Outcome { idle: true, ..Outcome::succeeded(None) }, clean: true };
    }
    let run = Run { job, export, fire, context, shelf: Shelf::new(store, &fire.function, &job.settings.id) };
    let outcome = match run.go().await {
        Ok((message, result)) => Outcome { message: Some(message), ..Outcome::succeeded(Some(result)) },
        Err(Trouble::Failed(reason)) => Outcome::failed(reason),
        // The fire stays open: it is resumed.
        Err(Trouble::Cut(reason)) => return Ended { outcome: Outcome::interrupted(reason), clean: true },
    };
    let state = if outcome.status == Status::Succeeded { FireState::Done } else { FireState::Failed };
    let now = job.clock.now().timestamp_millis();
    let step = Step { scope: scope.id, run: scope.run, now, fire: Some(state), ..Step::default() };
    let outcome = match job.ledger.step(step).await {
        Ok(_) => outcome,
        Err(error) => Outcome::failed(format!("the export is done, and could not be recorded: {error}")),
    };
    Ended { outcome, clean: true }
}

struct Run<'a, A> {
    job: &'a Job<A>,
    export: &'a Export,
    fire: &'a Fire,
    context: &'a RunContext,
    shelf: Shelf,
}

impl<A: Deliver> Run<'_, A> {
    async fn go(&self) -> Result<(String, Value), Trouble> {
        let Self { job, export, fire, .. } = self;
        let values = fire.values();
        let path = export.name.render(&values, fire.fire_time, job.clock.now());
        let path = path.map_err(|error| error.to_string())?;
        let draft = Draft::of(&path, &fire.request_id);
        let said = |error: crate::store::StoreError| Trouble::Failed(error.to_string());
        let before = self.shelf.begin(draft.path()).await.map_err(said)?;
        let began = job.clock.monotonic();
        let (draft, written) = writing::write(job, &export.settings, fire, self.context, draft).await?;
        // On the list before it has its name: a crash leaves no file that nobody knows.
        self.shelf.put(&before, &path).await.map_err(said)?;
        draft.publish().map_err(|error| format!("could not write {}: {error}", path.display()))?;
        let took = job.clock.monotonic().saturating_sub(began);
        let Written { rows, sheets, bytes } = written;
        let message = format!(
            "{rows} rows in {} ({bytes} bytes{})",
            path.display(),
            sheets
                .filter(|sheets| *sheets > 1)
                .map(|sheets| format!(", {sheets} sheets"))
                .unwrap_or_default()
        );
        let deleted = self.shelf.rotate(&before, &path, export.settings.keep).await.map_err(said)?;
        for name in &deleted {
            self.context.output.line(Stream::System, format!("deleted {name}"));
        }
        let mut result = json!({
            "rows": rows,
            "sheets": sheets,
            "bytes": bytes,
            "file": path.display().to_string(),
            "deleted": deleted,
            "duration_ms": u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        });
        let Some(follow) = &export.follow else { return Ok((message, result)) };
        self.context.output.line(Stream::System, message.as_str());
        match self.hand_on(follow, &path, &result).await {
            Delivered::Sent { detail } => {
                let said = format!("{}: {detail}", follow.name());
                result["then"] = said.as_str().into();
                Ok((format!("{message}; {said}"), result))
            }
            other => Err(Trouble::Failed(format!("{message}, but {}: {}", follow.name(), other.text()))),
        }
    }

    async fn hand_on(&self, follow: &Follow, path: &Path, result: &Value) -> Delivered {
        let fire = self.fire;
        let failed = |reason: String| Delivered::Failed { reason };
        let most = if follow.is_mail() { MOST_ENCLOSED } else { MOST_POSTED };
        let enclosed = if follow.takes_file() {
            match Attachment::read(path, most).await {
                Ok(enclosed) => Some(enclosed),
                Err(reason) => return failed(reason),
            }
        } else {
            None
        };
        let mut values = fire.values();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        values.insert("name".to_owned(), name.into());
        for key in ["file", "rows", "bytes", "sheets"] {
            values.insert(key.to_owned(), result[key].clone());
        }
        // The same for the same fire, however often it is resumed.
        let id = format!("export-{}-{}-{}", fire.function, fire.trigger, fire.fire_time.timestamp());
        let (fire_time, now) = (fire.fire_time, self.job.clock.now());
        let occasion = Occasion { values: &values, fire_time, now, id: &id, file: enclosed.as_ref() };
        tokio::select! {
            biased;
            () = self.context.abort.cancelled() => failed("the run had to end while it was under way".to_owned()),
            delivery = follow.send(&occasion) => delivery.outcome,
        }
    }
}
