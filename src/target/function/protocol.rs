//! What daemon and worker say to each other: frames of four bytes of length (little endian) and
//! that many bytes of JSON.

use std::io;

use serde::Deserialize;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::mpsc;

/// Room in a frame beside a return value: an error with its stack.
const SLACK: usize = 1024 * 1024;

/// A frame of the worker's.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// The worker waits for its first call.
    Ready {},
    /// A call has arrived; user code runs from now on.
    Started {},
    /// The handler returned.
    Returned(Returned),
    /// The handler threw, its promise was rejected, or it could not be loaded.
    Threw(Threw),
    /// An error that nobody caught; the process is about to end, unless user code prevents it.
    Dying(Dying),
    /// The process ends by `process.exit` or `sys.exit`, or after [`Reply::Dying`].
    Exiting {
        /// Its exit code.
        code: i32,
    },
}

/// The handler returned.
#[derive(Debug, Deserialize)]
pub struct Returned {
    /// Why the value is not recorded.
    pub unrecorded: Option<String>,
    /// The value as JSON; it comes in a frame of its own.
    #[serde(skip)]
    pub json: Vec<u8>,
}

/// The handler failed.
#[derive(Debug, Deserialize)]
pub struct Threw {
    /// One line.
    pub message: String,
    /// The stack and the like.
    pub detail: Vec<String>,
    /// Whether the code is loaded, so that the worker can be called again.
    pub worker_is_good: bool,
}

/// An error that nobody caught.
#[derive(Debug, Deserialize)]
pub struct Dying {
    /// `uncaught exception` or `unhandled rejection`.
    pub kind: String,
    /// One line. Node.js itself prints the stack.
    pub message: String,
}

/// `json` as a frame.
pub fn frame(json: &[u8]) -> Vec<u8> {
    // A request holds an event, whose argument is bounded by the configuration.
    let length = u32::try_from(json.len()).unwrap_or(u32::MAX);
    [&length.to_le_bytes(), json].concat()
}

/// Hands every reply to `to` until the worker closes its end or says something it should not.
pub async fn read_replies(mut from: impl AsyncRead + Unpin, result_limit: usize, to: mpsc::Sender<Reply>) {
    loop {
        match read_reply(&mut from, result_limit + SLACK).await {
            Ok(reply) => {
                if to.send(reply).await.is_err() {
                    return;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return,
            Err(error) => {
                tracing::warn!(%error, "a worker wrote something else than replies on descriptor 4");
                return;
            }
        }
    }
}

async fn read_reply(from: &mut (impl AsyncRead + Unpin), limit: usize) -> io::Result<Reply> {
    let mut reply: Reply = serde_json::from_slice(&read_frame(from, limit).await?)?;
    if let Reply::Returned(returned) = &mut reply {
        returned.json = read_frame(from, limit).await?;
    }
    Ok(reply)
}

async fn read_frame(from: &mut (impl AsyncRead + Unpin), limit: usize) -> io::Result<Vec<u8>> {
    let length = from.read_u32_le().await? as usize;
    if length > limit {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("a frame of {length} bytes")));
    }
    let mut bytes = vec![0; length];
    from.read_exact(&mut bytes).await?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn replies(bytes: &[u8]) -> Vec<Reply> {
        let (sender, mut receiver) = mpsc::channel(16);
        read_replies(bytes, 100, sender).await;
        let mut replies = Vec::new();
        while let Some(reply) = receiver.recv().await {
            replies.push(reply);
        }
        replies
    }

    #[tokio::test]
    async fn a_return_value_comes_in_a_second_frame() {
        let bytes = [
            frame(br#"{"returned":{"unrecorded":"why"}}"#),
            frame(b"[1]"),
            frame(br#"{"exiting":{"code":3}}"#),
        ];
        let replies = replies(&bytes.concat()).await;
        let [Reply::Returned(returned), Reply::Exiting { code: 3 }] = &replies[..] else {
            panic!("{replies:?}")
        };
        assert_eq!(
            (returned.unrecorded.as_deref(), returned.json.as_slice()),
            (Some("why"), b"[1]".as_slice())
        );
    }

    #[tokio::test]
    async fn reading_stops_at_what_is_no_reply() {
        for wrong in [frame(b"{\"hello\":{}}"), vec![255; 64], vec![1]] {
            let bytes = [frame(br#"{"started":{}}"#), wrong].concat();
            assert!(matches!(replies(&bytes).await[..], [Reply::Started {}]));
        }
    }
}
