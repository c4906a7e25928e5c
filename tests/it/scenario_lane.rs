//! Rows that wait for another try, and what operators do about rows, beside a running daemon that has nothing else to do.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::support::home::read;
use crate::support::mailing::Mailing;
use crate::support::smtp_server::{Heard, Manners, Say, SmtpServer};
use crate::support::{Project, Ran, eventually};

/// A server that asks 3 to come back later so many times, and refuses 2.
fn server(later: usize) -> SmtpServer {
    let left = Arc::new(AtomicUsize::new(later));
    SmtpServer::start(Manners::new(move |_, heard| match heard {
        Heard::Rcpt("p2@ex.test") => Say::This("550 5.1.1 no such user"),
        Heard::Rcpt("p3@ex.test") => {
            let waits = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
            if waits.is_ok() { Say::This("451 4.3.0 come back later") } else { Say::Usual }
        }
        _ => Say::Usual,
    }))
}

/// A mailing that fires at New Year 2099, and when it is asked to.
fn mailing(server: &SmtpServer, rows: u32, settings: &Value) -> Mailing {
    let mailing = Mailing::to(&format!("smtp://127.0.0.1:{}", server.port()), rows, settings);
    let file = mailing.project().path("triggers/mailing/config.json");
    let mut config: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    config["triggers"][0]["config"] = json!("0 0 0 1 1 * 2099");
    mailing.project().function("mailing", &config);
    mailing
}

fn batch(project: &Project, args: &[&str]) -> Ran {
    project.gulou(&[&["batch", "--config", "config.json"], args].concat())
}

fn history(project: &Project) -> Vec<Value> {
    let ran = project.gulou(&["history", "--json"]).expect_code(0);
    serde_json::from_str(&ran.stdout).unwrap()
}

fn states(mailing: &Mailing) -> Vec<(String, String)> {
    let state = read(&mailing.project().path("state.db"));
    let mut rows = state.prepare("SELECT key, state FROM ledger_entry ORDER BY key").unwrap();
    let rows = rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    rows.map(Result::unwrap).collect()
}

fn entries(rows: &[(&str, &str)]) -> Vec<(String, String)> {
    rows.iter().map(|(key, state)| ((*key).to_owned(), (*state).to_owned())).collect()
}

#[test]
fn a_row_that_falls_due_goes_out_without_a_fire() {
    let server = server(2);
    let mailing = mailing(&server, 4, &json!({}));
    let project = mailing.project();
    let daemon = project.serve("config.json");
    project.gulou(&["fire", "mailing"]).expect_code(0);
    assert_eq!(states(&mailing), entries(&[("[2]", "kept"), ("[3]", "waiting")]));
    assert_eq!(daemon.stop().0, Some(0));

    // Time goes by while it is down: the row is due when it comes back.
    let sql = "UPDATE ledger_entry SET at = 0 WHERE state = 'waiting'";
    assert_eq!(Connection::open(project.path("state.db")).unwrap().execute(sql, []).unwrap(), 1);
    let daemon = project.serve("config.json");
    let run = eventually("the run of the lane", || {
        history(project).into_iter().find(|run| run["reason"] == "retry" && run["state"] == "succeeded")
    });
    assert_eq!((&run["result"]["selected"], &run["result"]["retrying"]), (&json!(1), &json!(1)), "{run}");
    assert_eq!(daemon.stop().0, Some(0));

    // It falls due while the daemon sleeps.
    let due = {
        let state = Connection::open(project.path("state.db")).unwrap();
        let sql = "UPDATE ledger_entry SET at = 1000 * (strftime('%s', 'now') + 3) WHERE state = 'waiting' RETURNING at";
        state.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap()
    };
    let daemon = project.serve("config.json");
    server.wait_until("the mail to 3", |seen| seen.recipients().contains_key("p3@ex.test"));
    eventually("the mark of 3", || (mailing.open_rows() == 1).then_some(()));
    let runs = history(project);
    let lane: Vec<&Value> = runs.iter().filter(|run| run["reason"] == "retry").collect();
    assert_eq!(lane.len(), 2, "{runs:#?}");
    let fire_time = chrono::DateTime::parse_from_rfc3339(lane[0]["fire_time"].as_str().unwrap()).unwrap();
    assert!(fire_time.timestamp() * 1000 >= due, "not before its time: {lane:#?}");
    assert_eq!(daemon.stop().0, Some(0));
    assert_eq!(server.seen().recipients().values().max(), Some(&1));
}

#[test]
fn what_is_resent_goes_out_at_once_unless_paused() {
    let server = server(1);
    let mailing = mailing(&server, 4, &json!({}));
    let project = mailing.project();
    let daemon = project.serve("config.json");
    project.gulou(&["fire", "mailing"]).expect_code(0);
    project.gulou(&["pause", "--all"]).expect_code(0);
    let ran = batch(project, &["resend", "mailing", "--retrying", "3"]).expect_code(0);
    assert!(ran.stdout.starts_with("1 row of mailing goes out"), "{}", ran.stdout);
    batch(project, &["resend", "mailing", "--retrying", "99"]).expect_code(1);
    let shown = batch(project, &["rows", "mailing", "--retrying", "--json"]).expect_code(0);
    let row: Value = serde_json::from_str(&shown.stdout).unwrap();
    assert_eq!((&row["key"], &row["attempts"]), (&json!([3]), &json!(0)), "{row}");
    project.gulou(&["resume", "--all"]).expect_code(0);
    server.wait_until("the mail to 3", |seen| seen.recipients().contains_key("p3@ex.test"));
    eventually("the mark of 3", || (mailing.open_rows() == 1).then_some(()));
    assert_eq!(history(project).len(), 2, "the fire and the run of the lane");
    assert_eq!(daemon.stop().0, Some(0));
}

/// A mailing whose failed rows are marked.
fn marked() -> Value {
    json!({ "mark": { "sent": { "sent": true }, "failed": { "sent": true, "name": ":error" } } })
}

fn name(mailing: &Mailing, id: u32) -> String {
    let main = read(&mailing.project().path("main.db"));
    main.query_row("SELECT name FROM people WHERE id = ?1", [id], |row| row.get(0)).unwrap()
}

#[test]
fn discarded_rows_are_never_delivered() {
    for (settings, marks) in [(marked(), true), (json!({}), false)] {
        for with_daemon in [true, false] {
            let server = server(1);
            let mailing = mailing(&server, 4, &settings);
            let project = mailing.project();
            let daemon = with_daemon.then(|| project.serve("config.json"));
            project.gulou(&["fire", "mailing"]).expect_code(0);
            let ran = batch(project, &["discard", "mailing", "--retrying", "--all", "--json"]).expect_code(0);
            let said: Value = serde_json::from_str(&ran.stdout).unwrap();
            assert_eq!((&said["rows"], said["note"].is_null()), (&json!(1), marks), "{said}");
            if marks {
                assert_eq!(states(&mailing), entries(&[]));
                assert_eq!(
                    (name(&mailing, 3).as_str(), mailing.open_rows()),
                    ("discarded by an operator", 0)
                );
            } else {
                assert_eq!(states(&mailing), entries(&[("[2]", "kept"), ("[3]", "kept")]));
                let rows = batch(project, &["rows", "mailing", "--failed"]).expect_code(0).stdout;
                assert!(rows.contains("discarded by an operator"), "{rows}");
            }
            project.gulou(&["fire", "mailing"]).expect_code(0);
            if let Some(daemon) = daemon {
                assert_eq!(daemon.stop().0, Some(0));
            }
            assert!(!server.seen().recipients().contains_key("p3@ex.test"));
        }
    }
}

/// The server takes 1's mail and never answers: a live run has the row in its hands.
#[test]
fn a_row_in_the_hands_of_a_run_is_left_alone() {
    // Without PIPELINING no mail is behind that one on its connection.
    let manners = Manners::new(|_, heard| match heard {
        Heard::Rcpt("p2@ex.test") => Say::This("550 5.1.1 no such user"),
        Heard::Rcpt("p3@ex.test") => Say::This("451 4.3.0 come back later"),
        Heard::Body(body) if body.windows(10).any(|window| window == b"p1@ex.test") => Say::Nothing,
        _ => Say::Usual,
    });
    let server = SmtpServer::start(manners.offering(&["8BITMIME"]));
    let mailing = mailing(&server, 3, &marked());
    let project = mailing.project();
    let daemon = project.serve("config.json");
    let mut fire = project.command(&["fire", "mailing"]).spawn().unwrap();
    // Marks gather while a delivery is under way.
    let before = [("[1]", "reserved"), ("[2]", "failed"), ("[3]", "waiting")];
    eventually("all but the first to be settled", || (states(&mailing) == entries(&before)).then_some(()));
    for verb in ["resend", "release", "discard"] {
        batch(project, &[verb, "mailing", "1"]).expect_code(1);
        batch(project, &[verb, "mailing", "--all"]).expect_code(0);
    }
    assert_eq!(states(&mailing), entries(&before));
    // What is discarded meanwhile is decided now, and marked when the run has ended.
    let ran = batch(project, &["discard", "mailing", "--retrying", "3"]).expect_code(0);
    assert!(ran.stdout.contains("when the run under way ends"), "{}", ran.stdout);
    assert_eq!(states(&mailing), entries(&[before[0], before[1], ("[3]", "failed")]));
    server.hang_up();
    fire.wait().unwrap();
    eventually("the mark of the discarded row", || {
        (states(&mailing) == entries(&[("[1]", "held")])).then_some(())
    });
    assert_eq!(name(&mailing, 3), "discarded by an operator");
    batch(project, &["discard", "mailing", "1"]).expect_code(0);
    // The marks of those before may still be under way.
    eventually("its mark", || (states(&mailing).is_empty() && mailing.open_rows() == 0).then_some(()));
    assert_eq!(daemon.stop().0, Some(0));
    let seen = server.seen();
    let to_one = seen.mails.iter().filter(|mail| mail.recipient == "p1@ex.test").count();
    assert_eq!((to_one, seen.recipients().get("p3@ex.test")), (1, None), "{:?}", seen.recipients());
}
