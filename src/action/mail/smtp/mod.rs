//! An SMTP client of our own (RFC 5321), because exact outcomes and speed on the wire are what a
//! mass mailer is for.
//!
//! `server` is whom it talks to; `reply` reads what servers say, `wire` carries bytes, `tls` encrypts them; `hello`
//! opens a connection, `login` says who we are, with what `token` gets; `session` speaks the protocol on it,
//! `connection` lets it carry one mail after the other, `verdict` turns answers into outcomes, `pool` has the mails
//! and the connections of a server.

mod connection;
mod hello;
mod login;
mod pool;
mod reply;
mod server;
mod session;
mod tls;
mod token;
mod verdict;
mod wire;

use std::time::Duration;

pub(super) use pool::{MAILS_PER_CONNECTION, Pool};
pub(super) use server::Server;

/// How long to wait for a server, and how long to keep a connection that has nothing to do.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// To look up the name and connect; 30 s.
    pub connect: Duration,
    /// For the greeting and for the answer to each command; 5 min, RFC 5321 §4.5.3.2.
    pub command: Duration,
    /// To write a body; 3 min, RFC 5321 §4.5.3.2.5.
    pub body: Duration,
    /// For the answer to a body; 10 min, RFC 5321 §4.5.3.2.6. Giving up early puts mails in doubt.
    pub answer: Duration,
    /// An idle connection is closed after this; 60 s.
    pub idle: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(30),
            command: Duration::from_secs(300),
            body: Duration::from_secs(180),
            answer: Duration::from_secs(600),
            idle: Duration::from_secs(60),
        }
    }
}
