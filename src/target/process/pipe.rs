//! The pipe that a user process writes its standard output or error to.

use std::fmt;
use std::io::{self, PipeWriter};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::net::unix::pipe::Receiver;

use super::lines::Lines;

/// Bytes read in one turn. A pipe holds 64 KiB unless somebody made it larger, so one turn takes all
/// that was in it when the turn began.
const TURN: usize = 1024 * 1024;

/// Takes each line as it comes.
pub type Sink = Arc<dyn Fn(String) + Send + Sync>;

/// Our end of an output pipe. Read in the background, and on demand by [`OutputPipe::drain`].
pub struct OutputPipe {
    receiver: Receiver,
    lines: Mutex<Lines>,
    sink: Sink,
}

impl fmt::Debug for OutputPipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OutputPipe")
    }
}

impl OutputPipe {
    /// A pipe, and the end of it that the user process gets.
    pub fn new(line_limit: usize, sink: Sink) -> io::Result<(Self, PipeWriter)> {
        let (reader, writer) = io::pipe()?;
        // Only our end stops blocking: the user's end has flags of its own.
        let receiver = Receiver::from_owned_fd(OwnedFd::from(reader))?;
        Ok((Self { receiver, lines: Mutex::new(Lines::new(line_limit)), sink }, writer))
    }

    /// Reads until every writer has closed the pipe.
    pub async fn follow(&self) {
        while self.receiver.readable().await.is_ok() {
            let progress = self.read(&mut self.lock(), |buffer| self.receiver.try_read(buffer));
            if progress == Progress::Closed {
                return;
            }
            tokio::task::yield_now().await;
        }
    }

    /// Takes everything that was written before this call, the rest of an unfinished line included.
    /// Goes past the reactor, which may not have heard of it yet.
    pub fn drain(&self) {
        let mut lines = self.lock();
        self.read(&mut lines, |buffer| Ok(rustix::io::read(self.receiver.as_fd(), buffer)?));
        lines.flush(|line| (self.sink)(line));
    }

    fn read(&self, lines: &mut Lines, mut next: impl FnMut(&mut [u8]) -> io::Result<usize>) -> Progress {
        let mut buffer = [0_u8; 16 * 1024];
        let mut total = 0;
        while total < TURN {
            match next(&mut buffer) {
                Ok(0) => return Progress::Closed,
                Ok(count) => {
                    total += count;
                    lines.push(&buffer[..count], |line| (self.sink)(line));
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Progress::Pending,
                Err(_) => return Progress::Closed,
            }
        }
        Progress::Pending
    }

    fn lock(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(PartialEq)]
enum Progress {
    /// There may be more, now or later.
    Pending,
    /// All writers are gone.
    Closed,
}
