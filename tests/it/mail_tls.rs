//! Mail over encrypted connections: whom a server has to prove to be, what is never sent in the clear, and that nobody
//! is told more or less about a mail than is known.

use std::time::Duration;

use gulou::action::Outcome;
use gulou::settings::{MailRoute, SmtpSecurity, TlsMode};

use crate::support::certificate::Identity;
use crate::support::letters::{action_by, deliver_by, kind, mail, patient, smtp};
use crate::support::smtp_server::{Begins, Heard, Manners, Say, SmtpServer};

const WAYS: [Begins; 2] = [Begins::AtOnce, Begins::AfterStartTls];

fn security(begins: Begins, mode: TlsMode) -> SmtpSecurity {
    match begins {
        Begins::AtOnce => SmtpSecurity::Implicit(mode),
        Begins::AfterStartTls => SmtpSecurity::StartTls(mode),
    }
}

fn trusting(identity: &Identity) -> TlsMode {
    TlsMode::Verify { ca: Some(identity.ca()) }
}

fn route(server: &SmtpServer, begins: Begins, mode: TlsMode) -> MailRoute {
    smtp("127.0.0.1", server.port(), security(begins, mode), None)
}

fn local() -> Identity {
    Identity::of(&["localhost", "127.0.0.1"])
}

#[tokio::test]
async fn mails_go_out_encrypted() {
    let identity = local();
    for begins in WAYS {
        for host in ["localhost", "127.0.0.1"] {
            let server = SmtpServer::start(Manners::kind().encrypting(&identity, begins));
            let route = smtp(host, server.port(), security(begins, trusting(&identity)), None);
            let (action, transport) = action_by(route, patient());
            let big = "0123456789 ".repeat(20_000);
            for (index, body) in ["hello", ".\n..two\n.", &big].into_iter().enumerate() {
                let mail = mail(&action, &format!("u{index}@ex.test"), body);
                let outcome = action.deliver(&mail).await;
                assert_eq!(outcome, Outcome::Sent { detail: "250 2.0.0 queued as 4F2A".into() });
                assert_eq!(server.seen().mails[index].body, mail.bytes(), "it arrives as it was rendered");
            }
            transport.close().await;
            let seen = server.seen();
            assert_eq!((seen.connections, seen.quits, seen.mails.len()), (1, 1, 3));
            let open = match begins {
                Begins::AtOnce => vec![],
                Begins::AfterStartTls => vec!["EHLO [127.0.0.1]", "STARTTLS"],
            };
            assert_eq!(seen.in_the_clear, open);
        }
    }
}

#[tokio::test]
async fn a_server_that_does_not_prove_who_it_is_gets_nothing() {
    let trusted = local();
    let cases = [
        (Identity::of(&["elsewhere.test"]), true, "not valid for name"),
        (Identity::expired(&["localhost", "127.0.0.1"]), true, "expired"),
        (local(), false, "\"tls_ca\" names a file"),
    ];
    for (identity, known, reason) in cases {
        for begins in WAYS {
            let server = SmtpServer::start(Manners::kind().encrypting(&identity, begins));
            let ca = if known { identity.ca() } else { trusted.ca() };
            let outcome = deliver_by(route(&server, begins, TlsMode::Verify { ca: Some(ca) })).await;
            assert_eq!(kind(&outcome), "halt", "{outcome:?}");
            let place = format!("could not use 127.0.0.1:{}: it is not trusted: ", server.port());
            assert!(outcome.text().starts_with(&place) && outcome.text().contains(reason), "{outcome:?}");
            let seen = server.seen();
            assert!(!seen.commands.iter().any(|command| command.starts_with("MAIL")), "{seen:?}");
            // Whoever answers is enough when the settings say so.
            let outcome = deliver_by(route(&server, begins, TlsMode::Unverified)).await;
            assert_eq!(kind(&outcome), "sent", "{outcome:?}");
        }
    }
}

#[tokio::test]
async fn certificates_that_cannot_be_read_are_named() {
    let server = SmtpServer::start(Manners::kind().encrypting(&local(), Begins::AtOnce));
    let mode = TlsMode::Verify { ca: Some("/nowhere/ca.pem".into()) };
    let outcome = deliver_by(route(&server, Begins::AtOnce, mode)).await;
    assert_eq!(kind(&outcome), "halt");
    assert!(outcome.text().contains("could not read certificates from /nowhere/ca.pem"), "{outcome:?}");
}

#[tokio::test]
async fn without_starttls_nothing_is_sent_where_it_is_required() {
    for (answer, expected, reason) in [
        (None, "halt", "does not offer STARTTLS"),
        (Some("454 4.7.0 not now"), "unreachable", "cannot do TLS now: 454"),
        (Some("502 5.5.1 no"), "halt", "offers STARTTLS and refuses it"),
        (Some("421 4.3.2 closing"), "unreachable", "421"),
    ] {
        let script = move |_, heard: Heard<'_>| match (heard, answer) {
            (Heard::StartTls, Some(answer)) => Say::This(answer),
            _ => Say::Usual,
        };
        let manners = Manners::new(script);
        let offers: &[&str] = if answer.is_some() { &["PIPELINING", "STARTTLS"] } else { &["PIPELINING"] };
        let server = SmtpServer::start(manners.offering(offers));
        let outcome = deliver_by(route(&server, Begins::AfterStartTls, TlsMode::Unverified)).await;
        assert_eq!(kind(&outcome), expected, "{outcome:?}");
        assert!(outcome.text().contains(reason), "{outcome:?}");
        assert!(server.seen().mails.is_empty());
        // Where it is not required, a refusal is no obstacle.
        let outcome = deliver_by(smtp("127.0.0.1", server.port(), SmtpSecurity::Opportunistic, None)).await;
        let closing = answer.is_some_and(|answer| answer.starts_with("421"));
        assert_eq!(kind(&outcome), if closing { "unreachable" } else { "sent" }, "{outcome:?}");
    }
}

#[tokio::test]
async fn encryption_that_is_offered_is_used() {
    // Nobody knows this certificate: somebody who only listens learns nothing all the same.
    let server =
        SmtpServer::start(Manners::kind().encrypting(&Identity::of(&["x.test"]), Begins::AfterStartTls));
    let outcome = deliver_by(smtp("127.0.0.1", server.port(), SmtpSecurity::Opportunistic, None)).await;
    assert_eq!(kind(&outcome), "sent", "{outcome:?}");
    assert_eq!(server.seen().in_the_clear, ["EHLO [127.0.0.1]", "STARTTLS"]);
}

#[tokio::test]
async fn what_is_offered_in_the_clear_is_forgotten() {
    let identity = local();
    let mut manners = Manners::kind().offering(&["PIPELINING", "SIZE 10", "SMTPUTF8"]);
    manners = manners.encrypting(&identity, Begins::AfterStartTls);
    manners.offers_inside = Some(vec![]);
    let server = SmtpServer::start(manners);
    let outcome = deliver_by(route(&server, Begins::AfterStartTls, trusting(&identity))).await;
    assert_eq!(kind(&outcome), "sent", "{outcome:?}");
    let seen = server.seen();
    assert_eq!(seen.hasty, 0, "nothing is pipelined that was not offered inside");
    assert!(seen.commands.contains(&"MAIL FROM:<drum@tower.test>".to_owned()), "{:?}", seen.commands);
}

/// CVE-2011-0411 from the client's side: answers that somebody put in front of the encrypted ones.
#[tokio::test]
async fn answers_injected_before_the_encryption_are_an_error() {
    let identity = local();
    let mut manners = Manners::kind().encrypting(&identity, Begins::AfterStartTls);
    manners.injected = "250-mx.test\r\n250 AUTH PLAIN";
    let server = SmtpServer::start(manners);
    let outcome = deliver_by(route(&server, Begins::AfterStartTls, trusting(&identity))).await;
    assert_eq!(kind(&outcome), "halt", "{outcome:?}");
    assert!(outcome.text().contains("somebody may sit in between"), "{outcome:?}");
    assert!(server.seen().mails.is_empty());
}

#[tokio::test]
async fn a_handshake_that_breaks_off_is_tried_later() {
    let server = SmtpServer::start(
        Manners::new(|_, heard| match heard {
            Heard::StartTls => Say::ThisAndHangUp("220 go ahead"),
            _ => Say::Usual,
        })
        .offering(&["STARTTLS"]),
    );
    let outcome = deliver_by(route(&server, Begins::AfterStartTls, TlsMode::Unverified)).await;
    assert_eq!(kind(&outcome), "unreachable", "{outcome:?}");
    assert!(outcome.text().contains("the TLS handshake broke off"), "{outcome:?}");
}

#[tokio::test]
async fn a_port_without_tls_is_told() {
    let server = SmtpServer::start(Manners::kind());
    let outcome = deliver_by(route(&server, Begins::AtOnce, TlsMode::Unverified)).await;
    assert_eq!(kind(&outcome), "halt", "{outcome:?}");
    assert!(outcome.text().contains("is this a port that begins with TLS?"), "{outcome:?}");
}

#[tokio::test]
async fn a_lost_connection_is_in_doubt_only_after_the_body() {
    let identity = local();
    for begins in WAYS {
        for (at_body, expected) in [(false, "retry"), (true, "uncertain")] {
            let script = move |_, heard: Heard<'_>| match heard {
                Heard::Data if !at_body => Say::HangUp,
                Heard::Body(_) if at_body => Say::HangUp,
                _ => Say::Usual,
            };
            let server = SmtpServer::start(Manners::new(script).encrypting(&identity, begins));
            let outcome = deliver_by(route(&server, begins, trusting(&identity))).await;
            assert_eq!(kind(&outcome), expected, "{outcome:?}");
        }
    }
}

/// The server stops reading at each byte of the encrypted conversation in turn. It has the mail only if it got all
/// of it, and then nobody says that it has not.
#[tokio::test]
async fn a_cut_at_any_encrypted_byte_is_told_truly() {
    let identity = local();
    let mut cut = 200;
    let mut kinds = std::collections::BTreeSet::new();
    loop {
        let mut manners = Manners::kind().encrypting(&identity, Begins::AtOnce);
        manners.cut_wire_after = Some(cut);
        let server = SmtpServer::start(manners);
        let outcome = deliver_by(route(&server, Begins::AtOnce, trusting(&identity))).await;
        let seen = server.seen_in_the_end();
        let kind = kind(&outcome);
        kinds.insert(kind);
        match kind {
            "sent" => {
                assert_eq!(seen.mails.len(), 1);
                break;
            }
            "uncertain" => {}
            "retry" | "unreachable" => assert!(seen.mails.is_empty(), "cut after {cut}: {outcome:?}"),
            other => panic!("cut after {cut}: {other}: {outcome:?}"),
        }
        // Records are authenticated: what differs within one differs from record to record.
        cut += 7;
    }
    assert_eq!(kinds.into_iter().collect::<Vec<_>>(), ["retry", "sent", "uncertain", "unreachable"]);
}

#[tokio::test]
async fn a_body_that_did_not_go_out_whole_is_not_in_doubt() {
    let identity = local();
    // More than the sockets' buffers hold, so that the cut is in the middle for the client too.
    let body = "line of a long mail\n".repeat(1_000_000);
    let mut manners = Manners::kind().encrypting(&identity, Begins::AtOnce);
    manners.cut_wire_after = Some(100_000);
    manners.offers_inside = Some(vec!["PIPELINING"]);
    let server = SmtpServer::start(manners);
    let (action, _) = action_by(route(&server, Begins::AtOnce, trusting(&identity)), patient());
    let outcome = action.deliver(&mail(&action, "a@ex.test", &body)).await;
    assert_eq!(kind(&outcome), "retry", "{outcome:?}");
}

/// Nothing is written any more once a mail was given up halfway, and what rustls still holds of it is not either.
#[tokio::test]
async fn a_mail_that_was_given_up_is_not_finished_later() {
    let identity = local();
    let body = "line of a long mail\n".repeat(1_000_000);
    let mut manners = Manners::kind().encrypting(&identity, Begins::AtOnce);
    manners.offers_inside = Some(vec!["PIPELINING"]);
    manners.slowly = Some((4096, Duration::from_millis(1)));
    let server = SmtpServer::start(manners);
    let hasty = gulou::action::mail::Timeouts { body: Duration::from_millis(300), ..patient() };
    let (action, transport) = action_by(route(&server, Begins::AtOnce, trusting(&identity)), hasty);
    let outcome = action.deliver(&mail(&action, "a@ex.test", &body)).await;
    assert_eq!(kind(&outcome), "retry", "{outcome:?}");
    transport.close().await;
    assert!(server.seen_in_the_end().mails.is_empty());
}

#[tokio::test]
async fn a_connection_that_died_idle_is_replaced_silently() {
    let identity = local();
    let server = SmtpServer::start(Manners::kind().encrypting(&identity, Begins::AfterStartTls));
    let (action, _) = action_by(route(&server, Begins::AfterStartTls, trusting(&identity)), patient());
    for index in 0..4 {
        let outcome = action.deliver(&mail(&action, &format!("u{index}@ex.test"), "hi")).await;
        assert_eq!(kind(&outcome), "sent", "{outcome:?}");
        server.hang_up();
    }
    let seen = server.seen();
    assert_eq!((seen.connections, seen.mails.len(), seen.recipients().len()), (4, 4, 4));
    assert!(seen.message_ids().values().all(|count| *count == 1), "{:?}", seen.message_ids());
}

#[tokio::test]
async fn servers_that_read_slowly_and_answer_late_are_waited_for() {
    let identity = local();
    let late = |_, heard: Heard<'_>| match heard {
        Heard::Connect | Heard::Hello(_) | Heard::Rcpt(_) => Say::Late(Duration::from_millis(20)),
        _ => Say::Dribble,
    };
    for begins in WAYS {
        let mut manners = Manners::new(late).encrypting(&identity, begins);
        manners.slowly = Some((97, Duration::from_micros(200)));
        let server = SmtpServer::start(manners);
        let outcome = deliver_by(route(&server, begins, trusting(&identity))).await;
        assert_eq!(kind(&outcome), "sent", "{outcome:?}");
    }
}
