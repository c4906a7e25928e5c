//! The ledger of one batch: the state store's calls, with the batch's id filled in.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use chrono::{DateTime, Utc};
use uuid::Uuid;

#[cfg(test)]
use super::tests::Fuse;
use crate::run::Fire;
use crate::store::ledger::{BeginRun, Due, EntryKey, OpenFire, Scope, ScopeId, Step, Unmarked};
use crate::store::ledger_rows::Selection;
use crate::store::quota::{Take, Taken};
use crate::store::{Store, StoreError};

/// The ledger of one batch. Clones share everything.
#[derive(Clone, Debug)]
pub(super) struct Ledger {
    store: Store,
    batch: String,
    until_marked: bool,
    walk_on: bool,
    ids: Arc<Ids>,
    #[cfg(test)]
    pub(super) fuse: Fuse,
}

/// Reservation ids: random for the process, counted within it.
#[derive(Debug)]
struct Ids {
    prefix: u64,
    next: AtomicU64,
}

impl Ledger {
    /// `until_marked` and `walk_on` as in [`BeginRun`].
    pub(super) fn new(store: Store, batch: &str, until_marked: bool, walk_on: bool) -> Self {
        let (_, prefix) = Uuid::new_v4().as_u64_pair();
        Self {
            store,
            batch: batch.to_owned(),
            until_marked,
            walk_on,
            ids: Arc::new(Ids { prefix, next: AtomicU64::new(1) }),
            #[cfg(test)]
            fuse: Fuse::default(),
        }
    }

    /// An id that no other reservation has, ever: it becomes the `Message-ID`.
    pub(super) fn new_id(&self) -> String {
        format!("{:016x}-{:x}", self.ids.prefix, self.ids.next.fetch_add(1, Ordering::Relaxed))
    }

    pub(super) async fn begin(&self, fire: &Fire) -> Result<Scope, StoreError> {
        #[cfg(test)]
        self.fuse.burn().await;
        let begin = BeginRun {
            batch: self.batch.clone(),
            until_marked: self.until_marked,
            walk_on: self.walk_on,
            trigger: fire.full_name(),
            fire_time: fire.fire_time.timestamp(),
            reason: fire.reason,
        };
        self.store.begin_batch_run(begin).await
    }

    /// See [`Store::begin_lane_run`].
    pub(super) async fn begin_lane(&self) -> Result<Option<Scope>, StoreError> {
        #[cfg(test)]
        self.fuse.burn().await;
        self.store.begin_lane_run(self.batch.clone()).await
    }

    pub(super) async fn step(&self, step: Step) -> Result<Vec<usize>, StoreError> {
        #[cfg(test)]
        self.fuse.burn().await;
        self.store.batch_step(step).await
    }

    pub(super) async fn take_due(
        &self,
        run: (ScopeId, i64, bool),
        now: DateTime<Utc>,
        limit: usize,
    ) -> Result<Vec<Due>, StoreError> {
        #[cfg(test)]
        self.fuse.burn().await;
        self.store.take_due(self.batch.clone(), run, now.timestamp_millis(), limit).await
    }

    pub(super) async fn next_due(&self) -> Result<Option<DateTime<Utc>>, StoreError> {
        let due = self.store.next_due(self.batch.clone()).await?;
        Ok(due.and_then(DateTime::from_timestamp_millis))
    }

    pub(super) async fn unmarked(
        &self,
        after: Option<EntryKey>,
        limit: usize,
    ) -> Result<Vec<Unmarked>, StoreError> {
        self.store.unmarked(self.batch.clone(), after, limit).await
    }

    pub(super) async fn settle_unrecorded(
        &self,
        resend: bool,
        now: DateTime<Utc>,
    ) -> Result<u64, StoreError> {
        #[cfg(test)]
        self.fuse.burn().await;
        self.store.settle_unrecorded(self.batch.clone(), resend, now.timestamp_millis()).await
    }

    /// See [`Store::discard`].
    pub(super) async fn discard(&self, rows: Selection, mark: bool) -> Result<u64, StoreError> {
        self.store.discard(rows, mark).await
    }

    pub(super) async fn forget(&self, entries: Vec<EntryKey>) -> Result<(), StoreError> {
        #[cfg(test)]
        self.fuse.burn().await;
        self.store.forget(entries).await
    }

    pub(super) async fn take_quota(&self, take: Take) -> Result<Taken, StoreError> {
        #[cfg(test)]
        self.fuse.burn().await;
        self.store.take_quota(take).await
    }

    pub(super) async fn rest_quota(&self, name: String, until: i64) -> Result<(), StoreError> {
        #[cfg(test)]
        self.fuse.burn().await;
        self.store.rest_quota(name, until).await
    }

    pub(super) async fn open_fires(&self) -> Result<Vec<OpenFire>, StoreError> {
        self.store.open_fires(self.batch.clone()).await
    }
}
