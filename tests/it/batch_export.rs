//! All rows of a table in one file, written by the real program and read back by another's library.

use std::fs;
use std::path::PathBuf;

use calamine::{Data, DataType as _, Reader as _, Xlsx, open_workbook};
use mail_parser::{MessageParser, MimeHeaders as _};
use rusqlite::Connection;
use serde_json::{Value, json};

use crate::support::Project;
use crate::support::web::{Web, ok, status};

/// A table with values of all kinds, and a function that exports it.
fn project(export: &Value, more: &Value) -> Project {
    let project = Project::new(&json!({
        "state": "sqlite://gulou.db",
        "databases": { "main": { "url": "sqlite://main.db" } },
        "mail": { "outbox": { "url": "maildir:outbox", "from": "gulou@ex.test" } },
    }));
    let connection = Connection::open(project.path("main.db")).unwrap();
    connection
        .execute_batch(
            "CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT, amount REAL, big INTEGER, at TEXT, raw BLOB);
             INSERT INTO users VALUES
               (2, '=1+1', -0.5, 9007199254740993, '2026-06-01 09:00:00', x'00ff'),
               (1, '张三 <a> & _x0041_', 12.25, 7, '2026-06-01T01:00:00Z', NULL),
               (3, ' line' || char(10) || 'two' || char(1), NULL, -1, 'soon', NULL)",
        )
        .unwrap();
    let mut function = json!({
        "triggers": [{ "name": "t", "type": "timer", "config": "0 0 9 1 * * *" }],
        "target": { "batch": {
            "id": "users",
            "source": { "database": "main", "table": "users", "key": "id" },
            "action": { "export": export },
        } },
    });
    let batch = function["target"]["batch"].as_object_mut().unwrap();
    batch.extend(more.as_object().unwrap().clone());
    project.function("users", &function);
    project
}

/// Fires it; answers the last run of its history.
fn fire(project: &Project, code: i32) -> Value {
    project.gulou(&["fire", "users/t", "--config", "config.json"]).expect_code(code);
    let history = project.gulou(&["history", "--config", "config.json", "users", "--json"]).expect_code(0);
    serde_json::from_str::<Vec<Value>>(&history.stdout).unwrap().remove(0)
}

/// Names in the folder of reports, hidden ones too.
fn names(project: &Project) -> Vec<String> {
    let name = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
    let mut names: Vec<String> =
        fs::read_dir(project.path("reports")).map_or(Vec::new(), |files| files.map(name).collect());
    names.sort();
    names
}

fn report(run: &Value) -> PathBuf {
    run["result"]["file"].as_str().unwrap().into()
}

#[test]
fn xlsx_has_numbers_times_and_texts_as_such() {
    let export = json!({
        "file": "../../reports/users-{{ fire_time.year }}.xlsx", "headers": { "name": "姓名" }, "dates": ["at"], "sheet": "用户",
    });
    let project = project(&export, &json!({}));
    let run = fire(&project, 0);
    assert_eq!(
        (run["result"]["rows"].as_u64(), run["result"]["sheets"].as_u64()),
        (Some(3), Some(1)),
        "{run}"
    );
    let path = report(&run);
    assert_eq!(fs::metadata(&path).unwrap().len(), run["result"]["bytes"].as_u64().unwrap());
    let mut book: Xlsx<_> = open_workbook(&path).unwrap();
    assert_eq!(book.sheet_names(), ["用户"]);
    let sheet = book.worksheet_range("用户").unwrap();
    let rows: Vec<&[Data]> = sheet.rows().collect();
    let text = |at: &Data| at.get_string().unwrap_or_else(|| panic!("{at:?}")).to_owned();
    let header: Vec<String> = rows[0].iter().map(text).collect();
    assert_eq!(header, ["id", "姓名", "amount", "big", "at", "raw"]);
    assert_eq!(rows.len(), 4);
    // In the order of the key.
    assert_eq!(rows[1][0].as_i64(), Some(1));
    assert_eq!(text(&rows[1][1]), "张三 <a> & _x0041_");
    assert_eq!(rows[1][2].as_f64(), Some(12.25));
    let time = |at: &Data| match at {
        Data::DateTime(time) => time.as_f64(),
        other => panic!("{other:?}"),
    };
    // 09:00 in Beijing, both of them.
    assert!((time(&rows[1][4]) - 46_174.375).abs() < 1e-9, "{:?}", rows[1][4]);
    assert!((time(&rows[2][4]) - 46_174.375).abs() < 1e-9);
    assert!(rows[1][5].is_empty());
    assert_eq!(text(&rows[2][1]), "=1+1");
    assert_eq!(text(&rows[2][3]), "9007199254740993");
    assert_eq!(text(&rows[2][5]), "0x00ff");
    assert!(text(&rows[3][1]).starts_with(" line\ntwo"));
    assert!(rows[3][2].is_empty());
    assert_eq!(text(&rows[3][4]), "soon");
}

#[test]
fn csv_is_for_excel_and_no_formula() {
    let project = project(&json!({ "file": "../../reports/users.csv", "bom": true }), &json!({}));
    let path = report(&fire(&project, 0));
    let text = fs::read_to_string(path).unwrap();
    let lines: Vec<&str> = text.split("\r\n").collect();
    assert_eq!(lines[0], "\u{feff}id,name,amount,big,at,raw");
    assert_eq!(lines[1], "1,张三 <a> & _x0041_,12.25,7,2026-06-01T01:00:00Z,");
    assert_eq!(lines[2], "2,'=1+1,-0.5,9007199254740993,2026-06-01 09:00:00,0x00ff");
}

#[test]
fn the_newest_files_stay_and_others_are_left_alone() {
    let project = project(&json!({ "file": "../../reports/{{ request_id }}.csv", "keep": 2 }), &json!({}));
    let files: Vec<PathBuf> = (0..3).map(|_| report(&fire(&project, 0))).collect();
    // Somebody else's.
    fs::write(project.path("reports/other.csv"), "").unwrap();
    let last = report(&fire(&project, 0));
    let exists: Vec<bool> = files.iter().map(|file| file.exists()).collect();
    assert_eq!((exists, last.exists()), (vec![false, false, true], true));
    assert_eq!(names(&project).len(), 3);
}

#[test]
fn a_run_that_fails_leaves_the_old_file_and_nothing_else() {
    let project = project(&json!({ "file": "../../reports/users.xlsx" }), &json!({}));
    let path = report(&fire(&project, 0));
    let before = fs::read(&path).unwrap();
    let connection = Connection::open(project.path("main.db")).unwrap();
    connection.execute("UPDATE users SET name = ?1 WHERE id = 3", ["x".repeat(32_768)]).unwrap();
    let run = fire(&project, 1);
    let message = run["message"].as_str().unwrap();
    assert!(message.contains("row 3") && message.contains("`name`"), "{message}");
    assert_eq!(fs::read(&path).unwrap(), before);
    assert_eq!(names(&project), ["users.xlsx"]);
}

#[test]
fn the_file_goes_out_with_a_mail() {
    let mail =
        json!({ "via": "outbox", "to": "boss@ex.test", "subject": "{{ rows }} rows", "text": "{{ name }}" });
    let export = json!({ "file": "../../reports/报表.csv", "then": { "mail": mail } });
    let project = project(&export, &json!({}));
    let path = report(&fire(&project, 0));
    let mails: Vec<_> = fs::read_dir(project.path("outbox/new")).unwrap().map(Result::unwrap).collect();
    assert_eq!(mails.len(), 1);
    let bytes = fs::read(mails[0].path()).unwrap();
    let mail = MessageParser::default().parse(&bytes).unwrap();
    assert_eq!(mail.subject(), Some("3 rows"));
    assert_eq!(mail.body_text(0).unwrap().trim(), "报表.csv");
    let file = mail.attachment(0).unwrap();
    assert_eq!(file.attachment_name(), Some("报表.csv"));
    assert_eq!(file.content_type().unwrap().subtype(), Some("csv"));
    assert_eq!(file.contents(), fs::read(path).unwrap());
}

#[test]
fn a_mail_that_does_not_go_out_leaves_the_file_and_both_are_named() {
    let mail = json!({ "via": "outbox", "to": "nobody", "subject": "s", "text": "t" });
    let export = json!({ "file": "../../reports/users.csv", "then": { "mail": mail } });
    let project = project(&export, &json!({}));
    let run = fire(&project, 1);
    let message = run["message"].as_str().unwrap();
    assert!(
        message.contains("3 rows in") && message.contains("users.csv") && message.contains("mail:"),
        "{message}"
    );
    assert_eq!(names(&project), ["users.csv"]);
}

#[test]
fn a_dry_run_writes_nothing_and_tells_all() {
    let project = project(&json!({ "file": "../../reports/users.csv" }), &json!({}));
    let dry = project.gulou(&["dry-run", "--config", "config.json", "users"]).expect_code(0);
    assert!(
        dry.stdout.contains("one file with 3 rows") && dry.stdout.contains("users.csv"),
        "{}",
        dry.stdout
    );
    assert!(dry.stdout.contains("columns: id, name, amount, big, at, raw"), "{}", dry.stdout);
    assert!(names(&project).is_empty());
}

#[test]
fn what_does_not_go_with_an_export_is_a_finding() {
    for (export, more, expected) in [
        (
            json!({ "file": "../../r/a.csv" }),
            json!({ "mark": { "sent": { "name": "x" } } }),
            "an export reads rows",
        ),
        (json!({ "file": "../../r/a.txt" }), json!({}), "what kind of file"),
        (json!({ "file": "../../r/a.csv", "sheet": "x" }), json!({}), "`sheet` means nothing to csv"),
        (json!({ "file": "../../r/a.xlsx", "sheet": "a/b" }), json!({}), "cannot be the name of a sheet"),
    ] {
        let checked = project(&export, &more).gulou(&["check", "--config", "config.json"]).expect_code(3);
        let said = format!("{}{}", checked.stdout, checked.stderr);
        assert!(said.contains(expected), "{expected}:\n{said}");
    }
    let inside = project(&json!({ "file": "a.csv" }), &json!({}));
    let checked = inside.gulou(&["check", "--config", "config.json"]);
    let said = format!("{}{}", checked.stdout, checked.stderr);
    assert!(said.contains("the function's own folder"), "{said}");
}

#[test]
fn a_path_that_leaves_the_project_is_an_error() {
    let check = |file: &str, code: i32| {
        let export = json!({ "file": file });
        let checked =
            project(&export, &json!({})).gulou(&["check", "--config", "config.json"]).expect_code(code);
        format!("{}{}", checked.stdout, checked.stderr)
    };
    for (file, expected) in [
        ("../../../reports/a.csv", "leads out of the project"),
        ("../../../../../../../../tmp/a.csv", "leads out of the project"),
        ("../../reports/../a.csv", "`..` behind a folder's name"),
        ("../../{{ fire_time.strftime('%Y') }}/../../a.csv", "`..` behind a folder's name"),
        ("reports/../../a.csv", "`..` behind a folder's name"),
        ("/srv/reports/../a.csv", "`..` behind a folder's name"),
    ] {
        let said = check(file, 3);
        assert!(said.contains(expected) && said.contains("config.json:"), "{file}:\n{said}");
    }
    assert!(check("../../../reports/a.csv", 3).contains("write it as an absolute path"));
    for file in [
        "../../reports/a.csv",
        "./../../a.csv",
        "/srv/reports/{{ fire_time.year }}.csv",
        "../../a..b/..c.csv",
    ] {
        check(file, 0);
    }
}

#[test]
fn what_is_filled_in_does_not_choose_the_folder() {
    for message in ["../x", "a/../../../x", "/tmp/x"] {
        let project = project(&json!({ "file": "{{ event.Message }}.csv", "format": "csv" }), &json!({}));
        let path = project.path("triggers/users/config.json");
        let mut config: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        config["triggers"][0]["argument"] = message.into();
        project.function("users", &config);
        let ran = project.gulou(&["fire", "users/t"]).expect_code(1);
        assert!(ran.stderr.contains("where a value was filled in"), "{message}: {ran:?}");
    }
}

#[test]
fn the_file_is_posted_and_a_refusal_fails_the_run() {
    let web = Web::start(|asked| match asked.path.as_str() {
        "/take" => ok("thanks"),
        _ => status("403 Forbidden", "not from you"),
    });
    let export = |path: &str| {
        json!({ "file": "../../reports/users.csv", "then": { "http": {
            "url": web.url(path), "headers": { "X-Name": "{{ name }} {{ rows }}" }
        } } })
    };
    let taken = project(&export("/take"), &json!({}));
    let run = fire(&taken, 0);
    let asked = web.asked().remove(0);
    assert_eq!((asked.method.as_str(), asked.header("x-name")), ("POST", Some("users.csv 3")));
    assert_eq!(asked.header("content-type"), Some("text/csv"));
    assert_eq!(asked.body, fs::read_to_string(report(&run)).unwrap());
    assert!(run["result"]["then"].as_str().unwrap().starts_with("http: "), "{run}");

    let refused = project(&export("/no"), &json!({}));
    let run = fire(&refused, 1);
    let message = run["message"].as_str().unwrap();
    assert!(
        message.contains("3 rows in") && message.contains("but http: ") && message.contains("403"),
        "{message}"
    );
    assert_eq!(names(&refused), ["users.csv"]);
}

#[test]
fn a_group_is_told_of_the_file() {
    let web = Web::start(|asked| match asked.path.as_str() {
        "/robot?key=1" => ok(r#"{"errcode":0,"errmsg":"ok"}"#),
        _ => ok(r#"{"errcode":93000,"errmsg":"invalid webhook url"}"#),
    });
    let export = |key: u8| {
        json!({ "file": "../../reports/users.xlsx", "then": { "wecom_robot": {
            "url": web.url(&format!("/robot?key={key}")), "content": "{{ name }}：{{ rows }} 行，{{ sheets }} 张表"
        } } })
    };
    fire(&project(&export(1), &json!({})), 0);
    let told: Value = serde_json::from_str(&web.asked()[0].body).unwrap();
    assert_eq!(told, json!({ "msgtype": "text", "text": { "content": "users.xlsx：3 行，1 张表" } }));

    let refused = project(&export(2), &json!({}));
    let run = fire(&refused, 1);
    let message = run["message"].as_str().unwrap();
    assert!(message.contains("but wecom_robot: ") && message.contains("93000"), "{message}");
    assert_eq!(names(&refused), ["users.xlsx"]);
}
