//! Mail over SMTP against a scripted server: every answer, drop and silence has its outcome, and
//! no connection is left in a state that hurts the next mail.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use gulou::action::Outcome;
use gulou::action::mail::{MailAction, Timeouts, Transport};
use tokio::task::JoinSet;

use crate::support::letters::{action_by, kind, mail, patient, plain_smtp};
use crate::support::smtp_server::{Heard, Manners, SHORT, Say, SmtpServer};
use crate::support::{PATIENCE, SmtpSink};

pub(crate) fn action(host: &str, port: u16, timeouts: Timeouts) -> (MailAction, Arc<Transport>) {
    action_by(plain_smtp(host, port), timeouts)
}

/// One mail to a server.
async fn deliver_to(server: &SmtpServer, timeouts: Timeouts) -> Outcome {
    let (action, _) = action("127.0.0.1", server.port(), timeouts);
    action.deliver(&mail(&action, "a@ex.test", "hello")).await
}

/// Where in a mail's course a scripted answer falls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Connect,
    Hello,
    Mail,
    Rcpt,
    Data,
    Body,
}

const STAGES: [At; 6] = [At::Connect, At::Hello, At::Mail, At::Rcpt, At::Data, At::Body];

fn stage(heard: Heard<'_>) -> Option<At> {
    Some(match heard {
        Heard::Connect => At::Connect,
        Heard::Hello(_) => At::Hello,
        Heard::Mail(_) => At::Mail,
        Heard::Rcpt(_) => At::Rcpt,
        Heard::Data => At::Data,
        Heard::Body(_) => At::Body,
        Heard::StartTls | Heard::Auth(_) | Heard::Reset | Heard::Quit => return None,
    })
}

/// With PIPELINING and without.
const OFFERS: [&[&str]; 2] = [&["PIPELINING", "8BITMIME"], &[]];

/// A server that does `say` whenever a conversation comes to `at`.
fn server_that(offers: &[&'static str], at: At, say: &Say) -> SmtpServer {
    let say = *say;
    let script = move |_, heard: Heard<'_>| if stage(heard) == Some(at) { say } else { Say::Usual };
    SmtpServer::start(Manners::new(script).offering(offers))
}

#[tokio::test]
async fn a_mail_is_sent_as_the_protocol_wants_it() {
    let server = SmtpServer::start(Manners::kind());
    let (action, transport) = action("127.0.0.1", server.port(), patient());
    let mail = mail(&action, "a@ex.test", ".\n..two\nmiddle.dot\n.");
    let outcome = action.deliver(&mail).await;
    assert_eq!(outcome, Outcome::Sent { detail: "250 2.0.0 queued as 4F2A".into() });
    transport.close().await;
    let seen = server.seen();
    let size = mail.bytes().len();
    let expected = [
        "EHLO [127.0.0.1]".to_owned(),
        format!("MAIL FROM:<drum@tower.test> SIZE={size}"),
        "RCPT TO:<a@ex.test>".into(),
        "DATA".into(),
        "QUIT".into(),
    ];
    assert_eq!(seen.commands, expected);
    assert_eq!(seen.mails.len(), 1);
    assert_eq!(seen.mails[0].body, mail.bytes(), "the body arrives as it was rendered");
    let text = String::from_utf8(seen.mails[0].body.clone()).unwrap();
    assert!(text.ends_with("\r\n\r\n.\r\n..two\r\nmiddle.dot\r\n.\r\n"), "{text}");
}

#[tokio::test]
async fn servers_without_extensions_are_served_step_by_step() {
    for offers in [None, Some(vec![])] {
        let server = SmtpServer::start(Manners { offers, ..Manners::new(|_, _| Say::Dribble) });
        let (action, transport) = action("127.0.0.1", server.port(), patient());
        for index in 0..3 {
            let outcome = action.deliver(&mail(&action, &format!("u{index}@ex.test"), "hello")).await;
            assert_eq!(kind(&outcome), "sent", "{outcome:?}");
        }
        transport.close().await;
        let seen = server.seen();
        assert_eq!((seen.hasty, seen.connections, seen.mails.len(), seen.quits), (0, 1, 3, 1));
        assert!(seen.commands.contains(&"MAIL FROM:<drum@tower.test>".to_owned()), "{:?}", seen.commands);
    }
}

#[tokio::test]
async fn every_refusal_has_its_outcome() {
    let cases: &[(At, &'static str, &str)] = &[
        (At::Connect, "554 no service", "halt"),
        (At::Connect, "450 later", "unreachable"),
        (At::Mail, "550 5.7.1 not you", "halt"),
        (At::Mail, "553 5.1.8 no such sender", "halt"),
        (At::Mail, "552 5.3.4 too big", "failed"),
        (At::Mail, "451 4.3.0 later", "retry"),
        (At::Mail, "530 5.7.0 log in first", "halt"),
        (At::Rcpt, "550 5.1.1 no such user", "failed"),
        (At::Rcpt, "450 4.2.1 greylisted", "retry"),
        (At::Rcpt, "530 5.7.0 log in first", "halt"),
        (At::Data, "451 4.3.0 later", "retry"),
        (At::Data, "554 5.5.0 no", "failed"),
        (At::Body, "451 4.3.0 disk", "retry"),
        (At::Body, "552 5.3.4 too big", "failed"),
        (At::Body, "554-5.7.1 spam\r\n554 5.7.1 really", "failed"),
        (At::Body, "535 5.7.8 who are you", "halt"),
    ];
    for offers in OFFERS {
        for (at, answer, expected) in cases {
            let server = server_that(offers, *at, &Say::This(answer));
            let outcome = deliver_to(&server, patient()).await;
            assert_eq!(kind(&outcome), *expected, "{at:?} {answer} {offers:?}: {outcome:?}");
            let reason = outcome.text();
            let code = &answer[..3];
            assert!(reason.contains(code), "the reason quotes the server: {reason}");
            assert!(!reason.contains(char::is_control), "{reason:?}");
            assert!(server.seen().mails.is_empty());
        }
    }
}

#[tokio::test]
async fn a_connection_serves_on_after_a_refusal() {
    let cases: &[(At, &'static str)] =
        &[(At::Mail, "451 later"), (At::Rcpt, "550 no"), (At::Data, "451 later"), (At::Body, "554 no")];
    for offers in OFFERS {
        for lenient in [false, true] {
            for (at, answer) in cases.iter().copied() {
                let times = AtomicUsize::new(0);
                let script = move |_, heard: Heard<'_>| {
                    let due = stage(heard) == Some(at) && times.fetch_add(1, Ordering::Relaxed) % 2 == 1;
                    if due { Say::This(answer) } else { Say::Usual }
                };
                let manners =
                    Manners { data_without_recipient: lenient, ..Manners::new(script).offering(offers) };
                let server = SmtpServer::start(manners);
                let (action, transport) = action("127.0.0.1", server.port(), patient());
                let mut kinds = Vec::new();
                for index in 0..5 {
                    let outcome = action.deliver(&mail(&action, &format!("u{index}@ex.test"), "hi")).await;
                    kinds.push(kind(&outcome));
                }
                let refused = if answer.starts_with('4') { "retry" } else { "failed" };
                assert_eq!(kinds, ["sent", refused, "sent", refused, "sent"], "{at:?} {answer} {offers:?}");
                transport.close().await;
                let seen = server.seen();
                let delivered: BTreeSet<_> = seen.recipients().into_keys().collect();
                assert_eq!(delivered, BTreeSet::from(["u0@ex.test", "u2@ex.test", "u4@ex.test"]));
                assert_eq!((seen.mails.len(), seen.connections, seen.quits, seen.hasty), (3, 1, 1, 0));
            }
        }
    }
}

/// What becomes of a mail that is lost at a stage before its body: before the server has said hello, any mail would be.
fn not_delivered(at: At) -> &'static str {
    if matches!(at, At::Connect | At::Hello) { "unreachable" } else { "retry" }
}

#[tokio::test]
async fn a_server_that_closes_is_retried_and_left() {
    for offers in OFFERS {
        for at in STAGES {
            let server = server_that(offers, at, &Say::ThisAndHangUp("421 4.3.2 closing"));
            let outcome = deliver_to(&server, patient()).await;
            assert_eq!(kind(&outcome), not_delivered(at), "{at:?}: {outcome:?}");
            assert_eq!(server.seen().connections, 1, "a fresh connection is not tried twice");
        }
    }
}

#[tokio::test]
async fn a_lost_connection_is_in_doubt_only_after_the_body() {
    for offers in OFFERS {
        for at in STAGES {
            let server = server_that(offers, at, &Say::HangUp);
            let outcome = deliver_to(&server, patient()).await;
            let expected = if at == At::Body { "uncertain" } else { not_delivered(at) };
            assert_eq!(kind(&outcome), expected, "{at:?}: {outcome:?}");
        }
    }
}

#[tokio::test]
async fn a_silent_server_is_in_doubt_only_after_the_body() {
    let hasty = Timeouts { command: SHORT, answer: SHORT, ..patient() };
    for offers in OFFERS {
        for at in STAGES {
            let server = server_that(offers, at, &Say::Nothing);
            let outcome = deliver_to(&server, hasty).await;
            let doubtful = kind(&outcome) == "uncertain";
            // A busy machine may run out of so little patience earlier; then nothing was sent.
            assert_eq!(doubtful, server.seen().mails.len() == 1, "{at:?}: {outcome:?}");
            assert!(doubtful || ["retry", "unreachable"].contains(&kind(&outcome)), "{at:?}: {outcome:?}");
        }
    }
}

#[tokio::test]
async fn nonsense_is_not_taken_for_an_answer() {
    for (at, expected) in [
        (At::Connect, "unreachable"),
        (At::Hello, "unreachable"),
        (At::Mail, "retry"),
        (At::Rcpt, "retry"),
        (At::Data, "retry"),
        (At::Body, "uncertain"),
    ] {
        for nonsense in ["HTTP/1.1 400 Bad Request", "2x0 ok", "354 what body?"] {
            if at == At::Data && nonsense.starts_with("354") {
                continue;
            }
            let server = server_that(OFFERS[0], at, &Say::ThisAndHangUp(nonsense));
            let outcome = deliver_to(&server, patient()).await;
            assert_eq!(kind(&outcome), expected, "{at:?} {nonsense}: {outcome:?}");
        }
    }
}

#[tokio::test]
async fn a_cut_at_any_byte_is_never_taken_for_sent() {
    for offers in OFFERS {
        let whole = {
            let server = SmtpServer::start(Manners::kind().offering(offers));
            assert_eq!(kind(&deliver_to(&server, patient()).await), "sent");
            let body = server.seen().mails[0].body.len() + ".\r\n".len();
            (server.seen().longest, server.seen().longest - body)
        };
        let (total, before_body) = whole;
        for cut in 1..=total {
            let server =
                SmtpServer::start(Manners { cut_after: Some(cut), ..Manners::kind().offering(offers) });
            let outcome = deliver_to(&server, patient()).await;
            let at_doubt = kind(&outcome) == "uncertain";
            assert!(
                at_doubt || ["retry", "unreachable"].contains(&kind(&outcome)),
                "cut after {cut} of {total}: {outcome:?}"
            );
            if cut <= before_body {
                assert!(!at_doubt, "cut after {cut}, before the body at {before_body}: {outcome:?}");
            }
            if cut == total {
                assert!(at_doubt, "the server has it all: {outcome:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_body_that_did_not_go_out_whole_is_not_in_doubt() {
    // More than the sockets' buffers hold, so that the cut is in the middle for the client too.
    let body = "line of a long mail\n".repeat(1_000_000);
    let server = SmtpServer::start(Manners { cut_after: Some(4096), ..Manners::kind().offering(OFFERS[0]) });
    let (action, _) = action("127.0.0.1", server.port(), patient());
    let outcome = action.deliver(&mail(&action, "a@ex.test", &body)).await;
    assert_eq!(kind(&outcome), "retry", "{outcome:?}");
}

#[tokio::test]
async fn a_connection_that_died_idle_is_replaced_silently() {
    let server = SmtpServer::start(Manners::kind());
    let (action, _) = action("127.0.0.1", server.port(), patient());
    for index in 0..4 {
        let outcome = action.deliver(&mail(&action, &format!("u{index}@ex.test"), "hi")).await;
        assert_eq!(kind(&outcome), "sent", "{outcome:?}");
        server.hang_up();
    }
    let seen = server.seen();
    assert_eq!((seen.connections, seen.mails.len(), seen.recipients().len()), (4, 4, 4));
}

#[tokio::test]
async fn a_server_that_closes_at_the_second_mail_is_asked_again_on_a_new_connection() {
    for say in [Say::ThisAndHangUp("421 4.7.0 one mail a connection"), Say::HangUp] {
        let mails = AtomicUsize::new(0);
        let script = move |_, heard: Heard<'_>| match heard {
            // Connections serve one mail each: the 2nd MAIL, and every 2nd after it, comes too late.
            Heard::Mail(_) if mails.fetch_add(1, Ordering::Relaxed) % 2 == 1 => say,
            _ => Say::Usual,
        };
        let server = SmtpServer::start(Manners::new(script));
        let (action, _) = action("127.0.0.1", server.port(), patient());
        for index in 0..4 {
            let outcome = action.deliver(&mail(&action, &format!("u{index}@ex.test"), "hi")).await;
            assert_eq!(kind(&outcome), "sent", "{outcome:?}");
        }
        let seen = server.seen();
        assert_eq!((seen.connections, seen.mails.len(), seen.recipients().len()), (4, 4, 4));
    }
}

#[tokio::test]
async fn nobody_listening_is_said_with_the_address() {
    let port = {
        let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        gone.local_addr().unwrap().port()
    };
    let (action, _) = action("127.0.0.1", port, patient());
    let outcome = action.deliver(&mail(&action, "a@ex.test", "hi")).await;
    assert_eq!(kind(&outcome), "unreachable");
    assert!(outcome.text().contains(&format!("127.0.0.1:{port}: ")), "{outcome:?}");
}

/// As servers do that limit the connections of a client.
#[tokio::test]
async fn a_server_that_takes_no_more_connections_is_waited_for() {
    let busy = std::sync::Mutex::new(false);
    let server = SmtpServer::start(Manners::new(move |_, heard| match heard {
        Heard::Connect if std::mem::replace(&mut *busy.lock().unwrap(), true) => {
            Say::ThisAndHangUp("421 4.7.0 too many connections")
        }
        _ => Say::Usual,
    }));
    let (action, _) = action("127.0.0.1", server.port(), patient());
    // The one connection there is carries all of them.
    let first = mail(&action, "a@ex.test", "hi");
    assert_eq!(kind(&action.deliver(&first).await), "sent");
    // More than one connection is worth.
    let action = Arc::new(action);
    let lanes: JoinSet<_> = (0..9)
        .map(|index| {
            let action = action.clone();
            async move { action.deliver(&mail(&action, &format!("u{index}@ex.test"), "hi")).await }
        })
        .collect();
    let outcomes = lanes.join_all().await;
    assert!(outcomes.iter().all(|outcome| kind(outcome) == "sent"), "{outcomes:?}");
    let seen = server.seen();
    assert_eq!(seen.recipients().len(), 10);
    assert!(seen.connections > 1, "nobody tried a second connection: nothing was tested");
}

#[tokio::test]
async fn what_the_server_cannot_take_is_not_sent() {
    let server = SmtpServer::start(Manners::kind().offering(&["PIPELINING", "SIZE 2000"]));
    let (action, _) = action("127.0.0.1", server.port(), patient());
    let big = action.deliver(&mail(&action, "a@ex.test", &"long\n".repeat(400))).await;
    assert!(
        matches!(&big, Outcome::Failed { reason } if reason.contains("the server takes 2000")),
        "{big:?}"
    );
    let foreign = action.deliver(&mail(&action, "用户@例子.test", "hi")).await;
    assert!(matches!(&foreign, Outcome::Failed { reason } if reason.contains("SMTPUTF8")), "{foreign:?}");
    assert_eq!(kind(&action.deliver(&mail(&action, "b@ex.test", "hi")).await), "sent");
    let seen = server.seen();
    assert_eq!((seen.connections, seen.mails.len()), (1, 1));
}

#[tokio::test]
async fn utf8_addresses_go_to_servers_that_take_them() {
    let server = SmtpServer::start(Manners::kind().offering(&["PIPELINING", "8BITMIME", "SMTPUTF8"]));
    let (action, _) = action("127.0.0.1", server.port(), patient());
    let outcome = action.deliver(&mail(&action, "用户@例子.test", "你好")).await;
    assert_eq!(kind(&outcome), "sent", "{outcome:?}");
    let mail = &server.seen().mails[0];
    assert_eq!(mail.sender, "<drum@tower.test> SMTPUTF8 BODY=8BITMIME");
    assert_eq!(mail.recipient, "用户@例子.test");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_at_once_arrive_once_each_on_few_connections() {
    const LANES: usize = 16;
    let server = SmtpServer::start(Manners::kind());
    let (action, transport) = action("127.0.0.1", server.port(), patient());
    let action = Arc::new(action);
    let lanes: Vec<_> = (0..LANES)
        .map(|lane| {
            let action = action.clone();
            tokio::spawn(async move {
                for index in 0..50 {
                    let mail = mail(&action, &format!("u{lane}-{index}@ex.test"), "hi");
                    let outcome = action.deliver(&mail).await;
                    assert_eq!(kind(&outcome), "sent", "{outcome:?}");
                }
            })
        })
        .collect();
    for lane in lanes {
        lane.await.unwrap();
    }
    transport.close().await;
    let seen = server.wait_until("every connection to say QUIT", |seen| seen.quits == seen.connections);
    assert!(seen.connections <= LANES, "{} connections", seen.connections);
    assert_eq!((seen.mails.len(), seen.recipients().len()), (LANES * 50, LANES * 50));
}

#[tokio::test]
async fn idle_connections_are_closed_with_a_goodbye() {
    let server = SmtpServer::start(Manners::kind());
    let (action, _transport) =
        action("127.0.0.1", server.port(), Timeouts { idle: Duration::from_millis(1), ..patient() });
    for index in 0..2 {
        let outcome = action.deliver(&mail(&action, &format!("u{index}@ex.test"), "hi")).await;
        assert_eq!(kind(&outcome), "sent", "{outcome:?}");
        let server = &server;
        let waiting = async move {
            while server.seen().quits <= index {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.expect("the idle connection says QUIT");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn smtp_sink_gets_every_mail_once() {
    let sink = SmtpSink::start();
    let (action, transport) = action(&sink.host(), sink.port(), patient());
    let action = Arc::new(action);
    let lanes: Vec<_> = (0..8)
        .map(|lane| {
            let action = action.clone();
            tokio::spawn(async move {
                for index in 0..100 {
                    let outcome =
                        action.deliver(&mail(&action, &format!("u{lane}-{index}@ex.test"), ".\n你好")).await;
                    assert_eq!(kind(&outcome), "sent", "{outcome:?}");
                }
            })
        })
        .collect();
    for lane in lanes {
        lane.await.unwrap();
    }
    transport.close().await;
    let delivered = sink.delivered();
    let recipients: BTreeSet<_> = delivered.mails.iter().map(|(who, _)| who).collect();
    let ids: BTreeSet<_> = delivered.mails.iter().map(|(_, id)| id).collect();
    assert_eq!((recipients.len(), ids.len(), delivered.total()), (800, 800, 800));
}

/// A stop does not wait for a server that has stopped answering: what became of its mail is known by then.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_server_does_not_hold_the_end_up() {
    let server = SmtpServer::start(Manners::new(|_, heard| {
        if matches!(heard, Heard::Body(_)) { Say::Nothing } else { Say::Usual }
    }));
    let (action, transport) = action("127.0.0.1", server.port(), patient());
    let letter = mail(&action, "a@ex.test", "hi");
    let delivering = tokio::spawn(async move { action.deliver(&letter).await });
    server.wait_until("the mail", |seen| seen.mails.len() == 1);
    delivering.abort();
    assert!(delivering.await.unwrap_err().is_cancelled());
    // The answer would be waited for for so long.
    tokio::time::timeout(PATIENCE / 2, transport.close()).await.unwrap();
}

/// One connection gets no greeting, as if the server had gone without a word: the mail goes out on another.
#[tokio::test]
async fn a_mail_does_not_wait_for_a_greeting_that_does_not_come() {
    let connections = AtomicUsize::new(0);
    let server = SmtpServer::start(Manners::new(move |_, heard| {
        let is_first = matches!(heard, Heard::Connect) && connections.fetch_add(1, Ordering::SeqCst) == 0;
        if is_first { Say::Nothing } else { Say::Usual }
    }));
    let (action, transport) = action("127.0.0.1", server.port(), patient());
    let letter = mail(&action, "a@ex.test", "hi");
    let outcome = tokio::time::timeout(PATIENCE / 2, action.deliver(&letter)).await.unwrap();
    assert_eq!(kind(&outcome), "sent", "{outcome:?}");
    assert_eq!((server.seen().connections, server.seen().mails.len()), (2, 1));
    transport.close().await;
}
