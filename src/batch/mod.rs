//! Batches: the rows of a table, each delivered once.

mod account;
mod deliver;
mod digest;
mod flow;
mod job;
mod key;
mod ledger;
mod mail;
mod pace;
mod preview;
mod recover;
mod runner;
mod source;
mod ticket;

pub use deliver::Deliver;
pub use preview::{Occasion, preview};
pub use recover::{InterruptedFire, Recovery};
pub use runner::Batch;

use crate::db::DbError;
use crate::store::StoreError;

/// Why a batch could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum BatchError {
    /// The settings contradict each other.
    #[error("batch \"{batch}\": {problem}")]
    Settings {
        /// The batch's id.
        batch: String,
        /// What is wrong, and the fix.
        problem: String,
    },
    /// The state could not be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The source could not be read or marked.
    #[error(transparent)]
    Source(#[from] DbError),
    /// Marked rows match the source's condition as before; names the row and the clause.
    #[error("{0}")]
    Stuck(String),
}

#[cfg(test)]
mod tests;
