//! Rows on their way into a file: one side reads, the other writes, and few of them are in between.

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::Trouble;
use crate::action::export::{Draft, Writer, Written};
use crate::batch::job::Job;
use crate::batch::source::Piece;
use crate::clock::Clock;
use crate::run::{Counts, Fire, Progress, RunContext};
use crate::settings::ExportSettings;

/// Pieces that wait to be written.
const AHEAD: usize = 4;

/// Writes all rows. The draft is synced, and goes away with what goes wrong.
pub(super) async fn write<A>(
    job: &Job<A>,
    settings: &ExportSettings,
    fire: &Fire,
    context: &RunContext,
    draft: Draft,
) -> Result<(Draft, Written), Trouble> {
    let cut = CancellationToken::new();
    let (sender, receiver) = mpsc::channel(AHEAD);
    let pen = Pen {
        settings: settings.clone(),
        zone: job.timezone,
        cut: cut.clone(),
        clock: job.clock.clone(),
        progress: context.progress.clone(),
        draft,
    };
    let writing = tokio::task::spawn_blocking(move || pen.write(receiver));
    let moment = job.moment(fire.fire_time);
    let work = async {
        let read = job.source.stream(moment, &sender, &cut).await;
        if !matches!(read, Ok(true)) {
            // The writer must not take this for the end.
            cut.cancel();
        }
        drop(sender);
        let written = writing.await.map_err(|error| format!("the writing broke off: {error}"))?;
        match (written, read) {
            (Err(problem), _) => Err(problem),
            (Ok(_), Err(error)) => Err(error.to_string()),
            (Ok(Some(done)), Ok(true)) => Ok(Some(done)),
            (Ok(_), Ok(_)) => Ok(None),
        }
    };
    let mut work = std::pin::pin!(work);
    let limit = async {
        match job.settings.time_limit {
            Some(limit) => tokio::time::sleep(limit).await,
            None => std::future::pending().await,
        }
    };
    let why = tokio::select! {
        biased;
        done = &mut work => return ended(done?, "it was cut off"),
        () = context.abort.cancelled() => Trouble::Cut("stopped before the file was whole; nothing is left of it".to_owned()),
        () = context.drain.cancelled() => Trouble::Cut("stopped before the file was whole; the next start makes it anew".to_owned()),
        () = limit => Trouble::Failed(format!(
            "the file was not whole within the time_limit of {} s; nothing is left of it",
            job.settings.time_limit.unwrap_or_default().as_secs_f64()
        )),
    };
    cut.cancel();
    // Nothing is left behind when this returns.
    let _ = work.await;
    Err(why)
}

fn ended(done: Option<(Draft, Written)>, otherwise: &str) -> Result<(Draft, Written), Trouble> {
    done.ok_or_else(|| Trouble::Failed(otherwise.to_owned()))
}

/// The side that writes.
struct Pen {
    settings: ExportSettings,
    zone: chrono_tz::Tz,
    cut: CancellationToken,
    clock: Clock,
    progress: Progress,
    draft: Draft,
}

impl Pen {
    /// None: it was cut off.
    fn write(self, mut pieces: mpsc::Receiver<Piece>) -> Result<Option<(Draft, Written)>, String> {
        let mut writer = None;
        let mut rows = 0;
        while let Some(piece) = pieces.blocking_recv() {
            if self.cut.is_cancelled() {
                return Ok(None);
            }
            match (piece, &mut writer) {
                (Piece::Columns(columns), _) => {
                    let begun = Writer::begin(&self.settings, columns, self.zone, &self.draft);
                    writer = Some(begun.map_err(|error| error.to_string())?);
                }
                (Piece::Rows(piece), Some(writer)) => {
                    for row in &piece {
                        writer.row(row).map_err(|error| error.to_string())?;
                    }
                    rows += piece.len() as u64;
                    self.publish(rows);
                }
                (Piece::Rows(_), None) => {
                    return Err("rows came before their columns, which is a bug".to_owned());
                }
            }
        }
        if self.cut.is_cancelled() {
            return Ok(None);
        }
        let Some(writer) = writer else { return Ok(None) };
        let written = writer.end().map_err(|error| error.to_string())?;
        Ok(Some((self.draft, written)))
    }

    fn publish(&self, rows: u64) {
        let counts = Counts {
            taken: rows,
            sent: rows,
            failed: 0,
            retrying: 0,
            settled: rows,
            remaining: None,
            to_come: None,
        };
        self.progress.publish(self.clock.monotonic(), &counts);
    }
}
