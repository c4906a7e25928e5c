//! How many deliveries may start in a span of time.

use super::Rate;

/// A quota: the limits that its name has, all of them at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuotaSettings {
    /// Batches with the same name share it; that of the batch unless configured.
    pub name: String,
    /// So many in any span of that length. Empty: only the other side says when it is used up.
    pub limits: Vec<Rate>,
}
