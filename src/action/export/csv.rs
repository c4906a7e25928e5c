//! CSV by RFC 4180: UTF-8, lines that end with CR and LF.

use std::fmt::Write as _;
use std::io::{self, Write};

use super::Fault;
use super::cell::Cell;

/// By what a spreadsheet takes a text for a formula (<https://owasp.org/www-community/attacks/CSV_Injection>); the last
/// four are full-width forms, which some take for the same.
const FORMULA: [char; 10] = ['=', '+', '-', '@', '\t', '\r', '＝', '＋', '－', '＠'];

/// A file under way.
pub(super) struct Csv<W: Write> {
    out: csv::Writer<W>,
    escape: bool,
    text: String,
}

impl<W: Write> std::fmt::Debug for Csv<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Csv")
    }
}

impl<W: Write> Csv<W> {
    pub(super) fn begin(mut out: W, bom: bool, escape: bool, headers: &[String]) -> Result<Self, Fault> {
        if bom {
            out.write_all("\u{feff}".as_bytes())?;
        }
        let out = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(out);
        let mut begun = Self { out, escape, text: String::new() };
        begun.row(headers.iter().map(|header| Cell::Text(header.into())))?;
        Ok(begun)
    }

    pub(super) fn row<'v>(&mut self, cells: impl Iterator<Item = Cell<'v>>) -> Result<(), Fault> {
        for cell in cells {
            let text = &mut self.text;
            let field: &str = match &cell {
                Cell::Empty => "",
                Cell::Bool(true) => "true",
                Cell::Bool(false) => "false",
                Cell::Number(number) => number,
                Cell::Date(date) => spelled(text, &date.format("%Y-%m-%d")),
                Cell::Time(time) => spelled(text, &time.format("%Y-%m-%d %H:%M:%S%.f")),
                Cell::Text(value) if self.escape && value.starts_with(FORMULA) => {
                    spelled(text, &format_args!("'{value}"))
                }
                Cell::Text(value) => value,
            };
            self.out.write_field(field).map_err(fault)?;
        }
        self.out.write_record(None::<&[u8]>).map_err(fault)
    }

    pub(super) fn end(self) -> Result<W, Fault> {
        self.out.into_inner().map_err(|error| Fault::Io(io::Error::other(error.to_string())))
    }
}

/// `value` as a text, in `text`.
fn spelled<'t>(text: &'t mut String, value: &dyn std::fmt::Display) -> &'t str {
    text.clear();
    // Writing to a String cannot fail.
    let _ = write!(text, "{value}");
    text
}

fn fault(error: csv::Error) -> Fault {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => Fault::Io(error),
        other => Fault::Misfit(format!("{other:?}")),
    }
}

#[cfg(test)]
mod tests {
    use chrono::NaiveDate;

    use super::*;

    fn written(bom: bool, escape: bool, rows: Vec<Vec<Cell<'static>>>) -> String {
        let mut csv = Csv::begin(Vec::new(), bom, escape, &["id".to_owned(), "=text".to_owned()]).unwrap();
        for row in rows {
            csv.row(row.into_iter()).unwrap();
        }
        String::from_utf8(csv.end().unwrap()).unwrap()
    }

    fn text(text: &'static str) -> Cell<'static> {
        Cell::Text(text.into())
    }

    #[test]
    fn texts_are_quoted_and_cannot_become_formulas() {
        let harmful =
            ["=1+1", "+86 10", "-5", "@SUM(A1)", "\tx", "\r=1", "＝1", "＋1", "－1", "＠1", "=a,\"b\""];
        for value in harmful {
            let quoted = if value.contains([',', '\r']) {
                format!("\"'{}\"", value.replace('"', "\"\""))
            } else {
                format!("'{value}")
            };
            let row = vec![Cell::Number("-5".into()), text(value)];
            assert_eq!(written(true, true, vec![row]), format!("\u{feff}id,'=text\r\n-5,{quoted}\r\n"));
        }
        let rows = [
            ("a,b", "\"a,b\""),
            ("a\"b", "\"a\"\"b\""),
            ("a\r\nb", "\"a\r\nb\""),
            (" a ", " a "),
            ("a=1", "a=1"),
            ("张三", "张三"),
            ("", ""),
        ];
        for (value, expected) in rows {
            let row = vec![Cell::Bool(true), text(value)];
            assert_eq!(written(false, true, vec![row]), format!("id,'=text\r\ntrue,{expected}\r\n"));
        }
        assert_eq!(written(false, false, vec![vec![Cell::Empty, text("=1+1")]]), "id,=text\r\n,=1+1\r\n");
    }

    #[test]
    fn times_are_spelled_as_clocks_show_them() {
        let day = NaiveDate::from_ymd_opt(2026, 6, 1).unwrap();
        let time = day.and_hms_milli_opt(9, 0, 0, 500).unwrap();
        let rows = vec![vec![Cell::Date(day), Cell::Time(time)], vec![Cell::Bool(true), Cell::Bool(false)]];
        assert_eq!(
            written(false, true, rows),
            "id,'=text\r\n2026-06-01,2026-06-01 09:00:00.500\r\ntrue,false\r\n"
        );
    }
}
