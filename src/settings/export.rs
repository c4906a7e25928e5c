//! What an export writes, and where.

use std::path::PathBuf;

use super::{FollowSettings, TemplateSource};

/// So many rows a sheet has at most, that of the headers included: what Excel opens.
pub const ROWS_A_SHEET: u32 = 1_048_576;

/// A file with all rows of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct ExportSettings {
    /// Template of its path.
    pub file: TemplateSource,
    /// Where the path starts: the function's folder.
    pub dir: PathBuf,
    /// What kind of file it is.
    pub format: ExportFormat,
    /// What stands above columns in the place of their names: column, header.
    pub headers: Vec<(String, String)>,
    /// Columns whose texts and numbers are times: ISO 8601, or unix seconds.
    pub dates: Vec<String>,
    /// So many files stay, the newest; none: all.
    pub keep: Option<u32>,
    /// What is done with the file.
    pub then: Option<FollowSettings>,
}

/// The kinds of files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExportFormat {
    /// Office Open XML.
    Xlsx {
        /// The name of the sheet; those behind the first have a number as well.
        sheet: String,
        /// Rows of a sheet, that of the headers included; [`ROWS_A_SHEET`] unless a test says less.
        rows: u32,
    },
    /// RFC 4180.
    Csv {
        /// A byte order mark stands in front, by which Excel knows UTF-8.
        bom: bool,
        /// Texts that a spreadsheet would take for formulas have a `'` in front.
        escape: bool,
    },
}
