//! `export`: what the ledger holds, for other programs.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use serde_json::Value;

use super::{Which, show, shown_key};
use crate::cli::times::{millis, seconds};
use crate::cli::{ConfigArg, exit};
use crate::server::ledger::Row;
use crate::store::Reader;

/// Write rows that a batch holds back as CSV or JSON lines
///
/// CSV is for spreadsheets: UTF-8 with a mark at its beginning that they look for, and cells that a spreadsheet would take
/// for a formula have a `'` in front. JSON lines have the values as they are.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  gulou batch export mass-mail --failed -o failed.csv
  gulou batch export mass-mail --format jsonl | jq .detail")]
pub(super) struct Export {
    /// The batch's id
    #[arg(value_name = "BATCH")]
    batch: String,
    #[command(flatten)]
    which: Which,
    /// How rows are written
    #[arg(long, value_enum, default_value_t = Format::Csv)]
    format: Format,
    /// The file to write, which is replaced; standard output if none is named
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// With a heading
    Csv,
    /// One JSON object a line
    Jsonl,
}

const HEADING: [&str; 7] = ["key", "state", "reservation", "attempts", "since", "fire_time", "detail"];

impl Export {
    pub(super) fn run(self, config: &ConfigArg) -> anyhow::Result<u8> {
        match show::one(config, &self.batch) {
            Ok(known) => drop(known?),
            Err(code) => return Ok(code),
        }
        let place = match config.place() {
            Ok(place) => place,
            Err(code) => return Ok(code),
        };
        let reader = Reader::of(&place.state)?;
        let Some(path) = &self.output else {
            self.write(reader.as_ref(), io::stdout().lock())?;
            return Ok(exit::OK);
        };
        let file = File::create(path).with_context(|| format!("could not write {}", path.display()))?;
        let rows = self.write(reader.as_ref(), file)?;
        eprintln!("{rows} rows in {}", path.display());
        Ok(exit::OK)
    }

    fn write(&self, reader: Option<&Reader>, out: impl Write) -> anyhow::Result<u64> {
        let mut out = BufWriter::new(out);
        if self.format == Format::Csv {
            write!(out, "\u{feff}{}\r\n", HEADING.join(","))?;
        }
        let (mut count, mut written) = (0, Ok(()));
        if let Some(reader) = reader {
            reader.each_batch_row(&self.batch, self.which.state().map(Into::into), u32::MAX, |row| {
                written = self.row(&mut out, &row.into());
                count += u64::from(written.is_ok());
                written.is_ok()
            })?;
        }
        match written.and_then(|()| out.flush()) {
            // Who reads has had enough.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(count),
            written => Ok(written.map(|()| count)?),
        }
    }

    fn row(&self, out: &mut impl Write, row: &Row) -> io::Result<()> {
        if self.format == Format::Jsonl {
            return writeln!(out, "{}", show::row_json(row));
        }
        let cells = [
            cell(&shown_key(&row.key), is_number(&row.key)),
            cell(&row.state, true),
            cell(&row.reservation, false),
            cell(&row.attempts.to_string(), true),
            cell(&millis(row.at.timestamp_millis()), true),
            cell(&seconds(row.fire_time.timestamp()), true),
            cell(row.detail.as_deref().unwrap_or_default(), false),
        ];
        write!(out, "{}\r\n", cells.join(","))
    }
}

fn is_number(key: &Value) -> bool {
    matches!(key.as_array().map(Vec::as_slice), Some([Value::Number(_)]))
}

/// A cell after RFC 4180. Unless it is known to be `harmless`, one that begins as a formula does is made a text
/// (<https://owasp.org/www-community/attacks/CSV_Injection>).
fn cell(text: &str, harmless: bool) -> String {
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠']);
    let text = if formula && !harmless { format!("'{text}") } else { text.to_owned() };
    if text.contains([',', '"', '\r', '\n', '\'', ';']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::cell;

    #[test]
    fn cells_stay_one_cell_and_are_no_formula() {
        let cases = [
            ("plain", "plain"),
            ("550 no, never", "\"550 no, never\""),
            ("say \"no\"", "\"say \"\"no\"\"\""),
            ("two\nlines", "\"two\nlines\""),
            ("=1+1", "\"'=1+1\""),
            ("+86 10", "\"'+86 10\""),
            ("-5", "\"'-5\""),
            ("@SUM(A1)", "\"'@SUM(A1)\""),
            ("\tx", "\"'\tx\""),
            ("＝1", "\"'＝1\""),
            ("=a,\"b\"", "\"'=a,\"\"b\"\"\""),
            ("", ""),
        ];
        for (text, written) in cases {
            assert_eq!(cell(text, false), written, "{text:?}");
        }
        assert_eq!(cell("-5", true), "-5", "a number is a number");
    }
}
