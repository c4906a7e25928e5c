//! `gulou import`: a crontab and a cloudbaserc.json become function folders that the program can use.

use std::fs;
use std::io::Write as _;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::support::{Project, Ran, run};

const CRONTAB: &str = "\
# m h dom mon dow command
SHELL=/bin/bash
PATH=/usr/local/bin:/usr/bin:/bin
MAILTO=ops@example.com

# The books are closed
0 3 * * 1 /usr/local/bin/close-books.sh --all
*/5 * * * 7 /usr/local/bin/close-books.sh
0 0 */2 * 1 echo both
30 17 * * FRI printf '%s' hi > out; date +\\%F >> out%one%two
@reboot /usr/bin/start
CRON_TZ=America/New_York
@monthly report
not a line
0 0 30 2 * never
";

fn config(project: &Project, name: &str) -> Value {
    serde_json::from_str(&fs::read_to_string(project.path(format!("triggers/{name}/config.json"))).unwrap())
        .unwrap()
}

fn import(project: &Project, more: &[&str]) -> Ran {
    let arguments = ["import", "crontab", "crontab", "--timezone", "Asia/Shanghai"];
    run(project.command(&[&arguments, more].concat()).env("HOME", project.path("home")))
}

fn project() -> Project {
    let project = Project::new(&json!({}));
    project.write("crontab", CRONTAB);
    fs::create_dir(project.path("home")).unwrap();
    project
}

#[test]
fn a_crontab_becomes_functions_and_what_cannot_be_is_said() {
    let project = project();
    let tried = import(&project, &["--dry-run"]).expect_code(1);
    assert_eq!(fs::read_dir(project.path("triggers")).unwrap().count(), 0, "{}", tried.stdout);
    let ran = import(&project, &[]).expect_code(1);
    for line in [
        "line 4: warning: MAILTO has no effect: output is kept, and `gulou logs` shows it",
        "line 7: 0 3 * * 1  →  0 0 3 * * 1 *  (at 03:00, every Monday)  →  triggers/close-books",
        "line 8: */5 * * * 7  →  0 */5 * * * 0 *",
        "line 9: not converted: cron takes days that match both `*/2` and `1`",
        "line 10: 30 17 * * FRI  →  0 30 17 * * 5 *",
        "line 11: not converted: `@reboot` has no time",
        "line 13: @monthly  →  0 0 0 1 * * *",
        "line 14: not converted: this is not five fields and a command",
        "line 15: not converted: it never fires, in cron neither",
        "4 functions written, 4 not converted",
    ] {
        assert!(ran.stdout.contains(line), "no {line} in\n{}", ran.stdout);
    }
    assert_eq!(
        config(&project, "close-books"),
        json!({
            "description": "The books are closed (crontab line 7: 0 3 * * 1 /usr/local/bin/close-books.sh --all)",
            "triggers": [{ "name": "cron", "type": "timer", "config": "0 0 3 * * 1 *", "timezone": "Asia/Shanghai" }],
            "overlap": "allow",
            "target": { "command": {
                "argv": ["/bin/bash", "-c", "exec </dev/null; /usr/local/bin/close-books.sh --all"],
                "cwd": project.path("home"),
                "env": { "PATH": "/usr/local/bin:/usr/bin:/bin", "SHELL": "/bin/bash" },
                "timeout": "1d",
            } },
        })
    );
    assert_eq!(config(&project, "close-books-2")["triggers"][0]["config"], "0 */5 * * * 0 *");
    assert_eq!(config(&project, "report")["triggers"][0]["timezone"], "America/New_York");
    project.gulou(&["check"]).expect_code(0);
    // A second import doubles nothing.
    let again = import(&project, &[]).expect_code(1);
    assert!(
        again.stdout.contains("line 7: has been imported already, as triggers/close-books\n"),
        "{}",
        again.stdout
    );
    assert!(again.stdout.contains("0 functions written, 4 not converted"), "{}", again.stdout);
    assert_eq!(fs::read_dir(project.path("triggers")).unwrap().count(), 4);
}

#[test]
fn a_converted_command_reads_what_cron_would_have_given_it() {
    let project = Project::new(&json!({}));
    fs::create_dir(project.path("home")).unwrap();
    project.write(
        "crontab",
        "0 3 * * * cat > with; date +\\%Y >> with%one%two's\n1 3 * * * head -c 100 > without\n",
    );
    import(&project, &[]).expect_code(0);
    for name in ["cat", "head"] {
        project.gulou(&["fire", name]).expect_code(0);
    }
    let with = fs::read_to_string(project.path("home/with")).unwrap();
    assert!(with.starts_with("one\ntwo's\n20"), "{with}");
    assert_eq!(fs::read_to_string(project.path("home/without")).unwrap(), "");
}

#[test]
fn a_system_crontab_names_users_and_comes_from_standard_input() {
    let project = Project::new(&json!({}));
    let mut command =
        project.command(&["import", "crontab", "-", "--system", "--to", "new", "--timezone", "UTC"]);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let text = "17 *\t* * *\troot\tcd / && run-parts --report /etc/cron.hourly\n0 1 * * * no-such-user x\n";
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let shown = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{shown}");
    assert!(shown.contains("line 2: not converted: this machine has no user `no-such-user`"), "{shown}");
    let written = fs::read_to_string(project.path("new/run-parts/config.json")).unwrap();
    let written: Value = serde_json::from_str(&written).unwrap();
    assert_eq!(written["target"]["command"]["user"], "root");
    assert_eq!(written["target"]["command"]["cwd"], "/root");
    assert_eq!(written["triggers"][0]["config"], "0 17 * * * * *");
}

#[test]
fn a_zone_that_is_none_is_refused() {
    let project = project();
    let ran = project.gulou(&["import", "crontab", "crontab", "--timezone", "Beijing"]).expect_code(2);
    assert!(ran.stderr.contains("--timezone: "), "{}", ran.stderr);
    project.write("crontab", "CRON_TZ=Nowhere/City\n0 3 * * * x\nCRON_TZ=UTC\n0 4 * * * y\n");
    let ran = import(&project, &[]).expect_code(1);
    assert!(ran.stdout.contains("line 2: not converted: CRON_TZ: "), "{}", ran.stdout);
    assert!(ran.stdout.contains("1 function written, 1 not converted"), "{}", ran.stdout);
    project.gulou(&["import", "crontab", "nowhere"]).expect_code(1);
}

const CLOUD: &str = r#"{
  "envId": "{{env.ENV_ID}}", "functionRoot": "code", "functionDefaultConfig": { "timeout": 5 },
  "functions": [
    { "name": "daily", "runtime": "Nodejs18.15", "handler": "index.main", "memorySize": 256, "zone": "x",
      "envVariables": { "KEY": "{{env.KEY}}" },
      "triggers": [
        { "name": "morning", "type": "timer", "config": "0 0 9 * * * *" }, { "name": "files", "type": "cos", "config": "x" }
      ] },
    { "name": "web", "runtime": "Nodejs18.15" },
    { "name": "old", "runtime": "Php7", "triggers": [{ "name": "t", "type": "timer", "config": "0 0 9 * * * *" }] },
    { "name": "bad", "triggers": [{ "name": "t", "type": "timer", "config": "0 9 * * *" }] },
    { "name": "gone", "triggers": [{ "name": "t", "type": "timer", "config": "0 0 9 * * * *" }] },
    { "name": "slow", "timeout": 9999, "triggers": [{ "name": "t", "type": "timer", "config": "0 0 9 * * * *" }] },
    { "name": "wechat" }
  ]
}"#;

#[test]
fn a_cloudbaserc_becomes_functions_with_their_code() {
    let project = Project::new(&json!({}));
    project.write("cloud/cloudbaserc.json", CLOUD);
    for name in ["daily", "web", "old", "bad", "slow", "wechat"] {
        project.write(&format!("cloud/code/{name}/index.js"), "exports.main = async () => 1\n");
    }
    project.write("cloud/code/daily/lib/x.js", "");
    project.write("cloud/code/daily/package.json", r#"{ "dependencies": { "wx-server-sdk": "*" } }"#);
    project.write("cloud/code/daily/node_modules/wx-server-sdk/index.js", "");
    let wechat = r#"{ "permissions": { "openapi": [] }, "triggers": [{ "name": "w", "type": "timer", "config": "0 0 8 * * * *" }] }"#;
    project.write("cloud/code/wechat/config.json", wechat);
    let ran = project.gulou(&["import", "cloudbaserc", "cloud/cloudbaserc.json"]).expect_code(1);
    for line in [
        "daily: cloud/code/daily  →  triggers/daily",
        "daily: 0 0 9 * * * *  (at 09:00, every day)",
        "daily: warning: `zone` means nothing here, and is left out",
        "daily: warning: the trigger `files` is of the type `cos`, and is left out",
        "daily: warning: `envVariables` has a `{{ … }}`",
        "daily: its libraries are missing: run `npm install` in triggers/daily",
        "web: has no timer, and is passed over",
        "old: not converted: its runtime Php7 is not one of Gulou's",
        "bad: not converted: the trigger `t`: ",
        "gone: not converted: there is no folder cloud/code/gone with its code",
        "slow: not converted: timeout: `9999` is not a whole number from 1 to 900",
        "wechat: 0 0 8 * * * *",
        "2 functions written, 4 not converted",
    ] {
        assert!(ran.stdout.contains(line), "no {line} in\n{}", ran.stdout);
    }
    assert_eq!(fs::read_dir(project.path("triggers")).unwrap().count(), 2, "no draft is left");
    assert_eq!(
        config(&project, "daily"),
        json!({
            "timeout": 5, "runtime": "Nodejs18.15", "handler": "index.main", "memorySize": 256,
            "envVariables": { "KEY": "{{env.KEY}}" },
            "triggers": [{ "name": "morning", "type": "timer", "config": "0 0 9 * * * *" }],
        })
    );
    assert!(project.path("triggers/daily/lib/x.js").exists());
    assert!(!project.path("triggers/daily/node_modules").exists());
    assert_eq!(config(&project, "wechat")["permissions"], json!({ "openapi": [] }));
    project.gulou(&["check"]).expect_code(0);
    // What is there stays.
    project.write("triggers/daily/index.js", "mine");
    let again = project.gulou(&["import", "cloudbaserc", "cloud/cloudbaserc.json"]).expect_code(1);
    assert!(
        again.stdout.contains("daily: not converted: the folder exists, and is left as it is"),
        "{}",
        again.stdout
    );
    assert_eq!(fs::read_to_string(project.path("triggers/daily/index.js")).unwrap(), "mine");
}
