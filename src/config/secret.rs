//! Secrets: `{ "env": "NAME" }`, `{ "file": "PATH" }`, or the text itself.
//!
//! What is found wrong never quotes the secret; [`hide`](super::hide) keeps it out of the line that is shown.

use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::daemon::absolute;
use super::decode::{Fields, Keys, Node};
use crate::settings::Secret;

/// No password is longer; a file that is, is another file.
const LONGEST: u64 = 64 << 10;

const FORMS: &str = "`{ \"env\": \"NAME\" }` or `{ \"file\": \"PATH\" }`";

/// A secret; the paths of files are seen from `folder`.
pub(super) fn secret(node: &Node<'_>, folder: &Path) -> Option<Secret> {
    read(node, folder, |name| std::env::var_os(name))
}

/// The same, with what stands before it: `{ "env": "NAME", "prefix": "Bearer " }`.
pub(super) fn prefixed(node: &Node<'_>, folder: &Path) -> Option<(String, Secret)> {
    let fields = node.object(&Keys::only(&["env", "file", "prefix"]))?;
    let prefix = fields.read("prefix", Node::string).unwrap_or_default();
    Some((prefix.to_owned(), of_fields(&fields, folder, |name| std::env::var_os(name))?))
}

/// The same as [`secret`] in an environment that a test can make.
fn read(node: &Node<'_>, folder: &Path, environment: impl Fn(&str) -> Option<OsString>) -> Option<Secret> {
    if node.is_string() {
        let text = node.text()?.to_owned();
        node.warning(
            "this secret can be read by all who can read this file",
            format!("write {FORMS} instead"),
        );
        return Some(Secret::new(text));
    }
    if node.kind() != "an object" {
        return node.wrong_type(FORMS);
    }
    of_fields(&node.object(&Keys::only(&["env", "file"]))?, folder, environment)
}

fn of_fields(
    fields: &Fields<'_>,
    folder: &Path,
    environment: impl Fn(&str) -> Option<OsString>,
) -> Option<Secret> {
    let node = fields.node();
    match (fields.get("env"), fields.get("file")) {
        (Some(name), None) => from_environment(name, environment),
        (None, Some(path)) => from_file(path, folder),
        (Some(_), Some(_)) => {
            node.error("a secret comes from one place: `env` or `file`", "delete one of them".to_owned());
            None
        }
        (None, None) => {
            node.error("this does not say where the secret is", format!("write {FORMS}"));
            None
        }
    }
}

fn from_environment(node: &Node<'_>, environment: impl Fn(&str) -> Option<OsString>) -> Option<Secret> {
    let name = node.text()?;
    let plain = name.trim_start_matches('$').trim_matches(['{', '}']);
    if plain != name {
        node.error(
            format!("`{name}` is not the name of an environment variable"),
            format!("write it alone: `{plain}`"),
        );
        return None;
    }
    let problem = match environment(name).map(OsString::into_string) {
        Some(Ok(text)) if !text.is_empty() => return Some(Secret::new(text)),
        Some(Ok(_)) => "is empty",
        Some(Err(_)) => "is not UTF-8",
        None => "is not set",
    };
    let help = "set it where Gulou is started; for a systemd service, by `EnvironmentFile=`";
    node.error(format!("the environment variable `{name}` {problem}"), help.to_owned());
    None
}

fn from_file(node: &Node<'_>, folder: &Path) -> Option<Secret> {
    let path = absolute(folder, node.text()?);
    let shown = path.display();
    let refuse = |message: String, help: &str| {
        node.error(message, help.to_owned());
        None
    };
    // Looked at before it is opened: to open a pipe waits for its other end.
    let metadata = match path.metadata() {
        Ok(metadata) if metadata.is_file() => metadata,
        Ok(_) => {
            return refuse(format!("`{shown}` is not a file"), "name a file that holds the secret alone");
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return refuse(
                format!("there is no file `{shown}`"),
                "write the secret into it, and `chmod 600` it",
            );
        }
        Err(error) => return refuse(format!("could not read `{shown}`: {error}"), "mend its permissions"),
    };
    let mut bytes = Vec::new();
    let result = File::open(&path).and_then(|file| file.take(LONGEST + 1).read_to_end(&mut bytes));
    if let Err(error) = result {
        return refuse(format!("could not read `{shown}`: {error}"), "let the user of Gulou read it");
    }
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        node.warning(
            format!("the secret in `{shown}` is open to other users (mode {mode:03o})"),
            format!("run `chmod 600 {shown}` as its owner"),
        );
    }
    let alone = "the file has to hold the secret alone";
    if bytes.len() as u64 > LONGEST {
        return refuse(format!("`{shown}` is longer than a secret can be (64 KiB)"), alone);
    }
    let Ok(text) = String::from_utf8(bytes) else {
        return refuse(format!("`{shown}` is not UTF-8"), alone);
    };
    // Editors and `echo` end the last line.
    let text = text.strip_suffix('\n').map_or(&*text, |text| text.strip_suffix('\r').unwrap_or(text));
    if text.is_empty() {
        return refuse(format!("`{shown}` is empty"), "write the secret into it");
    }
    Some(Secret::new(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::ffi::OsStringExt;

    use super::super::findings::Findings;
    use super::super::json::Document;
    use super::*;

    /// The secret that `json` stands for in `folder`, and `severity message | help` of what was found.
    fn reading(folder: &Path, json: &str) -> (Option<String>, Vec<String>) {
        let document = Document { file: "c.json".into(), text: json.to_owned() };
        let findings = Findings::default();
        let value = findings.parse(&document).unwrap();
        let environment = |name: &str| match name {
            "SET" => Some("s3".into()),
            "EMPTY" => Some(OsString::new()),
            "BYTES" => Some(OsString::from_vec(vec![0xff])),
            _ => None,
        };
        let secret = read(&Node::root(&document, &findings, &value), folder, environment);
        let (errors, warnings) = findings.into_sorted();
        let found = errors.into_iter().chain(warnings).map(|found| {
            format!("{} {} | {}", found.severity.as_str(), found.message, found.help.unwrap_or_default())
        });
        (secret.map(|secret| secret.reveal().to_owned()), found.collect())
    }

    #[track_caller]
    fn refused(folder: &Path, json: &str, expected: &str) {
        let (secret, found) = reading(folder, json);
        assert_eq!(secret, None);
        assert!(found.iter().any(|found| found.contains(expected)), "{found:?}");
    }

    #[test]
    fn from_the_environment() {
        let here = Path::new("");
        assert_eq!(reading(here, r#"{"env": "SET"}"#), (Some("s3".to_owned()), vec![]));
        refused(here, r#"{"env": "UNSET"}"#, "the environment variable `UNSET` is not set | set it where");
        refused(here, r#"{"env": "EMPTY"}"#, "`EMPTY` is empty");
        refused(here, r#"{"env": "BYTES"}"#, "`BYTES` is not UTF-8");
        refused(here, r#"{"env": "${SET}"}"#, "write it alone: `SET`");
    }

    #[test]
    fn from_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key");
        let write = |bytes: &[u8]| {
            fs::write(&file, bytes).unwrap();
            fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
        };
        let json = r#"{"file": "key"}"#;
        refused(folder.path(), json, "there is no file `");
        for (content, secret) in [("s3\n", "s3"), ("s3\r\n", "s3"), (" s3 \n\n", " s3 \n"), ("s3", "s3")] {
            write(content.as_bytes());
            assert_eq!(reading(folder.path(), json), (Some(secret.to_owned()), vec![]));
        }
        write(b"\n");
        refused(folder.path(), json, "is empty | write the secret");
        write(b"\xff");
        refused(folder.path(), json, "is not UTF-8");
        write(&vec![b'x'; (64 << 10) + 1]);
        refused(folder.path(), json, "is longer than");
        refused(folder.path(), r#"{"file": "."}"#, "is not a file");
    }

    #[test]
    fn a_file_that_others_can_read_is_a_warning() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key");
        fs::write(&file, "s3").unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o640)).unwrap();
        let (secret, found) = reading(folder.path(), &format!(r#"{{"file": "{}"}}"#, file.display()));
        assert_eq!(secret.unwrap(), "s3");
        assert!(found[0].starts_with("warning the secret in `"), "{found:?}");
        assert!(found[0].contains("(mode 640) | run `chmod 600 "), "{found:?}");
    }

    #[test]
    fn a_plain_text_is_a_warning_that_does_not_tell_it() {
        let (secret, found) = reading(Path::new(""), r#""s3""#);
        assert_eq!(secret.unwrap(), "s3");
        assert_eq!(
            found,
            [
                "warning this secret can be read by all who can read this file | write `{ \"env\": \"NAME\" }` or \
              `{ \"file\": \"PATH\" }` instead"
            ]
        );
    }

    #[test]
    fn what_is_no_secret_is_refused_and_not_told() {
        let here = Path::new("");
        for (json, expected) in [
            ("12345", "a number was found where `{ \"env\""),
            ("\"\"", "must not be empty"),
            ("null", "null was found"),
            ("{}", "does not say where the secret is"),
            (r#"{"env": "SET", "file": "x"}"#, "from one place"),
            (r#"{"envv": "SET"}"#, "unknown key `envv`"),
        ] {
            refused(here, json, expected);
        }
        let (_, found) = reading(here, "12345");
        assert!(!found[0].contains("12345"), "{found:?}");
    }
}
