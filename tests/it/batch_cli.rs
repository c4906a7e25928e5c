//! `gulou batch`: what is held back is shown, and finds its way out.

use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use crate::support::Project;
use crate::support::mailing::Mailing;
use crate::support::smtp_server::{Heard, Manners, Say, SmtpServer};

/// 2 is refused, 3 is asked to come back later; 4's mail is taken without an answer, once.
fn server() -> SmtpServer {
    let silent = AtomicBool::new(true);
    SmtpServer::start(Manners::new(move |_, heard| match heard {
        Heard::Rcpt("p2@ex.test") => Say::This("550 5.1.1 no such user"),
        Heard::Rcpt("p3@ex.test") => Say::This("451 4.3.0 come back later"),
        Heard::Body(body) => {
            let to_four = body.windows(10).any(|window| window == b"p4@ex.test");
            if to_four && silent.swap(false, Ordering::Relaxed) { Say::HangUp } else { Say::Usual }
        }
        _ => Say::Usual,
    }))
}

/// Runs a verb of `gulou batch` and reads its JSON.
fn ask(project: &Project, args: &[&str]) -> Value {
    let args = [&["batch", "--config", "config.json"], args, &["--json"]].concat();
    let ran = project.gulou(&args).expect_code(0);
    serde_json::from_str(&ran.stdout).unwrap_or_else(|_| panic!("no JSON: {}", ran.stdout))
}

/// Fires the mailing once; the run's account.
fn fire(project: &Project) -> Value {
    project.gulou(&["fire", "--config", "config.json", "mailing"]).expect_code(0);
    let history = project.gulou(&["history", "--config", "config.json", "--json"]).expect_code(0);
    let runs: Value = serde_json::from_str(&history.stdout).unwrap();
    runs[0]["result"].clone()
}

#[test]
fn rows_that_are_held_back_are_shown_and_find_their_way_out() {
    let server = server();
    let url = format!("smtp://127.0.0.1:{}", server.port());
    // One at a time, so that the connection that is cut has one mail on it.
    let mailing = Mailing::to(&url, 5, &json!({ "concurrency": 1 }));
    let project = mailing.project();
    assert_eq!(ask(project, &["list"])[0]["batch"], "mailing", "known before it ever ran");
    let account = fire(project);
    assert_eq!(
        [&account["sent"], &account["failed"], &account["retrying"], &account["held"]],
        [2, 1, 1, 1],
        "{account}"
    );

    let shown = ask(project, &["show", "mailing"]);
    assert_eq!([&shown["failed"], &shown["retrying"], &shown["held"]], [1, 1, 1], "{shown}");
    assert_eq!((&shown["fire_state"], &shown["trigger"]), (&json!("done"), &json!("mailing/always")));
    let failed = ask(project, &["rows", "mailing", "--failed"]);
    assert_eq!((&failed["key"], &failed["state"]), (&json!([2]), &json!("failed")));
    assert!(failed["detail"].as_str().unwrap().contains("no such user"), "{failed}");
    let table = project.gulou(&["batch", "rows", "mailing", "--config", "config.json"]).expect_code(0);
    assert_eq!(table.stdout.lines().count(), 4, "{}", table.stdout);

    // 4 was in fact delivered; its operator looks, and does not know: once more.
    let resend = ["batch", "--config", "config.json", "resend", "mailing", "4"];
    let ran = project.gulou(&resend).expect_code(0);
    assert!(ran.stdout.starts_with("1 row"), "{}", ran.stdout);
    project.gulou(&resend).expect_code(1);
    project
        .gulou(&["batch", "--config", "config.json", "resend", "mailing", "--all", "--retrying"])
        .expect_code(0);
    let account = fire(project);
    assert_eq!([&account["sent"], &account["retrying"]], [1, 1], "4 and 3: {account}");
    let seen = server.seen();
    assert_eq!(seen.recipients()["p4@ex.test"], 2);
    let ids: Vec<&str> = seen
        .mails
        .iter()
        .filter(|mail| mail.recipient == "p4@ex.test")
        .map(|mail| std::str::from_utf8(&mail.body).unwrap())
        .map(|body| body.lines().find(|line| line.starts_with("Message-ID:")).unwrap())
        .collect();
    assert_eq!(ids[0], ids[1], "the same reservation");
    assert_eq!(ask(project, &["show", "mailing"])["held"], 0);
    assert_eq!(mailing.open_rows(), 2, "2 failed, 3 waits");
}

#[test]
fn what_cannot_be_done_is_said() {
    let server = server();
    let mailing = Mailing::to(&format!("smtp://127.0.0.1:{}", server.port()), 1, &json!({}));
    let project = mailing.project();
    let batch = |args: &[&str]| project.gulou(&[&["batch", "--config", "config.json"], args].concat());
    let ran = batch(&["show", "nothing"]).expect_code(1);
    assert!(ran.stderr.contains("there is no batch `nothing`"), "{}", ran.stderr);
    batch(&["resend", "mailing"]).expect_code(2);
    batch(&["release", "mailing", "--all", "--failed"]).expect_code(1);

    batch(&["try", "mailing", "--to", "nobody"]).expect_code(2);
    let daemon = project.serve("config.json");
    let ran = batch(&["release", "malling", "--all"]).expect_code(1);
    assert!(ran.stderr.contains("there is no batch `malling`; did you mean `mailing`?"), "{}", ran.stderr);
    let ran = batch(&["release", "mailing", "--all", "--failed"]).expect_code(1);
    assert!(ran.stderr.contains("only held rows are released"), "{}", ran.stderr);
    daemon.stop();
}

#[test]
fn rows_are_exported_for_spreadsheets_and_programs() {
    let server = SmtpServer::start(Manners::new(|_, heard| match heard {
        Heard::Rcpt("p2@ex.test") => Say::This("550 5.1.1 =cmd|' /C calc'!A0, \"no\""),
        _ => Say::Usual,
    }));
    let mailing = Mailing::to(&format!("smtp://127.0.0.1:{}", server.port()), 3, &json!({}));
    let project = mailing.project();
    let export = |args: &[&str]| project.gulou(&[&["batch", "export", "mailing"], args].concat());
    assert_eq!(export(&["--format", "jsonl"]).expect_code(0).stdout, "", "it never ran");
    fire(project);
    let daemon = project.serve("config.json");
    let csv = export(&[]).expect_code(0).stdout;
    let lines: Vec<&str> = csv.split("\r\n").collect();
    assert_eq!(lines[0], "\u{feff}key,state,reservation,attempts,since,fire_time,detail");
    assert!(lines[1].starts_with("2,failed,"), "{csv}");
    assert!(lines[1].contains("\"\"no\"\""), "{csv}");
    assert_eq!(lines.len(), 3, "{csv}");
    let file = project.path("failed.jsonl");
    let said = export(&["--failed", "--format", "jsonl", "-o", file.to_str().unwrap()]).expect_code(0);
    assert!(said.stderr.starts_with("1 rows in "), "{}", said.stderr);
    let row: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    assert_eq!((&row["key"], &row["state"]), (&json!([2]), &json!("failed")));
    assert_eq!(export(&["--held", "--format", "jsonl"]).expect_code(0).stdout, "");
    daemon.stop();
}

#[test]
fn a_mail_can_be_tried_on_somebody_else() {
    let server = SmtpServer::start(Manners::kind());
    let mailing = Mailing::to(&format!("smtp://127.0.0.1:{}", server.port()), 3, &json!({}));
    let project = mailing.project();
    let trial = |args: &[&str]| {
        project.gulou(&[&["batch", "try", "mailing", "--to", "试 <me@ex.test>"], args].concat())
    };
    let ran = trial(&[]).expect_code(0);
    assert!(
        ran.stdout.starts_with("sent the mail of row 1 to 试 <me@ex.test>, which is for p1@ex.test"),
        "{}",
        ran.stdout
    );
    let said: Value = serde_json::from_str(&trial(&["--key", "3", "--json"]).expect_code(0).stdout).unwrap();
    assert_eq!(
        (&said["sent"], &said["key"], &said["instead_of"]),
        (&json!(true), &json!([3]), &json!("p3@ex.test"))
    );
    let ran = trial(&["--key", "99"]).expect_code(1);
    assert!(ran.stderr.contains("row 99 is not there"), "{}", ran.stderr);
    let seen = server.seen();
    assert_eq!(seen.recipients().into_iter().collect::<Vec<_>>(), [("me@ex.test", 2)], "nobody else");
    let mail = mail_parser::MessageParser::default().parse(&seen.mails[0].body).unwrap();
    assert_eq!(mail.subject(), Some("收件人1，您好"));
    assert_eq!(mail.to().unwrap().first().unwrap().address(), Some("me@ex.test"));
    assert_eq!(mailing.open_rows(), 3, "nothing is marked");
    assert!(!project.path("state.db").exists(), "nor reserved");
    assert_eq!(fire(project)["sent"], 3);
    let ran = trial(&[]).expect_code(1);
    assert!(ran.stderr.contains("no deliverable row"), "{}", ran.stderr);
}
