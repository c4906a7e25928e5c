//! `mail` of the daemon config: ways out for mail, by URL.

use std::num::NonZeroUsize;
use std::path::Path;

use super::command;
use super::daemon::absolute;
use super::database::{certificates, foreign, is_local, percent_decode};
use super::decode::{Fields, Keys, Node};
use super::secret::secret;
use super::units::mailbox;
use super::{dkim, per_domain};
use crate::settings::{
    LoginProof, MailRoute, MailTransportSettings, PasswordMethod, Secret, SmtpLogin, SmtpSecurity,
    SmtpServerSettings, SmtpSettings, TlsMode,
};

const KEYS: Keys = Keys {
    known: &[
        "url",
        "from",
        "user",
        "password",
        "token",
        "token_command",
        "auth",
        "tls",
        "tls_ca",
        "connections",
        "fallback",
        "per_domain",
        "dkim",
    ],
    ignored: &[],
    later: &["timeout"],
};

const FALLBACK_KEYS: Keys = Keys::only(&[
    "url",
    "user",
    "password",
    "token",
    "token_command",
    "auth",
    "tls",
    "tls_ca",
    "connections",
]);

/// The keys that say how a server is talked to: all of its own but the URL.
const SERVER_KEYS: &[&str] = FALLBACK_KEYS.known.split_at(1).1;

/// Where a login may be sent before encryption begins at this port (RFC 6409).
const SUBMISSION: u16 = 587;
/// Where encryption begins with the first byte (RFC 8314).
const SUBMISSIONS: u16 = 465;

/// Reads an entry of `mail`; relative paths start at `folder`.
pub(super) fn read(node: &Node<'_>, folder: &Path) -> Option<MailTransportSettings> {
    let fields = node.object(&KEYS)?;
    let from = fields.need("from", mailbox);
    let dkim = fields.read("dkim", |node| dkim::read(node, from.as_deref(), folder));
    let route = fields.need("url", |node| route(node, &fields, folder));
    Some(MailTransportSettings { route: route?, from: from?, dkim })
}

fn route(node: &Node<'_>, fields: &Fields<'_>, folder: &Path) -> Option<MailRoute> {
    let url = node.text()?;
    let Some(path) = url.strip_prefix("maildir:") else {
        let server = server(fields, folder);
        let fallback = fields.read("fallback", |node| fallback(node, server.as_ref(), folder));
        let per_domain = fields.read("per_domain", per_domain::read);
        return Some(MailRoute::Smtp(Box::new(SmtpSettings { server: server?, fallback, per_domain })));
    };
    foreign(fields, SERVER_KEYS, "a mail server");
    foreign(fields, &["fallback", "per_domain"], "a mail server");
    if path.is_empty() || path.starts_with("//") {
        node.error(format!("`{url}` names no folder"), "write `maildir:var/outbox`".to_owned());
        return None;
    }
    Some(MailRoute::Maildir(absolute(folder, path)))
}

/// The server that stands in for `main`.
fn fallback(node: &Node<'_>, main: Option<&SmtpServerSettings>, folder: &Path) -> Option<SmtpServerSettings> {
    let fields = node.object(&FALLBACK_KEYS)?;
    let url = fields.need("url", |node| Some(node.clone()))?;
    if url.is_string() && url.text()?.starts_with("maildir:") {
        let help = "name another server: `smtp://relay.example.com:587`".to_owned();
        url.error("a folder cannot stand in for a mail server: nothing would send what lies in it", help);
        return None;
    }
    let server = server(&fields, folder)?;
    if main.is_some_and(|main| main.host.eq_ignore_ascii_case(&server.host) && main.port == server.port) {
        let help = "name another server, or delete `fallback`".to_owned();
        url.error("the fallback is the server itself: when one is not there, neither is the other", help);
    }
    Some(server)
}

/// The server that the `url` of `fields` and the keys beside it name.
fn server(fields: &Fields<'_>, folder: &Path) -> Option<SmtpServerSettings> {
    let node = fields.get("url")?;
    let url = node.text()?;
    let (implicit, rest) = match url.split_once("://") {
        Some(("smtp", rest)) => (false, rest),
        Some(("smtps", rest)) => (true, rest),
        scheme => {
            let message = match scheme {
                Some((scheme @ ("submission" | "submissions"), _)) => {
                    format!("`{scheme}://` is written another way here")
                }
                _ => format!("`{url}` is not the URL of a way out for mail"),
            };
            let examples = "write `maildir:var/outbox`, `smtps://mail.example.com`, `smtp://mail.example.com:587` or \
                            `smtp://localhost:25`";
            node.error(message, examples.to_owned());
            return None;
        }
    };
    let place = match place(rest, if implicit { SUBMISSIONS } else { 25 }) {
        Ok(place) => place,
        Err(problem) => {
            node.error(problem, "write `smtp://host:port`, for example `smtp://localhost:25`".to_owned());
            return None;
        }
    };
    match (implicit, place.port) {
        (false, SUBMISSIONS) => {
            let help = "write `smtps://`, unless this server is an exception".to_owned();
            node.warning("at port 465 servers expect TLS from the first byte on", help);
        }
        (true, SUBMISSION | 25) => {
            let help =
                "write `smtp://` with `\"tls\": \"starttls\"`, unless this server is an exception".to_owned();
            node.warning(format!("at port {} servers expect TLS after STARTTLS", place.port), help);
        }
        _ => {}
    }
    let Place { host, port, login: in_url } = place;
    let login = login(fields, folder, in_url);
    let has_login = !matches!(login, Ok(None));
    let security = security(fields, folder, implicit, &host, port, has_login)?;
    let login = login.ok()?;
    if security == SmtpSecurity::Plain && login.is_some() && !is_local(&host) {
        let help = "write `\"tls\": \"starttls\"`, or `smtps://` in the URL".to_owned();
        node.warning(
            format!("the login goes to {host} in the clear: with `tls` \"off\" anybody on the way reads it"),
            help,
        );
    }
    let connections = fields.read("connections", |node| node.integer(1..=1000));
    let connections = connections.and_then(|most| NonZeroUsize::new(usize::try_from(most).ok()?));
    Some(SmtpServerSettings { host, port, security, login, connections })
}

/// How a connection is kept from others, as `tls` says or as the place makes sensible.
fn security(
    fields: &Fields<'_>,
    folder: &Path,
    implicit: bool,
    host: &str,
    port: u16,
    has_login: bool,
) -> Option<SmtpSecurity> {
    let ca = fields.read("tls_ca", |node| certificates(node, folder));
    let Some(node) = fields.get("tls") else {
        let verify = TlsMode::Verify { ca: ca.clone() };
        return Some(if implicit {
            SmtpSecurity::Implicit(verify)
        } else if ca.is_some() {
            SmtpSecurity::StartTls(verify)
        } else if is_local(host) {
            SmtpSecurity::Plain
        } else if has_login || port == SUBMISSION {
            SmtpSecurity::StartTls(verify)
        } else {
            SmtpSecurity::Opportunistic
        });
    };
    let word = node.word(&["starttls", "verify", "unverified", "opportunistic", "off"])?;
    if implicit && matches!(word, "starttls" | "opportunistic" | "off") {
        let help = "write `smtp://`, or delete this".to_owned();
        node.error(format!("`smtps://` is encrypted from the first byte on, not \"{word}\""), help);
        return None;
    }
    if word == "opportunistic" && has_login {
        let help = "write `\"tls\": \"starttls\"`".to_owned();
        node.error("a login is not sent to a server that may do without encryption", help);
        return None;
    }
    if let Some(node) = fields.get("tls_ca").filter(|_| !matches!(word, "starttls" | "verify")) {
        let right = if implicit { "verify" } else { "starttls" };
        let help = format!("write `\"tls\": \"{right}\"`, or delete this");
        node.error(format!("with `tls` \"{word}\" no certificate is looked at"), help);
    }
    let encrypted = |mode| if implicit { SmtpSecurity::Implicit(mode) } else { SmtpSecurity::StartTls(mode) };
    Some(match word {
        "off" => SmtpSecurity::Plain,
        "opportunistic" => SmtpSecurity::Opportunistic,
        "unverified" => encrypted(TlsMode::Unverified),
        _ => encrypted(TlsMode::Verify { ca }),
    })
}

/// A login was meant, and what is wrong with it was reported.
struct WrongLogin;

/// User and password of a URL, decoded.
type LoginInUrl = (String, Option<String>);

fn login(
    fields: &Fields<'_>,
    folder: &Path,
    in_url: Option<LoginInUrl>,
) -> Result<Option<SmtpLogin>, WrongLogin> {
    let refuse = |key: &str, message: &str, help: &str| {
        fields.get(key).unwrap_or(fields.node()).error(message, help.to_owned());
        Err(WrongLogin)
    };
    let (user_in_url, password_in_url) = in_url.unzip();
    let user = match (fields.get("user"), user_in_url) {
        (Some(_), Some(_)) => return refuse("user", "the URL names a user too", "delete the one in the URL"),
        (Some(node), None) => Some(node.text().ok_or(WrongLogin)?.to_owned()),
        (None, user) => user,
    };
    let proof = proof(fields, folder, password_in_url.flatten())?;
    let auth = match fields.get("auth") {
        Some(node) => Some(node.word(&["plain", "login", "xoauth2"]).ok_or(WrongLogin)?),
        None => None,
    };
    let (user, proof) = match (user, proof) {
        (Some(user), Some(proof)) => (user, proof),
        (Some(_), None) => {
            let key = if fields.get("user").is_some() { "user" } else { "url" };
            return refuse(key, "the user has no password", "add `\"password\": { \"env\": \"NAME\" }`");
        }
        (None, Some(_)) => {
            let key =
                ["password", "token", "token_command"].into_iter().find(|key| fields.get(key).is_some());
            return refuse(key.unwrap_or("url"), "this does not say who logs in", "add `user`");
        }
        (None, None) if auth.is_some() => {
            return refuse("auth", "nobody logs in", "add `user` and `password`, or delete this");
        }
        (None, None) => return Ok(None),
    };
    if user.contains(char::is_control) {
        return refuse("user", "a user has no control characters", "delete them");
    }
    let is_password = matches!(proof, LoginProof::Password(_));
    let method = match auth {
        Some("xoauth2") if is_password => {
            return refuse(
                "auth",
                "`xoauth2` needs a token",
                "write `token` or `token_command` for `password`",
            );
        }
        Some("plain" | "login") if !is_password => {
            return refuse(
                "auth",
                "a token is told by `xoauth2` alone",
                "delete this, or write `password` for the token",
            );
        }
        Some("plain") => Some(PasswordMethod::Plain),
        Some("login") => Some(PasswordMethod::Login),
        _ => None,
    };
    Ok(Some(SmtpLogin { user, proof, method }))
}

/// What shows that the login is ours; one thing at most.
fn proof(
    fields: &Fields<'_>,
    folder: &Path,
    in_url: Option<String>,
) -> Result<Option<LoginProof>, WrongLogin> {
    let given: Vec<&Node<'_>> =
        ["password", "token", "token_command"].iter().filter_map(|key| fields.get(key)).collect();
    if let [_, second, ..] = given.as_slice() {
        second.error(
            "a login takes one of `password`, `token` and `token_command`",
            "delete the others".to_owned(),
        );
        return Err(WrongLogin);
    }
    if let (Some(node), true) = (given.first(), in_url.is_some()) {
        node.error("the URL has a password too", "delete the one in the URL".to_owned());
        return Err(WrongLogin);
    }
    if let Some(password) = in_url {
        let help = "write it beside the URL, as `\"password\": { \"env\": \"NAME\" }`".to_owned();
        let node = fields.get("url").unwrap_or(fields.node());
        node.warning("the password stands in the URL, where all who can read this file see it", help);
        return Ok(Some(LoginProof::Password(Secret::new(password))));
    }
    let read = |key, make: fn(Secret) -> LoginProof| {
        fields.get(key).map(|node| secret(node, folder).map(make).ok_or(WrongLogin)).transpose()
    };
    if let Some(proof) = read("password", LoginProof::Password)? {
        return Ok(Some(proof));
    }
    if let Some(proof) = read("token", LoginProof::Token)? {
        return Ok(Some(proof));
    }
    let command = fields.get("token_command").map(|node| command::argv(node, folder).ok_or(WrongLogin));
    Ok(command.transpose()?.map(LoginProof::TokenCommand))
}

/// What a server's URL says.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    host: String,
    port: u16,
    login: Option<LoginInUrl>,
}

/// Takes `user:password@host:port` apart.
fn place(rest: &str, default_port: u16) -> Result<Place, String> {
    // A password may have slashes and marks in it that should have been encoded; the last `@` ends it.
    let (login, server) = rest.rsplit_once('@').map_or((None, rest), |(login, server)| (Some(login), server));
    let server = server.strip_suffix('/').unwrap_or(server);
    if server.contains(['/', '?', '#']) {
        return Err(format!("`{server}` is more than a host and a port"));
    }
    // An IPv6 address stands in brackets, because it has colons of its own.
    let (host, port) = match server.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, "")) => (host, None),
        Some((host, port)) => (host, Some(port.strip_prefix(':').unwrap_or(port))),
        None => server.split_once(':').map_or((server, None), |(host, port)| (host, Some(port))),
    };
    if host.is_empty() || host.contains(char::is_whitespace) {
        return Err("the host is missing".to_owned());
    }
    let port = match port {
        None => default_port,
        Some(port) => {
            port.parse().ok().filter(|port| *port > 0).ok_or_else(|| format!("`{port}` is not a port"))?
        }
    };
    let login = login.map(|login| {
        let (user, password) = login.split_once(':').map_or((login, None), |(user, word)| (user, Some(word)));
        let user = percent_decode(user)?;
        if user.is_empty() {
            return Err("the URL names no user before the `@`".to_owned());
        }
        Ok((user, password.map(percent_decode).transpose()?))
    });
    Ok(Place { host: host.to_owned(), port, login: login.transpose()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        let read = |rest: &str| {
            let Place { host, port, login } = place(rest, 25)?;
            Ok::<_, String>(format!("{host} {port} {login:?}"))
        };
        assert_eq!(read("mail.example").unwrap(), "mail.example 25 None");
        assert_eq!(read("[::1]:26/").unwrap(), "::1 26 None");
        assert_eq!(read("me@h").unwrap(), "h 25 Some((\"me\", None))");
        assert_eq!(
            read("me%40example.com:p/%3a@h:587").unwrap(),
            "h 587 Some((\"me@example.com\", Some(\"p/:\")))"
        );
        assert_eq!(read("me@example.com:p@h").unwrap(), "h 25 Some((\"me@example.com\", Some(\"p\")))");
        for (rest, problem) in [
            ("", "the host is missing"),
            ("a b", "the host is missing"),
            ("h:0", "`0` is not a port"),
            ("h:x", "`x` is not a port"),
            ("h/x", "more than a host and a port"),
            ("h?x=1", "more than a host and a port"),
            ("@h", "no user before the `@`"),
            ("u%4@h", "two digits"),
        ] {
            let found = read(rest).unwrap_err();
            assert!(found.contains(problem), "{rest}: {found}");
        }
    }
}
