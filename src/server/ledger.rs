//! The shapes of what is said about batches and the rows that they hold back: see [`super::wire`].

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::store::ledger_rows::{BatchSummary, LedgerRow, RowState};

/// Answer of `GET batches`.
#[derive(Debug, Serialize, Deserialize)]
pub struct Batches {
    /// By id.
    pub batches: Vec<Batch>,
}

/// What the ledger holds of a batch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    /// Its id.
    pub batch: String,
    /// The function that runs it, if one does.
    pub function: Option<String>,
    /// Rows that may or may not have been delivered.
    pub held: u64,
    /// Rows that failed for good.
    pub failed: u64,
    /// Rows that wait for another try.
    pub retrying: u64,
    /// Rows that are being delivered, recorded or marked.
    pub under_way: u64,
    /// When the first of the retrying rows is due.
    pub next_retry: Option<DateTime<Utc>>,
    /// Rows to come in the newest sweep, if they were counted.
    pub remaining: Option<u64>,
    /// Full name of the trigger of the newest fire.
    pub trigger: Option<String>,
    /// When that fire was due.
    pub fire_time: Option<DateTime<Utc>>,
    /// How it stands.
    pub fire_state: Option<String>,
}

/// Body of `POST batches/rows`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RowsOf {
    /// The batch's id.
    pub batch: String,
    /// Only rows in this state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<State>,
    /// At most so many; 100 unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u32>,
}

/// Answer of `POST batches/rows`.
#[derive(Debug, Serialize, Deserialize)]
pub struct Rows {
    /// The longest in their state first.
    pub rows: Vec<Row>,
}

/// A row that the ledger keeps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// One element a key column; empty: a whole digest.
    pub key: Value,
    /// `held`, `failed`, `retrying` or `under way`.
    pub state: String,
    /// When a retrying row is due; since when the others are as they are.
    pub at: DateTime<Utc>,
    /// Tries so far that came to nothing.
    pub attempts: u32,
    /// Its reservation, which is in the `Message-ID`.
    pub reservation: String,
    /// When its fire was due.
    pub fire_time: DateTime<Utc>,
    /// What the other side said, or what went wrong.
    pub detail: Option<String>,
}

/// A state that rows can be picked by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// See [`RowState`].
    Held,
    /// See [`RowState`].
    Failed,
    /// See [`RowState`].
    Retrying,
}

/// Body of `POST batches/resend`, `release` and `discard`: rows in one state, by their keys or all.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pick {
    /// The batch's id.
    pub batch: String,
    /// Held unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<State>,
    /// Keys as `rows` has them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys: Option<Vec<Vec<Value>>>,
    /// Never false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub all: Option<bool>,
}

/// Answer to a [`Pick`].
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Picked {
    /// Rows that it was done to.
    pub rows: u64,
    /// What is left to be done, for people.
    pub note: Option<String>,
}

impl Batch {
    /// What `function` runs.
    pub fn new(summary: BatchSummary, function: Option<String>) -> Self {
        Self {
            batch: summary.batch,
            function,
            held: summary.held,
            failed: summary.failed,
            retrying: summary.retrying,
            under_way: summary.under_way,
            next_retry: summary.next_retry.and_then(DateTime::from_timestamp_millis),
            remaining: summary.remaining,
            trigger: summary.trigger,
            fire_time: summary.fire_time.and_then(|unix| DateTime::from_timestamp(unix, 0)),
            fire_state: summary.fire_state,
        }
    }

    /// All that the ledger knows, and all that functions run (id and function), by id.
    pub fn all(known: Vec<BatchSummary>, mut run: Vec<(String, String)>) -> Vec<Self> {
        let mut all = Vec::with_capacity(known.len());
        for summary in known {
            let function = run.iter().position(|(id, _)| *id == summary.batch);
            all.push(Self::new(summary, function.map(|at| run.swap_remove(at).1)));
        }
        all.extend(run.into_iter().map(|(batch, function)| Self {
            batch,
            function: Some(function),
            ..Self::default()
        }));
        all.sort_by(|one, other| one.batch.cmp(&other.batch));
        all
    }
}

impl From<LedgerRow> for Row {
    fn from(row: LedgerRow) -> Self {
        Self {
            key: serde_json::from_str(&row.key).unwrap_or_default(),
            state: row.state.to_owned(),
            at: DateTime::from_timestamp_millis(row.at).unwrap_or_default(),
            attempts: row.attempts,
            reservation: row.reservation,
            fire_time: DateTime::from_timestamp(row.fire_time, 0).unwrap_or_default(),
            detail: row.detail,
        }
    }
}

impl From<State> for RowState {
    fn from(state: State) -> Self {
        match state {
            State::Held => Self::Held,
            State::Failed => Self::Failed,
            State::Retrying => Self::Retrying,
        }
    }
}
