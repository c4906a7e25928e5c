//! The samples in `triggers/` and `config.example.json` load without a word, and say what the README says of them.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use calamine::{DataType as _, Reader as _, Xlsx, open_workbook};
use chrono::{TimeZone, Utc};
use gulou::clock::Clock;
use gulou::config::load;
use gulou::settings::{
    ActionSettings, DatabaseSettings, FunctionSettings, MailRoute, MarkValue, Misfire, Overlap, Pages,
    Relation, StateSettings, TargetSettings,
};
use rusqlite::Connection;
use serde_json::json;

use crate::support::{Project, repository};

fn functions() -> BTreeMap<String, FunctionSettings> {
    // A Monday.
    let now = Utc.with_ymd_and_hms(2026, 6, 1, 0, 0, 0).unwrap();
    let loaded =
        load(&repository().join("config.example.json"), now).unwrap_or_else(|invalid| panic!("{invalid}"));
    let warnings: Vec<String> = loaded.warnings.iter().map(ToString::to_string).collect();
    assert!(warnings.is_empty(), "{}", warnings.join("\n"));
    loaded.settings.functions.into_iter().map(|function| (function.name.clone(), function)).collect()
}

fn expressions(function: &FunctionSettings) -> Vec<&str> {
    function.triggers.iter().map(|trigger| &*trigger.expression).collect()
}

#[test]
fn the_daemon_config_has_its_parts() {
    let loaded = load(
        &repository().join("config.example.json"),
        Utc::with_ymd_and_hms(&Utc, 2026, 6, 1, 0, 0, 0).unwrap(),
    );
    let settings = loaded.unwrap().settings;
    assert_eq!(settings.state, StateSettings::Sqlite(repository().join("var/gulou.db")));
    let DatabaseSettings::Sqlite(file) = &settings.databases["main"] else { panic!("{settings:?}") };
    assert_eq!(file.path, repository().join("var/demo.db"));
    assert_eq!(settings.mail["outbox"].route, MailRoute::Maildir(repository().join("var/outbox")));
    assert_eq!(settings.mail["outbox"].from, "鼓楼 <gulou@example.com>");
    assert_eq!(settings.history.keep, Duration::from_secs(30 * 86_400));
    let names: Vec<&str> = settings.functions.iter().map(|function| function.name.as_str()).collect();
    let expected = [
        "activities",
        "bounces",
        "childrens-day",
        "clean-up",
        "mass-mail",
        "monthly-export",
        "new-entries",
        "notifications",
        "orphaned-files",
        "pg-dump",
        "purge",
        "reminders",
        "subscribe-messages",
        "tomylove",
        "weekly-report",
        "working-hours",
    ];
    assert_eq!(names, expected);
}

#[test]
fn tomylove_is_a_folder_as_the_cloud_has_it() {
    let function = &functions()["tomylove"];
    assert_eq!(expressions(function), ["*/5 * * * * * *"]);
    assert_eq!(function.overlap, Overlap::Allow);
    assert_eq!(function.triggers[0].rules.misfire, Misfire::Skip);
    let TargetSettings::Function(code) = &function.target else { panic!("{:?}", function.target) };
    assert_eq!((code.handler.as_str(), code.timeout), ("index.main", Duration::from_secs(3)));
}

#[test]
fn working_hours_has_a_trigger_for_each_part_of_the_day() {
    let function = &functions()["working-hours"];
    assert_eq!(
        expressions(function),
        ["*/5 * 9,10,11 * * MON-FRI *", "*/5 * 14,15,16,17 * * MON-FRI *", "0 0 12,18 * * MON-FRI *"]
    );
    assert!(matches!(function.target, TargetSettings::Function(_)));
}

#[test]
fn mass_mail_sends_a_page_every_two_seconds_and_marks_it() {
    let function = &functions()["mass-mail"];
    assert_eq!(expressions(function), ["*/2 * * * * * *"]);
    assert_eq!(function.overlap, Overlap::Queue(1));
    let TargetSettings::Batch(batch) = &function.target else { panic!("{:?}", function.target) };
    assert_eq!((batch.source.page, batch.pages), (1000, Pages::Count(1.try_into().unwrap())));
    let mark = batch.mark.as_ref().unwrap();
    let sent = [
        ("status".to_owned(), MarkValue::Literal(json!(true))),
        ("sent_at".to_owned(), MarkValue::Parameter(":now".to_owned())),
    ];
    assert_eq!(mark.sent, sent);
    assert_eq!(mark.failed, None);
    let ActionSettings::Mail(mail) = &batch.action else { panic!("{:?}", batch.action) };
    assert!(mail.text.as_ref().unwrap().text.contains("{{ name }}"));
    assert!(mail.html.as_ref().unwrap().origin.ends_with("triggers/mass-mail/mail.html"));
}

#[test]
fn the_other_mails_are_a_yearly_one_reminders_and_two_joins() {
    let functions = functions();
    let batch = |name: &str| match &functions[name].target {
        TargetSettings::Batch(batch) => batch.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(expressions(&functions["weekly-report"]), ["0 30 17 * * FRI *"]);
    let report = batch("weekly-report");
    assert!(matches!(&report.source.relation, Relation::Query(query) if query.contains("GROUP BY users.id")));
    assert_eq!((report.source.key, report.mark), (vec!["id".to_owned()], None));
    assert_eq!(expressions(&functions["reminders"]), ["* * * * * * *"]);
    assert_eq!(batch("reminders").source.key, ["remind_at", "id"]);
    assert!(batch("reminders").mark.is_some());
    assert_eq!(expressions(&functions["childrens-day"]), ["0 0 9 1 6 * *"]);
    assert_eq!(batch("childrens-day").pages, Pages::All);
    assert_eq!(expressions(&functions["activities"]), ["0 0 11 * * * *"]);
    assert_eq!(batch("activities").source.key, ["id"]);
}

/// A file begins where the one before ended, at half past eleven by Beijing's clock, so that each order is in one.
#[test]
fn monthly_export_writes_the_months_orders() {
    let function = &functions()["monthly-export"];
    assert_eq!(expressions(function), ["0 30 23 L * * *"]);
    let TargetSettings::Batch(batch) = &function.target else { panic!("{:?}", function.target) };
    let (Relation::Query(query), ActionSettings::Export(_)) = (&batch.source.relation, &batch.action) else {
        panic!("{batch:?}")
    };
    // The fire of 31 May, at half past eleven in Beijing.
    let database = Connection::open_in_memory().unwrap();
    let tables = "CREATE TABLE users (id, name, email);
                  CREATE TABLE orders (id, user_id, product, cents, ordered_at);
                  INSERT INTO users VALUES (1, '张三', 'z@ex.test');
                  INSERT INTO orders VALUES (1, 1, 'a', 1, '2026-04-30 15:30:00'), (2, 1, 'a', 1, '2026-04-30 15:30:01'),
                                            (3, 1, 'a', 1, '2026-05-31 15:30:00'), (4, 1, 'a', 1, '2026-05-31 15:30:01')";
    database.execute_batch(tables).unwrap();
    let mut statement = database.prepare(query).unwrap();
    let rows =
        statement.query_map([(":fire_time", "2026-05-31 15:30:00")].as_slice(), |row| row.get::<_, i64>(0));
    assert_eq!(rows.unwrap().map(Result::unwrap).collect::<Vec<_>>(), [2, 3]);

    let project = Project::samples();
    let clock = Clock::system();
    let before = clock.now();
    let answer: serde_json::Value = serde_json::from_str(&fire(&project, "monthly-export")).unwrap();
    let file = std::path::PathBuf::from(answer["file"].as_str().unwrap());
    let mut book: Xlsx<_> = open_workbook(&file).unwrap();
    let sheet = book.worksheet_range("订单").unwrap();
    let rows: Vec<_> = sheet.rows().collect();
    assert_eq!(rows.len() as u64, answer["rows"].as_u64().unwrap() + 1);
    let header: Vec<_> = rows[0].iter().map(|cell| cell.get_string().unwrap()).collect();
    assert_eq!(header, ["订单号", "姓名", "邮箱", "商品", "金额（元）", "下单时间"]);
    assert!(rows[1..].iter().all(|row| row[4].is_float() && row[5].is_datetime()), "{rows:?}");
    let month = |time: chrono::DateTime<Utc>| {
        time.with_timezone(&chrono_tz::Asia::Shanghai).format("%Y-%m").to_string()
    };
    let names = [month(before), month(clock.now())].map(|month| format!("orders-{month}.xlsx"));
    assert!(names.contains(&file.file_name().unwrap().to_string_lossy().into_owned()), "{file:?}");
}

#[test]
fn clean_up_deletes_old_mails_and_keeps_the_young() {
    let function = &functions()["clean-up"];
    let TargetSettings::Command(command) = &function.target else { panic!("{:?}", function.target) };
    assert_eq!(command.argv, ["sh", "clean-up.sh", "../../var/outbox", "30"]);
    assert_eq!(command.cwd, repository().join("triggers/clean-up"));

    let project = Project::samples();
    for name in ["new/old", "new/young", "cur/old", "tmp/young"] {
        project.write(&format!("var/outbox/{name}"), "");
    }
    let ancient = std::time::UNIX_EPOCH + Duration::from_secs(86_400);
    for name in ["new/old", "cur/old"] {
        let file =
            std::fs::File::options().write(true).open(project.path(format!("var/outbox/{name}"))).unwrap();
        file.set_modified(ancient).unwrap();
    }
    let mut process = std::process::Command::new(&command.argv[0]);
    process.args(&command.argv[1..]).current_dir(project.path("triggers/clean-up"));
    let ran = crate::support::run(&mut process).expect_code(0);
    assert_eq!(ran.stdout, "deleted 2 mails older than 30 days\n");
    assert!(project.path("var/outbox/new/young").exists() && !project.path("var/outbox/new/old").exists());
}

/// Runs a sample now; answers what it says.
fn fire(project: &Project, function: &str) -> String {
    project.gulou(&["fire", "--config", "config.example.json", function]).expect_code(0).stdout
}

fn demo(project: &Project, sql: &str) -> i64 {
    let database = Connection::open(project.path("var/demo.db")).unwrap();
    database.query_row(sql, [], |row| row.get(0)).unwrap()
}

#[test]
fn purge_deletes_what_was_deleted_a_month_ago() {
    let project = Project::samples();
    assert!(fire(&project, "purge").contains("\"rows\": 7"));
    let old = "SELECT count(*) FROM comments WHERE deleted_at < datetime('now', '-31 days')";
    assert_eq!(demo(&project, old), 0);
    let all = demo(&project, "SELECT count(*) FROM comments WHERE deleted_at IS NULL");
    assert_eq!(all, 2000, "what is not deleted stays");
    assert!(demo(&project, "SELECT count(*) FROM comments WHERE deleted_at IS NOT NULL") > 250);
    assert!(fire(&project, "purge").contains("\"rows\": 0"));
}

#[test]
fn notifications_tell_each_user_once() {
    let project = Project::samples();
    assert!(fire(&project, "notifications").contains("\"rows\": 10"));
    assert!(fire(&project, "notifications").contains("\"rows\": 0"));
    let told = "SELECT count(*) FROM notifications WHERE text LIKE '明天 14:00：晨读会，%'";
    assert_eq!(demo(&project, told), 5);
}

#[test]
fn bounces_are_switched_off_and_mark_what_a_copy_of_the_example_tells() {
    let function = &functions()["bounces"];
    assert!(function.triggers.iter().all(|trigger| !trigger.enabled));
    assert_eq!(function.overlap, Overlap::Skip);
    let project = Project::samples();
    crate::support::copy_tree(&project.path("examples/bounces"), &project.path("var/bounces"));
    let counts: serde_json::Value = serde_json::from_str(&fire(&project, "bounces")).unwrap();
    let expected = json!({ "read": 4, "hard": 2, "soft": 1, "unknown": 1, "unmatched": 0 });
    assert_eq!(counts, expected);
    let marked =
        "SELECT count(*) FROM users WHERE bounced AND bounced_at > '2026' AND bounce_reason LIKE '%5.1.1%'";
    assert_eq!(demo(&project, marked), 2);
    assert_eq!(demo(&project, "SELECT id FROM users WHERE soft_bounces = 1"), 2);
    assert_eq!(demo(&project, "SELECT sum(soft_bounces) FROM users"), 1);
    assert!(fire(&project, "bounces").contains("\"read\": 0"));
}

#[test]
fn orphaned_files_are_listed_by_python_and_kept() {
    crate::support::require("python3");
    let project = Project::samples();
    assert!(fire(&project, "orphaned-files").contains("no ../../var/uploads yet: nothing to do"));
    fire(&project, "notifications");
    for name in ["photo-1.jpg", "photo-2.jpg", "photo-3.jpg"] {
        project.write(&format!("var/uploads/{name}"), "x");
    }
    let ancient = std::time::UNIX_EPOCH + Duration::from_secs(86_400);
    for name in ["photo-1.jpg", "photo-2.jpg"] {
        let path = project.path(format!("var/uploads/{name}"));
        std::fs::File::options().write(true).open(path).unwrap().set_modified(ancient).unwrap();
    }
    let listed = fire(&project, "orphaned-files");
    assert!(
        listed.contains("would delete photo-2.jpg, 1 bytes\n1 files without a row, 6 rows\n"),
        "{listed}"
    );
    assert!(project.path("var/uploads/photo-2.jpg").exists());
    let mut process = std::process::Command::new("sh");
    process.args(["orphaned-files.sh", "../../var/demo.db", "../../var/uploads", "--delete"]);
    process.current_dir(project.path("triggers/orphaned-files"));
    crate::support::run(&mut process).expect_code(0);
    let left = std::fs::read_dir(project.path("var/uploads")).unwrap().count();
    assert_eq!(left, 2);
}

#[test]
fn pg_dump_is_switched_off_and_keeps_the_newest() {
    let function = &functions()["pg-dump"];
    assert!(function.triggers.iter().all(|trigger| !trigger.enabled));
    // A stand-in that writes what it is told to.
    let project = Project::samples();
    for (name, text) in [
        ("pg_dump", "for a; do case $a in --file=*) echo dump >\"${a#--file=}\";; esac; done"),
        ("pg_restore", ""),
    ] {
        project.write(&format!("bin/{name}"), &format!("#!/bin/sh\n{text}\n"));
        std::fs::set_permissions(project.path(format!("bin/{name}")), PermissionsExt::from_mode(0o755))
            .unwrap();
    }
    let path = format!("{}:{}", project.path("bin").display(), std::env::var("PATH").unwrap());
    for day in 1..=4 {
        let mut process = std::process::Command::new("sh");
        process.args(["pg-dump.sh", "../../var/backups", "2"]).current_dir(project.path("triggers/pg-dump"));
        process.env("PATH", &path).env("PGDATABASE", "shop");
        process.env("GULOU_FIRE_TIME", format!("2026-06-0{day}T01:00:00Z"));
        crate::support::run(&mut process).expect_code(0);
    }
    let mut names: Vec<String> = std::fs::read_dir(project.path("var/backups"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["shop-20260603T010000Z.dump", "shop-20260604T010000Z.dump"]);
}

fn demo_tables() -> Connection {
    let database = Connection::open_in_memory().unwrap();
    let script = std::fs::read_to_string(repository().join("examples/demo.sql")).unwrap();
    database.execute_batch(&script).unwrap();
    database
}

/// Asked every second: whoever has a million reminders pays for those that are due, and for no others.
#[test]
fn an_index_finds_the_reminders_that_are_due_in_their_order() {
    let TargetSettings::Batch(batch) = functions().remove("reminders").unwrap().target else { panic!() };
    let Relation::Table { name, filter: Some(filter) } = &batch.source.relation else { panic!() };
    let (key, database) = (batch.source.key.join(", "), demo_tables());
    for more in ["", " AND (remind_at, id) > ('2026-06-01 01:00:00', 7)"] {
        let page = format!("SELECT email FROM {name} WHERE ({filter}){more} ORDER BY {key} LIMIT 1000");
        let mut statement = database.prepare(&format!("EXPLAIN QUERY PLAN {page}")).unwrap();
        let plan =
            statement.query_map(["2026-06-01 01:00:00"], |row| row.get::<_, String>("detail")).unwrap();
        let plan: Vec<String> = plan.map(Result::unwrap).collect();
        let [step] = &plan[..] else { panic!("{plan:?}") };
        assert!(step.starts_with("SEARCH reminders USING INDEX reminders_to_come ("), "{plan:?}");
        assert!(step.contains("remind_at<?"), "{plan:?}");
    }
}

#[test]
fn the_demo_tables_hold_what_the_samples_ask_for() {
    let database = demo_tables();
    let count = |sql: &str| database.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(count("SELECT count(*) FROM users WHERE status = false AND sent_at IS NULL"), 10_000);
    assert_eq!(count("SELECT count(DISTINCT email) FROM users"), 10_000);
    assert!(count("SELECT count(*) FROM users WHERE children > 0") > 1000);
    assert_eq!(count("SELECT count(*) FROM activities WHERE date(starts_at) = date('now', '+8 hours')"), 2);
    assert!(count("SELECT count(*) FROM orders WHERE ordered_at > datetime('now', '-7 days')") > 100);
    assert_eq!(count("SELECT count(*) FROM reminders WHERE sent = false AND remind_at LIKE '%:00'"), 48);
    // None is due while somebody looks at the quickstart's first mails.
    assert_eq!(count("SELECT count(*) FROM reminders WHERE remind_at <= datetime('now', '+3 minutes')"), 0);

    let parameters = [
        (":now", "2026-06-05 09:30:00"),
        (":fire_time", "2026-06-05 09:30:00"),
        (":fire_time_local", "2026-06-05 17:30:00"),
    ];
    for (name, function) in functions() {
        let TargetSettings::Batch(batch) = function.target else { continue };
        let sql = match &batch.source.relation {
            Relation::Query(query) => query.clone(),
            Relation::Table { name, filter } => {
                format!(
                    "SELECT {} FROM {name} WHERE {}",
                    batch.source.columns.join(", "),
                    filter.as_ref().unwrap()
                )
            }
        };
        let mut statement = database.prepare(&sql).unwrap_or_else(|error| panic!("{name}: {error}"));
        for (parameter, value) in parameters {
            if let Some(index) = statement.parameter_index(parameter).unwrap() {
                statement.raw_bind_parameter(index, value).unwrap();
            }
        }
        let mut rows = statement.raw_query();
        while rows.next().unwrap().is_some() {}
    }
}
