//! Where the state is, and the daemon on it.

use std::path::{Path, PathBuf};

use super::database;
use super::decode::{Fields, Keys, Node};
use super::findings::Findings;
use super::load::{Invalid, read_daemon};
use crate::settings::StateSettings;

/// What those need who only want to reach the daemon, or read what it wrote.
#[derive(Clone, Debug, PartialEq)]
pub struct StatePlace {
    /// The state.
    pub state: StateSettings,
    /// The daemon's socket.
    pub socket: PathBuf,
}

/// The state and the socket that the daemon config at `path` names. Function folders are not looked at, and errors in
/// other keys do not matter: a daemon that is running can be asked while its files are being edited.
///
/// Fails when the file cannot be read as JSON, or when its `state` or its `socket` is wrong.
pub fn state_place(path: &Path) -> Result<StatePlace, Invalid> {
    let findings = Findings::default();
    let daemon = read_daemon(path, &findings);
    let (mut errors, _) = findings.into_sorted();
    // What a file as a whole has wrong has no path.
    errors.retain(|error| matches!(error.path.split('.').next(), Some("" | "state" | "socket")));
    match daemon {
        Some(daemon) if errors.is_empty() => Ok(StatePlace { socket: daemon.socket(), state: daemon.state }),
        _ => Err(Invalid { errors, warnings: Vec::new() }),
    }
}

/// What those need who write new function folders.
#[derive(Clone, Debug, PartialEq)]
pub struct TriggersPlace {
    /// The folder of the function folders.
    pub triggers: PathBuf,
    /// The names of the databases, in the order of the file.
    pub databases: Vec<String>,
    /// The names of the mail transports, in the order of the file.
    pub mail: Vec<String>,
}

/// Where function folders are, by the daemon config at `path`; errors in other keys do not matter.
pub fn triggers_place(path: &Path) -> Result<TriggersPlace, Invalid> {
    let findings = Findings::default();
    let daemon = read_daemon(path, &findings);
    let (mut errors, _) = findings.into_sorted();
    errors.retain(|error| matches!(error.path.as_str(), "" | "triggers"));
    match daemon {
        Some(daemon) if errors.is_empty() => Ok(TriggersPlace {
            databases: daemon.database_names.unwrap_or_default(),
            mail: daemon.mail_names.unwrap_or_default(),
            triggers: daemon.triggers,
        }),
        _ => Err(Invalid { errors, warnings: Vec::new() }),
    }
}

/// Reads `state`: a URL, or an object with what belongs to one; relative paths start at `folder`.
pub(super) fn read(node: &Node<'_>, folder: &Path) -> Option<StateSettings> {
    const KEYS: [&str; 4] = ["url", "password", "tls", "tls_ca"];
    let fields = if node.is_object() { node.object(&Keys::only(&KEYS))? } else { Fields::just("url", node) };
    let url = fields.need("url", |node| Some(node.clone()))?;
    let text = url.text()?;
    if !(text.starts_with("postgres://") || text.starts_with("postgresql://")) {
        database::foreign(&fields, &KEYS[1..], "a database on a server");
        return database::sqlite_path(&url, folder, "the state").map(StateSettings::Sqlite);
    }
    let (address, option) = text.split_once('?').unwrap_or((text, "schema=gulou"));
    let schema = option.strip_prefix("schema=").and_then(|name| database::percent_decode(name).ok());
    let Some(schema) = schema.filter(|name| !name.is_empty() && !name.contains(['&', '\0'])) else {
        let help = "the URL of a state may name its schema: `postgres://user@host/database?schema=gulou`";
        url.error(format!("`?{option}` names no schema"), help.to_owned());
        return None;
    };
    let server = database::login(&fields, address, folder, 5432)?;
    Some(StateSettings::Postgres { server, schema })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn state(config: &str) -> Result<String, String> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.json");
        fs::write(&file, config).unwrap();
        let found = state_place(&file).map_err(|invalid| invalid.to_string())?;
        let socket = found.socket.strip_prefix(folder.path()).unwrap().display().to_string();
        Ok(match found.state {
            StateSettings::Sqlite(path) => {
                let path = path.strip_prefix(folder.path()).unwrap().display().to_string();
                assert_eq!(socket, format!("{path}.sock"));
                path
            }
            state @ StateSettings::Postgres { .. } => format!("{state} {socket}"),
        })
    }

    #[test]
    fn a_state_may_be_on_a_server() {
        let said = |rest: &str| state(&format!("{{ \"state\": {rest} }}")).unwrap();
        assert_eq!(
            said(r#""postgres://u@db.example/d", "socket": "run/g.sock""#),
            "postgres://u@db.example:5432/d?schema=gulou run/g.sock"
        );
        assert_eq!(
            said(r#"{ "url": "postgresql://u@h:1/d?schema=%E9%BC%93", "password": "secret", "tls": "off" }"#),
            "postgres://u@h:1/d?schema=鼓 gulou.sock"
        );
        assert_eq!(said(r#"{ "url": "sqlite://a.db" }"#), "a.db");
    }

    #[test]
    fn other_errors_do_not_matter() {
        assert_eq!(state("{}"), Ok("gulou.db".to_owned()));
        assert_eq!(state(r#"{ "state": "sqlite://var/a.db" }"#), Ok("var/a.db".to_owned()));
        assert_eq!(
            state(
                r#"{ "stat": 1, "timezone": "Mars", "databases": { "a": {} }, "triggers": "nowhere",
                      "state": "sqlite://var/a.db" }"#
            ),
            Ok("var/a.db".to_owned())
        );
    }

    #[test]
    fn a_state_that_cannot_be_read_is_an_error() {
        for (config, said) in [
            ("", "config.json"),
            ("[]", "config.json"),
            (r#"{ "state": "sqlite://var/a.db", }"#, "comma"),
            (r#"{ "state": 1, "timezone": "Mars" }"#, "(state)"),
            (r#"{ "state": "mysql://a" }"#, "(state)"),
            (r#"{ "state": "postgres://h/d" }"#, "names no user"),
            (r#"{ "state": "postgres://u@h/d?sslmode=off" }"#, "names no schema"),
            (r#"{ "state": "postgres://u@h/d?schema=" }"#, "names no schema"),
            (r#"{ "state": { "url": "sqlite://a.db", "password": "x" } }"#, "(state.password)"),
            (r#"{ "state": { "password": "x" } }"#, "`url` is missing"),
            (r#"{ "socket": 7 }"#, "(socket)"),
        ] {
            let error = state(config).unwrap_err();
            assert!(error.contains(said) && error.ends_with("invalid: 1 error"), "{config}: {error}");
        }
        let missing = state_place(Path::new("nowhere/config.json")).unwrap_err().to_string();
        assert!(missing.contains("there is no such file"), "{missing}");
    }
}
