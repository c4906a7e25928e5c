//! Mails that come back, and the table that learns of them.

use std::path::PathBuf;

use super::MarkValue;

/// A Maildir of returned mails, and a table of those that they were for.
#[derive(Clone, Debug, PartialEq)]
pub struct BouncesSettings {
    /// The folder that has `new` and `cur` in it.
    pub maildir: PathBuf,
    /// A name in [`super::Settings::databases`].
    pub database: String,
    /// The table.
    pub table: String,
    /// The column that tells its rows apart.
    pub key: String,
    /// The column that has the addresses.
    pub recipient: String,
    /// Columns of a row whose address is none for good.
    pub hard: Vec<(String, MarkValue)>,
    /// What becomes of the others; none: nothing.
    pub soft: Option<SoftBounces>,
}

/// What becomes of rows whose mail did not arrive for now.
#[derive(Clone, Debug, PartialEq)]
pub struct SoftBounces {
    /// The column that counts them.
    pub count: String,
    /// So many make a hard one.
    pub limit: Option<u32>,
    /// Statuses that count as soft though they begin with 5, or how they begin: `5.2.2`, `5.7`.
    pub also: Vec<String>,
    /// Further columns.
    pub mark: Vec<(String, MarkValue)>,
}
