//! `gulou serve` as a child process that never outlives its test.

use std::fs::{self, File};
use std::os::fd::AsFd;
use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::time::Duration;

use gulou::clock::Clock;
use rustix::process::Signal;
use tempfile::TempDir;

use super::PATIENCE;
use super::process::{Process, readable};

/// A running daemon. Dropping it kills it, and shows its log when the test has failed.
#[derive(Debug)]
pub(crate) struct Daemon {
    process: Process,
    notify: UnixDatagram,
    // Holds the notify socket and the log.
    dir: TempDir,
}

impl Daemon {
    /// Starts `command`, which is some `gulou serve`, and does not wait for it.
    pub(crate) fn spawn(mut command: Command) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("notify");
        let notify = UnixDatagram::bind(&socket).unwrap();
        notify.set_nonblocking(true).unwrap();
        let log = File::create(dir.path().join("log")).unwrap();
        command.env("NOTIFY_SOCKET", &socket).stdin(std::process::Stdio::null());
        command.stdout(log.try_clone().unwrap()).stderr(log);
        Self { process: Process::spawn(&mut command), notify, dir }
    }

    /// Starts `command` and waits until it tells systemd that it is ready.
    #[track_caller]
    pub(crate) fn start(command: Command) -> Self {
        let mut daemon = Self::spawn(command);
        daemon.wait_for("READY=1");
        daemon
    }

    /// Waits for a line that the daemon tells systemd: `READY=1`, `STOPPING=1`.
    #[track_caller]
    pub(crate) fn wait_for(&mut self, message: &str) {
        let clock = Clock::system();
        loop {
            let left = PATIENCE.saturating_sub(clock.monotonic());
            let [told, ended] = readable([self.notify.as_fd(), self.process.ended()], left);
            // What it said last is read before its end is looked at.
            if told {
                let mut buffer = [0; 4096];
                let length = self.notify.recv(&mut buffer).unwrap();
                if String::from_utf8_lossy(&buffer[..length]).lines().any(|line| line == message) {
                    return;
                }
            } else {
                assert!(!ended, "the daemon ended without {message}; its log:\n{}", self.log());
                panic!("no {message} within {PATIENCE:?}; the daemon's log:\n{}", self.log());
            }
        }
    }

    /// What it has written to stdout and stderr so far.
    pub(crate) fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.dir.path().join("log")).unwrap_or_default()).into_owned()
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.process.wait(Duration::ZERO).is_none()
    }

    /// SIGTERM, without waiting for the end.
    pub(crate) fn terminate(&mut self) {
        self.process.signal(Signal::TERM);
    }

    /// SIGSTOP: it stands still until [`thaw`](Self::thaw), and knows nothing of it.
    pub(crate) fn freeze(&mut self) {
        self.process.signal(Signal::STOP);
    }

    /// SIGCONT.
    pub(crate) fn thaw(&mut self) {
        self.process.signal(Signal::CONT);
    }

    /// SIGHUP.
    pub(crate) fn hang_up(&mut self) {
        self.process.signal(Signal::HUP);
    }

    /// Waits for the end; answers the exit code and the log. A signal's end is no code.
    #[track_caller]
    pub(crate) fn wait(mut self) -> (Option<i32>, String) {
        let Some(status) = self.process.wait(PATIENCE) else {
            panic!("the daemon did not stop within {PATIENCE:?}");
        };
        (status.code(), self.log())
    }

    /// SIGTERM, and waits for the drain; answers the exit code and the log.
    #[track_caller]
    pub(crate) fn stop(mut self) -> (Option<i32>, String) {
        self.terminate();
        self.wait()
    }

    /// SIGKILL: no drain, no last words.
    pub(crate) fn kill(mut self) {
        self.process.kill();
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.process.kill();
            eprintln!("--- the daemon's log\n{}---", self.log());
        }
    }
}
