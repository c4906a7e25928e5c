//! Batches: the rows of a table, each delivered once.
//!
//! `source → page → reserve → deliver → record → mark → forget`, one direction:
//!
//! - `source` reads pages in key order and marks rows; it knows nothing of the ledger.
//! - `ledger` is the state store's part: who is reserved, what came of it, how far the sweep has got.
//! - `flow` is one run: it alone moves rows from step to step. `digest` is the run of a batch that puts
//!   all rows into one mail, `export` that of one that puts them into a file.
//! - `recover` settles what a crash left, before anything else happens; `discard` does so with what an operator gives up.
//! - `errors` says when so many rows fail that the batch should stop.
//! - `ticket` has the rules: what an outcome means for the ledger and for the `account`.
//! - `deliver` is what an action must be able to do, `action` those that can; `preview` renders without delivering,
//!   `trial` delivers to somebody else.
//!
//! # What a crash leaves
//!
//! The durable steps of a row, in order. Each commit is synced before the next step begins, so a cut
//! between two of them leaves what the table says. Several rows share a commit, and steps of different rows
//! overlap: step 2 of some, 4 of others and 6 of third ones are one transaction of the state.
//!
//! | # | step | where | a cut right after it leaves | the next start |
//! |---|---|---|---|---|
//! | 1 | the page is read | – | nothing | reads it again |
//! | 2 | *reserve*: the entry, and the sweep's cursor behind it | state | a row reserved, not delivered: looks like 3 | holds it, or sends it (again) |
//! | 3 | *deliver* | the other side | a row reserved and delivered | holds it, or sends it again |
//! | 4 | *record*: sent, failed, waiting, held | state | a row recorded, not marked | marks it; it is never delivered again |
//! | 5 | *mark*: the row, and the look whether it still matches | source | a row marked, its entry still there | marks it once more, which changes nothing |
//! | 6 | *forget*: the entry goes | state | nothing | – |
//!
//! So what is in doubt is what is between 2 and 4: at most `window` rows, and no more of them than are needed
//! to keep the deliveries busy. `on_uncertain` decides about them; nothing else is ever guessed. Two rules keep
//! the rows behind the cursor from being lost, and those ahead of it from being delivered twice:
//!
//! - The cursor moves in the commit that reserves the rows it passes. What is reserved and never started
//!   is taken back in a commit that puts the cursor back too: deliveries start in key order, so what was
//!   never started is the end of the reserved rows.
//! - A page may be read before a mark that concerns it. Entries of the retry lane, whose rows can lie ahead of
//!   the cursor, are therefore kept after the mark until all pages are reserved that were read before it.
//!
//! Without a `mark` the scope of an entry is the fire: steps 5 and 6 fall away, record removes the entry, and the
//! cursor alone says that the row had its turn.
//!
//! A digest has one entry for its mail, or one a row if its rows are marked: reserved together, recorded together,
//! and in doubt together.

mod account;
mod action;
mod deliver;
mod digest;
mod discard;
mod errors;
mod export;
mod flow;
mod job;
mod key;
mod ledger;
mod pace;
mod preview;
mod quota;
mod recover;
mod runner;
mod sight;
mod source;
mod ticket;
mod trial;

pub use action::{Outgoing, RowAction};
pub use deliver::Deliver;
pub use discard::{Discarded, Marks};
pub use export::Export;
pub use preview::{Occasion, preview};
pub use recover::{InterruptedFire, Recovery};
pub use runner::{Batch, Line};
pub use trial::{Trial, trial};

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
