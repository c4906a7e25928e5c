//! What operators do with rows that a batch holds back, while the engine runs. The loop only says whose batch it is and
//! wakes up its retry lane; the work is done by whoever asks, since a ledger may hold a million rows.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::engine_loop::Engine;
use super::handle::{CommandError, Handle, Order};
use super::runner::Runner;
use crate::batch::{Batch, Discarded, Marks};
use crate::store::Store;
use crate::store::ledger_rows::{Requeue, Selection};

/// Who keeps the rows of a batch.
#[derive(Debug)]
pub(super) struct Keeper {
    store: Store,
    /// None: no function runs it any more.
    batch: Option<Arc<Batch>>,
}

impl Handle {
    /// Puts rows of a batch into the retry lane, due now, and wakes it up. Answers how many. A row that a run has in its
    /// hands is left alone.
    pub async fn requeue(&self, requeue: Requeue) -> Result<u64, CommandError> {
        let batch = requeue.rows.batch.clone();
        let keeper = self.keeper(&batch).await?;
        let count = keeper.store.requeue(requeue).await?;
        if count > 0 {
            self.tell(Order::WakeLane(batch)).await?;
        }
        Ok(count)
    }

    /// Sees to it that rows of a batch are never delivered: see [`Batch::discard`].
    pub async fn discard(&self, rows: Selection) -> Result<Discarded, CommandError> {
        let keeper = self.keeper(&rows.batch).await?;
        let Some(batch) = keeper.batch else {
            let rows = keeper.store.discard(rows, false).await?;
            return Ok(Discarded { rows, marks: Marks::Kept });
        };
        let discarded = batch.discard(rows).await?;
        if discarded.marks == Marks::AfterTheRun {
            tokio::spawn(async move {
                if let Err(error) = batch.recover().await {
                    let batch = batch.id();
                    tracing::error!(batch, %error, "discarded rows could not be marked; the next run does it first");
                }
            });
        }
        Ok(discarded)
    }

    /// The id of each batch, and the function that runs it.
    pub async fn batches(&self) -> Result<Vec<(String, String)>, CommandError> {
        self.ask(Order::Batches).await
    }

    async fn keeper(&self, batch: &str) -> Result<Keeper, CommandError> {
        let batch = batch.to_owned();
        self.ask(|reply: oneshot::Sender<Keeper>| Order::Keeper(batch, reply)).await
    }
}

impl Engine {
    pub(super) fn keeper(&self, id: &str) -> Keeper {
        let batch = self.batch(id).map(|(_, batch)| Arc::clone(batch));
        Keeper { store: self.store.clone(), batch }
    }

    pub(super) fn batches(&self) -> Vec<(String, String)> {
        let functions = self.scheduler.slots.iter().filter(|slot| !slot.gone).map(|slot| &slot.function);
        let batches = functions.filter_map(|function| match &function.runner {
            Runner::Batch(batch) => Some((batch.id().to_owned(), function.name.clone())),
            _ => None,
        });
        batches.collect()
    }

    /// Rows of a batch go out as soon as nothing is in their way.
    pub(super) fn wake_lane(&mut self, id: &str) {
        let now = self.clock.now().timestamp_millis();
        if let Some((function, _)) = self.batch(id) {
            self.scheduler.lane_asked(function, now);
        }
    }

    fn batch(&self, id: &str) -> Option<(u32, &Arc<Batch>)> {
        let slots = (0..).zip(&self.scheduler.slots).filter(|(_, slot)| !slot.gone);
        slots.into_iter().find_map(|(index, slot)| match &slot.function.runner {
            Runner::Batch(batch) if batch.id() == id => Some((index, batch)),
            _ => None,
        })
    }
}
