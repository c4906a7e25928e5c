//! What a conversation goes over: a socket that may be cut, in the clear or encrypted.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// A socket whose reading ends when the script says so.
pub(super) struct Socket {
    stream: TcpStream,
    /// Bytes on the wire until it is cut.
    left: Option<usize>,
    /// At most so many bytes at a time, each time after a pause.
    slowly: Option<(usize, Duration)>,
}

pub(super) enum Line {
    Plain(Socket),
    Tls(Box<StreamOwned<ServerConnection, Socket>>),
    /// Between the two.
    Nowhere,
}

impl Line {
    pub(super) fn new(stream: TcpStream, left: Option<usize>, slowly: Option<(usize, Duration)>) -> Self {
        Self::Plain(Socket { stream, left, slowly })
    }

    /// The handshake follows with the first read.
    pub(super) fn encrypted(self, config: Arc<ServerConfig>) -> Self {
        let Self::Plain(socket) = self else { panic!("TLS twice") };
        let session = ServerConnection::new(config).unwrap();
        Self::Tls(Box::new(StreamOwned::new(session, socket)))
    }
}

impl Read for Socket {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let mut room = into.len();
        if let Some((most, pause)) = self.slowly {
            sleep(pause);
            room = room.min(most);
        }
        if let Some(left) = self.left {
            if left == 0 {
                return Err(ErrorKind::ConnectionAborted.into());
            }
            room = room.min(left);
        }
        let count = self.stream.read(&mut into[..room])?;
        self.left = self.left.map(|left| left - count);
        Ok(count)
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

impl Read for Line {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.read(into),
            Self::Tls(stream) => stream.read(into),
            Self::Nowhere => Ok(0),
        }
    }
}

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
            Self::Nowhere => Ok(0),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(socket) => socket.flush(),
            Self::Tls(stream) => stream.flush(),
            Self::Nowhere => Ok(()),
        }
    }
}
