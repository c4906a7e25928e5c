//! Talks to the daemon on a state: a small HTTP client over its socket.
//!
//! Three things are told apart: there is no daemon, it cannot be reached, and it says no.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{HOST, SERVER};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::config::StatePlace;
use crate::server::socket;
use crate::server::wire::{self, FireLine, ROOT};

/// A daemon that is well answers in milliseconds. One that was stopped in its tracks never does.
const PATIENCE: Duration = Duration::from_secs(60);

/// Why the daemon could not be asked, or what it said. Reasons are within the message: none is a source that
/// would be printed once more.
#[derive(Debug, thiserror::Error)]
pub(super) enum ClientError {
    #[error("no gulou daemon is running on the state {state}; start it with `gulou serve`", state = .0)]
    NoDaemon(String),
    #[error("could not reach the daemon at {socket}: {reason}{hint}", socket = .socket.display())]
    Unreachable { socket: PathBuf, reason: io::Error, hint: &'static str },
    #[error("the daemon did not answer within {} s", PATIENCE.as_secs())]
    Silent,
    #[error("the daemon hung up: {0}")]
    HungUp(String),
    #[error("what answers at the socket is not a gulou daemon")]
    Stranger,
    /// `.1` is empty, or says that the versions differ.
    #[error("the daemon's answer makes no sense here: {0}{1}")]
    Nonsense(String, String),
    /// The daemon's own words.
    #[error("{0}")]
    Refused(String),
}

impl From<hyper::Error> for ClientError {
    fn from(error: hyper::Error) -> Self {
        Self::HungUp(error.to_string())
    }
}

/// A daemon that has been reached.
pub(super) struct Daemon {
    runtime: Runtime,
    sender: SendRequest<Full<Bytes>>,
    /// Its program's version, where it is another than ours.
    other_version: Option<String>,
}

impl Daemon {
    /// Reaches the daemon at `place`, its socket; none when there is none.
    pub(super) fn find(place: &Path) -> Result<Option<Self>, ClientError> {
        let unreachable = |reason: io::Error| {
            let denied = reason.kind() == io::ErrorKind::PermissionDenied;
            let hint = if denied { "; it is for the user that runs the daemon alone" } else { "" };
            ClientError::Unreachable { socket: place.to_owned(), reason, hint }
        };
        let stream = match socket::connect(place) {
            Ok(stream) => stream,
            Err(error) if is_nobody(&error) => return Ok(None),
            Err(error) => return Err(unreachable(error)),
        };
        stream.set_nonblocking(true).map_err(unreachable)?;
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(unreachable)?;
        let sender = runtime.block_on(async {
            let stream = tokio::net::UnixStream::from_std(stream).map_err(unreachable)?;
            let (sender, connection) = handshake(TokioIo::new(stream)).await?;
            // Its errors come out where the answer is waited for.
            tokio::spawn(connection);
            Ok::<_, ClientError>(sender)
        })?;
        Ok(Some(Self { runtime, sender, other_version: None }))
    }

    /// The daemon at `place`, which must be there.
    pub(super) fn reach(place: &StatePlace) -> Result<Self, ClientError> {
        Self::find(&place.socket)?.ok_or_else(|| ClientError::NoDaemon(place.state.to_string()))
    }

    /// Asks a question.
    pub(super) fn get(&mut self, name: &str) -> Result<Value, ClientError> {
        self.whole(Method::GET, name, Bytes::new())
    }

    /// Gives an order.
    pub(super) fn post(&mut self, name: &str, body: &impl Serialize) -> Result<Value, ClientError> {
        let body = self.read(serde_json::to_vec(body))?;
        self.whole(Method::POST, name, body.into())
    }

    /// Fires, and hands over each line of the answer as it comes, up to the last.
    pub(super) fn fire(
        &mut self,
        fire: &wire::Fire,
        mut each: impl FnMut(FireLine),
    ) -> Result<(), ClientError> {
        let body = self.read(serde_json::to_vec(fire))?;
        let mut response = self.send(Method::POST, "fire", body.into())?;
        let mut text = Vec::new();
        while let Some(frame) = self.runtime.block_on(response.body_mut().frame()) {
            text.extend(frame?.into_data().unwrap_or_default());
            while let Some(end) = memchr::memchr(b'\n', &text) {
                let line: Vec<u8> = text.drain(..=end).collect();
                each(self.read(serde_json::from_slice(&line))?);
            }
        }
        Ok(())
    }

    /// Takes an answer apart.
    pub(super) fn typed<T: DeserializeOwned>(&self, answer: Value) -> Result<T, ClientError> {
        self.read(serde_json::from_value(answer))
    }

    fn whole(&mut self, method: Method, name: &str, body: Bytes) -> Result<Value, ClientError> {
        let response = self.send(method, name, body)?;
        let text = self.runtime.block_on(collect(response))?;
        self.read(serde_json::from_slice(&text))
    }

    /// Waits for the head of the answer; one that is not 200 is an error.
    fn send(&mut self, method: Method, name: &str, body: Bytes) -> Result<Response<Incoming>, ClientError> {
        let request = Request::builder()
            .method(method)
            .uri(format!("{ROOT}/{name}"))
            .header(HOST, "gulou")
            .body(Full::new(body))
            .map_err(|error| ClientError::Nonsense(error.to_string(), String::new()))?;
        let answer = self.sender.send_request(request);
        let response = self
            .runtime
            .block_on(async { tokio::time::timeout(PATIENCE, answer).await })
            .map_err(|_| ClientError::Silent)??;
        let server = response.headers().get(SERVER).and_then(|server| server.to_str().ok());
        let Some(version) = server.and_then(|server| server.strip_prefix("gulou/")) else {
            return Err(ClientError::Stranger);
        };
        self.note(version);
        if response.status() == StatusCode::OK {
            return Ok(response);
        }
        let status = response.status();
        let text = self.runtime.block_on(collect(response))?;
        let said = serde_json::from_slice::<wire::Error>(&text);
        let said = said.map_or_else(|_| format!("it answers {status}"), |said| said.error);
        Err(ClientError::Refused(format!("{said}{}", self.versions())))
    }

    /// Says once that the daemon is of another version: it may be older than the program on the disk.
    fn note(&mut self, version: &str) {
        if version != env!("CARGO_PKG_VERSION") && self.other_version.is_none() {
            self.other_version = Some(version.to_owned());
            let ours = env!("CARGO_PKG_VERSION");
            eprintln!("note: the daemon is gulou {version}, this is {ours}; restart it to have one version");
        }
    }

    fn versions(&self) -> String {
        let ours = env!("CARGO_PKG_VERSION");
        self.other_version
            .as_ref()
            .map_or_else(String::new, |theirs| format!(" (it is gulou {theirs}, this is {ours})"))
    }

    fn read<T>(&self, result: serde_json::Result<T>) -> Result<T, ClientError> {
        result.map_err(|error| ClientError::Nonsense(error.to_string(), self.versions()))
    }
}

async fn collect(response: Response<Incoming>) -> Result<Bytes, hyper::Error> {
    Ok(response.into_body().collect().await?.to_bytes())
}

/// No socket, a part of its path that is not there, or one that a dead daemon left.
fn is_nobody(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::ConnectionRefused
    )
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::os::unix::net::UnixListener;
    use std::thread::JoinHandle;

    use serde_json::json;
    use tempfile::TempDir;

    use super::*;
    use crate::settings::StateSettings;

    /// Something at the socket that gives one answer, and hands back what it was asked.
    fn answering(answer: &'static str) -> (TempDir, StatePlace, JoinHandle<String>) {
        let folder = TempDir::new().unwrap();
        let place = place(&folder, "gulou.db");
        let listener = UnixListener::bind(&place.socket).unwrap();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut asked = Vec::new();
            let mut buffer = [0; 1024];
            while !asked.ends_with(b"\r\n\r\n") && !asked.ends_with(b"}") {
                let length = stream.read(&mut buffer).unwrap();
                asked.extend_from_slice(&buffer[..length]);
            }
            stream.write_all(answer.replace("OURS", wire::SERVER).as_bytes()).unwrap();
            String::from_utf8(asked).unwrap()
        });
        (folder, place, server)
    }

    fn place(folder: &TempDir, name: &str) -> StatePlace {
        let socket = folder.path().join(format!("{name}.sock"));
        StatePlace { state: StateSettings::Sqlite(folder.path().join(name)), socket }
    }

    fn asked(answer: &'static str) -> Result<Value, String> {
        let (_folder, state, server) = answering(answer);
        let got = Daemon::reach(&state).unwrap().get("status").map_err(|error| error.to_string());
        assert!(server.join().unwrap().starts_with("GET /api/v1/status HTTP/1.1\r\n"));
        got
    }

    #[test]
    fn no_daemon_is_no_error_until_one_is_needed() {
        let folder = TempDir::new().unwrap();
        for state in ["gulou.db", "var/gulou.db"] {
            let place = place(&folder, state);
            assert!(Daemon::find(&place.socket).unwrap().is_none());
            let error = Daemon::reach(&place).err().unwrap().to_string();
            assert!(error.starts_with("no gulou daemon is running on the state /"), "{error}");
            assert!(error.ends_with("gulou.db; start it with `gulou serve`"), "{error}");
        }
        let stale = folder.path().join("stale.sock");
        drop(UnixListener::bind(&stale).unwrap());
        assert!(Daemon::find(&stale).unwrap().is_none());
    }

    #[test]
    fn answers_and_refusals_are_told_apart() {
        assert_eq!(
            asked("HTTP/1.1 200 OK\r\nserver: OURS\r\ncontent-length: 8\r\n\r\n{\"a\": 1}"),
            Ok(json!({ "a": 1 }))
        );
        assert_eq!(
            asked("HTTP/1.1 503 x\r\nserver: OURS\r\ncontent-length: 19\r\n\r\n{\"error\":\"not now\"}"),
            Err("not now".to_owned())
        );
    }

    #[test]
    fn strangers_and_nonsense_are_told_apart() {
        let stranger = asked("HTTP/1.1 200 OK\r\nserver: nginx\r\ncontent-length: 2\r\n\r\n{}");
        assert_eq!(stranger, Err("what answers at the socket is not a gulou daemon".to_owned()));
        let nonsense =
            asked("HTTP/1.1 200 OK\r\nserver: gulou/9.8.7\r\ncontent-length: 1\r\n\r\n{").unwrap_err();
        assert!(nonsense.starts_with("the daemon's answer makes no sense here: EOF"), "{nonsense}");
        assert!(nonsense.contains("(it is gulou 9.8.7, this is "), "{nonsense}");
        let other = asked("HTTP/1.1 404 x\r\nserver: gulou/9.8.7\r\ncontent-length: 0\r\n\r\n").unwrap_err();
        assert!(other.starts_with("it answers 404 Not Found (it is gulou 9.8.7"), "{other}");
        let dead = asked("").unwrap_err();
        assert!(dead.starts_with("the daemon hung up: "), "{dead}");
    }

    #[test]
    fn lines_of_a_fire_arrive_however_they_are_cut() {
        let (_folder, state, server) = answering(
            "HTTP/1.1 200 OK\r\nserver: OURS\r\ntransfer-encoding: chunked\r\n\r\n\
             20\r\n{\"run\":7,\"waits\":false}\n{\"stream\r\n\
             1d\r\n\":\"stdout\",\"line\":\"\u{9f13}\u{697c}\"}\n{\r\n\
             d\r\n\"error\":\"no\"}\r\n1\r\n\n\r\n0\r\n\r\n",
        );
        let mut lines = Vec::new();
        let fire = wire::Fire { function: "f".to_owned(), trigger: None, event: None };
        Daemon::reach(&state).unwrap().fire(&fire, |line| lines.push(line)).unwrap();
        assert!(server.join().unwrap().ends_with("\r\n\r\n{\"function\":\"f\"}"));
        assert_eq!(
            lines,
            [
                FireLine::Claimed { run: 7, waits: false },
                FireLine::output(crate::run::Stream::Stdout, "鼓楼".to_owned()),
                FireLine::Error { error: "no".to_owned() },
            ]
        );
    }
}
