//! XLSX (ECMA-376), written from its beginning to its end: sheets of inline texts, which need no table of all texts.
//!
//! Not by a library: the one there is writes every sheet to another file first, gigabytes of it, takes five times as
//! long, and panics when the disk is full.

use std::fmt::Write as _;
use std::io::{Seek, Write};

use chrono::{NaiveDate, NaiveDateTime, Timelike as _};
use zip::write::{SimpleFileOptions, ZipWriter};
use zip::{CompressionMethod, result::ZipError};

use super::Fault;
use super::cell::Cell;

/// Characters of a cell, in units of UTF-16.
pub(super) const LONGEST: usize = 32_767;
/// Columns of a sheet.
const WIDEST: usize = 16_384;
/// Bytes of a sheet before it is compressed: Excel does not open larger ones than the plain form of ZIP knows.
const LARGEST: u64 = 3_900_000_000;
/// Bytes that are compressed at a time.
const PIECE: usize = 1 << 16;
/// 6 makes files that are a twentieth smaller, in twice the time.
const LEVEL: i64 = 3;

/// Numbers of the formats in [`STYLES`].
const HEADER: u8 = 1;
const DATE: u8 = 2;
const TIME: u8 = 3;
const FRACTION: u8 = 4;

/// A file under way.
pub(super) struct Xlsx<W: Write + Seek> {
    zip: ZipWriter<W>,
    name: String,
    /// Rows of a sheet.
    rows: u32,
    headers: Vec<String>,
    /// The columns' letters.
    letters: Vec<String>,
    /// Which columns need room for a time.
    wide: Vec<bool>,
    sheets: u32,
    /// Rows that the sheet has.
    row: u32,
    /// Bytes that the sheet has.
    bytes: u64,
    buffer: String,
}

impl<W: Write + Seek> std::fmt::Debug for Xlsx<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Xlsx").field("sheets", &self.sheets).field("row", &self.row).finish_non_exhaustive()
    }
}

impl<W: Write + Seek> Xlsx<W> {
    /// `rows`: those of a sheet, that of the headers included.
    pub(super) fn begin(
        out: W,
        name: &str,
        rows: u32,
        headers: &[String],
        wide: Vec<bool>,
    ) -> Result<Self, Fault> {
        if headers.len() > WIDEST {
            let what = format!("{} columns do not fit into a sheet; Excel has {WIDEST}", headers.len());
            return Err(Fault::Misfit(what));
        }
        let letters = (0..headers.len()).map(letters).collect();
        let mut begun = Self {
            zip: ZipWriter::new(out),
            name: name.to_owned(),
            rows,
            headers: headers.to_vec(),
            letters,
            wide,
            sheets: 0,
            row: 0,
            bytes: 0,
            buffer: String::with_capacity(2 * PIECE),
        };
        begun.begin_sheet()?;
        Ok(begun)
    }

    pub(super) fn row<'v>(&mut self, cells: impl Iterator<Item = Cell<'v>>) -> Result<(), Fault> {
        if self.row >= self.rows || self.bytes > LARGEST {
            self.end_sheet()?;
            self.begin_sheet()?;
        }
        self.write_row(cells, false)
    }

    /// Ends the file; answers how many sheets it has.
    pub(super) fn end(mut self) -> Result<(W, u32), Fault> {
        self.end_sheet()?;
        let sheets = self.sheets;
        for (name, text) in [
            ("[Content_Types].xml", content_types(sheets)),
            ("_rels/.rels", RELATIONS.to_owned()),
            ("xl/workbook.xml", self.workbook()),
            ("xl/_rels/workbook.xml.rels", parts(sheets)),
            ("xl/styles.xml", STYLES.to_owned()),
        ] {
            self.zip.start_file(name, options()).map_err(fault)?;
            self.zip.write_all(text.as_bytes())?;
        }
        Ok((self.zip.finish().map_err(fault)?, sheets))
    }

    fn begin_sheet(&mut self) -> Result<(), Fault> {
        self.sheets += 1;
        (self.row, self.bytes) = (0, 0);
        let name = format!("xl/worksheets/sheet{}.xml", self.sheets);
        self.zip.start_file(name, options()).map_err(fault)?;
        self.buffer.push_str(HEAD);
        // The headers stay in sight.
        self.buffer.push_str(
            "<sheetViews><sheetView workbookViewId=\"0\"><pane ySplit=\"1\" topLeftCell=\"A2\" activePane=\"bottomLeft\" \
             state=\"frozen\"/></sheetView></sheetViews>",
        );
        if self.wide.contains(&true) {
            self.buffer.push_str("<cols>");
            for (at, _) in self.wide.iter().enumerate().filter(|(_, wide)| **wide) {
                let number = at + 1;
                // Narrower, a time is shown as `####`.
                let _ = write!(
                    self.buffer,
                    "<col min=\"{number}\" max=\"{number}\" width=\"20\" customWidth=\"1\"/>"
                );
            }
            self.buffer.push_str("</cols>");
        }
        self.buffer.push_str("<sheetData>");
        let headers = std::mem::take(&mut self.headers);
        let written = self.write_row(headers.iter().map(|header| Cell::Text(header.into())), true);
        self.headers = headers;
        written
    }

    fn end_sheet(&mut self) -> Result<(), Fault> {
        self.buffer.push_str("</sheetData></worksheet>");
        self.flush()
    }

    fn write_row<'v>(&mut self, cells: impl Iterator<Item = Cell<'v>>, is_header: bool) -> Result<(), Fault> {
        self.row += 1;
        let row = self.row;
        let out = &mut self.buffer;
        // Writing to a String cannot fail.
        let _ = write!(out, "<row r=\"{row}\">");
        for (at, (cell, letters)) in cells.zip(&self.letters).enumerate() {
            match cell {
                Cell::Empty => {}
                Cell::Bool(value) => {
                    let _ = write!(out, "<c r=\"{letters}{row}\" t=\"b\"><v>{}</v></c>", u8::from(value));
                }
                Cell::Number(number) => {
                    let _ = write!(out, "<c r=\"{letters}{row}\"><v>{number}</v></c>");
                }
                Cell::Date(date) => match days(date) {
                    Some(days) => {
                        let _ = write!(out, "<c r=\"{letters}{row}\" s=\"{DATE}\"><v>{days}</v></c>");
                    }
                    None => text(out, letters, row, None, &date.to_string()),
                },
                Cell::Time(time) => match serial(time) {
                    Some(serial) => {
                        let style = if time.nanosecond() == 0 { TIME } else { FRACTION };
                        let _ = write!(out, "<c r=\"{letters}{row}\" s=\"{style}\"><v>{serial}</v></c>");
                    }
                    None => text(out, letters, row, None, &time.to_string()),
                },
                Cell::Text(value) => {
                    if value.len() > LONGEST && value.encode_utf16().count() > LONGEST {
                        return Err(Fault::TooLong(at));
                    }
                    if !value.is_empty() {
                        text(out, letters, row, is_header.then_some(HEADER), &value);
                    }
                }
            }
        }
        out.push_str("</row>");
        if out.len() >= PIECE { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), Fault> {
        self.zip.write_all(self.buffer.as_bytes())?;
        self.bytes += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    fn workbook(&self) -> String {
        let mut text = format!("{DECLARATION}<workbook xmlns=\"{MAIN}\" xmlns:r=\"{OFFICE}\"><sheets>");
        for number in 1..=self.sheets {
            text.push_str("<sheet name=\"");
            escape(&mut text, &self.name);
            if number > 1 {
                let _ = write!(text, " {number}");
            }
            let _ = write!(text, "\" sheetId=\"{number}\" r:id=\"rId{number}\"/>");
        }
        text.push_str("</sheets></workbook>");
        text
    }
}

fn options() -> SimpleFileOptions {
    SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .compression_level(Some(LEVEL))
}

fn fault(error: ZipError) -> Fault {
    match error {
        ZipError::Io(error) => Fault::Io(error),
        other => Fault::Misfit(format!("could not make the file: {other}")),
    }
}

/// `A` for the first column, `AA` for the 27th.
fn letters(at: usize) -> String {
    let mut letters = Vec::new();
    let mut rest = at + 1;
    while rest > 0 {
        rest -= 1;
        letters.push(b'A'.saturating_add(u8::try_from(rest % 26).unwrap_or_default()));
        rest /= 26;
    }
    letters.iter().rev().map(|letter| char::from(*letter)).collect()
}

/// Days since the beginning of Excel's time. It takes 1900 for a leap year, so that nothing before March of it is the
/// same everywhere.
fn days(date: NaiveDate) -> Option<i64> {
    let first = NaiveDate::from_ymd_opt(1899, 12, 30)?;
    let days = date.signed_duration_since(first).num_days();
    (61..=2_958_465).contains(&days).then_some(days)
}

fn serial(time: NaiveDateTime) -> Option<f64> {
    let days = i32::try_from(days(time.date())?).ok()?;
    let clock = f64::from(time.num_seconds_from_midnight()) + f64::from(time.nanosecond()) / 1e9;
    Some(f64::from(days) + clock / 86_400.0)
}

/// A cell of text; never a formula, whatever it begins with.
fn text(out: &mut String, letters: &str, row: u32, style: Option<u8>, value: &str) {
    let _ = write!(out, "<c r=\"{letters}{row}\"");
    if let Some(style) = style {
        let _ = write!(out, " s=\"{style}\"");
    }
    out.push_str(" t=\"inlineStr\"><is><t");
    let ends = |c: Option<char>| c.is_some_and(char::is_whitespace);
    if ends(value.chars().next()) || ends(value.chars().next_back()) || value.contains(['\n', '\t']) {
        out.push_str(" xml:space=\"preserve\"");
    }
    out.push('>');
    escape(out, value);
    out.push_str("</t></is></c>");
}

/// XML's own characters as entities; those that it cannot hold as Excel writes them, `_x0001_`, and what looks like one
/// of these so that it stays what it is.
fn escape(out: &mut String, value: &str) {
    let mut rest = value;
    while let Some(at) =
        rest.find(|c: char| c < ' ' || matches!(c, '&' | '<' | '>' | '"' | '_' | '\u{fffe}' | '\u{ffff}'))
    {
        out.push_str(&rest[..at]);
        let tail = &rest[at..];
        let Some(c) = tail.chars().next() else { break };
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' => out.push(c),
            '_' if !is_escape(tail) => out.push(c),
            other => {
                let _ = write!(out, "_x{:04X}_", u32::from(other));
                if c == '_' {
                    // `_x005F_` stands for the line alone.
                    rest = &tail[1..];
                    continue;
                }
            }
        }
        rest = &tail[c.len_utf8()..];
    }
    out.push_str(rest);
}

/// `_xHHHH_` at the start.
fn is_escape(text: &str) -> bool {
    let bytes = text.as_bytes();
    matches!(bytes, [b'_', b'x', digits @ ..] if digits.len() >= 5
        && digits[..4].iter().all(u8::is_ascii_hexdigit) && digits[4] == b'_')
}

const DECLARATION: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"yes\"?>\n";
const MAIN: &str = "http://schemas.openxmlformats.org/spreadsheetml/2006/main";
const OFFICE: &str = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";
const HEAD: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"yes\"?>\n\
    <worksheet xmlns=\"http://schemas.openxmlformats.org/spreadsheetml/2006/main\">";
const RELATIONS: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"yes\"?>\n\
    <Relationships xmlns=\"http://schemas.openxmlformats.org/package/2006/relationships\"><Relationship Id=\"rId1\" \
    Type=\"http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument\" \
    Target=\"xl/workbook.xml\"/></Relationships>";
/// Formats by their place: plain, headers in bold, days, times, times with a fraction.
const STYLES: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"yes\"?>\n\
    <styleSheet xmlns=\"http://schemas.openxmlformats.org/spreadsheetml/2006/main\"><numFmts count=\"3\">\
    <numFmt numFmtId=\"164\" formatCode=\"yyyy\\-mm\\-dd\"/><numFmt numFmtId=\"165\" formatCode=\"yyyy\\-mm\\-dd\\ hh:mm:ss\"/>\
    <numFmt numFmtId=\"166\" formatCode=\"yyyy\\-mm\\-dd\\ hh:mm:ss.000\"/></numFmts><fonts count=\"2\"><font><sz val=\"11\"/>\
    <name val=\"Calibri\"/></font><font><b/><sz val=\"11\"/><name val=\"Calibri\"/></font></fonts><fills count=\"2\"><fill>\
    <patternFill patternType=\"none\"/></fill><fill><patternFill patternType=\"gray125\"/></fill></fills><borders count=\"1\">\
    <border><left/><right/><top/><bottom/><diagonal/></border></borders><cellStyleXfs count=\"1\"><xf numFmtId=\"0\" \
    fontId=\"0\" fillId=\"0\" borderId=\"0\"/></cellStyleXfs><cellXfs count=\"5\"><xf numFmtId=\"0\" fontId=\"0\" fillId=\"0\" \
    borderId=\"0\" xfId=\"0\"/><xf numFmtId=\"0\" fontId=\"1\" fillId=\"0\" borderId=\"0\" xfId=\"0\" applyFont=\"1\"/>\
    <xf numFmtId=\"164\" fontId=\"0\" fillId=\"0\" borderId=\"0\" xfId=\"0\" applyNumberFormat=\"1\"/><xf numFmtId=\"165\" \
    fontId=\"0\" fillId=\"0\" borderId=\"0\" xfId=\"0\" applyNumberFormat=\"1\"/><xf numFmtId=\"166\" fontId=\"0\" fillId=\"0\" \
    borderId=\"0\" xfId=\"0\" applyNumberFormat=\"1\"/></cellXfs></styleSheet>";

fn content_types(sheets: u32) -> String {
    const KIND: &str = "application/vnd.openxmlformats-officedocument.spreadsheetml";
    let mut text = format!(
        "{DECLARATION}<Types xmlns=\"http://schemas.openxmlformats.org/package/2006/content-types\"><Default \
         Extension=\"rels\" ContentType=\"application/vnd.openxmlformats-package.relationships+xml\"/><Default \
         Extension=\"xml\" ContentType=\"application/xml\"/><Override PartName=\"/xl/workbook.xml\" \
         ContentType=\"{KIND}.sheet.main+xml\"/><Override PartName=\"/xl/styles.xml\" ContentType=\"{KIND}.styles+xml\"/>"
    );
    for number in 1..=sheets {
        let _ = write!(
            text,
            "<Override PartName=\"/xl/worksheets/sheet{number}.xml\" ContentType=\"{KIND}.worksheet+xml\"/>"
        );
    }
    text.push_str("</Types>");
    text
}

/// Where the workbook has its sheets and styles.
fn parts(sheets: u32) -> String {
    let mut text = format!(
        "{DECLARATION}<Relationships xmlns=\"http://schemas.openxmlformats.org/package/2006/relationships\">"
    );
    for number in 1..=sheets {
        let _ = write!(
            text,
            "<Relationship Id=\"rId{number}\" Type=\"{OFFICE}/worksheet\" Target=\"worksheets/sheet{number}.xml\"/>"
        );
    }
    let styles = sheets + 1;
    let _ = write!(
        text,
        "<Relationship Id=\"rId{styles}\" Type=\"{OFFICE}/styles\" Target=\"styles.xml\"/></Relationships>"
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_have_letters() {
        let at = [0, 25, 26, 701, 702, WIDEST - 1].map(letters);
        assert_eq!(at, ["A", "Z", "AA", "ZZ", "AAA", "XFD"]);
    }

    #[test]
    fn days_are_counted_as_excel_counts_them() {
        let day = |y, m, d| days(NaiveDate::from_ymd_opt(y, m, d).unwrap());
        assert_eq!(day(1900, 3, 1), Some(61));
        assert_eq!(day(1900, 2, 28), None);
        assert_eq!(day(2026, 6, 1), Some(46_174));
        assert_eq!(day(9999, 12, 31), Some(2_958_465));
        assert_eq!(day(10_000, 1, 1), None);
        let noon = NaiveDate::from_ymd_opt(2026, 6, 1).unwrap().and_hms_opt(12, 0, 0).unwrap();
        assert!((serial(noon).unwrap() - 46_174.5).abs() < 1e-9);
    }

    #[test]
    fn another_sheet_begins_when_one_is_full() {
        use std::io::Cursor;

        use calamine::{Reader as _, Xlsx as Book};

        let headers = ["n".to_owned()];
        let mut xlsx = Xlsx::begin(Cursor::new(Vec::new()), "People", 4, &headers, vec![false]).unwrap();
        for n in 0..7 {
            xlsx.row(std::iter::once(Cell::Number(n.to_string().into()))).unwrap();
        }
        let (out, sheets) = xlsx.end().unwrap();
        assert_eq!(sheets, 3);
        let mut book: Book<_> = Book::new(Cursor::new(out.into_inner())).unwrap();
        assert_eq!(book.sheet_names(), ["People", "People 2", "People 3"]);
        let heights: Vec<usize> = book.worksheets().iter().map(|(_, sheet)| sheet.height()).collect();
        assert_eq!(heights, [4, 4, 2], "each has its headers");
    }

    #[test]
    fn texts_stay_what_they_are() {
        let escaped = |value: &str| {
            let mut out = String::new();
            escape(&mut out, value);
            out
        };
        assert_eq!(escaped("a<b>&\"c\" 张"), "a&lt;b&gt;&amp;&quot;c&quot; 张");
        assert_eq!(escaped("a\u{1}b\rc\nd\te\u{ffff}"), "a_x0001_b_x000D_c\nd\te_xFFFF_");
        assert_eq!(escaped("_x0041_ _x_ snake_case_x12"), "_x005F_x0041_ _x_ snake_case_x12");
    }
}
