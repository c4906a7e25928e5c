//! A Maildir: a mail is written to `tmp`, synced, and renamed to `new`; `Sent` means it survives a
//! power cut.
//!
//! The file's name comes from the reservation alone, so the same reservation never yields two files.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::message::RenderedMail;
use crate::action::Outcome;

/// The folder, made when the first mail comes.
#[derive(Debug)]
pub(super) struct Maildir(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    folder: PathBuf,
    sync: GroupSync,
}

/// What stands between a mail and its safe place.
#[derive(Debug)]
enum Fault {
    /// It did not arrive.
    NotWritten(io::Error),
    /// It is there, but perhaps not after a power cut.
    NotSynced(String),
}

impl Maildir {
    pub(super) fn new(folder: PathBuf) -> Self {
        Self(Arc::new(Shared { folder, sync: GroupSync::default() }))
    }

    /// Writes and syncs, off the async threads.
    pub(super) async fn deliver(&self, mail: &RenderedMail) -> Outcome {
        let shared = self.0.clone();
        let mail = mail.clone();
        let written = tokio::task::spawn_blocking(move || match shared.write(mail.id(), mail.bytes()) {
            Ok(()) => Outcome::Sent { detail: format!("new/{}", mail.id()) },
            Err(fault) => shared.outcome(&fault),
        });
        written.await.unwrap_or_else(|lost| Outcome::Uncertain {
            reason: format!("the thread that wrote the mail is gone: {lost}"),
        })
    }
}

impl Shared {
    fn write(&self, name: &str, bytes: &[u8]) -> Result<(), Fault> {
        let written = match self.place(name, bytes) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                self.make_folders().and_then(|()| self.place(name, bytes))
            }
            other => other,
        };
        written.map_err(Fault::NotWritten)?;
        self.sync.after_rename(&self.folder.join("new")).map_err(Fault::NotSynced)
    }

    /// The whole mail to `tmp`, synced, then under its name in `new`. What an interrupted delivery
    /// of the same reservation left in `tmp` is overwritten.
    fn place(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let tmp = self.folder.join("tmp").join(name);
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&tmp)?;
        let written = file
            .write_all(bytes)
            .and_then(|()| file.sync_data())
            .and_then(|()| std::fs::rename(&tmp, self.folder.join("new").join(name)));
        if written.is_err() {
            // The first error is the one to report; a file left in `tmp` harms nobody.
            let _ = std::fs::remove_file(&tmp);
        }
        written
    }

    fn make_folders(&self) -> io::Result<()> {
        for part in ["tmp", "new", "cur"] {
            DirBuilder::new().recursive(true).mode(0o700).create(self.folder.join(part))?;
        }
        File::open(&self.folder)?.sync_all()?;
        match self.folder.parent() {
            Some(parent) if parent != Path::new("") => File::open(parent)?.sync_all(),
            _ => File::open(".")?.sync_all(),
        }
    }

    fn outcome(&self, fault: &Fault) -> Outcome {
        let folder = self.folder.display();
        match fault {
            Fault::NotSynced(error) => Outcome::Uncertain {
                reason: format!("the mail is in {folder}/new, but could not be synced: {error}"),
            },
            Fault::NotWritten(error) => match error.kind() {
                ErrorKind::InvalidFilename => Outcome::Failed {
                    reason: format!("could not name a file in {folder} after the reservation: {error}"),
                },
                ErrorKind::Interrupted | ErrorKind::OutOfMemory => {
                    Outcome::Retry { reason: format!("could not write to {folder}: {error}") }
                }
                // Too many open files, of the process or of the system, passes.
                _ if matches!(error.raw_os_error(), Some(23 | 24)) => {
                    Outcome::Retry { reason: format!("could not write to {folder}: {error}") }
                }
                _ => Outcome::Halt { reason: format!("could not write to the maildir {folder}: {error}") },
            },
        }
    }
}

/// Syncs a folder once for all that renamed into it while the last sync ran.
#[derive(Debug, Default)]
struct GroupSync {
    state: Mutex<SyncState>,
    ended: Condvar,
}

#[derive(Debug, Default)]
struct SyncState {
    /// Syncs started so far; also the number of the newest.
    started: u64,
    /// The newest sync that has ended.
    ended: u64,
    /// The newest sync that failed, and why.
    failed: Option<(u64, String)>,
}

impl GroupSync {
    /// Returns once a sync that started after this call has ended.
    fn after_rename(&self, folder: &Path) -> Result<(), String> {
        let mut state = self.lock();
        let wanted = state.started + 1;
        while state.ended < wanted {
            if state.started > state.ended {
                state = self.ended.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            state.started += 1;
            let number = state.started;
            drop(state);
            let result = File::open(folder).and_then(|folder| folder.sync_all());
            state = self.lock();
            state.ended = number;
            if let Err(error) = result {
                state.failed = Some((number, error.to_string()));
            }
            self.ended.notify_all();
        }
        match &state.failed {
            Some((number, error)) if *number >= wanted => Err(error.clone()),
            _ => Ok(()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, SyncState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
