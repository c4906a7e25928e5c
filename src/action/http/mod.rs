//! HTTP: templates become a request, the request goes out, an answer is judged.
//!
//! `compose` fills templates, `request` is what goes out and what of it may be shown, `clients` keeps connections,
//! `post` is for actions that know their requests themselves, `exchange` sends and follows redirects, `watched` knows whether anything was sent, `verdict` says what an answer
//! means. Knows nothing of targets and batches: one request in, one [`Delivery`] back.

mod clients;
mod compose;
mod exchange;
mod post;
mod request;
mod verdict;
mod watched;

pub use clients::HttpClients;
pub use compose::HttpAction;
pub use exchange::{Fault, FaultKind, Reply};
pub use post::JsonPost;
pub use request::HttpRequest;
pub use verdict::{Delivery, QUOTED, final_status, judge};
