//! What became of mails: counted, and said.

use std::ops::AddAssign;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::report::Failure;
use super::table::Row;
use super::words::Class;

/// What became of mails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct Tally {
    /// Mails that were read.
    pub read: u64,
    /// Recipients who are reached no more.
    pub hard: u64,
    /// Recipients who were not reached for now.
    pub soft: u64,
    /// Mails that are no bounces.
    pub unknown: u64,
    /// Recipients who are in no row.
    pub unmatched: u64,
}

impl Tally {
    /// Counts a recipient, and answers the line that says so.
    pub fn count(&mut self, failure: &Failure, rows: &[Row], class: Class) -> String {
        let (count, word) = match class {
            _ if rows.is_empty() => (&mut self.unmatched, "in no row"),
            Class::Hard => (&mut self.hard, "hard"),
            Class::Soft => (&mut self.soft, "soft"),
        };
        *count += 1;
        format!("{word}: {}: {}", failure.addresses.join(", "), failure.reason)
    }

    pub fn json(&self) -> Value {
        let Self { read, hard, soft, unknown, unmatched } = self;
        json!({ "read": read, "hard": hard, "soft": soft, "unknown": unknown, "unmatched": unmatched })
    }

    pub fn shown(&self) -> String {
        let Self { read, hard, soft, unknown, unmatched } = self;
        format!("{read} read: {hard} hard, {soft} soft, {unknown} no bounces, {unmatched} in no row")
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, more: Self) {
        self.read += more.read;
        self.hard += more.hard;
        self.soft += more.soft;
        self.unknown += more.unknown;
        self.unmatched += more.unmatched;
    }
}
