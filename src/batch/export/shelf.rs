//! The files that an export wrote, remembered in the state: what a crash left is removed, and of the others the oldest.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::store::memo::Memo;
use crate::store::{Store, StoreError};

/// More are not remembered.
const MOST: usize = 10_000;

/// What is remembered.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(super) struct Known {
    /// Files that are whole, oldest first.
    files: Vec<String>,
    /// One that was under way.
    draft: Option<String>,
}

/// The memory of one export.
#[derive(Debug)]
pub(super) struct Shelf(Memo);

impl Shelf {
    pub(super) fn new(store: &Store, function: &str, batch: &str) -> Self {
        Self(store.memo(function, &format!("export {batch}")))
    }

    /// Removes what a crash left, and remembers `draft`. Answers what is on the shelf.
    pub(super) async fn begin(&self, draft: &Path) -> Result<Known, StoreError> {
        let text = self.0.read().await?;
        let mut known: Known = text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
        if let Some(left) = known.draft.take() {
            // Usually it is gone.
            let _ = tokio::fs::remove_file(left).await;
        }
        self.write(&Known { draft: Some(draft.display().to_string()), ..known.clone() }).await?;
        Ok(known)
    }

    /// Remembers `file` as the newest.
    pub(super) async fn put(&self, before: &Known, file: &Path) -> Result<(), StoreError> {
        self.write(&with(before, file)).await
    }

    /// Removes the oldest files, so that `keep` stay. Answers their names.
    pub(super) async fn rotate(
        &self,
        before: &Known,
        file: &Path,
        keep: Option<u32>,
    ) -> Result<Vec<String>, StoreError> {
        let mut known = with(before, file);
        let Some(keep) = keep else { return Ok(Vec::new()) };
        known.files.retain(|file| Path::new(file).is_file());
        let mut removed = Vec::new();
        while known.files.len() > keep as usize {
            let oldest = known.files.remove(0);
            match tokio::fs::remove_file(&oldest).await {
                Ok(()) => removed.push(oldest),
                Err(error) => tracing::warn!(file = oldest, %error, "an old export could not be removed"),
            }
        }
        self.write(&known).await?;
        Ok(removed)
    }

    async fn write(&self, known: &Known) -> Result<(), StoreError> {
        self.0.write(serde_json::json!(known).to_string()).await
    }
}

fn with(before: &Known, file: &Path) -> Known {
    let name = file.display().to_string();
    let mut files = before.files.clone();
    files.retain(|known| *known != name);
    files.push(name);
    let surplus = files.len().saturating_sub(MOST);
    files.drain(..surplus);
    Known { files, draft: None }
}
