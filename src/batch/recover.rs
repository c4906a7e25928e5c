//! After a crash: what earlier epochs left in the ledger is settled.

use chrono::{DateTime, Utc};

/// What a recovery found and did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Rows that were delivered and recorded but not marked; they are marked now.
    pub marked: u64,
    /// Rows that may or may not have been delivered and wait for an operator now.
    pub held: u64,
    /// Rows that may or may not have been delivered and will be delivered again.
    pub resent: u64,
    /// Fires whose run was cut off and should be resumed, oldest first.
    pub interrupted: Vec<InterruptedFire>,
}

/// A fire whose run was cut off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InterruptedFire {
    /// The trigger's full name, `function/trigger`.
    pub trigger: String,
    /// When the fire was due.
    pub fire_time: DateTime<Utc>,
}
