//! `databases`: files and servers, by URL.

use std::path::{Path, PathBuf};

use super::daemon::absolute;
use super::decode::{Fields, Keys, Node};
use super::secret::secret;
use crate::settings::{DatabaseSettings, Secret, ServerSettings, SqliteSettings, TlsMode};
use crate::sql::Dialect;

/// Reads an entry of `databases`; relative paths start at `folder`.
pub(super) fn read(node: &Node<'_>, folder: &Path) -> Option<DatabaseSettings> {
    let keys = Keys::only(&["url", "create_with", "password", "tls", "tls_ca"]);
    let fields = node.object(&keys)?;
    let url = fields.get("url").filter(|url| url.is_string()).and_then(Node::string);
    let scheme = url.and_then(|url| url.split_once("://")).map_or("", |(scheme, _)| scheme);
    let Some((make, port)) = server_kind(scheme) else {
        foreign(&fields, &["password", "tls", "tls_ca"], "a database on a server");
        return file(&fields, folder).map(DatabaseSettings::Sqlite);
    };
    foreign(&fields, &["create_with"], "a SQLite file");
    server(&fields, folder, port).map(make)
}

/// How a database of these settings spells SQL.
pub(super) fn dialect(settings: &DatabaseSettings) -> Dialect {
    match settings {
        DatabaseSettings::Sqlite(_) => Dialect::Sqlite,
        DatabaseSettings::Postgres(_) => Dialect::Postgres,
        DatabaseSettings::MySql(_) => Dialect::MySql,
    }
}

type Kind = (fn(ServerSettings) -> DatabaseSettings, u16);

fn server_kind(scheme: &str) -> Option<Kind> {
    match scheme {
        "postgres" | "postgresql" => Some((DatabaseSettings::Postgres, 5432)),
        "mysql" | "mariadb" => Some((DatabaseSettings::MySql, 3306)),
        _ => None,
    }
}

/// Reports keys that belong to another kind of database.
pub(super) fn foreign(fields: &Fields<'_>, keys: &[&str], kind: &str) {
    for key in keys {
        if let Some(node) = fields.get(key) {
            node.error(format!("`{key}` belongs to {kind}"), "delete the key".to_owned());
        }
    }
}

fn file(fields: &Fields<'_>, folder: &Path) -> Option<SqliteSettings> {
    let create_with = fields.read("create_with", |node| {
        let path = absolute(folder, node.text()?);
        if !path.is_file() {
            node.error(format!("there is no file `{}`", node.text()?), None);
        }
        Some(path)
    });
    Some(SqliteSettings {
        path: fields.need("url", |node| sqlite_path(node, folder, "a database"))?,
        create_with,
    })
}

/// The file of `sqlite://PATH`.
pub(super) fn sqlite_path(node: &Node<'_>, folder: &Path, what: &str) -> Option<PathBuf> {
    let url = node.text()?;
    let example =
        || Some("write `sqlite://var/name.db` (relative to this file) or `sqlite:///srv/name.db`".to_owned());
    let Some((scheme, rest)) = url.split_once("://") else {
        node.error(format!("`{url}` is not the URL of {what}"), example());
        return None;
    };
    match scheme {
        "sqlite" if rest.is_empty() || rest.starts_with(':') || rest.ends_with('/') => {
            node.error(format!("`{url}` names no file"), example());
            None
        }
        "sqlite" if rest.contains('?') => {
            node.error(format!("`{url}` has options; SQLite is set up by Gulou itself"), example());
            None
        }
        "sqlite" => Some(absolute(folder, rest)),
        _ if server_kind(scheme).is_some() => {
            node.error(format!("`{scheme}://` is not supported by this version for {what}"), example());
            None
        }
        _ => {
            node.error(format!("`{scheme}://` is not a kind of database that Gulou knows"), example());
            None
        }
    }
}

fn server(fields: &Fields<'_>, folder: &Path, default_port: u16) -> Option<ServerSettings> {
    let node = fields.get("url")?;
    login(fields, node.text()?, folder, default_port)
}

/// The server that `url`, the text of `fields`' own, and the keys beside it name.
pub(super) fn login(
    fields: &Fields<'_>,
    url: &str,
    folder: &Path,
    default_port: u16,
) -> Option<ServerSettings> {
    let node = fields.get("url")?;
    let (scheme, _) = url.split_once("://")?;
    let place = match place(url, default_port) {
        Ok(place) => place,
        Err(problem) => {
            node.error(problem, format!("write `{scheme}://user@host:{default_port}/database`"));
            return None;
        }
    };
    let password = match (fields.get("password"), place.password) {
        (None, None) => None,
        (None, Some(password)) => {
            let help = "write it beside the URL, as `\"password\": { \"env\": \"NAME\" }`".to_owned();
            node.warning("the password stands in the URL, where all who can read this file see it", help);
            Some(Secret::new(password))
        }
        (Some(node), None) => Some(secret(node, folder)?),
        (Some(node), Some(_)) => {
            node.error("the URL has a password too", "delete the one in the URL".to_owned());
            None
        }
    };
    let is_local = is_local(&place.host);
    let tls = tls(fields, folder, is_local)?;
    let Place { host, port, user, database, .. } = place;
    Some(ServerSettings { host, port, user, password, database, tls })
}

fn tls(fields: &Fields<'_>, folder: &Path, is_local: bool) -> Option<TlsMode> {
    let ca = fields.read("tls_ca", |node| certificates(node, folder));
    let word = match fields.get("tls") {
        Some(node) => node.word(&["off", "verify", "unverified"])?,
        None if is_local && ca.is_none() => "off",
        None => "verify",
    };
    if let Some(node) = fields.get("tls_ca").filter(|_| word != "verify") {
        let help = "write `\"tls\": \"verify\"`, or delete this".to_owned();
        node.error(format!("with `tls` \"{word}\" no certificate is looked at"), help);
    }
    Some(match word {
        "off" => TlsMode::Off,
        "verify" => TlsMode::Verify { ca },
        _ => TlsMode::Unverified,
    })
}

/// `tls_ca`: a file of certificates.
pub(super) fn certificates(node: &Node<'_>, folder: &Path) -> Option<PathBuf> {
    let path = absolute(folder, node.text()?);
    if !path.is_file() {
        node.error(format!("there is no file `{}`", node.text()?), None);
    }
    Some(path)
}

/// What a server's URL says.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    user: String,
    password: Option<String>,
    host: String,
    port: u16,
    database: String,
}

/// Takes `scheme://user:password@host:port/database` apart.
fn place(url: &str, default_port: u16) -> Result<Place, String> {
    let (_, rest) = url.split_once("://").unwrap_or_default();
    // A password may have slashes and marks in it that should have been encoded; the last `@` ends it.
    let (login, rest) = rest.rsplit_once('@').ok_or("the URL names no user")?;
    let (server, database) = rest.split_once('/').unwrap_or((rest, ""));
    if let Some((_, options)) = database.split_once('?') {
        return Err(format!("the URL has options (`{options}`); keys beside the URL say such things"));
    }
    let (user, password) = match login.split_once(':') {
        Some((user, password)) => (user, Some(percent_decode(password)?)),
        None => (login, None),
    };
    // An IPv6 address stands in brackets, because it has colons of its own.
    let (host, port) = match server.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, "")) => (host, None),
        Some((host, port)) => (host, Some(port.strip_prefix(':').unwrap_or(port))),
        None => server.split_once(':').map_or((server, None), |(host, port)| (host, Some(port))),
    };
    let port = match port {
        None => default_port,
        Some(port) => {
            port.parse().ok().filter(|port| *port > 0).ok_or_else(|| format!("`{port}` is not a port"))?
        }
    };
    let [user, host, database] =
        [(user, "user"), (host, "host"), (database, "database")].map(|(part, what)| {
            match percent_decode(part) {
                Ok(decoded) if decoded.is_empty() => Err(format!("the URL names no {what}")),
                other => other,
            }
        });
    Ok(Place { user: user?, password, host: host?, port, database: database? })
}

/// A server on this machine itself: what is said to it passes no wire.
pub(super) fn is_local(host: &str) -> bool {
    host == "localhost"
        || host.starts_with('/')
        || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

pub(super) fn percent_decode(text: &str) -> Result<String, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let byte = tail.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        let byte = byte.filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
        let byte = byte.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(byte.ok_or("a `%` in the URL stands before two digits, as in `%40` for `@`")?);
        rest = &tail[2..];
    }
    String::from_utf8(bytes).map_err(|_| "what is encoded in the URL is not UTF-8".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        let read = |url: &str| {
            let Place { user, password, host, port, database } = place(url, 1)?;
            Ok::<_, String>(format!("{user} {password:?} {host} {port} {database}"))
        };
        assert_eq!(read("x://u@h/d").unwrap(), "u None h 1 d");
        assert_eq!(
            read("x://u:p%40%3a:/@h.example:5433/d%20x").unwrap(),
            "u Some(\"p@::/\") h.example 5433 d x"
        );
        assert_eq!(read("x://u@[::1]:7/d").unwrap(), "u None ::1 7 d");
        assert_eq!(read("x://u@%2Frun%2Fpostgresql/d").unwrap(), "u None /run/postgresql 1 d");
        assert_eq!(read("x://%E9%BC%93@[fe80::1]/%E6%A5%BC").unwrap(), "鼓 None fe80::1 1 楼");
        for (url, problem) in [
            ("x://h/d", "no user"),
            ("x://@h/d", "no user"),
            ("x://u@/d", "no host"),
            ("x://u@h", "no database"),
            ("x://u@h/", "no database"),
            ("x://u@h:0/d", "`0` is not a port"),
            ("x://u@h:p/d", "`p` is not a port"),
            ("x://u@[::1]7x/d", "`7x` is not a port"),
            ("x://u@h/d?sslmode=require", "options (`sslmode=require`)"),
            ("x://u%4@h/d", "two digits"),
            ("x://u%+1@h/d", "two digits"),
            ("x://u%FF@h/d", "UTF-8"),
        ] {
            let found = read(url).unwrap_err();
            assert!(found.contains(problem), "{url}: {found}");
        }
    }

    #[test]
    fn this_machine_is_known() {
        for host in ["localhost", "127.0.0.1", "127.8.9.1", "::1", "/run/postgresql"] {
            assert!(is_local(host), "{host}");
        }
        for host in ["localhost.example", "10.0.0.1", "::2", "db"] {
            assert!(!is_local(host), "{host}");
        }
    }
}
