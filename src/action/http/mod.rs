//! HTTP: templates become a request, the request goes out, an answer is judged.
//!
//! `compose` fills templates, `request` is what goes out and what of it may be shown, `clients` keeps connections,
//! `exchange` sends and follows redirects, `watched` knows whether anything was sent, `verdict` says what an answer
//! means. Knows nothing of targets and batches: one request in, one [`Delivery`] back.

mod clients;
mod compose;
mod exchange;
mod request;
mod verdict;
mod watched;

pub use clients::HttpClients;
pub use compose::HttpAction;
pub use exchange::{Fault, Reply};
pub use request::HttpRequest;
pub use verdict::{Delivery, QUOTED, final_status, judge};
