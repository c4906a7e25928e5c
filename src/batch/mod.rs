//! Batches: the rows of a table, each delivered once.

mod deliver;
mod mail;
mod recover;
mod runner;

pub use deliver::Deliver;
pub use recover::{InterruptedFire, Recovery};
pub use runner::{Batch, preview};

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
}
