//! A pidfd: a hold on one process that a recycled number cannot mislead.

use std::io;
use std::os::fd::OwnedFd;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// A hold on a process, living or dead.
#[derive(Debug)]
pub struct Handle(AsyncFd<OwnedFd>);

impl Handle {
    /// The process with this number. Needs the tokio runtime.
    #[expect(deprecated, reason = "its successor is unsafe, for types that may close their descriptor early")]
    pub fn open(pid: i32) -> io::Result<Self> {
        let pid = Pid::from_raw(pid).ok_or(io::ErrorKind::NotFound)?;
        let fd = pidfd_open(pid, PidfdFlags::empty())?;
        Ok(Self(AsyncFd::with_interest(fd, Interest::READABLE)?))
    }

    /// Sends a signal, unless the process has been reaped.
    pub fn signal(&self, signal: Signal) {
        let _ = pidfd_send_signal(self.0.get_ref(), signal);
    }

    /// Returns when the process has ended. Cancel safe.
    pub async fn ended(&self) {
        let _ = self.0.readable().await;
    }
}
