//! A second mail server for while the first is not there: what moves on to it, what never does, and the way back.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};
use gulou::action::Outcome;
use gulou::action::mail::{MailAction, Timeouts};
use gulou::clock::Clock;
use gulou::settings::{LoginProof, MailRoute, Secret, SmtpLogin, SmtpSecurity};
use tokio::task::JoinSet;

use crate::support::letters::{action_at, kind, mail, patient, plain_smtp, servers, smtp};
use crate::support::log::Log;
use crate::support::smtp_server::{Heard, Manners, Say, SmtpServer};

/// A clock that a test moves.
fn clock() -> Clock {
    Clock::manual(DateTime::<Utc>::UNIX_EPOCH)
}

fn nobody() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// `main`, with the server at `fallback` behind it.
fn backed(mut main: MailRoute, fallback: u16) -> MailRoute {
    let mut other = plain_smtp("127.0.0.1", fallback);
    servers(&mut main).fallback = Some(servers(&mut other).server.clone());
    main
}

fn both(main: u16, fallback: u16, clock: &Clock) -> MailAction {
    action_at(backed(plain_smtp("127.0.0.1", main), fallback), patient(), clock.clone()).0
}

/// A server that turns everybody away as long as the flag says so.
fn closable() -> (SmtpServer, Arc<AtomicBool>) {
    let closed = Arc::new(AtomicBool::new(true));
    let now = Arc::clone(&closed);
    let server = SmtpServer::start(Manners::new(move |_, heard| match heard {
        Heard::Connect if now.load(Ordering::SeqCst) => Say::ThisAndHangUp("421 4.3.2 closed"),
        _ => Say::Usual,
    }));
    (server, closed)
}

async fn send_one(action: &MailAction, to: &str) -> Outcome {
    action.deliver(&mail(action, to, "hi")).await
}

/// The same with a server that says nothing when the second flag is up.
fn silenceable() -> (SmtpServer, Arc<AtomicBool>, Arc<AtomicBool>) {
    let (closed, silent) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicBool::new(false)));
    let now = (Arc::clone(&closed), Arc::clone(&silent));
    let server = SmtpServer::start(Manners::new(move |_, heard| match heard {
        Heard::Connect if now.1.load(Ordering::SeqCst) => Say::Nothing,
        Heard::Connect if now.0.load(Ordering::SeqCst) => Say::ThisAndHangUp("421 4.3.2 closed"),
        _ => Say::Usual,
    }));
    (server, closed, silent)
}

/// That many mails, nine at a time; the outcomes by recipient.
async fn send(action: MailAction, mails: usize) -> BTreeMap<String, Outcome> {
    let (action, next) = (Arc::new(action), Arc::new(AtomicUsize::new(0)));
    let lanes: JoinSet<_> = (0..9)
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
                    outcomes.push((to.clone(), send_one(&action, &to).await));
                }
            }
        })
        .collect();
    lanes.join_all().await.into_iter().flatten().collect()
}

fn count(log: &Log, level: &str, what: &str) -> usize {
    log.lines().iter().filter(|line| line.starts_with(level) && line.contains(what)).count()
}

#[tokio::test]
async fn all_mails_go_to_the_fallback_while_nobody_is_there() {
    let log = Log::start();
    let (main, fallback) = (nobody(), SmtpServer::start(Manners::kind()));
    let outcomes = send(both(main, fallback.port(), &clock()), 40).await;
    assert!(outcomes.values().all(|outcome| kind(outcome) == "sent"), "{outcomes:?}");
    let seen = fallback.seen();
    assert_eq!((seen.mails.len(), seen.recipients().len()), (40, 40));
    assert_eq!(count(&log, "WARN", "the mail server is not there"), 1, "{:?}", log.lines());
    let fields =
        [format!("server=\"127.0.0.1:{main}\""), format!("fallback=\"127.0.0.1:{}\"", fallback.port())];
    for field in fields {
        assert_eq!(count(&log, "WARN", &field), 1, "{field}: {:?}", log.lines());
    }
}

#[tokio::test]
async fn one_mail_asks_now_and_then_whether_the_main_server_is_back() {
    let log = Log::start();
    let ((main, closed), fallback, clock) = (closable(), SmtpServer::start(Manners::kind()), clock());
    let action = both(main.port(), fallback.port(), &clock);
    for index in 0..5 {
        assert_eq!(kind(&send_one(&action, &format!("a{index}@ex.test")).await), "sent");
    }
    assert_eq!((main.seen().connections, fallback.seen().mails.len()), (1, 5));
    // Not yet.
    clock.advance(Duration::from_secs(29));
    send_one(&action, "b@ex.test").await;
    assert_eq!(main.seen().connections, 1);
    // One asks, in vain, and is sent all the same.
    clock.advance(Duration::from_secs(1));
    for index in 0..5 {
        assert_eq!(kind(&send_one(&action, &format!("c{index}@ex.test")).await), "sent");
    }
    assert_eq!((main.seen().connections, fallback.seen().mails.len()), (2, 11));
    closed.store(false, Ordering::SeqCst);
    send_one(&action, "d@ex.test").await;
    assert_eq!(fallback.seen().mails.len(), 12, "nobody has asked yet");
    clock.advance(Duration::from_secs(30));
    for index in 0..5 {
        assert_eq!(kind(&send_one(&action, &format!("e{index}@ex.test")).await), "sent");
    }
    let (main, fallback) = (main.seen(), fallback.seen());
    assert_eq!((main.mails.len(), fallback.mails.len()), (5, 12));
    assert_eq!(count(&log, "WARN", "421 4.3.2 closed"), 1, "{:?}", log.lines());
    assert_eq!(count(&log, "INFO", "the mail server is back"), 1, "{:?}", log.lines());
    assert_eq!(count(&log, "INFO", "away_s=60"), 1, "{:?}", log.lines());
}

#[tokio::test]
async fn while_one_mail_asks_the_others_do_not_wait_for_it() {
    let (main, _, silent) = silenceable();
    let (fallback, clock) = (SmtpServer::start(Manners::kind()), clock());
    let action = Arc::new(both(main.port(), fallback.port(), &clock));
    send_one(&action, "a@ex.test").await;
    silent.store(true, Ordering::SeqCst);
    clock.advance(Duration::from_secs(30));
    let asking = tokio::spawn({
        let action = action.clone();
        async move { send_one(&action, "asks@ex.test").await }
    });
    while main.seen().connections < 2 {
        tokio::task::yield_now().await;
    }
    clock.advance(Duration::from_secs(300));
    for index in 0..5 {
        assert_eq!(kind(&send_one(&action, &format!("b{index}@ex.test")).await), "sent");
    }
    assert_eq!((main.seen().connections, fallback.seen().mails.len()), (2, 6));
    main.hang_up();
    assert_eq!(kind(&asking.await.unwrap()), "sent");
    assert_eq!(fallback.seen().recipients()["asks@ex.test"], 1);
}

#[tokio::test]
async fn an_asking_mail_that_is_given_up_leaves_the_question_to_another() {
    let ((main, closed, silent), fallback, clock) =
        (silenceable(), SmtpServer::start(Manners::kind()), clock());
    let action = both(main.port(), fallback.port(), &clock);
    send_one(&action, "a@ex.test").await;
    silent.store(true, Ordering::SeqCst);
    clock.advance(Duration::from_secs(30));
    let given_up = mail(&action, "given-up@ex.test", "hi");
    assert!(tokio::time::timeout(Duration::ZERO, action.deliver(&given_up)).await.is_err());
    main.wait_until("the question", |seen| seen.connections == 2);
    silent.store(false, Ordering::SeqCst);
    closed.store(false, Ordering::SeqCst);
    main.hang_up();
    // The first of these may still meet with the end of the connection that was being opened.
    for to in ["b@ex.test", "c@ex.test"] {
        clock.advance(Duration::from_secs(30));
        assert_eq!(kind(&send_one(&action, to).await), "sent");
    }
    assert_eq!(main.seen().recipients().get("c@ex.test"), Some(&1));
}

#[tokio::test]
async fn what_was_refused_or_is_in_doubt_stays_where_it_was() {
    let cases: [(&str, Say, &str); 8] = [
        ("rcpt", Say::This("550 5.1.1 no such user"), "failed"),
        ("rcpt", Say::This("450 4.2.1 greylisted"), "retry"),
        ("mail", Say::This("451 4.3.0 later"), "retry"),
        ("mail", Say::This("550 5.7.1 not you"), "halt"),
        ("mail", Say::HangUp, "retry"),
        ("rcpt", Say::ThisAndHangUp("421 4.3.2 closing"), "retry"),
        ("body", Say::This("451 4.3.0 disk"), "retry"),
        ("body", Say::HangUp, "uncertain"),
    ];
    for (at, say, expected) in cases {
        let main = SmtpServer::start(Manners::new(move |_, heard| match heard {
            Heard::Mail(_) if at == "mail" => say,
            Heard::Rcpt(_) if at == "rcpt" => say,
            Heard::Body(_) if at == "body" => say,
            _ => Say::Usual,
        }));
        let fallback = SmtpServer::start(Manners::kind());
        let outcome = send_one(&both(main.port(), fallback.port(), &clock()), "a@ex.test").await;
        assert_eq!(kind(&outcome), expected, "{at} {say:?}: {outcome:?}");
        assert_eq!(fallback.seen().connections, 0, "{at} {say:?}");
    }
}

#[tokio::test]
async fn a_broken_login_halts_and_one_that_cannot_be_told_now_moves_on() {
    for (answer, expected) in [("535 5.7.8 wrong", "halt"), ("454 4.7.0 later", "sent")] {
        let script = move |_, heard: Heard<'_>| match heard {
            Heard::Auth(_) => Say::This(answer),
            _ => Say::Usual,
        };
        let main = SmtpServer::start(Manners::new(script).with("AUTH PLAIN"));
        let fallback = SmtpServer::start(Manners::kind());
        let proof = LoginProof::Password(Secret::new("word".to_owned()));
        let login = SmtpLogin { user: "me".to_owned(), proof, method: None };
        let route = smtp("127.0.0.1", main.port(), SmtpSecurity::Plain, Some(login));
        let (action, _) = action_at(backed(route, fallback.port()), patient(), clock());
        let outcome = send_one(&action, "a@ex.test").await;
        assert_eq!(kind(&outcome), expected, "{outcome:?}");
        assert_eq!(fallback.seen().mails.len(), usize::from(expected == "sent"));
    }
}

#[tokio::test]
async fn when_neither_is_there_both_are_named_and_both_are_asked_again_at_once() {
    let ((main, main_closed), (fallback, fallback_closed)) = (closable(), closable());
    let action = both(main.port(), fallback.port(), &clock());
    for _ in 0..2 {
        let outcome = send_one(&action, "a@ex.test").await;
        assert_eq!(kind(&outcome), "unreachable");
        for port in [main.port(), fallback.port()] {
            assert!(
                outcome.text().contains(&format!("could not connect to 127.0.0.1:{port}: ")),
                "{outcome:?}"
            );
        }
    }
    main_closed.store(false, Ordering::SeqCst);
    assert_eq!(kind(&send_one(&action, "b@ex.test").await), "sent");
    fallback_closed.store(false, Ordering::SeqCst);
    assert_eq!(kind(&send_one(&action, "c@ex.test").await), "sent");
    assert_eq!((main.seen().mails.len(), fallback.seen().mails.len()), (2, 0));
}

/// Whatever the main server does on its way down, no mail is taken twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_goes_down_in_the_middle_costs_no_mail_and_doubles_none() {
    for seed in 0..20_usize {
        let heard_of = AtomicUsize::new(0);
        let main = SmtpServer::start(Manners::new(move |_, heard| {
            let mails = heard_of.load(Ordering::Relaxed);
            let down = mails > 10 + seed;
            match heard {
                Heard::Connect if down => Say::ThisAndHangUp("421 4.3.2 closed"),
                Heard::Mail(_) => {
                    heard_of.fetch_add(1, Ordering::Relaxed);
                    if down { Say::HangUp } else { Say::Usual }
                }
                Heard::Body(_) if down && seed.is_multiple_of(2) => Say::HangUp,
                _ => Say::Usual,
            }
        }));
        let fallback = SmtpServer::start(Manners::kind());
        let timeouts = Timeouts { idle: Duration::from_millis(5), ..patient() };
        let route = backed(plain_smtp("127.0.0.1", main.port()), fallback.port());
        let (action, _) = action_at(route, timeouts, clock());
        let outcomes = send(action.over(3), 80).await;
        let (main, fallback) = (main.seen(), fallback.seen());
        let (main, fallback) = (main.recipients(), fallback.recipients());
        for (to, outcome) in &outcomes {
            let taken = |by: &BTreeMap<&str, usize>| by.get(to.as_str()).copied().unwrap_or_default();
            let times = (taken(&main), taken(&fallback));
            match outcome {
                Outcome::Sent { .. } => assert_eq!(times.0 + times.1, 1, "{to}: {times:?}"),
                Outcome::Uncertain { .. } => assert!(times.0 <= 1 && times.1 == 0, "{to}: {times:?}"),
                Outcome::Retry { .. } => assert_eq!(times, (0, 0), "{to}: {outcome:?}"),
                other => panic!("{to}: {other:?}"),
            }
        }
        assert!(!fallback.is_empty(), "nothing moved on: nothing was tested");
    }
}

/// What only the fallback cannot take waits for the main server.
#[tokio::test]
async fn a_mail_that_is_too_large_for_the_fallback_is_tried_again() {
    let fallback = SmtpServer::start(Manners::kind().offering(&["SIZE 100"]));
    let action = both(nobody(), fallback.port(), &clock());
    let outcome = send_one(&action, "a@ex.test").await;
    assert_eq!(kind(&outcome), "retry", "{outcome:?}");
    assert!(outcome.text().contains("the fallback cannot take it: the mail has "), "{outcome:?}");
    assert!(fallback.seen().mails.is_empty());
}
