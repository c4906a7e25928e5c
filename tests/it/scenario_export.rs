//! Exports that are cut off: whatever happens, what has the file's name is a whole file, and nothing else stays.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::{Project, eventually, require, run};

/// Rows without end, as far as a test can wait.
const ENDLESS: &str =
    "WITH RECURSIVE n (id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n WHERE id < 10000000000)
                       SELECT id, 'some text' AS text FROM n";
const SHORT: &str = "SELECT 1 AS id UNION SELECT 2 UNION SELECT 3";

/// Exports what `query` selects, every second. `more` goes into its function.
fn project(query: &str, more: &Value) -> Project {
    let project = Project::new(&json!({
        "state": "sqlite://state.db",
        "databases": { "main": { "url": "sqlite://main.db" } },
    }));
    rusqlite::Connection::open(project.path("main.db")).unwrap().execute_batch("CREATE TABLE t (a)").unwrap();
    configure(&project, query, more);
    project
}

fn configure(project: &Project, query: &str, more: &Value) {
    let mut function = json!({
        "triggers": [{ "name": "always", "type": "timer", "config": "* * * * * * *" }],
        "target": { "batch": {
            "id": "all",
            "source": { "database": "main", "query": query },
            "action": { "export": { "file": "../../reports/all.csv" } },
        } },
    });
    for (key, value) in more.as_object().unwrap() {
        if key == "time_limit" {
            function["target"]["batch"][key] = value.clone();
        } else {
            function[key] = value.clone();
        }
    }
    project.function("all", &function);
}

/// What lies in the folder of the reports, and how large it is.
fn files(project: &Project) -> Vec<(String, u64)> {
    let file = |entry: std::io::Result<fs::DirEntry>| {
        let entry = entry.unwrap();
        // It may go while this looks.
        let size = entry.metadata().map_or(0, |data| data.len());
        (entry.file_name().into_string().unwrap(), size)
    };
    fs::read_dir(project.path("reports")).map_or(Vec::new(), |files| files.map(file).collect())
}

fn await_half_a_file(project: &Project) {
    eventually("half a file", || files(project).iter().any(|(_, size)| *size > 100_000).then_some(()));
    assert!(!project.path("reports/all.csv").exists(), "half a file has the name of a whole one");
}

fn runs(project: &Project) -> Vec<Value> {
    let ran = project.gulou(&["history", "-n", "1000", "--json"]).expect_code(0);
    serde_json::from_str(&ran.stdout).unwrap()
}

/// The run that was cut off is resumed, and makes the file.
fn resume(project: &Project) {
    configure(project, SHORT, &json!({}));
    let daemon = project.serve("config.json");
    let resumed = eventually("the resumed run", || {
        runs(project).into_iter().find(|run| run["reason"] == "resume" && run["state"] == "succeeded")
    });
    assert_eq!(resumed["result"]["rows"], 3, "{resumed}");
    let (code, log) = daemon.stop();
    assert_eq!(code, Some(0), "{log}");
    let names: Vec<String> = files(project).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["all.csv"], "what was cut off stayed");
    assert_eq!(fs::read_to_string(project.path("reports/all.csv")).unwrap(), "id\r\n1\r\n2\r\n3\r\n");
}

#[test]
fn a_killed_export_leaves_no_half_file_under_its_name_and_the_next_start_removes_the_rest() {
    let project = project(ENDLESS, &json!({}));
    let daemon = project.serve("config.json");
    await_half_a_file(&project);
    daemon.kill();
    let left = files(&project);
    assert!(left.len() == 1 && left[0].0.contains(".part"), "{left:?}");
    resume(&project);
}

#[test]
fn a_drained_export_leaves_nothing_and_goes_on_anew() {
    let project = project(ENDLESS, &json!({}));
    let daemon = project.serve("config.json");
    await_half_a_file(&project);
    let (code, log) = daemon.stop();
    assert_eq!(code, Some(0), "{log}");
    assert_eq!(files(&project), []);
    let cut = runs(&project).into_iter().find(|run| run["state"] == "interrupted");
    let cut = cut.unwrap_or_else(|| panic!("{:#?}", runs(&project)));
    assert!(cut["message"].as_str().unwrap().contains("the next start makes it anew"), "{cut}");
    resume(&project);
}

#[test]
fn a_replaced_export_leaves_nothing() {
    let project = project(ENDLESS, &json!({ "overlap": "replace" }));
    let daemon = project.serve("config.json");
    let replaced = || runs(&project).into_iter().filter(|run| run["state"] == "interrupted").nth(1);
    let replaced = eventually("two replaced runs", replaced);
    assert!(!project.path("reports/all.csv").exists(), "{replaced}");
    let (code, log) = daemon.stop();
    assert_eq!(code, Some(0), "{log}");
    assert_eq!(files(&project), [], "{:#?}", runs(&project));
}

#[test]
fn an_export_that_takes_too_long_leaves_nothing() {
    let project = project(ENDLESS, &json!({ "time_limit": "500ms" }));
    let ran = project.gulou(&["fire", "all"]).expect_code(1);
    assert!(ran.stderr.contains("the file was not whole within the time_limit of 0.5 s"), "{ran:?}");
    assert_eq!(files(&project), []);
}

/// A disk of its own, which is full after so many kilobytes: in the middle of the rows, or at the end of a small file,
/// which is only then written.
#[test]
fn a_full_disk_is_an_error_that_names_the_file_and_leaves_nothing() {
    require("unshare");
    let few = ENDLESS.replace("10000000000", "2000");
    for (query, name) in [(ENDLESS, "all.csv"), (ENDLESS, "all.xlsx"), (&few, "all.csv"), (&few, "all.xlsx")]
    {
        let project = project(query, &json!({}));
        let path = project.path("triggers/all/config.json");
        let text = fs::read_to_string(&path).unwrap().replace("all.csv", name);
        fs::write(&path, text).unwrap();
        fs::create_dir(project.path("reports")).unwrap();
        // In a name space of their own, and as its root, everybody may mount.
        let script = r#"mount -t tmpfs -o size=8k tmpfs reports || exit 99
            "$0" fire all; code=$?; echo "left: $(ls -A reports)"; exit $code"#;
        let mut command = Command::new("unshare");
        command
            .args(["-r", "-m", "sh", "-c", script, env!("CARGO_BIN_EXE_gulou")])
            .current_dir(project.path(""));
        let ran = run(&mut command).expect_code(1);
        let said = format!("/reports/.{name}.");
        let error = &ran.stderr;
        assert!(error.contains("could not write ") && error.contains(&said), "{name}: {ran:?}");
        assert!(error.contains("No space left on device"), "{name}: {ran:?}");
        assert!(ran.stdout.ends_with("left: \n"), "{name}: {ran:?}");
    }
}
