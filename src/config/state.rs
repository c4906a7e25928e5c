//! Where the state is, for those who only want to reach the daemon on it.

use std::path::{Path, PathBuf};

use super::findings::Findings;
use super::load::{Invalid, read_daemon};

/// The state that the daemon config at `path` names. Function folders are not looked at, and errors in
/// other keys do not matter: a daemon that is running can be asked while its files are being edited.
///
/// Fails when the file cannot be read as JSON, or when its `state` is wrong.
pub fn state_path(path: &Path) -> Result<PathBuf, Invalid> {
    let findings = Findings::default();
    let daemon = read_daemon(path, &findings);
    let (mut errors, _) = findings.into_sorted();
    // What a file as a whole has wrong has no path.
    errors.retain(|error| error.path.is_empty() || error.path == "state");
    match daemon {
        Some(daemon) if errors.is_empty() => Ok(daemon.state),
        _ => Err(Invalid { errors, warnings: Vec::new() }),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn state(config: &str) -> Result<String, String> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.json");
        fs::write(&file, config).unwrap();
        let found = state_path(&file).map_err(|invalid| invalid.to_string())?;
        Ok(found.strip_prefix(folder.path()).unwrap().display().to_string())
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
        ] {
            let error = state(config).unwrap_err();
            assert!(error.contains(said) && error.ends_with("invalid: 1 error"), "{config}: {error}");
        }
        let missing = state_path(Path::new("nowhere/config.json")).unwrap_err().to_string();
        assert!(missing.contains("there is no such file"), "{missing}");
    }
}
