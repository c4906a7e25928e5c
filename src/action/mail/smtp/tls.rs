//! An encrypted stream whose account of what went out is exact.
//!
//! rustls is driven by hand, because a library in between writes when it sees fit: a read that fails would still push
//! out what is left of a mail. Here nothing is written but by sending, a record (at most 16 KiB) at a time, so that it
//! is known which bytes the other side may have and which it cannot: half a record cannot be decrypted.

use std::io::{self, BufRead, ErrorKind, IoSlice, Read, Write};
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};
use tokio::net::TcpStream;

/// As much plain text as one record takes (RFC 8446 §5.1).
const RECORD: usize = 16 * 1024;

/// A stream after its handshake.
#[derive(Debug)]
pub(super) struct Tls {
    socket: TcpStream,
    session: ClientConnection,
    /// Bytes of plain text in the record that is not wholly out.
    halfway: usize,
}

/// Why there is no encrypted stream.
#[derive(Debug, thiserror::Error)]
pub(super) enum HandshakeError {
    /// The connection is gone.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The other side did not prove who it is, or does not speak TLS.
    #[error(transparent)]
    Tls(#[from] rustls::Error),
}

impl Tls {
    /// Shakes hands; the other side has to prove that it is `name`, as `config` wants it.
    pub(super) async fn shake_hands(
        socket: TcpStream,
        config: Arc<ClientConfig>,
        name: ServerName<'static>,
    ) -> Result<Self, HandshakeError> {
        let session = ClientConnection::new(config, name)?;
        let mut tls = Self { socket, session, halfway: 0 };
        while tls.session.is_handshaking() {
            tls.flush().await?;
            if !tls.session.is_handshaking() {
                break;
            }
            tls.socket.readable().await?;
            match tls.session.read_tls(&mut Socket(&tls.socket)) {
                Ok(0) => return Err(io::Error::from(ErrorKind::UnexpectedEof).into()),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error.into()),
            }
            if let Err(error) = tls.session.process_new_packets() {
                // The other side is told why. It may have gone; what is wrong stays what it is.
                let _ = tls.flush().await;
                return Err(error.into());
            }
        }
        tls.flush().await?;
        Ok(tls)
    }

    pub(super) fn socket(&self) -> &TcpStream {
        &self.socket
    }

    /// Writes `first` and then `second` from the byte `accepted` on, which counts what the other side may have. A call
    /// that was dropped may be followed by another one for the same bytes, and by nothing else.
    pub(super) async fn send_counted(
        &mut self,
        first: &[u8],
        second: &[u8],
        accepted: &mut usize,
    ) -> io::Result<()> {
        loop {
            self.flush().await?;
            *accepted += std::mem::take(&mut self.halfway);
            let head = first.get(*accepted..).unwrap_or_default();
            let tail = second.get(accepted.saturating_sub(first.len())..).unwrap_or_default();
            let head = head.get(..RECORD).unwrap_or(head);
            let tail = tail.get(..RECORD - head.len()).unwrap_or(tail);
            if head.is_empty() && tail.is_empty() {
                return Ok(());
            }
            self.halfway = self.session.writer().write_vectored(&[IoSlice::new(head), IoSlice::new(tail)])?;
        }
    }

    /// Writes all of `bytes`, unless something else is halfway out: that it stays.
    pub(super) async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.halfway > 0 {
            return Err(io::Error::new(ErrorKind::BrokenPipe, "what was sent before did not go out whole"));
        }
        self.send_counted(bytes, &[], &mut 0).await
    }

    /// Waits for bytes and appends them; 0 when the other side has said that there will be no more.
    pub(super) async fn read(&mut self, into: &mut Vec<u8>) -> io::Result<usize> {
        loop {
            match self.decrypted(into) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                result => return result,
            }
            self.socket.readable().await?;
            match self.pull() {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                result => result?,
            }
        }
    }

    /// The same of what has come, without waiting: `WouldBlock` when there is nothing but what TLS says to itself.
    pub(super) fn try_read(&mut self, into: &mut Vec<u8>) -> io::Result<usize> {
        loop {
            match self.decrypted(into) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.pull()?,
                result => return result,
            }
        }
    }

    fn decrypted(&mut self, into: &mut Vec<u8>) -> io::Result<usize> {
        let mut reader = self.session.reader();
        let bytes = reader.fill_buf()?;
        let count = bytes.len();
        into.extend_from_slice(bytes);
        reader.consume(count);
        Ok(count)
    }

    /// Takes what the system has. The end of the stream is an error of the next look into what was decrypted.
    fn pull(&mut self) -> io::Result<()> {
        self.session.read_tls(&mut Socket(&self.socket))?;
        self.session.process_new_packets().map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
        Ok(())
    }

    async fn flush(&mut self) -> io::Result<()> {
        while self.session.wants_write() {
            match self.session.write_tls(&mut Socket(&self.socket)) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.socket.writable().await?,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// The system's end of a stream, as rustls wants it: what would wait is an error.
struct Socket<'a>(&'a TcpStream);

impl Read for Socket<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(into)
    }
}

impl Write for Socket<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write_vectored(slices)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
