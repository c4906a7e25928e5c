//! A copy of a database.

use serde_json::json;

use super::super::log::RunLog;
use super::SqlTarget;
use crate::db::Backup;
use crate::run::{Fire, Outcome, RunContext};
use crate::settings::BackupSettings;

impl SqlTarget {
    pub(super) async fn backup(
        &self,
        settings: &BackupSettings,
        fire: &Fire,
        context: &RunContext,
        log: &RunLog,
    ) -> Outcome {
        let backup = self.copy(settings, fire);
        let work = |cut| {
            let backup = &backup;
            async move { self.database.backup(backup, &cut).await }
        };
        match self.within_limits(context, work).await {
            Ok(copied) => {
                let copy = copied.path.display().to_string();
                let summary = format!("copied to {copy}, {} bytes", copied.bytes);
                log.note(summary.clone());
                for name in &copied.deleted {
                    log.note(format!("deleted {name}"));
                }
                let result = json!({ "file": copy, "bytes": copied.bytes, "deleted": copied.deleted });
                Outcome { message: Some(summary), ..Outcome::succeeded(Some(result)) }
            }
            Err(ended) => ended.outcome("", ""),
        }
    }

    pub(super) fn copy(&self, settings: &BackupSettings, fire: &Fire) -> Backup {
        Backup {
            folder: settings.to.clone(),
            database: self.settings.database.clone(),
            time: fire.fire_time,
            keep: settings.keep,
        }
    }
}
