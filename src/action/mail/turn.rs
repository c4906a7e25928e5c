//! When a mail may go: its domain has room, and so have the connections of its sender.
//!
//! Whoever waits for a domain is not on the connections' account, so that mails to other domains go on.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::domains::Place;
use super::message::RenderedMail;
use super::transport::Transport;

/// How many wait for their domains, for each mail that goes.
const WAITING: usize = 3;

/// What a mail holds while it is delivered.
#[derive(Debug, Default)]
pub struct Turn {
    _place: Option<Place>,
    _lane: Option<OwnedSemaphorePermit>,
}

/// A sender's share of a way out where domains are limited: as many mails as its connections carry.
#[derive(Clone, Debug)]
pub(super) struct Lanes(Option<Arc<Semaphore>>);

impl Lanes {
    /// Of a sender that has so many under way at once.
    pub(super) fn new(transport: &Transport, at_once: usize) -> Self {
        Self(
            transport.limits_domains().then(|| Arc::new(Semaphore::new(at_once.min(Semaphore::MAX_PERMITS)))),
        )
    }

    /// How many mails are handed in at once, those that wait for their domains among them.
    pub(super) fn at_once(&self, at_once: usize) -> usize {
        if self.0.is_some() { at_once.saturating_mul(1 + WAITING) } else { at_once }
    }

    /// Waits until `mail` may go.
    pub(super) async fn turn(&self, transport: &Transport, mail: &RenderedMail) -> Turn {
        let Some(lanes) = &self.0 else { return Turn::default() };
        let place = transport.place(mail).await;
        // They are never closed.
        Turn { _place: place, _lane: Arc::clone(lanes).acquire_owned().await.ok() }
    }
}
