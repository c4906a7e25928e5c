//! A body that remembers whether the connection asked for it: then a request may have arrived.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

/// Whether a request has begun to go out. A connection takes the body when it writes the head, never before.
#[derive(Clone, Debug, Default)]
pub(super) struct Begun(Arc<AtomicBool>);

impl Begun {
    pub(super) fn has(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    pub(super) fn note(&self) {
        self.0.store(true, Ordering::Release);
    }
}

/// Bytes in one piece.
#[derive(Debug)]
pub(super) struct Watched {
    bytes: Bytes,
    begun: Begun,
}

impl Watched {
    pub(super) fn new(bytes: Bytes, begun: Begun) -> Self {
        Self { bytes, begun }
    }
}

impl Body for Watched {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.begun.note();
        let bytes = std::mem::take(&mut self.bytes);
        Poll::Ready((!bytes.is_empty()).then(|| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.len() as u64)
    }
}
