//! The `sql` target in a function folder: what is refused and where, what `check` asks the database, what `dry-run` shows.

use serde_json::{Value, json};

use crate::support::Project;

/// A project with one `sql` function on a SQLite database that a script makes.
fn project(sql: &Value) -> Project {
    let project = Project::new(&json!({
        "databases": {
            "main": { "url": "sqlite://main.db", "create_with": "make.sql" },
            "far": { "url": "postgres://nobody@127.0.0.1:9/nowhere" },
        }
    }));
    project.write(
        "make.sql",
        "CREATE TABLE users (id INTEGER PRIMARY KEY, deleted_at TEXT, state TEXT); \
         INSERT INTO users (deleted_at) VALUES ('2020-01-01 00:00:00'), ('2020-01-02 00:00:00'), (NULL)",
    );
    project.write("triggers/f/clean.sql", "DELETE FROM users\n WHERE id = 77;\n\nDELETE FROM uesrs;\n");
    project.write("triggers/f/wrong.sql", "DELETE FROM users;\nDELETE FROM users WHERE id = :is;\n");
    project.function(
        "f",
        &json!({
            "triggers": [{ "name": "t", "type": "timer", "config": "0 0 3 * * * *", "argument": "eh" }],
            "target": { "sql": sql },
        }),
    );
    project
}

/// `path message | help` of the one error.
#[track_caller]
fn error(sql: &Value) -> String {
    let told = project(sql).gulou(&["check", "--json"]).expect_code(3).stdout;
    let told: Value = serde_json::from_str(&told).unwrap();
    let [error] = told["errors"].as_array().unwrap().as_slice() else { panic!("{told:#}") };
    format!(
        "{} {} | {}",
        error["path"].as_str().unwrap(),
        error["message"].as_str().unwrap(),
        error["help"].as_str().unwrap_or_default()
    )
}

#[test]
fn what_contradicts_itself_is_refused() {
    let bounded = "DELETE FROM users WHERE id IN (SELECT id FROM users LIMIT :page)";
    for (sql, expected) in [
        (json!({ "database": "main" }), "target.sql nothing says what is done | say `statement`,"),
        (
            json!({ "database": "mian", "statement": "SELECT 1" }),
            "target.sql.database the daemon config has no database called `mian` | did you mean `main`?",
        ),
        (
            json!({ "database": "main", "statement": "SELECT 1", "file": "clean.sql" }),
            "target.sql statement and file exclude each other",
        ),
        (
            json!({ "database": "main", "statement": "-- x" }),
            "target.sql.statement there is no statement in it",
        ),
        (json!({ "database": "main", "statements": [] }), "target.sql.statements no statement is listed"),
        (
            json!({ "database": "main", "statement": "DELETE FROM users WHERE id = :fire_tiem" }),
            "target.sql.statement `:fire_tiem` is not a parameter | did you mean `:fire_time`?",
        ),
        (
            json!({ "database": "main", "statement": bounded }),
            "target.sql.statement `:page` is not a parameter",
        ),
        (
            json!({ "database": "main", "statement": "DELETE FROM users", "page": 10 }),
            "target.sql.page the statement does not say how many rows it changes at most | write its bound as `:page`",
        ),
        (
            json!({ "database": "main", "statements": [bounded, bounded], "page": 10 }),
            "target.sql.page `page` repeats one statement; here are several",
        ),
        (
            json!({ "database": "main", "statement": bounded, "page": 10, "transaction": false }),
            "target.sql.transaction `transaction` belongs to statements without `page`",
        ),
        (
            json!({ "database": "main", "statement": "SELECT 1", "time_limit": "1m" }),
            "target.sql.time_limit `time_limit` belongs to a statement with `page`",
        ),
        (
            json!({ "database": "main", "statements": ["BEGIN", "SELECT 1"] }),
            "target.sql.statements `begin` is not needed: the statements run in one transaction | delete it;",
        ),
        (
            json!({ "database": "main", "statements": ["BEGIN", "SELECT 1"], "transaction": false }),
            "target.sql.statements `begin` does not go with `\"transaction\": false` | delete it,",
        ),
        (
            json!({ "database": "main", "statement": "VACUUM" }),
            "target.sql.statement `vacuum` cannot run in a transaction | say `\"transaction\": false`",
        ),
        (json!({ "database": "main", "file": "nowhere.sql" }), "target.sql.file could not read"),
        (json!({ "database": "main", "file": "wrong.sql" }), " `:is` is not a parameter"),
        (
            json!({ "database": "main", "delete": { "table": "users", "key": "id" } }),
            "target.sql.delete `where` is missing here",
        ),
        (
            json!({ "database": "far", "backup": { "to": "x" } }),
            "target.sql.backup `backup` copies SQLite files; PostgreSQL has a program of its own | run `pg_dump`",
        ),
        (
            json!({ "database": "main", "backup": { "to": "clean.sql" } }),
            "target.sql.backup.to this is a file",
        ),
    ] {
        let found = error(&sql);
        assert!(found.starts_with(expected), "{sql}: {found}");
    }
}

#[test]
fn check_has_the_database_prepare_each_statement() {
    for (sql, expected) in [
        (
            json!({ "database": "main", "statement": "DELETE FORM users" }),
            "target.sql.statement the database refuses the statement: near \"FORM\": syntax error",
        ),
        (
            json!({ "database": "main", "statements": ["DELETE FROM users", "DELETE FROM users WHERE nmae = 1"] }),
            "target.sql.statements[1] the database refuses the statement (statement 2): no such column: nmae",
        ),
        (
            json!({ "database": "main", "file": "clean.sql" }),
            "target.sql.file the database refuses the statement (clean.sql:4): no such table: uesrs",
        ),
        (
            json!({ "database": "main", "delete": { "table": "users", "key": "idd", "where": "deleted_at < :now" } }),
            "target.sql.delete the database refuses the statement: no such column: \"idd\"",
        ),
    ] {
        let found = error(&sql);
        assert!(found.starts_with(expected), "{sql}: {found}");
    }
    // What is made first is there for what follows.
    let made = json!({ "database": "main", "statements": ["CREATE TABLE IF NOT EXISTS log (a)", "INSERT INTO log VALUES (1)"] });
    project(&made).gulou(&["check"]).expect_code(0);
    // A server that is away is a warning.
    let far = project(&json!({ "database": "far", "statement": "SELECT 1" }));
    let ran = far.gulou(&["check"]).expect_code(0);
    assert!(ran.stdout.contains("could not connect to database nowhere"), "{}", ran.stdout);
}

#[test]
fn a_dry_run_shows_statements_and_what_their_parameters_are() {
    let delete = json!({ "table": "users", "key": "id", "where": "deleted_at < :now AND :message <> 'no'" });
    let it = project(&json!({ "database": "main", "delete": delete, "page": 500, "pause": "100ms" }));
    let text = it.gulou(&["dry-run"]).expect_code(0).stdout;
    for part in [
        "repeats a statement in database main until it changes no row; 500 rows and 20 s at a time",
        "DELETE FROM \"users\" WHERE \"id\" IN (SELECT \"id\" FROM \"users\" WHERE (deleted_at < :now AND",
        ":message is \"eh\"",
        ":page is 500",
    ] {
        assert!(text.contains(part), "no {part} in\n{text}");
    }
    let all: Value = serde_json::from_str(&it.gulou(&["dry-run", "--json"]).expect_code(0).stdout).unwrap();
    assert_eq!(all[0]["first"]["parameters"][":message"], "eh");
    assert!(!it.path("main.db").exists(), "it only looks");
    let it = project(&json!({ "database": "main", "backup": { "to": "../../copies", "keep": 7 } }));
    let text = it.gulou(&["dry-run"]).expect_code(0).stdout;
    assert!(text.contains("T190000Z.db; of its copies, the newest 7 are kept"), "{text}");
}

#[test]
fn a_fire_runs_it_and_the_history_says_what_came_of_it() {
    let delete = json!({ "table": "users", "key": "id", "where": "deleted_at < :now" });
    let it = project(&json!({ "database": "main", "delete": delete, "page": 1 }));
    let fired = it.gulou(&["fire", "f"]).expect_code(0);
    assert!(fired.stdout.contains("\"rows\": 2"), "{}", fired.stdout);
    it.gulou(&["fire", "f"]).expect_code(0);
    let history: Value =
        serde_json::from_str(&it.gulou(&["history", "--json"]).expect_code(0).stdout).unwrap();
    assert_eq!(history[1]["result"], json!({ "rows": 2, "pages": 2 }));
    assert_eq!(history[0]["result"], json!({ "rows": 0, "pages": 0 }));
    assert_eq!(history[1]["message"], "2 rows in 2 pages");
}
