//! Logins at mail servers: each way, right and wrong, and that nothing of them shows.

use gulou::action::mail::MailAction;
use gulou::settings::{LoginProof, PasswordMethod, Secret, SmtpLogin, SmtpSecurity, TlsMode};

use crate::support::certificate::Identity;
use crate::support::letters::{action_by, deliver_by, kind, mail, patient, smtp};
use crate::support::smtp_server::{Begins, Heard, Manners, Say, SmtpServer};

fn password() -> LoginProof {
    LoginProof::Password(Secret::new("s3cr\u{e9}t".to_owned()))
}

fn token(text: &str) -> LoginProof {
    LoginProof::Token(Secret::new(text.to_owned()))
}

fn login(proof: LoginProof, method: Option<PasswordMethod>) -> SmtpLogin {
    SmtpLogin { user: "me@ex.test".to_owned(), proof, method }
}

/// A server that lets in whoever brings `right`, with `offer`, behind STARTTLS.
fn guarded(right: &'static str, refusal: &'static str, offer: &'static str) -> (SmtpServer, Identity) {
    let identity = Identity::of(&["127.0.0.1"]);
    let script = move |_, heard: Heard<'_>| match heard {
        Heard::Auth(said) if said != right => Say::This(refusal),
        _ => Say::Usual,
    };
    let manners = Manners::new(script).encrypting(&identity, Begins::AfterStartTls).with(offer);
    (SmtpServer::start(manners), identity)
}

fn safe(identity: &Identity) -> SmtpSecurity {
    SmtpSecurity::StartTls(TlsMode::Verify { ca: Some(identity.ca()) })
}

const WRONG: &str = "535 5.7.8 wrong";

#[tokio::test]
async fn each_way_to_log_in() {
    use PasswordMethod::{Login, Plain};
    for (offer, proof, method, heard) in [
        ("AUTH LOGIN PLAIN", password(), None, "PLAIN me@ex.test s3cr\u{e9}t"),
        ("AUTH LOGIN PLAIN", password(), Some(Login), "LOGIN me@ex.test s3cr\u{e9}t"),
        ("AUTH=LOGIN", password(), None, "LOGIN me@ex.test s3cr\u{e9}t"),
        ("auth plain xoauth2", password(), Some(Plain), "PLAIN me@ex.test s3cr\u{e9}t"),
        ("AUTH PLAIN XOAUTH2", token("ya29.t"), None, "XOAUTH2 me@ex.test ya29.t"),
    ] {
        let (server, identity) = guarded(heard, WRONG, offer);
        let route = smtp("127.0.0.1", server.port(), safe(&identity), Some(login(proof, method)));
        let outcome = deliver_by(route).await;
        assert_eq!(kind(&outcome), "sent", "{offer}: {outcome:?}");
        let seen = server.seen();
        assert_eq!(seen.logins, [heard]);
        assert!(!seen.in_the_clear.iter().any(|command| command.starts_with("AUTH")), "{seen:?}");
    }
}

#[tokio::test]
async fn a_refused_login_halts_and_a_busy_server_does_not() {
    for (refusal, expected) in [
        ("535 5.7.8 wrong", "halt"),
        ("534 5.7.9 too weak", "halt"),
        ("530 5.7.0 first something else", "halt"),
        ("538 5.7.11 encryption required", "halt"),
        ("454 4.7.0 later", "unreachable"),
        ("421 4.3.2 closing", "unreachable"),
    ] {
        for (offer, proof) in
            [("AUTH PLAIN", password()), ("AUTH LOGIN", password()), ("AUTH XOAUTH2", token("t"))]
        {
            let (server, identity) = guarded("nobody", refusal, offer);
            let route = smtp("127.0.0.1", server.port(), safe(&identity), Some(login(proof, None)));
            let outcome = deliver_by(route).await;
            assert_eq!(kind(&outcome), expected, "{offer} {refusal}: {outcome:?}");
            assert!(outcome.text().contains(&refusal[..3]), "{outcome:?}");
            assert!(!outcome.text().contains("s3cr"), "{outcome:?}");
            assert!(server.seen().mails.is_empty());
        }
    }
}

#[tokio::test]
async fn what_the_server_does_not_offer_is_not_tried() {
    for (offer, proof, reason) in [
        ("AUTH CRAM-MD5", password(), "does not offer AUTH PLAIN; it offers CRAM-MD5"),
        ("AUTH PLAIN", token("t"), "does not offer AUTH XOAUTH2; it offers PLAIN"),
        ("HELP", password(), "it offers no way to log in"),
    ] {
        let (server, identity) = guarded("nobody", WRONG, offer);
        let route = smtp("127.0.0.1", server.port(), safe(&identity), Some(login(proof, None)));
        let outcome = deliver_by(route).await;
        assert_eq!(kind(&outcome), "halt", "{outcome:?}");
        assert!(outcome.text().contains(reason), "{outcome:?}");
        assert!(server.seen().logins.is_empty());
    }
}

#[tokio::test]
async fn a_refused_token_is_told_with_its_status() {
    // {"status":"401","schemes":"bearer","scope":"https://mail.google.com/"}
    const CHALLENGE: &str = "334 eyJzdGF0dXMiOiI0MDEiLCJzY2hlbWVzIjoiYmVhcmVyIiwic2NvcGUiOiJodHRwczovL21haWwuZ29vZ2xlLmNvbS8ifQ==";
    let (server, identity) = guarded("nobody", CHALLENGE, "AUTH XOAUTH2");
    let route = smtp("127.0.0.1", server.port(), safe(&identity), Some(login(token("ya29.t"), None)));
    let outcome = deliver_by(route).await;
    assert_eq!(kind(&outcome), "halt", "{outcome:?}");
    assert!(
        outcome.text().contains("`me@ex.test`: 535 5.7.8 the token does not count (status 401)"),
        "{outcome:?}"
    );
    assert_eq!(server.seen().logins.len(), 1, "a token that was given is tried once");
}

#[tokio::test]
async fn a_token_that_has_expired_is_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let script = format!("echo x >>{0}/runs; echo token-$(($(wc -l <{0}/runs)))", folder.path().display());
    let command = LoginProof::TokenCommand(["sh", "-c", &script].map(str::to_owned).to_vec());
    let identity = Identity::of(&["127.0.0.1"]);
    let expired = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let now = expired.clone();
    let server = SmtpServer::start(
        Manners::new(move |_, heard| match heard {
            Heard::Auth(said)
                if said.ends_with("token-1") && now.load(std::sync::atomic::Ordering::Relaxed) =>
            {
                Say::This("334 e30=")
            }
            _ => Say::Usual,
        })
        .encrypting(&identity, Begins::AtOnce)
        .with("AUTH XOAUTH2"),
    );
    let security = SmtpSecurity::Implicit(TlsMode::Verify { ca: Some(identity.ca()) });
    let (action, _) =
        action_by(smtp("127.0.0.1", server.port(), security, Some(login(command, None))), patient());
    let deliver = async |action: &MailAction, who: &str| {
        let outcome = action.deliver(&mail(action, who, "hi")).await;
        assert_eq!(kind(&outcome), "sent", "{outcome:?}");
        server.hang_up();
    };
    deliver(&action, "a@ex.test").await;
    deliver(&action, "b@ex.test").await;
    expired.store(true, std::sync::atomic::Ordering::Relaxed);
    deliver(&action, "c@ex.test").await;
    deliver(&action, "d@ex.test").await;
    let tokens = ["token-1", "token-1", "token-1", "token-2", "token-2"];
    assert_eq!(server.seen().logins, tokens.map(|token| format!("XOAUTH2 me@ex.test {token}")));
    assert_eq!(std::fs::read_to_string(folder.path().join("runs")).unwrap(), "x\nx\n");
}

#[tokio::test]
async fn a_token_that_cannot_be_had_is_waited_for() {
    let command =
        LoginProof::TokenCommand(["sh", "-c", "echo no network >&2; exit 1"].map(str::to_owned).to_vec());
    let (server, identity) = guarded("nobody", WRONG, "AUTH XOAUTH2");
    let outcome =
        deliver_by(smtp("127.0.0.1", server.port(), safe(&identity), Some(login(command, None)))).await;
    assert_eq!(kind(&outcome), "unreachable", "{outcome:?}");
    assert!(
        outcome.text().contains("could not get a token from `sh`: exit status: 1: no network"),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn a_login_in_the_clear_has_to_be_asked_for() {
    let server = SmtpServer::start(Manners::kind().with("AUTH PLAIN"));
    let route = |security| smtp("127.0.0.1", server.port(), security, Some(login(password(), None)));
    let refused = deliver_by(route(SmtpSecurity::Opportunistic)).await;
    assert_eq!(kind(&refused), "halt", "{refused:?}");
    assert!(server.seen().logins.is_empty());
    assert_eq!(kind(&deliver_by(route(SmtpSecurity::Plain)).await), "sent");
    assert_eq!(server.seen().logins.len(), 1);
}

#[test]
fn debug_shows_no_secret() {
    let route = smtp("h", 25, SmtpSecurity::Plain, Some(login(password(), None)));
    let (action, transport) = action_by(route.clone(), patient());
    let shown = format!("{route:?} {action:?} {transport:?}");
    assert!(shown.contains("me@ex.test") && !shown.contains("s3cr"), "{shown}");
}
