//! What is wrong with a configuration is said all at once, with its place and its fix.

use serde_json::{Value, json};

use crate::support::Project;

fn daemon() -> Value {
    json!({
        "databases": { "main": { "url": "sqlite://demo.db", "create_with": "demo.sql" } },
        "mail": { "outbox": { "url": "maildir:outbox", "from": "gulou@example.com" } }
    })
}

fn batch() -> Value {
    json!({ "triggers": [{ "name": "t", "type": "timer", "config": "0 0 9 * * * *" }], "target": { "batch": {
        "id": "b",
        "source": { "database": "main", "table": "users", "key": "id", "where": "status = false" },
        "action": { "mail": { "via": "outbox", "to": "{{ email }}", "subject": "s", "text": "t" } },
        "mark": { "sent": { "status": true } }
    } } })
}

const TABLES: &str = "CREATE TABLE users (id INTEGER PRIMARY KEY, email, status, active, code, a)";

fn project() -> Project {
    let project = Project::new(&daemon());
    project.write("demo.sql", TABLES);
    project
}

/// `gulou check --json`, with the exit code it must have.
#[track_caller]
fn check(project: &Project, code: i32) -> Value {
    serde_json::from_str(&project.gulou(&["check", "--json"]).expect_code(code).stdout).unwrap()
}

/// `file:line:column path: message | help` of each finding of a kind.
fn found(report: &Value, kind: &str) -> Vec<String> {
    let show = |found: &Value| {
        let text = |key: &str| found[key].as_str().unwrap_or_default().to_owned();
        let help = if found["help"].is_null() { String::new() } else { format!(" | {}", text("help")) };
        let (file, path, message) = (text("file"), text("path"), text("message"));
        format!("{file}:{}:{} {path}: {message}{help}", found["line"], found["column"])
    };
    report[kind].as_array().unwrap().iter().map(show).collect()
}

/// The errors of a function whose config is `batch()` with one value replaced.
#[track_caller]
fn errors_with(pointer: &str, value: Value) -> Vec<String> {
    findings_with(pointer, value, 3, "errors")
}

#[track_caller]
fn findings_with(pointer: &str, value: Value, code: i32, kind: &str) -> Vec<String> {
    let project = project();
    let mut config = batch();
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    let parent = config.pointer_mut(parent).unwrap();
    if value.is_null() {
        parent.as_object_mut().unwrap().remove(key);
    } else {
        parent[key] = value;
    }
    project.function("f", &config);
    found(&check(&project, code), kind)
}

/// Asserts that the one error contains `expected`.
#[track_caller]
fn refused(pointer: &str, value: Value, expected: &str) {
    let errors = errors_with(pointer, value);
    assert!(errors.len() == 1 && errors[0].contains(expected), "{errors:#?}");
}

#[test]
fn a_valid_configuration_passes() {
    let project = project();
    project.function("f", &batch());
    let ran = project.gulou(&["check"]).expect_code(0);
    assert_eq!(ran.stdout, "the configuration is valid: 1 function, 1 trigger, 0 errors, 0 warnings\n");
}

#[test]
fn errors_of_all_files_are_shown_at_once() {
    let project = Project::empty();
    project.write("config.json", "{\n  \"triggrs\": \"triggers\",\n  \"max_runs\": \"10\", // ten\n}\n");
    project.write(
        "triggers/a/config.json",
        "{ \"triggers\": [\n    { \"name\": \"1a\", \"config\": \"0 0 9 * * * *\" } ] }",
    );
    project.write("triggers/a/index.js", "");
    project.write("triggers/b/config.json", "{ \"triggers\"： [] }");
    let report = check(&project, 3);
    assert_eq!(report["ok"], false);
    let a = "triggers/a/config.json";
    assert_eq!(
        found(&report, "errors"),
        [
            "config.json:2:3 triggrs: unknown key `triggrs` | did you mean `triggers`?",
            "config.json:3:15 max_runs: a string was found where a whole number is expected | write `10` without the quotes",
            "config.json:3:19 : a comma with nothing behind it | delete this comma",
            "config.json:3:21 : JSON has no comments | delete this comment (and others, if there are more)",
            &format!(
                "{a}:2:15 triggers[0].name: `1a` cannot name a trigger: it must start with a letter (a-z, A-Z)"
            ),
            "triggers/b/config.json:1:13 : a full-width `：` | write `:` (half-width)",
        ]
    );
}

#[test]
fn people_see_the_line_and_a_caret() {
    let project = Project::empty();
    project.write("config.json", "{\n  \"event_type\": \"Timr\"\n}\n");
    project.write("triggers/x/readme.txt", "");
    let ran = project.gulou(&["check"]).expect_code(3);
    let expected = "\
error: `Timr` was found where `timer` or `Timer` is expected
 --> config.json:2:17 (event_type)
  |
2 |   \"event_type\": \"Timr\"
  |                 ^^^^^^
  = help: did you mean `timer`?

warning: the folder has no `config.json`: it is not a function and is passed over
--> triggers/x

the configuration is invalid: 1 error, 1 warning
";
    assert_eq!(ran.stdout, expected);
}

#[test]
fn a_missing_file_or_folder_is_named() {
    let project = Project::empty();
    let report = check(&project, 3);
    assert_eq!(report["errors"][0]["message"], "there is no such file");
    project.write("config.json", "{ \"triggers\": \"funktions\" }");
    let message = check(&project, 3)["errors"][0]["message"].to_string();
    assert!(message.contains("could not read the folder `funktions`"), "{message}");
    project.write("triggers/f/config.json", "");
    std::fs::write(project.path("config.json"), b"{ \"app_id\": \"\n\xc4\xe3\xba\xc3\" }").unwrap();
    let message = check(&project, 3)["errors"][0]["message"].to_string();
    assert!(message.contains("not UTF-8 at line 2"), "{message}");
}

#[test]
fn hidden_folders_and_packages_are_passed_over_in_silence() {
    let project = project();
    project.function("f", &batch());
    project.write("triggers/.git/x", "");
    project.write("triggers/node_modules/x", "");
    project.write("triggers/README.md", "");
    assert_eq!(check(&project, 0)["warnings"], json!([]));
}

#[test]
fn what_a_later_version_has_is_said_to_be_missing_not_unknown() {
    refused("/target/batch/action", json!({ "sql": {} }), "`sql` is not supported by this version");
    let errors = found(&check(&Project::new(&json!({ "state": "mysql://u@localhost/x" })), 3), "errors");
    let word = "state: `mysql://` is not supported by this version";
    assert!(errors.len() == 1 && errors[0].contains(word), "{errors:#?}");
}

#[test]
fn the_state_is_no_database_of_the_user() {
    let project = Project::new(&json!({
        "state": "sqlite://x.db", "databases": { "main": { "url": "sqlite://./x.db" } }
    }));
    let errors = found(&check(&project, 3), "errors");
    assert!(
        errors.len() == 1 && errors[0].contains("the database `main` is the state itself"),
        "{errors:#?}"
    );
}

#[test]
fn references_must_exist() {
    refused(
        "/target/batch/source/database",
        json!("mian"),
        "no database called `mian` | did you mean `main`?",
    );
    refused(
        "/target/batch/action/mail/via",
        json!("post"),
        "no mail transport called `post` | there are: outbox",
    );
    refused("/target/batch/action/mail/html_file", json!("no.html"), "there is no file `no.html`");
    refused("/target/batch/source/where", json!("a < :nwo"), "f/config.json:");
    refused(
        "/target/batch/source/where",
        json!("a < :nwo"),
        "`:nwo` is not a parameter | did you mean `:now`?",
    );
    refused("/target/batch/source/where", json!("a = 1;"), "a `;` ends this where");
    refused("/target/batch/mark/sent", json!({ "t": ":error" }), "`:error` is known only of failed rows");
    refused("/target/batch/mark/sent", json!({}), "no column is named");
    refused("/target/batch/source/where", Value::Null, "a mark needs a `where`");
}

#[test]
fn numbers_and_words_have_their_bounds() {
    refused("/target/batch/window", json!(0), "from 1 to");
    refused("/target/batch/concurrency", json!(0), "from 1 to");
    refused("/target/batch/rate", json!("fast"), "is not a rate");
    refused("/target/batch/pages", json!("al"), "did you mean `all`?");
    refused("/target/batch/time_limit", json!("0s"), "must be longer than nothing");
    refused("/target/batch/on_uncertain", json!("drop"), "`hold` or `resend`");
    refused("/target/batch/id", Value::Null, "`id` is missing here");
    refused("/target/batch/source/key", Value::Null, "`key` is missing here");
    refused("/target/batch/source/key", json!([]), "no column is named");
    refused("/target/batch/source/key", json!(["id", "id"]), "`id` is listed twice");
    refused("/target/batch/source/key", json!(1), "a column's name or a list of them");
    refused("/target/batch/source/query", json!("SELECT 1"), "`table` and `query` exclude each other");
    refused("/target/batch/action/mail/to", json!("{{ email"), "the template cannot be read");
    refused("/target/batch/action/mail/max_rows", json!(1), "belongs to a mail with `\"per\": \"run\"`");
    refused("/overlap", json!({ "queue": 0 }), "from 1 to");
    refused("/triggers/0/argument", json!("鼓".repeat(1366)), "4098 bytes");
    refused("/triggers/0/timezone", json!("Asia/Shangai"), "did you mean `Asia/Shanghai`?");
    refused("/triggers/0/type", json!("cron"), "`timer` is expected");
    refused("/triggers/0/jitter", json!("-1s"), "is not a duration");
}

#[test]
fn schedules_are_wrong_at_their_column() {
    let place = |expression: &str| {
        let project = Project::new(&json!({}));
        project.write("triggers/f/index.js", "");
        let text = format!("{{ \"triggers\": [\n  {{ \"name\": \"t\", \"config\": \"{expression}\" }} ] }}");
        project.write("triggers/f/config.json", &text);
        let errors = found(&check(&project, 3), "errors");
        assert_eq!(errors.len(), 1, "{errors:#?}");
        errors[0].strip_prefix("triggers/f/config.json:").unwrap().to_owned()
    };
    let error = place("0 0 25 * * * *");
    assert!(error.starts_with("2:33 triggers[0].config: hour: "), "{error}");
    let error = place("*/90 * * * * * *");
    assert!(error.starts_with("2:31 ") && error.contains("@every 90s"), "{error}");
    let error = place("*/5 * * * *");
    assert!(error.contains("0 */5 * * * * *"), "{error}");
    let error = place("0 0 0 30 2 * *");
    assert!(error.starts_with("2:28 ") && error.contains("never fires"), "{error}");
    let error = place("0 0 0 * * * 2020");
    assert!(error.contains("never fires again"), "{error}");
}

#[test]
fn a_single_time_that_has_passed_is_only_doubted() {
    let warnings = findings_with("/triggers/0/config", json!("@at 2020-06-01T09:00:00+08:00"), 0, "warnings");
    assert!(warnings.len() == 1 && warnings[0].contains("never fires again"), "{warnings:#?}");
}

#[test]
fn a_schedule_that_may_not_be_meant_is_doubted_at_its_place() {
    let warnings = findings_with("/triggers/0/config", json!("* 30 17 * * FRI *"), 0, "warnings");
    assert!(
        warnings.len() == 1 && warnings[0].contains(" triggers[0].config: fires sixty times"),
        "{warnings:#?}"
    );

    let project = project();
    let mut config = batch();
    config["triggers"][0]["config"] = json!("*/2 * * * * * *");
    config["target"]["batch"]["rate"] = json!("100/s");
    project.function("f", &config);
    let warnings = found(&check(&project, 0), "warnings");
    assert!(warnings.len() == 1 && warnings[0].contains("a page takes about 10s"), "{warnings:#?}");

    project.write("triggers/f/index.js", "");
    project.function("f", &json!({ "triggers": [{ "name": "t", "config": "*/5 * * * * * *" }] }));
    let warnings = found(&check(&project, 0), "warnings");
    assert!(warnings.len() == 1 && warnings[0].contains("a run may take 20s"), "{warnings:#?}");
}

#[test]
fn a_batch_whose_rows_stay_as_they_are_is_doubted() {
    let warnings = findings_with("/target/batch/source/where", json!("active = true"), 0, "warnings");
    assert!(warnings.len() == 1 && warnings[0].contains("a marked row still matches"), "{warnings:#?}");
    let warnings = findings_with("/target/batch/window", json!(4), 0, "warnings");
    assert!(warnings.len() == 1 && warnings[0].contains("write at least 16"), "{warnings:#?}");
}

#[test]
fn names_and_batch_ids_are_unique() {
    let project = project();
    let mut config = batch();
    let trigger = config["triggers"][0].clone();
    config["triggers"] = json!([trigger, trigger]);
    project.function("a", &config);
    project.function("b", &batch());
    let errors = found(&check(&project, 3), "errors");
    assert_eq!(errors.len(), 2, "{errors:#?}");
    assert!(errors[0].contains("there are two triggers called `t`"), "{errors:#?}");
    assert!(errors[1].contains("the batch id `b` is taken by the function `a`"), "{errors:#?}");
}

#[test]
fn a_folder_of_the_cloud_works_unchanged() {
    let project = Project::new(&json!({}));
    project.write("triggers/f/src/app.js", "exports.main = async () => 1");
    project.function(
        "f",
        &json!({
            "permissions": { "openapi": ["subscribeMessage.send"] },
            "triggers": [{ "name": "t", "type": "timer", "config": "0 0 2 1 * * *" }],
            "timeout": 60, "memorySize": 512, "runtime": "Nodejs18.15", "handler": "src/app.main",
            "envVariables": { "KEY": "value" }, "installDependency": true, "ignore": ["node_modules"]
        }),
    );
    let report = check(&project, 0);
    assert_eq!(report["warnings"], json!([]));
    project.write(
        "triggers/f/config.json",
        "{ \"permissions\": { \"openapi\": [] }, \"handler\": \"app.main\" }",
    );
    let errors = found(&check(&project, 3), "errors");
    assert!(errors[0].contains("the folder has no `app.js` for the handler `app.main`"), "{errors:#?}");
}

#[test]
fn commands_must_exist_where_they_are_named() {
    let project = Project::new(&json!({}));
    project
        .function("f", &json!({ "triggers": [], "target": { "command": { "argv": ["./run.sh", "a b"] } } }));
    let errors = found(&check(&project, 3), "errors");
    assert!(errors.len() == 1 && errors[0].contains("there is no file `./run.sh`"), "{errors:#?}");
    project.write("triggers/f/run.sh", "");
    check(&project, 0);
    project.function("f", &json!({ "triggers": [], "target": { "command": { "argv": ["echo hello"] } } }));
    let warnings = found(&check(&project, 0), "warnings");
    assert!(warnings[0].contains("write [\"echo\", \"hello\"]"), "{warnings:#?}");
    project.function("f", &json!({ "triggers": [], "target": { "command": { "argv": [] } } }));
    check(&project, 3);
}

#[test]
fn the_database_is_asked() {
    refused("/target/batch/source/table", json!("user"), "no table `user` | did you mean `users`?");
    refused("/target/batch/source/columns", json!(["emial"]), "no column `emial` | did you mean `email`?");
    refused("/target/batch/source/where", json!("status = false AND nix"), "no such column: nix");
    refused("/target/batch/source/where", json!("status = = 1"), "the database refuses the condition: near");
    refused(
        "/target/batch/source/key",
        json!("code"),
        "`code` may repeat: it has no unique index of its own",
    );
    refused("/target/batch/source/key", json!(["email", "code"]), "`email, code` may repeat");
    refused("/target/batch/source/key", json!(["id", "cdoe"]), "no column `cdoe` | did you mean `code`?");
    refused("/target/batch/mark/sent", json!({ "status": true, "snet_at": 1 }), "has no column `snet_at`");

    let project = project();
    let mut config = batch();
    config["target"]["batch"]["source"] =
        json!({ "database": "main", "query": "SELECT 1 AS n FROM users", "key": "id" });
    config["target"]["batch"].as_object_mut().unwrap().remove("mark");
    project.function("f", &config);
    let errors = found(&check(&project, 3), "errors");
    assert!(errors.len() == 1 && errors[0].contains("the query has no column `id`"), "{errors:#?}");
    project.write("demo.sql", "CREATE TABLE (");
    let errors = found(&check(&project, 3), "errors");
    assert!(errors[0].contains("databases.main.create_with: could not make the database"), "{errors:#?}");
}

#[test]
fn a_database_that_exists_is_asked_and_left_alone() {
    let project = project();
    let database = rusqlite::Connection::open(project.path("demo.db")).unwrap();
    database
        .execute_batch(
            "CREATE TABLE users (id TEXT UNIQUE, email, status); INSERT INTO users VALUES (NULL, 'a', 0)",
        )
        .unwrap();
    database.close().unwrap();
    let before = std::fs::read(project.path("demo.db")).unwrap();
    project.function("f", &batch());
    let errors = found(&check(&project, 3), "errors");
    assert!(errors.len() == 1 && errors[0].contains("there are rows whose `id` is NULL"), "{errors:#?}");
    assert_eq!(std::fs::read(project.path("demo.db")).unwrap(), before);
    assert!(!project.path("demo.db-wal").exists() && !project.path("demo.db-shm").exists());
}

#[test]
fn a_database_that_is_nowhere_is_only_doubted() {
    let project = Project::new(&json!({ "databases": { "main": { "url": "sqlite://demo.db" } } }));
    project.write("triggers/f/index.js", "");
    project.function("f", &json!({ "triggers": [] }));
    let warnings = found(&check(&project, 0), "warnings");
    assert!(warnings.len() == 1 && warnings[0].contains("yet | name a script"), "{warnings:#?}");
}

#[test]
fn list_shows_every_trigger() {
    let project = project();
    let mut config = batch();
    config["triggers"][0]["timezone"] = json!("Europe/Berlin");
    config["triggers"]
        .as_array_mut()
        .unwrap()
        .push(json!({ "name": "off", "config": "0 0 9 * * * *", "enabled": false }));
    project.function("f", &config);
    let ran = project.gulou(&["list"]).expect_code(0);
    let lines: Vec<&str> = ran.stdout.lines().collect();
    assert_eq!(lines.len(), 3, "{}", ran.stdout);
    assert!(lines[1].starts_with("f/t ") && lines[1].contains("Europe/Berlin"), "{}", ran.stdout);
    assert!(lines[2].starts_with("f/off ") && lines[2].ends_with("off"), "{}", ran.stdout);
    let list: Value =
        serde_json::from_str(&project.gulou(&["list", "--json"]).expect_code(0).stdout).unwrap();
    assert_eq!(list[0]["target"], "batch");
    assert_eq!(list[1]["next"], Value::Null);
    project.write("config.json", "{");
    project.gulou(&["list"]).expect_code(3);
}

/// Each table of `docs/configuration.md` has all the keys of its object and no others, by asking the program: an
/// unknown key is answered with the known ones.
#[test]
fn the_documentation_has_every_key() {
    let text = std::fs::read_to_string(crate::support::repository().join("docs/configuration.md")).unwrap();
    let documented = |heading: &str| {
        let section = text.split_once(&format!("\n{heading}\n")).unwrap_or_else(|| panic!("no {heading}")).1;
        let section = section.split("\n#").next().unwrap();
        let rows = section.lines().filter(|line| line.starts_with("| `"));
        let cells = rows.map(|line| line.split(" | ").next().unwrap());
        let mut keys: Vec<String> =
            cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)).map(str::to_owned).collect();
        keys.sort();
        keys
    };
    let known = |report: &Value, path: &str| {
        let error = report["errors"].as_array().unwrap().iter().find(|error| error["path"] == path);
        let help = error.unwrap_or_else(|| panic!("{path}: {report:#}"))["help"].as_str().unwrap();
        let mut keys: Vec<String> =
            help.strip_prefix("known here: ").unwrap().split(", ").map(str::to_owned).collect();
        keys.sort();
        keys
    };
    let stranger = "qqqqqqqqqqqqqqqq";
    let project = Project::empty();
    let entry = json!({ stranger: 1 });
    project.write(
        "config.json",
        &json!({ stranger: 1, "databases": { "d": entry }, "mail": { "m": entry }, "history": entry })
            .to_string(),
    );
    let batch = json!({ stranger: 1, "source": entry, "mark": entry, "action": { "mail": entry } });
    for (name, target) in [("f", "function"), ("c", "command"), ("b", "batch")] {
        let target = json!({ target: if target == "batch" { batch.clone() } else { entry.clone() } });
        project.function(name, &json!({ "triggers": [entry], "target": target, stranger: 1 }));
    }
    let report = check(&project, 3);
    for (heading, path) in [
        ("## The daemon config", stranger.to_owned()),
        ("### `databases.NAME`", format!("databases.d.{stranger}")),
        ("### `mail.NAME`", format!("mail.m.{stranger}")),
        ("### `history`", format!("history.{stranger}")),
        ("### `triggers[]`", format!("triggers[0].{stranger}")),
        ("### `target.function`", format!("target.function.{stranger}")),
        ("### `target.command`", format!("target.command.{stranger}")),
        ("### `target.batch`", format!("target.batch.{stranger}")),
        ("### `target.batch.source`", format!("target.batch.source.{stranger}")),
        ("### `target.batch.action.mail`", format!("target.batch.action.mail.{stranger}")),
        ("### `target.batch.mark`", format!("target.batch.mark.{stranger}")),
    ] {
        assert_eq!(documented(heading), known(&report, &path), "{heading}");
    }
}
