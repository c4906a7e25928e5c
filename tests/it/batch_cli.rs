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
    let table = project.gulou(&["batch", "--config", "config.json", "rows", "mailing"]).expect_code(0);
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

    let daemon = project.serve("config.json");
    let ran = batch(&["release", "mailing", "--all"]).expect_code(1);
    assert!(ran.stderr.contains("in use by another gulou process"), "{}", ran.stderr);
    daemon.stop();
}
