//! Ends of runs on their way to the writer: those that come while others wait are written with them, in one piece of
//! work. Ten thousand runs that end in one second cost the writer a few visits, not ten thousand. They give way to all other
//! work: a fire that waits for its claim is late by what is done before it, and nobody acts on an end before its answer.

use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::writer::Turn;
use super::{Store, StoreError, runs};
use crate::store::runs::Ended;

type Answer = oneshot::Sender<Result<(), StoreError>>;

/// What waits to be written, each with where its answer goes. Clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Ends(Arc<Mutex<Vec<(Ended, Answer)>>>);

impl Ends {
    fn waiting(&self) -> MutexGuard<'_, Vec<(Ended, Answer)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> (Vec<Ended>, Vec<Answer>) {
        mem::take(&mut *self.waiting()).into_iter().unzip()
    }
}

impl Store {
    /// Whoever finds nobody waiting leads: it goes to the writer, and answers for all who have come by then.
    pub(in crate::store) async fn finish_with_others(&self, end: Ended) -> Result<(), StoreError> {
        let ends = self.inner.ends.clone();
        let (sender, answer) = oneshot::channel();
        let leads = {
            let mut waiting = ends.waiting();
            waiting.push((end, sender));
            waiting.len() == 1
        };
        if leads {
            self.write_ends(ends).await;
        }
        answer.await.map_err(|_| StoreError::Closed)?
    }

    async fn write_ends(&self, ends: Ends) {
        let answers = Arc::new(Mutex::new(Vec::new()));
        let (waiting, taken) = (ends.clone(), Arc::clone(&answers));
        let written = self
            .submit(1, Turn::Last, move |connection| {
                let (ends, answers) = waiting.take();
                *taken.lock().unwrap_or_else(PoisonError::into_inner) = answers;
                runs::finish_all(connection, &ends)
            })
            .await;
        let mut answers = mem::take(&mut *answers.lock().unwrap_or_else(PoisonError::into_inner));
        if written.is_err() {
            // The work may not have begun: nobody else would come for those who wait.
            answers.extend(ends.take().1);
        }
        for answer in answers {
            let result = written.as_ref().copied().map_err(|error| StoreError::Commit(error.to_string()));
            // Who asked may have given up waiting.
            let _ = answer.send(result);
        }
    }
}
