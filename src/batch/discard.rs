//! Rows that an operator gives up: they are never delivered.

use super::BatchError;
use super::deliver::Deliver;
use super::recover::settle;
use super::runner::Batch;
use crate::store::ledger_rows::Selection;

/// What became of rows that were to be discarded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Discarded {
    /// How many there were.
    pub rows: u64,
    /// How their marks in the source stand.
    pub marks: Marks,
}

/// How marks of discarded rows stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Marks {
    /// The batch has none for failed rows: these stay in the ledger, as failed.
    Kept,
    /// They are written.
    Written,
    /// A run is under way, whose pages may have been read before; [`Batch::recover`] writes them after it.
    AfterTheRun,
    /// They could not be written: why. The next run writes them first.
    Refused(String),
}

impl Marks {
    /// What is left to be done, for people.
    pub fn note(&self) -> Option<String> {
        match self {
            Self::Written => None,
            Self::Kept => Some(
                "they stay in the ledger as failed, so that the source does not hand them out again"
                    .to_owned(),
            ),
            Self::AfterTheRun => Some("they are marked as failed when the run under way ends".to_owned()),
            Self::Refused(why) => {
                Some(format!("they could not be marked yet, which the next run does first: {why}"))
            }
        }
    }
}

impl<A: Deliver> Batch<A> {
    /// Sees to it that rows are never delivered. With a mark for failed rows they are marked as failed and leave the ledger;
    /// without one they stay in it as failed, since the source would hand them out again. A row that a run has in its
    /// hands is left alone. The decision is durable when this returns.
    pub async fn discard(&self, rows: Selection) -> Result<Discarded, BatchError> {
        let marks_failed = self.job.rules.marks_failed;
        let rows = self.job.ledger.discard(rows, marks_failed).await?;
        if !marks_failed {
            return Ok(Discarded { rows, marks: Marks::Kept });
        }
        let Ok(mut turn) = self.line.try_lock() else {
            return Ok(Discarded { rows, marks: Marks::AfterTheRun });
        };
        turn.clean = false;
        let marks = match settle(&self.job).await {
            Ok(_) => Marks::Written,
            Err(error) => Marks::Refused(error.to_string()),
        };
        turn.clean = marks == Marks::Written;
        Ok(Discarded { rows, marks })
    }
}
