//! Asking for another look at the function folders, and what came of it. Who looks is the daemon's business.

use tokio::sync::{mpsc, oneshot};

use super::handle::{CommandError, FolderProblem};

/// Asks for a look at the function folders. Clones share one channel.
#[derive(Clone, Debug)]
pub struct Reload {
    requests: mpsc::Sender<oneshot::Sender<ReloadReport>>,
}

/// Where requests arrive.
pub type ReloadRequests = mpsc::Receiver<oneshot::Sender<ReloadReport>>;

/// What a look at the function folders came to. Names of functions, sorted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReloadReport {
    /// Folders that were not there before.
    pub added: Vec<String>,
    /// Functions that run in a new version from now on.
    pub changed: Vec<String>,
    /// Functions whose folders are gone.
    pub removed: Vec<String>,
    /// Folders that cannot be used as they are now; their old versions go on.
    pub problems: Vec<FolderProblem>,
    /// What else is worth knowing, one line each: warnings, changes that need a restart.
    pub notes: Vec<String>,
}

impl Reload {
    /// The two ends.
    pub fn channel() -> (Self, ReloadRequests) {
        let (requests, receiver) = mpsc::channel(8);
        (Self { requests }, receiver)
    }

    /// Looks now, and answers when everything that is valid has taken effect.
    pub async fn now(&self) -> Result<ReloadReport, CommandError> {
        let (sender, receiver) = oneshot::channel();
        self.requests.send(sender).await.map_err(|_| CommandError::Stopped)?;
        receiver.await.map_err(|_| CommandError::Stopped)
    }
}
