//! Bounces as the usual systems write them, and what they are read to.

use super::*;

macro_rules! letter {
    ($name:literal) => {
        include_bytes!(concat!("../../../../tests/fixtures/bounces/", $name, ".eml"))
    };
}

/// Addresses, class and reason of each failure.
#[track_caller]
fn failures(bytes: &[u8]) -> Vec<(String, Class, String)> {
    match read(bytes) {
        Letter::Bounce(failures) => failures
            .into_iter()
            .map(|failure| (failure.addresses.join(" "), failure.class, failure.reason))
            .collect(),
        Letter::Other(what) => panic!("{what}"),
    }
}

#[track_caller]
fn one(bytes: &[u8], address: &str, class: Class, reason: &str) {
    let found = failures(bytes);
    let [(addresses, of, said)] = &found[..] else { panic!("{found:?}") };
    assert_eq!((addresses.as_str(), *of), (address, class));
    assert!(said.starts_with(reason), "{said}");
}

#[track_caller]
fn other(bytes: &[u8], what: &str) {
    match read(bytes) {
        Letter::Other(said) => assert!(said.starts_with(what), "{said}"),
        Letter::Bounce(failures) => panic!("{failures:?}"),
    }
}

#[test]
fn reports_of_the_usual_systems_are_read() {
    one(
        letter!("postfix"),
        "user00001@example.com",
        Class::Hard,
        "550 5.1.1 <user00001@example.com>: Recipient address rejected",
    );
    // As the table has it first, then as the server wrote it.
    one(
        letter!("postfix-delayed"),
        "user00002@example.com User00002@Example.com",
        Class::Soft,
        "4.4.1 connect to mx.example.com",
    );
    one(letter!("exim"), "user00003@example.com", Class::Hard, "5.0.0 550 No such user here");
    one(
        letter!("exim-old"),
        "user00004@example.com",
        Class::Hard,
        "host mx.example.com [192.0.2.25]: 554 rejected",
    );
    one(
        letter!("office365"),
        "user00005@example.com user00005@example.onmicrosoft.com",
        Class::Hard,
        "550 5.1.10 RESOLVER.ADR",
    );
    one(letter!("gmail"), "user00006@example.com", Class::Hard, "550-5.1.1 The email account");
    one(
        letter!("qq"),
        "user00007@example.com",
        Class::Hard,
        "host mx.example.com[192.0.2.25] said: 550 Mailbox not found.",
    );
}

#[test]
fn a_report_may_be_of_several() {
    let found = failures(letter!("full-mailbox"));
    let expected = [
        ("user00009@example.com".to_owned(), Class::Hard, "552 5.2.2 mailbox full".to_owned()),
        ("user00010@example.com".to_owned(), Class::Soft, "4.4.7 451 timed out".to_owned()),
    ];
    assert_eq!(found, expected);
}

#[test]
fn what_is_no_bounce_is_told_as_what_it_is() {
    other(letter!("out-of-office"), "an automatic reply, from user00008@example.com: 自动回复");
    other(letter!("spam"), "no bounce, from win@spam.test: You won");
    other(letter!("success"), "a report of mails that did arrive");
    other(b"", "no mail");
    other(b"\0\xff\xfe\r\n\r\n\r\n", "no");
}

#[test]
fn a_bounce_that_was_passed_on_is_found() {
    let inner = letter!("postfix");
    let passed_on = [
        &b"From: a@b.test\r\nTo: c@d.test\r\nSubject: Fwd\r\nContent-Type: multipart/mixed; boundary=\"x\"\r\n\r\n--x\r\n\
           Content-Type: text/plain\r\n\r\nsee below\r\n--x\r\nContent-Type: message/rfc822\r\n\r\n"[..],
        inner,
        b"\r\n--x--\r\n",
    ];
    one(&passed_on.concat(), "user00001@example.com", Class::Hard, "550 5.1.1");
}

/// Wherever a mail ends, it is read to the same answer or to none, and never to a wrong one.
#[test]
fn a_mail_may_end_anywhere() {
    for whole in [
        &letter!("postfix")[..],
        letter!("exim"),
        letter!("office365"),
        letter!("gmail"),
        letter!("qq"),
        letter!("full-mailbox"),
    ] {
        let Letter::Bounce(expected) = read(whole) else { panic!() };
        for end in 0..whole.len() {
            let Letter::Bounce(found) = read(&whole[..end]) else { continue };
            let known = |failure: &Failure| {
                expected.iter().any(|all| failure.addresses.iter().all(|one| all.addresses.contains(one)))
            };
            assert!(found.iter().all(known), "{end}: {found:?}");
        }
    }
}

#[test]
fn eight_bits_and_odd_spellings_are_read() {
    let report = "From: mailer-daemon@a.test\nContent-Type: MULTIPART/REPORT; boundary=b\n\n--b\nContent-Type: Message/Delivery-Status\n\n\
                  reporting-mta: dns; a\n\nfinal-RECIPIENT:  RFC822 ;  <张三@例子.test>\nACTION: Failed (no)\nSTATUS: 5.1.1\n\
                  diagnostic-code: smtp; 550 没有这个人\n\n--b--\n";
    one(report.as_bytes(), "张三@例子.test", Class::Hard, "5.1.1 550 没有这个人");
    let mut latin = report.replace("没有这个人", "X").into_bytes();
    let at = latin.iter().position(|byte| *byte == b'X').unwrap();
    latin[at] = 0xe9;
    one(&latin, "张三@例子.test", Class::Hard, "5.1.1 550 \u{fffd}");
    // Neither a status nor a reply: not for good.
    let silent = report.replace("STATUS: 5.1.1\n", "").replace("smtp; 550 ", "x-local; ");
    one(silent.as_bytes(), "张三@例子.test", Class::Soft, "没有这个人");
}

#[test]
fn a_report_of_too_many_is_for_a_person() {
    let recipient =
        |at: usize| format!("\nFinal-Recipient: rfc822; u{at}@a.test\nAction: failed\nStatus: 5.1.1\n");
    let report = |count: usize| {
        let head = "From: a@b.test\nContent-Type: multipart/report; boundary=b\n\n--b\n\
                    Content-Type: message/delivery-status\n\nReporting-MTA: dns; a\n";
        head.to_owned() + &(0..count).map(recipient).collect::<String>() + "\n--b--\n"
    };
    assert_eq!(failures(report(100).as_bytes()).len(), 100);
    other(report(101).as_bytes(), "a report of more than 100 recipients, from a@b.test");
    other(report(20_000).as_bytes(), "a report of more than 100 recipients");
    let header = |count: usize| {
        let all: Vec<String> = (0..count).map(|at| format!("u{at}@a.test")).collect();
        let (named, said) = (all.join(","), all.join("\n"));
        format!("From: a@b.test\nX-Failed-Recipients: {named}\n\n550 no such user\n{said}\n")
    };
    assert_eq!(failures(header(100).as_bytes()).len(), 100);
    other(header(101).as_bytes(), "a report of more than 100 recipients");
}

#[test]
fn what_could_harm_a_terminal_is_no_address() {
    let report = |to: &str, last: &str| {
        format!(
            "From: mailer-daemon@a.test\nContent-Type: multipart/report; boundary=b\n\n--b\n\
             Content-Type: message/delivery-status\n\nReporting-MTA: dns; a\n\nOriginal-Recipient: rfc822; {to}\n\
             Final-Recipient: rfc822; {last}\nAction: failed\nStatus: 5.1.1\n\n--b\n\
             Content-Type: message/rfc822\n\nTo: {to}\n\nhello\n--b--\n"
        )
    };
    let of_length = |length: usize| "a".repeat(length - "@b.test".len()) + "@b.test";
    let longest = of_length(320);
    one(report(&longest, "a@b.test").as_bytes(), &format!("{longest} a@b.test"), Class::Hard, "5.1.1");
    for bad in ["\u{1b}[2J@b.test", "a\u{7f}@b.test", "a\u{9b}2J@b.test", "a\0@b.test", &of_length(321)] {
        one(report(bad, "a@b.test").as_bytes(), "a@b.test", Class::Hard, "5.1.1");
        other(report("a@b.test", bad).as_bytes(), "a report of mails that did arrive, or without an address");
    }
    let header = format!("From: a@b.test\nX-Failed-Recipients: {0}\n\n550 {0}\n", of_length(321));
    other(header.as_bytes(), "no bounce");
}
