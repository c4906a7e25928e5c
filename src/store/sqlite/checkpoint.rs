//! Moves what the write-ahead log has gathered into the file when the writer has nothing else to do.
//!
//! SQLite would do so within some commit, and whoever waits for that one waits for the disk: of all fires of a second,
//! it would be those that come together.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

use rusqlite::Connection;

/// So many pages of 4 KiB are worth the move; SQLite's own measure.
const DUE: i32 = 1000;
/// So many are moved even if others wait.
const OVERDUE: i32 = 16_000;
/// The writer has nothing to do when nobody has come for so long; between two of a thousand claims it has.
pub(super) const REST: Duration = Duration::from_millis(20);

/// Knows how long the log is.
#[derive(Debug)]
pub(super) struct Checkpoint {
    pages: Arc<AtomicI32>,
}

impl Checkpoint {
    /// Takes the place of SQLite's own checkpoints.
    pub(super) fn take_over(connection: &mut Connection) -> rusqlite::Result<Self> {
        let pages = Arc::new(AtomicI32::new(0));
        let length = Arc::clone(&pages);
        connection.wal_hook(Some(move |_: &mut rusqlite::hooks::Wal, pages| {
            length.store(pages, Ordering::Relaxed);
            Ok(())
        }))?;
        Ok(Self { pages })
    }

    /// To be run as soon as the writer has nothing to do.
    pub(super) fn is_due(&self) -> bool {
        self.pages.load(Ordering::Relaxed) >= DUE
    }

    /// To be run at once.
    pub(super) fn is_overdue(&self) -> bool {
        self.pages.load(Ordering::Relaxed) >= OVERDUE
    }

    /// To be called between commits.
    pub(super) fn run(&self, connection: &Connection) {
        // Readers may hold some pages back; they are tried again after the next commit.
        self.pages.store(0, Ordering::Relaxed);
        if let Err(error) = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())) {
            tracing::warn!(%error, "could not move the state's log into its file; it goes on growing");
        }
    }
}
