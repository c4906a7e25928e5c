//! Mails that share a connection: the envelope of one travels with the body of the one before, and every mail has its
//! own outcome all the same.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use gulou::action::Outcome;
use gulou::action::mail::Timeouts;
use tokio::task::JoinSet;

use crate::mail_smtp::action;
use crate::support::PATIENCE;
use crate::support::letters::{kind, mail, patient};
use crate::support::smtp_server::{Heard, Manners, SHORT, Say, Seen, SmtpServer};

/// Sends that many mails, `at_once` of them at a time; their outcomes by recipient.
async fn send(
    server: &SmtpServer,
    timeouts: Timeouts,
    mails: usize,
    at_once: usize,
) -> BTreeMap<String, Outcome> {
    let (action, transport) = action("127.0.0.1", server.port(), timeouts);
    let action = Arc::new(action);
    let next = Arc::new(AtomicUsize::new(0));
    let lanes: JoinSet<_> = (0..at_once)
        .map(|_| {
            let (action, next) = (action.clone(), next.clone());
            async move {
                let mut outcomes = Vec::new();
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    if index >= mails {
                        return outcomes;
                    }
                    let to = format!("u{index:03}@ex.test");
                    outcomes.push((to.clone(), action.deliver(&mail(&action, &to, "hi")).await));
                }
            }
        })
        .collect();
    let outcomes = lanes.join_all().await.into_iter().flatten().collect();
    transport.close().await;
    outcomes
}

/// Every outcome is what the server knows: `sent` was taken and answered, what failed or may be tried again was not
/// taken, and nothing was taken twice.
fn judge(outcomes: &BTreeMap<String, Outcome>, seen: &Seen) {
    let taken = seen.recipients();
    let answered: BTreeMap<_, _> =
        seen.mails.iter().map(|mail| (mail.recipient.as_str(), mail.answered)).collect();
    for (to, outcome) in outcomes {
        let times = taken.get(to.as_str()).copied().unwrap_or_default();
        match outcome {
            Outcome::Sent { .. } => {
                assert_eq!((times, answered[to.as_str()]), (1, true), "{to}: {outcome:?}");
            }
            Outcome::Uncertain { .. } => assert!(times <= 1, "{to} was taken {times} times: {outcome:?}"),
            _ => assert_eq!(times, 0, "{to}: {outcome:?}"),
        }
    }
}

#[tokio::test]
async fn the_envelope_goes_out_with_the_body_before_it() {
    let server = SmtpServer::start(Manners::kind());
    let outcomes = send(&server, patient(), 3, 3).await;
    assert!(outcomes.values().all(|outcome| kind(outcome) == "sent"), "{outcomes:?}");
    let seen = server.seen();
    assert_eq!((seen.connections, seen.mails.len(), seen.overlapped), (1, 3, 2));
}

#[tokio::test]
async fn refusals_in_the_middle_stay_with_their_mails() {
    let cases: &[(&'static str, &str)] =
        &[("451 4.3.0 later", "retry"), ("550 5.1.1 no", "failed"), ("535 5.7.8 log in first", "halt")];
    for lenient in [false, true] {
        for stage in ["rcpt", "data", "body"] {
            for (answer, expected) in cases.iter().copied() {
                let last = std::sync::Mutex::new(String::new());
                // Every third recipient is refused at that stage.
                let script = move |_, heard: Heard<'_>| {
                    if let Heard::Rcpt(to) = heard {
                        to.clone_into(&mut last.lock().unwrap());
                    }
                    let due = match heard {
                        Heard::Rcpt(_) => stage == "rcpt",
                        Heard::Data => stage == "data",
                        Heard::Body(_) => stage == "body",
                        _ => false,
                    };
                    if due && is_third(&last.lock().unwrap()) { Say::This(answer) } else { Say::Usual }
                };
                let manners = Manners { data_without_recipient: lenient, ..Manners::new(script) };
                let server = SmtpServer::start(manners);
                // One connection.
                let outcomes = send(&server, patient(), 20, 3).await;
                for (to, outcome) in &outcomes {
                    let expected = if is_third(to) { expected } else { "sent" };
                    assert_eq!(kind(outcome), expected, "{stage} {answer} {lenient} {to}: {outcome:?}");
                }
                let seen = server.seen();
                judge(&outcomes, &seen);
                assert_eq!((seen.connections, seen.quits, seen.mails.len()), (1, 1, 14));
            }
        }
    }
}

fn is_third(to: &str) -> bool {
    to[1..4].parse::<usize>().unwrap() % 3 == 2
}

#[tokio::test]
async fn a_server_that_hangs_up_between_mails_costs_no_try() {
    for say in [Say::HangUp, Say::ThisAndHangUp("421 4.7.0 enough for one connection")] {
        // Each connection serves three mails.
        let mails = std::sync::Mutex::new(BTreeMap::new());
        let script = move |connection, heard: Heard<'_>| match heard {
            Heard::Mail(_) => {
                let mut mails = mails.lock().unwrap();
                let count: &mut usize = mails.entry(connection).or_default();
                *count += 1;
                if *count > 3 { say } else { Say::Usual }
            }
            _ => Say::Usual,
        };
        let server = SmtpServer::start(Manners::new(script));
        let outcomes = send(&server, patient(), 30, 6).await;
        assert!(outcomes.values().all(|outcome| kind(outcome) == "sent"), "{outcomes:?}");
        judge(&outcomes, &server.seen());
    }
}

/// Of two connections, one hangs up when the other has nothing left to do: that one takes the mail that comes back.
#[tokio::test]
async fn a_mail_that_comes_back_goes_to_a_connection_that_waits() {
    let (seen, changed) = (Mutex::new((None, 0)), Condvar::new());
    let script = move |connection, heard: Heard<'_>| {
        let Heard::Body(_) = heard else { return Say::Usual };
        let mut seen = seen.lock().unwrap();
        if *seen.0.get_or_insert(connection) != connection {
            seen.1 += 1;
            changed.notify_all();
            return Say::Usual;
        }
        let _others = changed.wait_while(seen, |(_, others)| *others < 2).unwrap();
        Say::HangUp
    };
    let server = SmtpServer::start(Manners::new(script));
    // Until the connection that waits has waited too long.
    let sending = send(&server, patient(), 4, 4);
    let outcomes = tokio::time::timeout(PATIENCE / 2, sending).await.unwrap();
    judge(&outcomes, &server.seen());
    let kinds: Vec<_> = outcomes.values().map(kind).collect();
    assert_eq!(kinds.iter().filter(|kind| **kind == "sent").count(), 3, "{outcomes:?}");
    assert!(kinds.contains(&"uncertain"), "{outcomes:?}");
}

#[tokio::test]
async fn a_server_that_drops_envelopes_behind_bodies_gets_them_alone() {
    let server = SmtpServer::start(Manners { forgetful: true, ..Manners::kind() });
    let hasty = Timeouts { command: SHORT * 4, ..patient() };
    let outcomes = send(&server, hasty, 12, 3).await;
    let seen = server.seen();
    judge(&outcomes, &seen);
    // A busy machine may need longer than the patience even for what was sent alone.
    assert!(outcomes.values().all(|outcome| ["sent", "retry"].contains(&kind(outcome))), "{outcomes:?}");
    assert_eq!(seen.forgotten, 1, "once is enough to know");
}

#[tokio::test]
async fn a_cut_at_any_byte_is_exact_for_all_mails_on_the_connection() {
    let total = {
        let server = SmtpServer::start(Manners::kind());
        send(&server, patient(), 4, 3).await;
        server.seen().longest
    };
    for cut in (1..=total).step_by(7) {
        let server = SmtpServer::start(Manners { cut_after: Some(cut), ..Manners::kind() });
        let outcomes = send(&server, patient(), 4, 3).await;
        judge(&outcomes, &server.seen());
        let in_doubt = outcomes.values().filter(|outcome| kind(outcome) == "uncertain").count();
        // Every connection is cut: a mail a connection is in doubt at most.
        assert!(in_doubt <= server.seen().connections, "cut after {cut}: {outcomes:?}");
    }
}

/// Whatever servers do, and however mails share connections.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn outcomes_are_exact_under_any_answers() {
    const SAYS: [Say; 8] = [
        Say::This("451 4.3.0 later"),
        Say::This("550 5.0.0 no"),
        Say::ThisAndHangUp("421 4.3.2 closing"),
        Say::HangUp,
        Say::Dribble,
        Say::ThisAndHangUp("250 taken"),
        Say::This("299 hm"),
        Say::ThisAndHangUp("nonsense"),
    ];
    for seed in 0..60_u64 {
        let turn = AtomicUsize::new(0);
        let script = move |_, _: Heard<'_>| {
            // An odd number of turns, so that the same mails meet other answers each time.
            let turn = turn.fetch_add(1, Ordering::Relaxed) as u64;
            let mixed = (turn * 97 + seed).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40;
            if mixed.is_multiple_of(7) { SAYS[(mixed / 7) as usize % SAYS.len()] } else { Say::Usual }
        };
        let lenient = seed.is_multiple_of(2);
        let server = SmtpServer::start(Manners { data_without_recipient: lenient, ..Manners::new(script) });
        let outcomes = send(&server, Timeouts { idle: Duration::from_millis(5), ..patient() }, 60, 9).await;
        assert_eq!(outcomes.len(), 60);
        judge(&outcomes, &server.seen());
    }
}
