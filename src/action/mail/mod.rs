//! Mail: templates become a message, the message goes to a Maildir or an SMTP server.
//!
//! `compose` joins templates and rows, `message` builds the MIME, `address` guards who it goes
//! to, `transport` picks the way out: `maildir` or `smtp`, and of several
//! `servers` the one that is there; `domains` keeps count of who gets how many at a time, `turn` of who may go;
//! `dkim` signs. Knows nothing of batches: one mail in,
//! one [`Outcome`](super::Outcome) back.

mod address;
mod compose;
mod dkim;
mod domains;
mod files;
mod maildir;
mod message;
mod servers;
mod smtp;
mod transport;
mod turn;

pub use address::{Address, AddressError};
pub use compose::MailAction;
pub use files::{Attachment, MOST_BYTES};
pub use message::RenderedMail;
pub use smtp::Timeouts;
pub use transport::Transport;
pub use turn::Turn;

pub use super::template::{RenderError, TemplateError};
