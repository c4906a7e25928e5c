//! An SMTP server that takes every mail, in the clear or encrypted from the first byte on: this benchmark once more, as a
//! process of its own, so that the CPU of the two can be told apart.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::slow_server::answer;

#[allow(dead_code, reason = "the tests use all of it")]
#[path = "../../tests/it/support/certificate.rs"]
mod certificate;

/// What this program is called with to be the server.
const PLAIN: &str = "--plain-sink";
const ENCRYPTED: &str = "--tls-sink";

/// The running server; it stops when this value goes.
pub(crate) struct TlsSink {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Drop for TlsSink {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl TlsSink {
    pub(crate) fn start(encrypted: bool) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .arg(if encrypted { ENCRYPTED } else { PLAIN })
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self { child, address: line.trim().parse().unwrap() }
    }
}

/// Is the server, for ever, if the program was called for that.
pub(crate) fn serve_if_asked() {
    let config = match std::env::args().nth(1).as_deref() {
        Some(PLAIN) => None,
        Some(ENCRYPTED) => Some(certificate::Identity::of(&["127.0.0.1"]).config.clone()),
        _ => return,
    };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    println!("{}", listener.local_addr().unwrap());
    loop {
        let (stream, _) = listener.accept().unwrap();
        let config = config.clone();
        std::thread::spawn(move || converse_over(stream, config));
    }
}

fn converse_over(stream: TcpStream, config: Option<Arc<ServerConfig>>) {
    stream.set_nodelay(true).unwrap();
    match config {
        None => converse(stream),
        Some(config) => converse(StreamOwned::new(ServerConnection::new(config).unwrap(), stream)),
    }
}

/// Ends with the client.
fn converse(mut stream: impl Read + Write) {
    let mut answers = "220 sink.test\r\n".to_owned();
    let mut buffer = vec![0; 64 * 1024];
    let mut pending = Vec::new();
    let mut in_body = false;
    loop {
        if stream.write_all(answers.as_bytes()).and_then(|()| stream.flush()).is_err() {
            return;
        }
        answers.clear();
        while answers.is_empty() {
            let Ok(read @ 1..) = stream.read(&mut buffer) else { return };
            pending.extend_from_slice(&buffer[..read]);
            let whole = pending.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
            for line in pending.drain(..whole).as_slice().split_inclusive(|byte| *byte == b'\n') {
                if let Some(answer) = answer(line, &mut in_body) {
                    answers.push_str(answer);
                }
            }
        }
    }
}
