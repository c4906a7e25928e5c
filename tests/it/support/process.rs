//! Child processes that end, one way or the other.

use std::fs::File;
use std::io::{Read, Seek};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};

use super::PATIENCE;

/// What a finished program left behind.
#[derive(Debug)]
pub(crate) struct Ran {
    /// The exit code; `None` after a signal.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    /// Fails the test unless the program exited with `code`, and shows what it said.
    #[track_caller]
    pub(crate) fn expect_code(self, code: i32) -> Self {
        assert_eq!(
            self.code,
            Some(code),
            "wrong exit code\n--- stdout\n{}--- stderr\n{}",
            self.stdout,
            self.stderr
        );
        self
    }
}

/// Runs a program to its end with nothing on its stdin; kills it and fails the test after
/// [`PATIENCE`].
#[track_caller]
pub(crate) fn run(command: &mut Command) -> Ran {
    let [mut stdout, mut stderr] = [tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap()];
    command.stdin(Stdio::null());
    command.stdout(stdout.try_clone().unwrap()).stderr(stderr.try_clone().unwrap());
    let mut process = Process::spawn(command);
    let status = process.wait(PATIENCE);
    process.kill();
    let (stdout, stderr) = (text(&mut stdout), text(&mut stderr));
    let Some(status) = status else {
        panic!("{command:?} did not end within {PATIENCE:?}\n--- stdout\n{stdout}--- stderr\n{stderr}");
    };
    Ran { code: status.code(), stdout, stderr }
}

fn text(file: &mut File) -> String {
    let mut bytes = Vec::new();
    file.rewind().unwrap();
    file.read_to_end(&mut bytes).unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A child that never outlives this value.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    // Readable once the child has ended, so that a wait needs neither a thread nor a poll loop.
    ended: OwnedFd,
    status: Option<ExitStatus>,
}

impl Process {
    pub(super) fn spawn(command: &mut Command) -> Self {
        let child = command.spawn().unwrap_or_else(|error| panic!("could not start {command:?}: {error}"));
        let ended = pidfd_open(Pid::from_child(&child), PidfdFlags::empty()).unwrap();
        Self { child, ended, status: None }
    }

    /// Sends a signal, unless the child has ended.
    pub(super) fn signal(&mut self, signal: Signal) {
        if self.wait(Duration::ZERO).is_none() {
            kill_process(Pid::from_child(&self.child), signal).unwrap();
        }
    }

    /// The exit status; `None` when the child is still running after `patience`.
    pub(super) fn wait(&mut self, patience: Duration) -> Option<ExitStatus> {
        if self.status.is_none() && readable([self.ended.as_fd()], patience)[0] {
            self.status = Some(self.child.wait().unwrap());
        }
        self.status
    }

    pub(super) fn kill(&mut self) -> ExitStatus {
        self.signal(Signal::KILL);
        *self.status.get_or_insert_with(|| self.child.wait().unwrap())
    }

    /// Readable once the process has ended.
    pub(super) fn ended(&self) -> BorrowedFd<'_> {
        self.ended.as_fd()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.status.is_none() {
            // Either fails only when the child is gone, which is what is wanted.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Which of the descriptors have something to read (or have ended) within `patience`.
pub(super) fn readable<const N: usize>(fds: [BorrowedFd<'_>; N], patience: Duration) -> [bool; N] {
    let mut polled = fds.each_ref().map(|fd| PollFd::from_borrowed_fd(*fd, PollFlags::IN));
    let timeout = Timespec::try_from(patience).unwrap();
    loop {
        match poll(&mut polled, Some(&timeout)) {
            Ok(_) => return polled.map(|fd| !fd.revents().is_empty()),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => panic!("poll: {error}"),
        }
    }
}
