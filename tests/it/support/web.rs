//! A web server for one test: it writes down what it is asked, and answers byte by byte what the test says.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::PATIENCE;
use super::certificate::Identity;

/// What the server was asked.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) method: String,
    /// Path and query.
    pub(crate) path: String,
    headers: Vec<(String, String)>,
    pub(crate) body: String,
    /// The number of the connection, from 1.
    pub(crate) connection: usize,
}

impl Asked {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let named = |(known, _): &&(String, String)| known.eq_ignore_ascii_case(name);
        self.headers.iter().find(named).map(|(_, value)| value.as_str())
    }
}

/// What it answers.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    /// Bytes; the connection stays open.
    Bytes(Vec<u8>),
    /// The first so many of them; then the connection is closed.
    Cut(Vec<u8>, usize),
    /// Bytes again and again, until the client goes away.
    Endless(Vec<u8>, Vec<u8>),
    /// Nothing, until the client goes away.
    Silence,
}

/// A whole answer.
pub(crate) fn answer(status: &str, headers: &[(&str, &str)], body: &str) -> Vec<u8> {
    let mut lines = vec![format!("HTTP/1.1 {status}")];
    lines.extend(headers.iter().map(|(name, value)| format!("{name}: {value}")));
    lines.push(format!("Content-Length: {}\r\n\r\n{body}", body.len()));
    lines.join("\r\n").into_bytes()
}

/// `200 OK`.
pub(crate) fn ok(body: &str) -> Answer {
    Answer::Bytes(answer("200 OK", &[], body))
}

/// Another status, without headers.
pub(crate) fn status(status: &str, body: &str) -> Answer {
    Answer::Bytes(answer(status, &[], body))
}

type Handler = dyn Fn(&Asked) -> Answer + Send + Sync;

#[derive(Default)]
struct Diary {
    asked: Vec<Asked>,
    hung_up: usize,
}

struct Shared {
    handler: Box<Handler>,
    tls: Option<Arc<ServerConfig>>,
    diary: Mutex<Diary>,
    news: Condvar,
    ended: AtomicBool,
}

/// A server that goes with the test.
pub(crate) struct Web {
    address: SocketAddr,
    shared: Arc<Shared>,
    identity: Option<Identity>,
}

impl Web {
    /// On a free port of `127.0.0.1`.
    pub(crate) fn start(handler: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> Self {
        Self::listen(Box::new(handler), None)
    }

    /// The same behind TLS, with a certificate for `localhost` by a CA of its own.
    pub(crate) fn start_tls(handler: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> Self {
        let identity = Identity::of(&["localhost"]);
        Self::listen(Box::new(handler), Some(identity))
    }

    fn listen(handler: Box<Handler>, identity: Option<Identity>) -> Self {
        let tls = identity.as_ref().map(|identity| identity.config.clone());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (diary, news, ended) = (Mutex::default(), Condvar::new(), AtomicBool::new(false));
        let shared = Arc::new(Shared { handler, tls, diary, news, ended });
        let of_listener = shared.clone();
        thread::spawn(move || {
            for (index, stream) in listener.incoming().enumerate() {
                if of_listener.ended.load(Ordering::Acquire) {
                    break;
                }
                let (stream, shared) = (stream.unwrap(), of_listener.clone());
                thread::spawn(move || shared.serve(stream, index + 1));
            }
        });
        Self { address, shared, identity }
    }

    /// The URL of `path` here.
    pub(crate) fn url(&self, path: &str) -> String {
        let (scheme, host) =
            if self.shared.tls.is_some() { ("https", "localhost") } else { ("http", "127.0.0.1") };
        format!("{scheme}://{host}:{}{path}", self.address.port())
    }

    /// The CA's certificate.
    pub(crate) fn ca(&self) -> PathBuf {
        self.identity.as_ref().unwrap().ca()
    }

    /// All that was asked.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.shared.diary.lock().unwrap().asked.clone()
    }

    /// The same, once there are `count`.
    #[track_caller]
    pub(crate) fn wait_for(&self, count: usize) -> Vec<Asked> {
        self.wait_until(|diary| diary.asked.len() >= count);
        self.asked()
    }

    /// Waits until a client went away from a [`Answer::Silence`] or an [`Answer::Endless`].
    #[track_caller]
    pub(crate) fn wait_for_hang_up(&self) {
        self.wait_until(|diary| diary.hung_up > 0);
    }

    #[track_caller]
    fn wait_until(&self, done: impl Fn(&Diary) -> bool) {
        let diary = self.shared.diary.lock().unwrap();
        let waited = self.shared.news.wait_timeout_while(diary, PATIENCE, |diary| !done(diary)).unwrap();
        let timed_out = waited.1.timed_out();
        drop(waited);
        assert!(!timed_out, "the server was asked {:#?}", self.asked());
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Release);
        // Wakes the listener up.
        let _ = TcpStream::connect(self.address);
    }
}

impl Shared {
    fn serve(&self, stream: TcpStream, connection: usize) {
        let Some(tls) = &self.tls else {
            return self.converse(stream, connection);
        };
        let session = ServerConnection::new(tls.clone()).unwrap();
        self.converse(StreamOwned::new(session, stream), connection);
    }

    /// Until either side goes away. A client that breaks off is no fault of the test's.
    fn converse(&self, stream: impl Read + Write, connection: usize) {
        let mut stream = BufReader::new(stream);
        while let Ok(Some(asked)) = read(&mut stream, connection) {
            self.write_down(|diary| diary.asked.push(asked.clone()));
            if !matches!(self.answer(&mut stream, (self.handler)(&asked)), Ok(true)) {
                break;
            }
        }
    }

    /// True when the connection stays open.
    fn answer<S: Read + Write>(&self, stream: &mut BufReader<S>, answer: Answer) -> io::Result<bool> {
        match answer {
            Answer::Bytes(bytes) => {
                stream.get_mut().write_all(&bytes)?;
                stream.get_mut().flush()?;
                Ok(true)
            }
            Answer::Cut(bytes, length) => {
                stream.get_mut().write_all(&bytes[..length])?;
                stream.get_mut().flush()?;
                Ok(false)
            }
            Answer::Endless(head, more) => {
                stream.get_mut().write_all(&head)?;
                while stream.get_mut().write_all(&more).is_ok() {}
                self.write_down(|diary| diary.hung_up += 1);
                Ok(false)
            }
            Answer::Silence => {
                let _ = stream.read(&mut [0]);
                self.write_down(|diary| diary.hung_up += 1);
                Ok(false)
            }
        }
    }

    fn write_down(&self, write: impl FnOnce(&mut Diary)) {
        write(&mut self.diary.lock().unwrap());
        self.news.notify_all();
    }
}

/// The next request; none when the client is gone.
fn read(stream: &mut impl BufRead, connection: usize) -> io::Result<Option<Asked>> {
    let mut line = || {
        let mut line = String::new();
        stream.read_line(&mut line).map(|_| line.trim_end().to_owned())
    };
    let first = line()?;
    let mut words = first.split(' ');
    let (Some(method), Some(path)) = (words.next(), words.next()) else { return Ok(None) };
    let mut headers = Vec::new();
    loop {
        let line = line()?;
        let Some((name, value)) = line.split_once(':') else { break };
        headers.push((name.to_owned(), value.trim().to_owned()));
    }
    let asked =
        Asked { method: method.to_owned(), path: path.to_owned(), headers, body: String::new(), connection };
    let length = asked.header("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    Ok(Some(Asked { body: String::from_utf8(body).unwrap(), ..asked }))
}
