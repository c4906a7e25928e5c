//! Files with rows: XLSX and CSV, written row by row, in as much memory as a few rows take.
//!
//! `cell` says what a value of a database is in a spreadsheet, `xlsx` and `csv` write it, `draft` is the file until it
//! is whole, `name` is what it is called. Knows nothing of databases and batches.

mod cell;
mod csv;
mod draft;
mod name;
mod xlsx;

use std::fs::File;
use std::io::{self, BufWriter};
use std::path::PathBuf;

use chrono_tz::Tz;

use self::cell::cell;
pub use self::draft::Draft;
pub use self::name::FileName;
use crate::run::Scalar;
use crate::settings::{ExportFormat, ExportSettings};

/// Bytes that are written at a time.
const BUFFER: usize = 1 << 16;

/// What the values of a column are, where a database says more than the values themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// What they look like.
    Plain,
    /// Decimal numbers, as texts.
    Decimal,
    /// Dates, or what a clock showed, as ISO 8601 texts.
    Local,
    /// Instants as such texts; in UTC unless they say otherwise.
    Instant,
    /// Times by somebody's word: texts as those of [`Kind::Local`], or unix seconds.
    Named,
}

/// A column of an export.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name in the database.
    pub name: String,
    /// What its values are.
    pub kind: Kind,
}

/// Why a file could not be written.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The system refused.
    #[error("could not write {path}: {source}", path = path.display())]
    Io {
        /// The file, or its folder.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The rows do not fit into such a file, or the settings do not fit the rows.
    #[error("{0}")]
    Misfit(String),
}

/// A file under way.
#[derive(Debug)]
pub struct Writer {
    columns: Vec<Column>,
    zone: Tz,
    rows: u64,
    path: PathBuf,
    form: Form,
}

#[derive(Debug)]
enum Form {
    Xlsx(Box<xlsx::Xlsx<BufWriter<File>>>),
    Csv(Box<csv::Csv<BufWriter<File>>>),
}

/// What was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// Rows, without the headers.
    pub rows: u64,
    /// Sheets; none: the file has no such thing.
    pub sheets: Option<u32>,
    /// Bytes of the file.
    pub bytes: u64,
}

impl Writer {
    /// Writes the headers. `columns` are those of the rows to come; instants are shown by the clocks of `zone`.
    pub fn begin(
        settings: &ExportSettings,
        mut columns: Vec<Column>,
        zone: Tz,
        draft: &Draft,
    ) -> Result<Self, ExportError> {
        let known = |name: &String| columns.iter().any(|column| column.name == *name);
        let named = settings.headers.iter().map(|(name, _)| name).chain(&settings.dates);
        if let Some(name) = named.into_iter().find(|name| !known(name)) {
            let all: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
            let what = format!("there is no column `{name}` to export; there are: {}", all.join(", "));
            return Err(ExportError::Misfit(what));
        }
        for column in columns.iter_mut().filter(|column| settings.dates.contains(&column.name)) {
            column.kind = Kind::Named;
        }
        let header = |column: &Column| {
            let given = settings.headers.iter().find(|(name, _)| *name == column.name);
            given.map_or_else(|| column.name.clone(), |(_, header)| header.clone())
        };
        let headers: Vec<String> = columns.iter().map(header).collect();
        let path = draft.path().to_owned();
        let out = draft.create().map_err(|source| ExportError::Io { path: path.clone(), source })?;
        let out = BufWriter::with_capacity(BUFFER, out);
        let form = match &settings.format {
            ExportFormat::Xlsx { sheet, rows } => {
                let wide = columns.iter().map(|column| !matches!(column.kind, Kind::Plain | Kind::Decimal));
                xlsx::Xlsx::begin(out, sheet, *rows, &headers, wide.collect())
                    .map(|xlsx| Form::Xlsx(Box::new(xlsx)))
            }
            ExportFormat::Csv { bom, escape } => {
                csv::Csv::begin(out, *bom, *escape, &headers).map(|csv| Form::Csv(Box::new(csv)))
            }
        };
        let form = form.map_err(|fault| fault.told(&path))?;
        Ok(Self { columns, zone, rows: 0, path, form })
    }

    /// Writes a row, whose values are those of the columns.
    pub fn row(&mut self, values: &[Scalar]) -> Result<(), ExportError> {
        self.rows += 1;
        let cells =
            self.columns.iter().zip(values).map(|(column, value)| cell(column.kind, value, self.zone));
        let written = match &mut self.form {
            Form::Xlsx(xlsx) => xlsx.row(cells),
            Form::Csv(csv) => csv.row(cells),
        };
        written.map_err(|fault| match fault {
            Fault::TooLong(at) => {
                let column = self.columns.get(at).map_or("?", |column| column.name.as_str());
                let limit = xlsx::LONGEST;
                ExportError::Misfit(format!(
                    "row {} of the export has more than {limit} characters in `{column}`, and a cell of Excel cannot; \
                     write CSV, or cut it in a query",
                    self.rows
                ))
            }
            other => other.told(&self.path),
        })
    }

    /// Ends the file; it is synced when this returns.
    pub fn end(self) -> Result<Written, ExportError> {
        let Self { rows, path, form, .. } = self;
        let ended = match form {
            Form::Xlsx(xlsx) => xlsx.end().map(|(out, sheets)| (out, Some(sheets))),
            Form::Csv(csv) => csv.end().map(|out| (out, None)),
        };
        let synced = ended.and_then(|(out, sheets)| {
            let file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
            file.sync_all()?;
            Ok(Written { rows, sheets, bytes: file.metadata()?.len() })
        });
        synced.map_err(|fault| fault.told(&path))
    }
}

/// What went wrong, before it is known in which file.
#[derive(Debug)]
enum Fault {
    Io(io::Error),
    /// The text for the column at this place.
    TooLong(usize),
    Misfit(String),
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl Fault {
    fn told(self, path: &std::path::Path) -> ExportError {
        match self {
            Self::Io(source) => ExportError::Io { path: path.to_owned(), source },
            Self::TooLong(at) => ExportError::Misfit(format!("the text of column {} is too long", at + 1)),
            Self::Misfit(what) => ExportError::Misfit(what),
        }
    }
}
