//! One connection to a server: bytes out, replies in. Knows nothing of what they mean.

use std::io::{self, ErrorKind, IoSlice};
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::reply::{NotSmtp, Reply, ReplyBuffer};

/// A connected stream and what came in on it.
#[derive(Debug)]
pub(super) struct Wire {
    stream: TcpStream,
    incoming: ReplyBuffer,
}

/// Why no reply came.
#[derive(Debug, thiserror::Error)]
pub(super) enum WireError {
    /// The connection is gone.
    #[error("the connection was lost: {0}")]
    Io(#[from] io::Error),
    /// What came is no reply.
    #[error(transparent)]
    NotSmtp(#[from] NotSmtp),
    /// The server was silent for too long.
    #[error("the server did not answer in time")]
    Timeout,
}

impl Wire {
    /// Looks `host` up and connects to the first of its addresses that answers.
    pub(super) async fn connect(host: &str, port: u16) -> io::Result<Self> {
        let stream = TcpStream::connect((host, port)).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, incoming: ReplyBuffer::default() })
    }

    /// This end's address.
    pub(super) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.stream.local_addr()
    }

    /// Writes all of `bytes`.
    pub(super) async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await
    }

    /// Writes all of `commands`, or gives up after `patience`.
    pub(super) async fn send_within(&mut self, commands: &str, patience: Duration) -> Result<(), WireError> {
        let sending = self.send(commands.as_bytes());
        tokio::time::timeout(patience, sending).await.map_err(|_| WireError::Timeout)??;
        Ok(())
    }

    /// Waits at most `patience` for the next reply.
    pub(super) async fn reply_within(&mut self, patience: Duration) -> Result<Reply, WireError> {
        tokio::time::timeout(patience, self.reply()).await.map_err(|_| WireError::Timeout)?
    }

    /// Sends a command and waits for its answer; `patience` for each.
    pub(super) async fn ask(&mut self, command: &str, patience: Duration) -> Result<Reply, WireError> {
        self.send_within(command, patience).await?;
        self.reply_within(patience).await
    }

    /// Writes `first` and then `second`, in one system call where possible. `accepted` counts the
    /// bytes that the system took, also when this future is dropped halfway.
    pub(super) async fn send_counted(
        &mut self,
        first: &[u8],
        second: &[u8],
        accepted: &mut usize,
    ) -> io::Result<()> {
        while *accepted < first.len() + second.len() {
            let head = first.get(*accepted..).unwrap_or_default();
            let tail = second.get(accepted.saturating_sub(first.len())..).unwrap_or_default();
            let written = self.stream.write_vectored(&[IoSlice::new(head), IoSlice::new(tail)]).await?;
            if written == 0 {
                return Err(ErrorKind::WriteZero.into());
            }
            *accepted += written;
        }
        Ok(())
    }

    /// Waits for the next reply.
    pub(super) async fn reply(&mut self) -> Result<Reply, WireError> {
        loop {
            if let Some(reply) = self.incoming.take()? {
                return Ok(reply);
            }
            let space = self.incoming.space();
            space.reserve(2048);
            if self.stream.read_buf(space).await? == 0 {
                return Err(io::Error::from(ErrorKind::UnexpectedEof).into());
            }
        }
    }

    /// The lines of the newest reply, without code.
    pub(super) fn lines(&self, reply: &Reply) -> impl Iterator<Item = &str> {
        self.incoming.lines(reply)
    }

    /// The newest reply on one line.
    pub(super) fn text(&self, reply: &Reply) -> String {
        self.incoming.text(reply)
    }

    /// Waits until the other side says something that nobody asked for, or hangs up.
    pub(super) async fn disturbed(&mut self) {
        while self.is_quiet() {
            // An error is a disturbance as well: the next look meets it.
            if self.stream.readable().await.is_err() {
                return;
            }
        }
    }

    /// Nothing came that nobody asked for, and the other side has not hung up. Costs no system
    /// call while that is so.
    pub(super) fn is_quiet(&mut self) -> bool {
        let mut byte = [0];
        self.incoming.is_empty()
            && matches!(self.stream.try_read(&mut byte), Err(error) if error.kind() == ErrorKind::WouldBlock)
    }
}
