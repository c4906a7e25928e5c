//! One mail of a batch, sent to somebody who wants to see it: nothing is reserved, recorded or marked.

use std::sync::Arc;

use uuid::Uuid;

use super::BatchError;
use super::key::Key;
use super::preview::Occasion;
use super::sight::Sight;
use crate::action::mail::MailAction;
use crate::action::{Delivery, Outcome};
use crate::settings::{ActionSettings, BatchSettings, DatabaseSettings};
use crate::store::Reader;

/// A mail that was tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trial {
    /// The key of its row, as the ledger writes it; none: it is a digest.
    pub key: Option<String>,
    /// Who it would go to, or how many rows are in it.
    pub instead_of: String,
    /// What became of it.
    pub outcome: Outcome,
}

/// Sends one mail with `action`, which is diverted: that of the row with one of `keys`, which must match, or of the row
/// that would be delivered first. None: there is no such row.
pub async fn trial(
    settings: &BatchSettings,
    database: &DatabaseSettings,
    action: &Arc<MailAction>,
    state: Option<&Reader>,
    occasion: Occasion<'_>,
    keys: &[String],
) -> Result<Option<Trial>, BatchError> {
    let sight = Sight::open(settings, database, state, occasion)?;
    let reservation = format!("try-{}", Uuid::new_v4().simple());
    let (fire_time, now) = (sight.moment.fire_time, sight.moment.now);
    if let ActionSettings::Digest { max_rows, .. } = &settings.action {
        let rows = sight.all(*max_rows).await?;
        if rows.is_empty() {
            return Ok(None);
        }
        let instead_of = format!("a digest of {} rows", rows.len());
        let outcome = match action.render_digest(&rows, &reservation, fire_time, now).await {
            Ok(mail) => action.deliver(&mail).await,
            Err(error) => error.into(),
        };
        return Ok(Some(Trial { key: None, instead_of, outcome }));
    }
    let found = if keys.is_empty() {
        sight.first().await?
    } else {
        sight.one(keys.iter().filter_map(|key| Key::decode(key)).collect()).await?
    };
    let Some((key, row)) = found else { return Ok(None) };
    let delivery = Delivery { row: &row, reservation: &reservation, fire_time, now };
    let instead_of = action.recipient(&delivery).unwrap_or_else(|error| error.to_string());
    let outcome = match action.render_row(&delivery).await {
        Ok(mail) => action.deliver(&mail).await,
        Err(error) => error.into(),
    };
    Ok(Some(Trial { key: Some(key.encode()), instead_of, outcome }))
}
