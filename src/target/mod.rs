//! What a fire runs: one runner a file, each from a [`Fire`](crate::run::Fire) to an
//! [`Outcome`](crate::run::Outcome).
//!
//! A target knows how to run user code and how to be sure that nothing of it is left over. It knows
//! nothing of schedules, overlap, retries or history: the engine decides when, the store remembers.

mod bounces;
mod command;
mod cut;
mod fetch;
mod function;
mod host;
mod http;
mod log;
mod process;
mod runner;
mod sql;
mod wrap;

pub use bounces::preview as preview_bounces;
pub use fetch::{Links, preview as preview_fetch};
pub use host::{Host, Limits};
pub use runner::Target;
