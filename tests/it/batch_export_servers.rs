//! All rows of a table on a server in one file, through the program, and read back.

use calamine::{Data, DataType as _, Reader as _, Xlsx, open_workbook};
use serde_json::{Value, json};

use crate::servers;
use crate::support::Project;

/// More than goes over the wire at a time.
const ROWS: usize = 5_000;

/// A project that exports the table `orders` behind `url` to a file called `name`.
fn project(url: &str, name: &str) -> Project {
    let project = Project::new(&json!({
        "databases": { "main": { "url": url.replace(":secret@", "@"), "password": "secret", "tls": "off" } },
    }));
    project.function(
        "orders",
        &json!({
            "triggers": [{ "name": "t", "type": "timer", "config": "0 0 9 1 * * *" }],
            "target": { "batch": {
                "id": "orders",
                "source": { "database": "main", "table": "orders", "key": "id" },
                "action": { "export": { "file": format!("../../reports/{name}"), "headers": { "note": "备注" } } },
            } },
        }),
    );
    project
}

/// Fires it; answers the file.
fn export(url: &str, name: &str) -> std::path::PathBuf {
    let project = project(url, name);
    let run = project.gulou(&["fire", "orders"]).expect_code(0);
    let result: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(result["rows"], ROWS, "{result}");
    // It outlives the project.
    let kept = std::env::temp_dir().join(format!("gulou-{}-{name}", uuid::Uuid::new_v4()));
    std::fs::copy(result["file"].as_str().unwrap(), &kept).unwrap();
    kept
}

/// The file has each row once, with values of their own kinds.
fn check_xlsx(url: &str) {
    let path = export(url, "orders.xlsx");
    let mut book: Xlsx<_> = open_workbook(&path).unwrap();
    let sheet = book.worksheet_range("Sheet").unwrap();
    std::fs::remove_file(path).unwrap();
    let rows: Vec<&[Data]> = sheet.rows().collect();
    assert_eq!(rows.len(), ROWS + 1);
    let header: Vec<_> = rows[0].iter().map(|cell| cell.get_string().unwrap()).collect();
    assert_eq!(header, ["id", "amount", "big", "paid", "at", "day", "备注"]);
    for (number, row) in rows[1..].iter().enumerate() {
        assert_eq!(row[0].as_i64(), i64::try_from(number + 1).ok(), "{row:?}");
    }
    let first = rows[1];
    assert_eq!(first[1].as_f64(), Some(10.5));
    assert_eq!(first[2].get_string(), Some("9007199254740993"), "a digit more than Excel keeps");
    // 09:00 in Beijing.
    let Data::DateTime(time) = first[4] else { panic!("{first:?}") };
    assert!((time.as_f64() - 46_174.375).abs() < 1e-9, "{time:?}");
    let Data::DateTime(day) = first[5] else { panic!("{first:?}") };
    assert!((day.as_f64() - 46_174.0).abs() < 1e-9, "{day:?}");
    assert_eq!(first[6].get_string(), Some("=张三 & <b>"));
    assert!(rows[2][6].is_empty());
}

fn check_csv(url: &str, paid: &str) {
    let path = export(url, "orders.csv");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::remove_file(path).unwrap();
    let lines: Vec<&str> = text.split_terminator("\r\n").collect();
    assert_eq!(lines.len(), ROWS + 1);
    assert_eq!(lines[0], "id,amount,big,paid,at,day,备注");
    let expected = format!("1,10.50,9007199254740993,{paid},2026-06-01 09:00:00,2026-06-01,'=张三 & <b>");
    assert_eq!(lines[1], expected);
    assert!(lines[2].ends_with(",2026-06-01,"), "{}", lines[2]);
}

#[test]
fn postgres_rows_are_exported_as_they_are() {
    let server = servers::postgres();
    let url = server.database();
    server.execute(
        &url,
        &format!(
            "CREATE TABLE orders (id int PRIMARY KEY, amount numeric(10, 2), big bigint, paid boolean, at timestamptz,
                                  day date, note text);
             INSERT INTO orders SELECT n, 10.5, 9007199254740993, true, '2026-06-01T01:00:00Z', '2026-06-01',
                                       CASE WHEN n <> 2 THEN '=张三 & <b>' END FROM generate_series(1, {ROWS}) AS n"
        ),
    );
    check_xlsx(&url);
    check_csv(&url, "true");
}

#[test]
fn mariadb_rows_are_exported_as_they_are() {
    let server = servers::mariadb();
    let url = server.database();
    server.execute(
        &url,
        &format!(
            "CREATE TABLE orders (id int PRIMARY KEY, amount decimal(10, 2), big bigint, paid boolean, at timestamp,
                                  day date, note text);
             INSERT INTO orders SELECT seq, 10.5, 9007199254740993, true, '2026-06-01 01:00:00', '2026-06-01',
                                       IF(seq <> 2, '=张三 & <b>', NULL) FROM seq_1_to_{ROWS}"
        ),
    );
    check_xlsx(&url);
    check_csv(&url, "1");
}
