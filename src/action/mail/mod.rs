//! Mail: templates become a message, the message goes to a Maildir or an SMTP server.
//!
//! `compose` joins templates and rows, `extras` the files and headers besides, `message` builds the MIME, `dkim` signs,
//! `address` guards who it goes to, `transport` picks the way out: `maildir` or `smtp`, and of several `servers` the one
//! that is there; `domains` keeps count of who gets how many at a time, `turn` of who may go. Knows nothing of batches:
//! one mail in, one [`Outcome`](super::Outcome) back.

mod address;
mod compose;
mod dkim;
mod domains;
mod extras;
mod files;
mod maildir;
mod message;
mod servers;
mod smtp;
mod transport;
mod turn;

pub use address::{Address, AddressError};
pub use compose::MailAction;
pub use files::Attachment;
pub use message::RenderedMail;
pub use smtp::Timeouts;
pub use transport::Transport;
pub use turn::Turn;

pub use super::template::{RenderError, TemplateError};
