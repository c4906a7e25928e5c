//! A manual fire: its answer comes in lines, as the run speaks.
//!
//! The answer only listens. A client that hangs up, or never reads, changes nothing about the run.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use axum::http::StatusCode;
use axum::response::Response;
use hyper::body::Frame;
use tokio::sync::{mpsc, oneshot};

use super::reply::{self, Refusal};
use super::wire::{self, FireLine};
use crate::engine::Handle;
use crate::engine::handle::{Fired, ManualFire};
use crate::run::{Outcome, Output};

/// Lines of one piece of the answer, at most.
const GROUP: usize = 256;

/// Fires, and answers with what comes of it.
pub(super) async fn answer(handle: &Handle, fire: wire::Fire) -> Result<Response, Refusal> {
    // Not bounded here: a run's output is, where it arises, and a slow client must not slow the run.
    let (sender, lines) = mpsc::unbounded_channel();
    let mirror = Output::new(move |stream, line| {
        let _ = sender.send(FireLine::output(stream, line));
    });
    let wire::Fire { function, trigger, event } = fire;
    let event = event.map(Arc::new);
    let Fired { run, waits, ended } = handle.fire(ManualFire { function, trigger, event, mirror }).await?;
    let story = Story { first: Some(FireLine::Claimed { run, waits }), lines, end: End::Open(ended) };
    Ok(reply::with_type(StatusCode::OK, "application/x-ndjson", Body::new(story)))
}

/// The body: how the run began, its lines, its end.
struct Story {
    first: Option<FireLine>,
    lines: mpsc::UnboundedReceiver<FireLine>,
    end: End,
}

enum End {
    Open(oneshot::Receiver<Outcome>),
    Known(FireLine),
    Told,
}

impl hyper::body::Body for Story {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let story = &mut *self;
        if let Some(first) = story.first.take() {
            return Poll::Ready(Some(Ok(frame(&[first]))));
        }
        if let End::Open(ended) = &mut story.end
            && let Poll::Ready(outcome) = Pin::new(ended).poll(context)
        {
            // A run has handed over all its lines before its end is told.
            story.lines.close();
            story.end = End::Known(outcome.map_or_else(
                |_| {
                    FireLine::Error {
                        error:
                            "the run has not started: the daemon is stopping, or another run took its place"
                                .to_owned(),
                    }
                },
                FireLine::ended,
            ));
        }
        let mut group = Vec::new();
        if std::task::ready!(story.lines.poll_recv_many(context, &mut group, GROUP)) > 0 {
            return Poll::Ready(Some(Ok(frame(&group))));
        }
        // No more lines can come. The end may still be open, and wakes this task.
        match std::mem::replace(&mut story.end, End::Told) {
            End::Known(line) => Poll::Ready(Some(Ok(frame(&[line])))),
            End::Told => Poll::Ready(None),
            open @ End::Open(_) => {
                story.end = open;
                Poll::Pending
            }
        }
    }
}

fn frame(lines: &[FireLine]) -> Frame<Bytes> {
    let mut text = Vec::new();
    for line in lines {
        if let Err(error) = serde_json::to_writer(&mut text, line) {
            tracing::error!(%error, "a line of a run is no JSON");
        }
        text.push(b'\n');
    }
    Frame::data(Bytes::from(text))
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;
    use crate::run::Stream;

    struct Run {
        lines: Option<mpsc::UnboundedSender<FireLine>>,
        ended: Option<oneshot::Sender<Outcome>>,
        story: Story,
    }

    impl Run {
        fn start() -> Self {
            let (lines, receiver) = mpsc::unbounded_channel();
            let (ended, end) = oneshot::channel();
            let first = Some(FireLine::Claimed { run: 7, waits: true });
            let story = Story { first, lines: receiver, end: End::Open(end) };
            Self { lines: Some(lines), ended: Some(ended), story }
        }

        fn says(&self, line: &str) {
            let line = FireLine::output(Stream::Stdout, line.to_owned());
            self.lines.as_ref().unwrap().send(line).unwrap();
        }

        fn ends(&mut self) {
            self.ended.take().unwrap().send(Outcome::failed("no")).unwrap();
        }

        async fn rest(self) -> String {
            String::from_utf8(self.story.collect().await.unwrap().to_bytes().to_vec()).unwrap()
        }
    }

    const FIRST: &str = "{\"run\":7,\"waits\":true}\n";
    const LAST: &str = "{\"ended\":{\"status\":\"failed\",\"message\":\"no\",\"result\":null}}\n";

    #[tokio::test]
    async fn no_line_is_lost_before_the_end() {
        let mut run = Run::start();
        for number in 0..=GROUP {
            run.says(&number.to_string());
        }
        run.ends();
        // The sender of lines lives on: a stray task may hold it.
        let _stray = run.lines.clone();
        let text = run.rest().await;
        assert!(text.starts_with(FIRST) && text.ends_with(LAST), "{text}");
        assert_eq!(text.lines().count(), GROUP + 3);
        assert!(text.contains("{\"stream\":\"stdout\",\"line\":\"256\"}\n{\"ended\""), "{text}");
    }

    #[tokio::test]
    async fn lines_come_while_the_run_goes_on() {
        let mut run = Run::start();
        let next = async |run: &mut Run| {
            let frame = run.story.frame().await.unwrap().unwrap();
            String::from_utf8(frame.into_data().unwrap().to_vec()).unwrap()
        };
        assert_eq!(next(&mut run).await, FIRST);
        run.says("a");
        assert_eq!(next(&mut run).await, "{\"stream\":\"stdout\",\"line\":\"a\"}\n");
        // The lines may be over before the end is recorded.
        run.lines = None;
        let end = run.ended.take().unwrap();
        let (text, ()) = tokio::join!(run.rest(), async { end.send(Outcome::failed("no")).unwrap() });
        assert_eq!(text, LAST);
    }

    #[tokio::test]
    async fn a_run_that_never_starts_says_so() {
        let mut run = Run::start();
        run.ended = None;
        let text = run.rest().await;
        assert!(text.contains("\n{\"error\":\"the run has not started"), "{text}");
    }
}
