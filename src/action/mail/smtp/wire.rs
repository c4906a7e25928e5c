//! One connection to a server, encrypted or not: bytes out, replies in. Knows nothing of what they mean.

use std::io::{self, ErrorKind, IoSlice};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::reply::{NotSmtp, Reply, ReplyBuffer};
use super::tls::{HandshakeError, Tls};

/// A connected stream and what came in on it.
#[derive(Debug)]
pub(super) struct Wire {
    stream: Stream,
    incoming: ReplyBuffer,
}

#[derive(Debug)]
enum Stream {
    Plain(TcpStream),
    Tls(Box<Tls>),
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

/// Why a connection is not encrypted.
#[derive(Debug, thiserror::Error)]
pub(super) enum EncryptError {
    /// It is already.
    #[error("the connection is encrypted already")]
    Twice,
    /// Something came in the clear that belongs to nothing that was asked.
    #[error(
        "the server said more than it was asked before the encryption began: somebody may sit in between"
    )]
    Injected,
    /// The handshake failed.
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
}

impl Wire {
    /// Looks `host` up and connects to the first of its addresses that answers.
    pub(super) async fn connect(host: &str, port: u16) -> io::Result<Self> {
        let stream = TcpStream::connect((host, port)).await?;
        // Where nobody listens on this machine, the system may have taken the very port for our end: we would wait for
        // our own greeting.
        if stream.local_addr()? == stream.peer_addr()? {
            return Err(ErrorKind::ConnectionRefused.into());
        }
        stream.set_nodelay(true)?;
        Ok(Self { stream: Stream::Plain(stream), incoming: ReplyBuffer::default() })
    }

    /// Encrypts what is said from here on; the server has to prove that it is `name`, as `config` wants it. What it has
    /// said so far without being asked is an error: whoever sits in between can have said it (CVE-2011-0411).
    pub(super) async fn encrypt(
        self,
        config: Arc<ClientConfig>,
        name: ServerName<'static>,
    ) -> Result<Self, EncryptError> {
        let Stream::Plain(socket) = self.stream else { return Err(EncryptError::Twice) };
        if !self.incoming.is_empty() {
            return Err(EncryptError::Injected);
        }
        let stream = Stream::Tls(Box::new(Tls::shake_hands(socket, config, name).await?));
        Ok(Self { stream, incoming: ReplyBuffer::default() })
    }

    /// Something came that nobody has read.
    pub(super) fn has_more(&self) -> bool {
        !self.incoming.is_empty()
    }

    /// Nobody in between can read or change what is said.
    pub(super) fn is_encrypted(&self) -> bool {
        matches!(self.stream, Stream::Tls(_))
    }

    /// This end's address.
    pub(super) fn local_addr(&self) -> io::Result<SocketAddr> {
        match &self.stream {
            Stream::Plain(socket) => socket.local_addr(),
            Stream::Tls(tls) => tls.socket().local_addr(),
        }
    }

    /// Writes all of `bytes`.
    pub(super) async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.stream {
            Stream::Plain(socket) => socket.write_all(bytes).await,
            Stream::Tls(tls) => tls.send(bytes).await,
        }
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

    /// Writes `first` and then `second`, in one system call where possible. `accepted` counts the bytes that the system
    /// took, and of encrypted ones those that the server can make something of, also when this future is dropped
    /// halfway.
    pub(super) async fn send_counted(
        &mut self,
        first: &[u8],
        second: &[u8],
        accepted: &mut usize,
    ) -> io::Result<()> {
        let socket = match &mut self.stream {
            Stream::Plain(socket) => socket,
            Stream::Tls(tls) => return tls.send_counted(first, second, accepted).await,
        };
        while *accepted < first.len() + second.len() {
            let head = first.get(*accepted..).unwrap_or_default();
            let tail = second.get(accepted.saturating_sub(first.len())..).unwrap_or_default();
            let written = socket.write_vectored(&[IoSlice::new(head), IoSlice::new(tail)]).await?;
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
            let count = match &mut self.stream {
                Stream::Plain(socket) => socket.read_buf(space).await?,
                Stream::Tls(tls) => tls.read(space).await?,
            };
            if count == 0 {
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
            let readable = match &self.stream {
                Stream::Plain(socket) => socket.readable().await,
                Stream::Tls(tls) => tls.socket().readable().await,
            };
            // An error is a disturbance as well: the next look meets it.
            if readable.is_err() {
                return;
            }
        }
    }

    /// Nothing came that nobody asked for, and the other side has not hung up. Costs no system call while that is so.
    /// What came is kept for the next look; what TLS says to itself is nothing.
    pub(super) fn is_quiet(&mut self) -> bool {
        if !self.incoming.is_empty() {
            return false;
        }
        let space = self.incoming.space();
        let found = match &mut self.stream {
            Stream::Plain(socket) => socket.try_read_buf(space),
            Stream::Tls(tls) => tls.try_read(space),
        };
        matches!(found, Err(error) if error.kind() == ErrorKind::WouldBlock)
    }
}
