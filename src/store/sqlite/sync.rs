//! Makes commits durable beside the writer: while the disk takes in what was committed, the next group is being
//! worked out. SQLite's own way (`synchronous=FULL`) lets the writer wait at every commit.
//!
//! The writer commits at `synchronous=NORMAL`, which puts a commit into the write-ahead log and syncs the log only
//! before a checkpoint and when it starts over. This thread syncs the log and answers then. A power cut leaves a prefix
//! of the log: commits whose checksums follow on each other (<https://www.sqlite.org/fileformat2.html#walformat>), so what
//! was answered is there, and what builds on a lost commit is lost with it.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread::JoinHandle;

use super::StoreError;

/// Tells whoever waits for a commit whether it holds, or why not.
pub(super) type Answer = Box<dyn FnOnce(Result<(), &str>) + Send>;

/// The thread that waits for the disk.
#[derive(Debug)]
pub(super) struct Syncer {
    queue: Option<mpsc::Sender<Vec<Answer>>>,
    thread: Option<JoinHandle<()>>,
    failed: Arc<AtomicBool>,
}

impl Syncer {
    /// For the database `path`, whose write-ahead log must exist by now. It is the same file as long as a connection is
    /// open.
    pub(super) fn start(path: &Path) -> Result<Self, StoreError> {
        let mut log = path.as_os_str().to_owned();
        log.push("-wal");
        let log = PathBuf::from(log);
        let file = File::open(&log).map_err(|source| StoreError::io(&log, source))?;
        let failed = Arc::new(AtomicBool::new(false));
        let (queue, commits) = mpsc::channel();
        let is_broken = Arc::clone(&failed);
        let thread = std::thread::Builder::new()
            .name("state-sync".to_owned())
            .spawn(move || run(&file, &commits, &is_broken))
            .map_err(|source| StoreError::io(path, source))?;
        Ok(Self { queue: Some(queue), thread: Some(thread), failed })
    }

    /// What waits for a commit that is in the log by now.
    pub(super) fn submit(&self, answers: Vec<Answer>) {
        let Some(queue) = &self.queue else { return };
        if let Err(mpsc::SendError(answers)) = queue.send(answers) {
            for answer in answers {
                answer(Err(FAILED));
            }
        }
    }

    /// Why nothing may be committed any more, if that is so: after a failed sync nobody knows what the disk has, and a
    /// second try may succeed without having written anything.
    pub(super) fn failure(&self) -> Option<&'static str> {
        self.failed.load(Ordering::Acquire).then_some(FAILED)
    }
}

const FAILED: &str = "the disk did not take in an earlier commit, so nothing more is recorded; see to the disk, then \
                      start gulou again";

impl Drop for Syncer {
    fn drop(&mut self) {
        drop(self.queue.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that syncs the state panicked");
        }
    }
}

fn run(log: &File, commits: &mpsc::Receiver<Vec<Answer>>, failed: &AtomicBool) {
    while let Ok(mut answers) = commits.recv() {
        // One sync serves all that are in the log by now.
        answers.extend(commits.try_iter().flatten());
        let synced = if failed.load(Ordering::Acquire) {
            Err(FAILED.to_owned())
        } else {
            log.sync_data().map_err(|error| {
                failed.store(true, Ordering::Release);
                tracing::error!(%error, "could not sync the state's log: {FAILED}");
                error.to_string()
            })
        };
        for answer in answers {
            answer(synced.as_ref().map(|&()| ()).map_err(String::as_str));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `commits` commits are told by a syncer whose log is `log`.
    fn told(log: &Path, commits: usize) -> (Vec<Result<(), String>>, Option<&'static str>) {
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(log, folder.path().join("state.db-wal")).unwrap();
        let syncer = Syncer::start(&folder.path().join("state.db")).unwrap();
        let (sender, answers) = mpsc::channel();
        let told = (0..commits).map(|_| {
            let sender = sender.clone();
            syncer.submit(vec![Box::new(move |held| sender.send(held.map_err(str::to_owned)).unwrap())]);
            answers.recv().unwrap()
        });
        (told.collect(), syncer.failure())
    }

    #[test]
    fn a_commit_holds_when_the_log_is_synced() {
        let log = tempfile::NamedTempFile::new().unwrap();
        assert_eq!(told(log.path(), 2), (vec![Ok(()), Ok(())], None));
    }

    #[test]
    fn nothing_holds_after_a_sync_that_failed() {
        // The system refuses to sync a device like this one.
        let (told, failure) = told(Path::new("/dev/null"), 2);
        assert!(told[0].as_ref().is_err_and(|reason| !reason.is_empty()), "{told:?}");
        assert_eq!(told[1], Err(FAILED.to_owned()));
        assert_eq!(failure, Some(FAILED));
    }
}
