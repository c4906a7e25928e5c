//! Mail to servers that do not keep their word, or the protocol: what becomes of the mail is what is known of it, and the
//! mails of others are not harmed.

use gulou::action::Outcome;

use crate::mail_smtp::action;
use crate::support::letters::{kind, mail, patient};
use crate::support::smtp_server::{Heard, Manners, Say, SmtpServer};

const FOREIGN: &str = "用户@例子.test";

/// One mail to each, one after the other.
async fn deliver(server: &SmtpServer, to: &[&str]) -> Vec<Outcome> {
    let (action, transport) = action("127.0.0.1", server.port(), patient());
    let mut outcomes = Vec::new();
    for to in to {
        outcomes.push(action.deliver(&mail(&action, to, "hello")).await);
    }
    transport.close().await;
    outcomes
}

fn kinds(outcomes: &[Outcome]) -> Vec<&'static str> {
    outcomes.iter().map(kind).collect()
}

/// The offer says what the server takes, the refusal that it does not: only the mails that make use of it have failed.
#[tokio::test]
async fn an_offer_that_is_refused_costs_the_mails_that_need_it() {
    let answers =
        ["555 5.5.4 unsupported parameter", "501 5.5.4 syntax", "504 5.5.4 no", "553 5.6.7 ASCII only"];
    for offers in [&["PIPELINING", "8BITMIME", "SMTPUTF8"][..], &["SMTPUTF8"]] {
        for answer in answers {
            let script = move |_, heard: Heard<'_>| match heard {
                Heard::Mail(sender) if sender.contains("SMTPUTF8") => Say::This(answer),
                _ => Say::Usual,
            };
            let server = SmtpServer::start(Manners::new(script).offering(offers));
            let outcomes = deliver(&server, &["a@ex.test", FOREIGN, "b@ex.test"]).await;
            assert_eq!(kinds(&outcomes), ["sent", "failed", "sent"], "{answer} {offers:?}: {outcomes:?}");
            assert!(outcomes[1].text().contains(answer), "{outcomes:?}");
        }
    }
}

/// Whatever the parameters: a sender that is not welcome is not welcome with the next mail either.
#[tokio::test]
async fn a_sender_who_is_refused_is_no_matter_of_an_offer() {
    let script = |_, heard: Heard<'_>| match heard {
        Heard::Mail(_) => Say::This("550 5.7.1 not you"),
        _ => Say::Usual,
    };
    let server = SmtpServer::start(Manners::new(script).offering(&["PIPELINING", "8BITMIME", "SMTPUTF8"]));
    assert_eq!(kinds(&deliver(&server, &[FOREIGN]).await), ["halt"]);
}

#[tokio::test]
async fn a_mail_below_the_size_that_is_offered_and_refused_has_failed_alone() {
    for before_the_body in [true, false] {
        let last = std::sync::Mutex::new(String::new());
        let script = move |_, heard: Heard<'_>| {
            if let Heard::Rcpt(to) = heard {
                to.clone_into(&mut last.lock().unwrap());
            }
            let big = match heard {
                Heard::Mail(sender) => before_the_body && size(sender) > 1000,
                Heard::Body(body) => !before_the_body && body.len() > 1000,
                _ => false,
            };
            if big { Say::This("552 5.3.4 message size exceeds fixed limit") } else { Say::Usual }
        };
        let server = SmtpServer::start(Manners::new(script).offering(&["PIPELINING", "SIZE 10240000"]));
        let (action, transport) = action("127.0.0.1", server.port(), patient());
        let mut outcomes = Vec::new();
        for (to, body) in [("a@ex.test", "hi"), ("b@ex.test", &"long\n".repeat(400)), ("c@ex.test", "hi")] {
            outcomes.push(action.deliver(&mail(&action, to, body)).await);
        }
        transport.close().await;
        assert_eq!(kinds(&outcomes), ["sent", "failed", "sent"], "{outcomes:?}");
        assert_eq!(server.seen().recipients().into_keys().collect::<Vec<_>>(), ["a@ex.test", "c@ex.test"]);
    }
}

/// What stands behind `SIZE=`.
fn size(sender: &str) -> usize {
    sender.split("SIZE=").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap()
}

/// A server whose answer at one place is `say`.
fn server_that(say: Say, at: impl Fn(Heard<'_>) -> bool + Send + Sync + 'static) -> SmtpServer {
    SmtpServer::start(Manners::new(move |_, heard| if at(heard) { say } else { Say::Usual }))
}

#[tokio::test]
async fn a_reply_in_two_packets_is_one_reply() {
    const ANSWER: &str = "250-2.0.0 taken\r\n250 2.0.0 queued as 4F2A";
    for cut in [1, 3, 4, 16, 17, 18, 21, ANSWER.len()] {
        let server = server_that(Say::Cut(ANSWER, cut), |heard| matches!(heard, Heard::Body(_)));
        let outcomes = deliver(&server, &["a@ex.test", "b@ex.test"]).await;
        let detail = "250 2.0.0 taken 2.0.0 queued as 4F2A".to_owned();
        assert_eq!(outcomes, vec![Outcome::Sent { detail }; 2], "cut at {cut}");
        assert_eq!(server.seen().connections, 1);
    }
}

fn long_reply(code: u16) -> &'static str {
    let lines = format!("{code}-2.0.0 one of very many lines\r\n").repeat(9_999);
    Box::leak(format!("{lines}{code} the end").into_boxed_str())
}

#[tokio::test]
async fn a_reply_of_ten_thousand_lines_is_heard_to_its_end_and_told_in_short() {
    let body = |heard: Heard<'_>| matches!(heard, Heard::Body(_));
    for (code, expected) in [(250, "sent"), (451, "retry"), (554, "failed")] {
        let server = server_that(Say::This(long_reply(code)), body);
        let outcomes = deliver(&server, &["a@ex.test", "b@ex.test"]).await;
        assert_eq!(kinds(&outcomes), [expected; 2], "{code}");
        let text = outcomes[0].text();
        assert!(text.contains(&format!("{code} 2.0.0 one of very many lines 2.0.0")), "{text}");
        assert!(text.chars().count() < 1_100, "the ledger keeps {} characters a row", text.chars().count());
        assert_eq!(server.seen().connections, 1);
    }
    let server = server_that(Say::This(long_reply(220)), |heard| matches!(heard, Heard::Connect));
    assert_eq!(kinds(&deliver(&server, &["a@ex.test"]).await), ["sent"]);
}

/// Somewhere it has to end.
#[tokio::test]
async fn a_reply_without_end_is_none() {
    let endless: &str = Box::leak("250-more\r\n".repeat(300_000).into_boxed_str());
    for (at_body, expected) in [(true, "uncertain"), (false, "retry")] {
        let server = server_that(Say::This(endless), move |heard| match heard {
            Heard::Body(_) => at_body,
            Heard::Rcpt(_) => !at_body,
            _ => false,
        });
        let outcomes = deliver(&server, &["a@ex.test"]).await;
        assert_eq!(kinds(&outcomes), [expected], "{outcomes:?}");
        assert!(outcomes[0].text().contains("does not speak SMTP"), "{outcomes:?}");
    }
}

/// Whether it is time for the answer.
type At = fn(Heard<'_>) -> bool;

#[tokio::test]
async fn a_reply_whose_code_changes_says_nothing() {
    for answer in ["250-2.0.0 taken\r\n550 5.7.1 or not", "550-5.7.1 no\r\n250 2.0.0 or yes"] {
        let cases: [(At, _); 4] = [
            (|heard| matches!(heard, Heard::Hello(_)), "unreachable"),
            (|heard| matches!(heard, Heard::Mail(_)), "retry"),
            (|heard| matches!(heard, Heard::Rcpt(_)), "retry"),
            (|heard| matches!(heard, Heard::Body(_)), "uncertain"),
        ];
        for (at, expected) in cases {
            let server = server_that(Say::This(answer), at);
            let outcomes = deliver(&server, &["a@ex.test"]).await;
            assert_eq!(kinds(&outcomes), [expected], "{answer}: {outcomes:?}");
        }
    }
}

/// What it says before it is asked would be taken for the answer to the next command, and that for the one to the next.
#[tokio::test]
async fn a_server_that_talks_before_it_is_asked_gets_no_mail() {
    for greeting in ["220 mx.test ESMTP\r\n250 hello, whoever you are", "220 mx.test ESMTP\r\nmore"] {
        let server = server_that(Say::This(greeting), |heard| matches!(heard, Heard::Connect));
        let outcomes = deliver(&server, &["a@ex.test"]).await;
        assert_eq!(kinds(&outcomes), ["unreachable"], "{outcomes:?}");
        assert!(outcomes[0].text().contains("before it was asked"), "{outcomes:?}");
        assert!(server.seen().commands.is_empty(), "{:?}", server.seen().commands);
    }
}

/// It would be connected to again and again, and no mail would ever have an outcome.
#[tokio::test]
async fn a_server_that_takes_its_welcome_back_gets_no_mail() {
    let server =
        server_that(Say::This("250 mx.test\r\n421 4.3.2 too busy"), |heard| matches!(heard, Heard::Hello(_)));
    let outcomes = deliver(&server, &["a@ex.test"]).await;
    assert_eq!(kinds(&outcomes), ["unreachable"], "{outcomes:?}");
    assert_eq!(server.seen().connections, 1);
}

/// An answer too many costs its connection: it is not taken for one about the next mail.
#[tokio::test]
async fn an_answer_too_many_is_not_taken_for_the_next_mails() {
    let server = server_that(Say::This("250 2.0.0 queued\r\n250 2.0.0 and again"), |heard| {
        matches!(heard, Heard::Body(_))
    });
    let outcomes = deliver(&server, &["a@ex.test", "b@ex.test", "c@ex.test"]).await;
    assert_eq!(kinds(&outcomes), ["sent"; 3], "{outcomes:?}");
    let seen = server.seen();
    assert_eq!((seen.mails.len(), seen.recipients().len(), seen.connections), (3, 3, 3));
}

#[tokio::test]
async fn nul_bytes_are_no_part_of_a_reason() {
    for (answer, expected) in [
        ("250 2.0.0 que\0ued", "sent"),
        ("554 5.7.1 \0\0spam\0", "failed"),
        ("250-\0\r\n250 \0", "sent"),
        ("2\x005\x000 2.0.0 queued", "uncertain"),
        ("\0\0\0\0", "uncertain"),
    ] {
        let server = server_that(Say::This(answer), |heard| matches!(heard, Heard::Body(_)));
        let outcomes = deliver(&server, &["a@ex.test"]).await;
        assert_eq!(kinds(&outcomes), [expected], "{answer:?}: {outcomes:?}");
        assert!(!outcomes[0].text().contains(char::is_control), "{outcomes:?}");
    }
    let server = SmtpServer::start(Manners::kind().offering(&["PIPE\0LINING", "SIZE\x001"]));
    assert_eq!(kinds(&deliver(&server, &["a@ex.test"]).await), ["sent"]);
    assert_eq!(server.seen().hasty, 0, "nothing was offered");
}

/// EHLO is refused in other ways than as unknown, and then HELO is welcome.
#[tokio::test]
async fn a_refused_ehlo_is_followed_by_helo() {
    for answer in ["500 what?", "501 5.5.4 no literals", "502 5.5.1 no", "550 5.7.1 go away"] {
        let script = move |_, heard: Heard<'_>| match heard {
            Heard::Hello(hello) if hello.starts_with("EHLO") => Say::This(answer),
            _ => Say::Usual,
        };
        let server = SmtpServer::start(Manners::new(script).offering(&["PIPELINING"]));
        assert_eq!(kinds(&deliver(&server, &["a@ex.test"]).await), ["sent"], "{answer}");
    }
    // Both are refused: the server does not want us.
    let server = server_that(Say::This("554 5.7.1 no"), |heard| matches!(heard, Heard::Hello(_)));
    assert_eq!(kinds(&deliver(&server, &["a@ex.test"]).await), ["halt"]);
}
