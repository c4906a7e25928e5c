//! An SMTP server that is far away: it answers what it has read ten milliseconds later.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Before each answer, or each group of them.
const DELAY: Duration = Duration::from_millis(10);

/// Starts the server on a thread of its own, for as long as the process lives.
pub(crate) fn start() -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = TcpListener::from_std(listener).unwrap();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(converse(stream));
            }
        });
    });
    address
}

/// Takes every mail. Ends with the client.
async fn converse(mut stream: TcpStream) {
    stream.set_nodelay(true).unwrap();
    let mut answers = "220 slow.test\r\n".to_owned();
    let mut pending = Vec::with_capacity(64 * 1024);
    let mut in_body = false;
    loop {
        tokio::time::sleep(DELAY).await;
        if stream.write_all(answers.as_bytes()).await.is_err() {
            return;
        }
        answers.clear();
        while answers.is_empty() {
            if !matches!(stream.read_buf(&mut pending).await, Ok(1..)) {
                return;
            }
            let whole = pending.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
            for line in pending.drain(..whole).as_slice().split_inclusive(|byte| *byte == b'\n') {
                if let Some(answer) = answer(line, &mut in_body) {
                    answers.push_str(answer);
                }
            }
        }
    }
}

/// What a server says to a line; nothing: it is one of a body.
pub(crate) fn answer(line: &[u8], in_body: &mut bool) -> Option<&'static str> {
    if *in_body {
        *in_body = line != b".\r\n";
        return (!*in_body).then_some("250 taken\r\n");
    }
    *in_body = line.starts_with(b"DATA");
    Some(match line.get(..4) {
        Some(b"EHLO") => "250-slow.test\r\n250-PIPELINING\r\n250 8BITMIME\r\n",
        Some(b"DATA") => "354 go on\r\n",
        Some(b"QUIT") => "221 bye\r\n",
        _ => "250 ok\r\n",
    })
}
