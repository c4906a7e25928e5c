//! A batch that does harm is stopped and paused, and goes on when somebody says so.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use crate::support::mailing::Mailing;
use crate::support::smtp_server::{Heard, Manners, Say, SmtpServer};
use crate::support::{Project, eventually};

fn ask(project: &Project, verb: &[&str]) -> Value {
    let ran = project.gulou(&[verb, &["--json"]].concat()).expect_code(0);
    serde_json::from_str(&ran.stdout).unwrap()
}

/// The refusal, until the server is mended.
fn refuses(what: fn(&Heard<'_>) -> bool, with: &'static str) -> (SmtpServer, Arc<AtomicBool>) {
    let mended = Arc::new(AtomicBool::new(false));
    let now = Arc::clone(&mended);
    let server = SmtpServer::start(Manners::new(move |_, heard| {
        if what(&heard) && !now.load(Ordering::SeqCst) { Say::This(with) } else { Say::Usual }
    }));
    (server, mended)
}

#[test]
fn too_many_failures_and_a_refused_sender_pause_the_function() {
    let recipient: fn(&Heard<'_>) -> bool = |heard| matches!(heard, Heard::Rcpt(_));
    let sender: fn(&Heard<'_>) -> bool = |heard| matches!(heard, Heard::Mail(_));
    for (what, with, reason, failed) in [
        (recipient, "550 5.1.1 no such user", "stopped: 20 of the last 20 rows failed", true),
        (
            sender,
            "550 5.7.1 we know you",
            "stopped, nothing more would be delivered: sender refused: 550",
            false,
        ),
    ] {
        let (server, mended) = refuses(what, with);
        let limit = json!({ "pause_on_errors": { "percent": 50, "of_last": 20 }, "concurrency": 4 });
        let mailing = Mailing::to(&format!("smtp://127.0.0.1:{}", server.port()), 200, &limit);
        let project = mailing.project();
        let daemon = project.serve("config.json");
        // It fires every second: more than one fire would have come.
        let halted = eventually("the function to be paused", || {
            let status = ask(project, &["status"]);
            status["halted"].as_array().unwrap().first().cloned()
        });
        assert_eq!(halted["function"], "mailing");
        assert!(halted["reason"].as_str().unwrap().starts_with(reason), "{halted}");
        let list = project.gulou(&["list"]).expect_code(0).stdout;
        assert!(list.contains("paused\n") && list.contains("go on with `gulou resume mailing`"), "{list}");
        let runs = eventually("all runs to end", || {
            let runs = ask(project, &["history"]).as_array().unwrap().clone();
            runs.iter().all(|run| run["state"] != "running" && run["state"] != "waiting").then_some(runs)
        });
        let of_state = |state: &str| runs.iter().filter(|run| run["state"] == state).count();
        assert_eq!((of_state("failed"), of_state("succeeded")), (1, 0), "{runs:#?}");
        let asked = server.seen().commands.iter().filter(|command| command.starts_with("RCPT")).count();
        // Each connection has up to three mails under way.
        assert!(asked <= 20 + 2 * 4 * 3, "{asked} recipients were tried");
        assert_eq!(server.seen().mails.len(), 0);

        // The pause outlives the daemon.
        let (_, log) = daemon.stop();
        assert!(log.contains("go on with `gulou resume mailing`"), "{log}");
        let daemon = project.serve("config.json");
        let status = ask(project, &["status"]);
        assert_eq!(status["paused"], 1);
        let [again] = &status["halted"].as_array().unwrap()[..] else { panic!("{status}") };
        assert_eq!((&again["function"], &again["reason"]), (&halted["function"], &halted["reason"]));
        mended.store(true, Ordering::SeqCst);
        project.gulou(&["resume", "mailing"]).expect_code(0);
        mailing.wait_until_through();
        assert_eq!(ask(project, &["status"])["halted"], json!([]));
        assert_eq!(daemon.stop().0, Some(0));
        let refused = if failed { asked } else { 0 };
        assert_eq!(server.seen().mails.len(), 200 - refused);
        assert!(server.seen().recipients().values().all(|count| *count == 1));
    }
}

#[test]
fn a_fire_without_a_daemon_pauses_too() {
    let (server, _) = refuses(|heard| matches!(heard, Heard::Mail(_)), "550 5.7.1 we know you");
    let mailing = Mailing::to(&format!("smtp://127.0.0.1:{}", server.port()), 3, &json!({}));
    let ran = mailing.project().gulou(&["fire", "mailing"]).expect_code(1);
    assert!(ran.stderr.contains("go on with `gulou resume mailing`"), "{}", ran.stderr);
    let daemon = mailing.project().serve("config.json");
    assert_eq!(ask(mailing.project(), &["status"])["paused"], 1);
    assert_eq!(daemon.stop().0, Some(0));
}
