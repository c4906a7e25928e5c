//! Files of an export beside `rust_xlsxwriter` in its mode for little memory, and beside the `csv` crate alone.
//!
//! `cargo bench --bench export` prints rows a second and the most memory of each round, every part in a process of its own,
//! start and end included, and the medians. `ours` and the rival write the same values, from memory; `program` is `gulou fire`, which
//! reads them from a SQLite file and keeps its state. All files are synced.
//! `GULOU_BENCH_ROWS` (100000; 3000000 need some GB of disk) and `GULOU_BENCH_ROUNDS` (3) change its size.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "a benchmark fails by panicking")]

#[allow(dead_code, reason = "how busy the storage is means nothing here")]
mod process;

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};

use gulou::action::export::{Column, Draft, Kind, Writer};
use gulou::clock::Clock;
use gulou::run::Scalar;
use gulou::settings::{ExportFormat, ExportSettings, ROWS_A_SHEET, TemplateSource};
use process::Seen;
use rust_xlsxwriter::{ExcelDateTime, Format, Workbook};
use serde_json::json;

const COLUMNS: [(&str, Kind); 5] = [
    ("id", Kind::Plain),
    ("name", Kind::Plain),
    ("email", Kind::Plain),
    ("amount", Kind::Plain),
    ("at", Kind::Named),
];

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, part, path, rows] = &arguments[..] {
        return write(part, Path::new(path), rows.parse().unwrap());
    }
    if !arguments.iter().any(|argument| argument == "--bench") {
        return;
    }
    let rows: u32 = from_env("GULOU_BENCH_ROWS", 100_000);
    let rounds: u32 = from_env("GULOU_BENCH_ROUNDS", 3);
    let dir = tempfile::tempdir().unwrap();
    fill(&dir.path().join("main.db"), rows);
    println!("{rows} rows of five columns a round; rows a second (MB at most)");
    for (format, rival) in [("xlsx", "rust_xlsxwriter"), ("csv", "csv")] {
        write_project(dir.path(), format);
        let mut table = Table::new(format, rival);
        for _ in 0..rounds {
            let part = |who: &str| {
                let file = dir.path().join(format!("{who}.{format}"));
                let mut command = Command::new(std::env::current_exe().unwrap());
                command.arg(format!("{who}-{format}")).arg(&file).arg(rows.to_string());
                let figure = measure(&mut command, rows);
                let size = fs::metadata(&file).unwrap().len();
                fs::remove_file(file).unwrap();
                (figure, size)
            };
            let (rival, ours) = (part("rival"), part("ours"));
            let mut program = Command::new(env!("CARGO_BIN_EXE_gulou"));
            program.args(["fire", "export"]).current_dir(dir.path()).stderr(Stdio::null());
            table.round(rival, ours, measure(&mut program, rows));
        }
        table.end();
    }
}

/// Rows a second, and the most memory in MB.
#[derive(Clone, Copy, Debug)]
struct Figure {
    rate: f64,
    megabytes: u64,
}

/// Of a process from its start to its end.
fn measure(command: &mut Command, rows: u32) -> Figure {
    let clock = Clock::system();
    let mut child = command.stdout(Stdio::null()).spawn().unwrap();
    let seen = Seen::of(&mut child);
    let seconds = clock.monotonic().as_secs_f64();
    assert!(child.wait().unwrap().success());
    Figure { rate: f64::from(rows) / seconds, megabytes: seen.peak_kib.div_ceil(1024) }
}

struct Table {
    rounds: Vec<[Figure; 3]>,
    sizes: [u64; 2],
}

impl Table {
    fn new(format: &str, rival: &str) -> Self {
        println!(
            "\n{format:>6}  {rival:>16}  {:>16}  {:>6}  {:>16}  {:>6}",
            "ours", "ratio", "program", "ratio"
        );
        Self { rounds: Vec::new(), sizes: [0; 2] }
    }

    fn round(&mut self, rival: (Figure, u64), ours: (Figure, u64), program: Figure) {
        self.sizes = [rival.1, ours.1];
        self.rounds.push([rival.0, ours.0, program]);
        Self::show(&self.rounds.len().to_string(), [rival.0, ours.0, program]);
    }

    fn show(name: &str, [rival, ours, program]: [Figure; 3]) {
        let figure = |figure: Figure| format!("{:.0} ({:>4})", figure.rate, figure.megabytes);
        let ratio = |figure: Figure| figure.rate / rival.rate;
        println!(
            "{name:>6}  {:>16}  {:>16}  {:>6.2}  {:>16}  {:>6.2}",
            figure(rival),
            figure(ours),
            ratio(ours),
            figure(program),
            ratio(program)
        );
    }

    fn end(self) {
        let median = |at: usize| {
            let mut rates: Vec<f64> = self.rounds.iter().map(|round| round[at].rate).collect();
            rates.sort_by(f64::total_cmp);
            let megabytes = self.rounds.iter().map(|round| round[at].megabytes).max().unwrap();
            Figure { rate: rates[rates.len() / 2], megabytes }
        };
        Self::show("median", [median(0), median(1), median(2)]);
        println!("bytes of the file: {} and ours {}", self.sizes[0], self.sizes[1]);
    }
}

/// What a database would answer for row `number`, in the order of [`COLUMNS`].
fn row(number: u32) -> [Scalar; 5] {
    [
        Scalar::Int(number.into()),
        Scalar::Text(format!("用户{number}")),
        Scalar::Text(format!("user{number}@example.com")),
        Scalar::Float(f64::from(number % 100_000) / 100.0),
        Scalar::Text(format!("2026-06-01 09:{:02}:{:02}", number / 60 % 60, number % 60)),
    ]
}

/// The part of a child process.
fn write(part: &str, path: &Path, rows: u32) {
    match part {
        "ours-xlsx" => ours(path, ExportFormat::Xlsx { sheet: "Sheet".to_owned(), rows: ROWS_A_SHEET }, rows),
        "ours-csv" => ours(path, ExportFormat::Csv { bom: false, escape: true }, rows),
        "rival-xlsx" => rust_xlsxwriter(path, rows),
        "rival-csv" => csv(path, rows),
        other => panic!("no part is called {other}"),
    }
}

fn ours(path: &Path, format: ExportFormat, rows: u32) {
    let settings = ExportSettings {
        file: TemplateSource { origin: "file".to_owned(), text: path.display().to_string() },
        dir: path.parent().unwrap().to_owned(),
        format,
        headers: Vec::new(),
        dates: Vec::new(),
        keep: None,
        then: None,
    };
    let columns = COLUMNS.map(|(name, kind)| Column { name: name.to_owned(), kind }).to_vec();
    let draft = Draft::of(path, "bench");
    let mut writer = Writer::begin(&settings, columns, chrono_tz::Asia::Shanghai, &draft).unwrap();
    for number in 1..=rows {
        writer.row(&row(number)).unwrap();
    }
    writer.end().unwrap();
    draft.publish().unwrap();
}

fn rust_xlsxwriter(path: &Path, rows: u32) {
    let mut book = Workbook::new();
    book.set_tempdir(path.parent().unwrap()).unwrap();
    let time = Format::new().set_num_format("yyyy-mm-dd hh:mm:ss");
    let mut numbers = (1..=rows).peekable();
    while numbers.peek().is_some() {
        let sheet = book.add_worksheet_with_constant_memory().unwrap();
        for (at, (name, _)) in (0..).zip(COLUMNS) {
            sheet.write_string(0, at, name).unwrap();
        }
        for (line, number) in (1..ROWS_A_SHEET).zip(numbers.by_ref()) {
            for (at, value) in (0..).zip(row(number)) {
                match value {
                    Scalar::Int(value) => sheet.write(line, at, value).unwrap(),
                    Scalar::Float(value) => sheet.write(line, at, value).unwrap(),
                    Scalar::Text(text) if at == 4 => {
                        let value = ExcelDateTime::parse_from_str(&text).unwrap();
                        sheet.write_datetime_with_format(line, at, &value, &time).unwrap()
                    }
                    Scalar::Text(text) => sheet.write_string(line, at, text).unwrap(),
                    other => panic!("{other:?}"),
                };
            }
        }
    }
    book.save(path).unwrap();
    File::open(path).unwrap().sync_all().unwrap();
}

/// The ceiling: texts are not looked at.
fn csv(path: &Path, rows: u32) {
    let mut out = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_path(path).unwrap();
    out.write_record(COLUMNS.map(|(name, _)| name)).unwrap();
    for number in 1..=rows {
        for value in row(number) {
            match value {
                Scalar::Int(value) => out.write_field(value.to_string()).unwrap(),
                Scalar::Float(value) => out.write_field(value.to_string()).unwrap(),
                Scalar::Text(text) => out.write_field(text).unwrap(),
                other => panic!("{other:?}"),
            }
        }
        out.write_record(None::<&[u8]>).unwrap();
    }
    out.into_inner().unwrap().sync_all().unwrap();
}

/// The same rows as a table.
fn fill(path: &Path, rows: u32) {
    let mut connection = rusqlite::Connection::open(path).unwrap();
    connection
        .execute_batch(
            "PRAGMA journal_mode = WAL;
             CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT, email TEXT, amount REAL, at TEXT)",
        )
        .unwrap();
    let transaction = connection.transaction().unwrap();
    let mut insert = transaction.prepare("INSERT INTO users VALUES (?1, ?2, ?3, ?4, ?5)").unwrap();
    for number in 1..=rows {
        let values = row(number).map(|value| match value {
            Scalar::Int(value) => rusqlite::types::Value::Integer(value),
            Scalar::Float(value) => rusqlite::types::Value::Real(value),
            Scalar::Text(text) => rusqlite::types::Value::Text(text),
            other => panic!("{other:?}"),
        });
        insert.execute(rusqlite::params_from_iter(values)).unwrap();
    }
    drop(insert);
    transaction.commit().unwrap();
}

fn write_project(dir: &Path, format: &str) {
    let config = json!({
        "state": "sqlite://state.db",
        "databases": { "main": { "url": "sqlite://main.db" } },
    });
    let function = json!({
        "triggers": [{ "name": "manual", "type": "timer", "config": "0 0 0 1 1 * 2099" }],
        "target": { "batch": {
            "id": "export",
            "source": { "database": "main", "table": "users", "key": "id" },
            "action": { "export": { "file": format!("../../program.{format}"), "dates": ["at"] } },
        } },
    });
    fs::create_dir_all(dir.join("triggers/export")).unwrap();
    fs::write(dir.join("config.json"), config.to_string()).unwrap();
    fs::write(dir.join("triggers/export/config.json"), function.to_string()).unwrap();
}

fn from_env(name: &str, default: u32) -> u32 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name}: {text}")))
}
