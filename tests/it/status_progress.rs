//! What `gulou status` says of a batch in the middle of its rows.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};

use crate::support::eventually;
use crate::support::mailing::Mailing;
use crate::support::smtp_server::{Heard, Manners, Say, SmtpServer};

/// A server that refuses the second recipient, and answers for the sixth once the other end is gone. (The first to be
/// dropped is that end.) Who they are is open: mails that are in delivery together overtake each other.
fn server() -> (SmtpServer, Sender<()>) {
    let (open, gate) = channel();
    let gate = Mutex::new(gate);
    let recipients = AtomicUsize::new(0);
    let server = SmtpServer::start(Manners::new(move |_, heard| {
        let Heard::Rcpt(_) = heard else { return Say::Usual };
        match recipients.fetch_add(1, Ordering::Relaxed) + 1 {
            2 => Say::This("550 5.1.1 no such user"),
            6 => {
                let _ = gate.lock().unwrap_or_else(PoisonError::into_inner).recv();
                Say::Usual
            }
            _ => Say::Usual,
        }
    }));
    (server, open)
}

#[test]
fn a_batch_under_way_says_how_far_it_is() {
    let (server, open) = server();
    let url = format!("smtp://127.0.0.1:{}", server.port());
    // With a window so small, every outcome is recorded at once.
    let mailing = Mailing::to(&url, 10, &json!({ "concurrency": 1, "window": 4 }));
    let project = mailing.project();
    let daemon = project.serve("config.json");

    let status = || -> Value {
        serde_json::from_str(&project.gulou(&["status", "--json"]).expect_code(0).stdout).unwrap()
    };
    let progress = eventually("the fifth row to be settled", || {
        let progress = status()["running"].get(0)?.get("progress")?.clone();
        (progress["sent"] == 4 && progress["failed"] == 1).then_some(progress)
    });
    let count = |name: &str| progress[name].as_u64().unwrap_or_else(|| panic!("no {name}: {progress}"));
    assert_eq!(count("taken") + count("remaining"), 10, "{progress}");
    assert!((6..=9).contains(&count("taken")), "{progress}");
    assert_eq!(count("retrying"), 0);
    assert!(progress["rate"].is_f64(), "{progress}");
    let text = project.gulou(&["status"]).expect_code(0).stdout;
    let says = |line: &str| line.starts_with("        4 sent, 1 failed, ") && line.contains(" remaining");
    assert!(text.lines().any(says), "{text}");

    drop(open);
    mailing.wait_until_through();
    eventually("the run to end", || status()["running"].as_array().unwrap().is_empty().then_some(()));
    let (code, log) = daemon.stop();
    assert_eq!(code, Some(0), "{log}");
}
