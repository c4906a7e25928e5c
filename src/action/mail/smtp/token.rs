//! Access tokens of XOAUTH2: one that was given, or what a command prints, kept until a server refuses it.

use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio::sync::Mutex;

use crate::settings::Secret;

/// What a command may take to get a token: it asks a server of its own.
const PATIENCE: Duration = Duration::from_secs(30);
/// Tokens are a few thousand bytes.
const LONGEST: usize = 64 << 10;

/// Where a token comes from.
#[derive(Debug)]
pub(super) struct Token {
    /// Program and arguments; empty: what is kept was given, and there is no other.
    argv: Vec<String>,
    /// Held while the command runs, so that many connections ask it once.
    kept: Mutex<Option<Secret>>,
}

/// A token to try.
#[derive(Debug)]
pub(super) struct Current {
    pub(super) secret: Secret,
    /// A command made it for an earlier login: another one may be had.
    pub(super) may_be_old: bool,
}

impl Token {
    pub(super) fn given(token: Secret) -> Self {
        Self { argv: Vec::new(), kept: Mutex::new(Some(token)) }
    }

    pub(super) fn printed_by(argv: Vec<String>) -> Self {
        Self { argv, kept: Mutex::new(None) }
    }

    /// The token that is kept, or a new one of the command's. The reason, when there is none.
    pub(super) async fn get(&self) -> Result<Current, String> {
        let mut kept = self.kept.lock().await;
        if let Some(secret) = &*kept {
            return Ok(Current { secret: secret.clone(), may_be_old: !self.argv.is_empty() });
        }
        let secret = run(&self.argv).await?;
        *kept = Some(secret.clone());
        Ok(Current { secret, may_be_old: false })
    }

    /// A server has refused `token`: the next one is made anew, unless somebody else has seen to that already.
    pub(super) async fn refused(&self, token: &Current) {
        let mut kept = self.kept.lock().await;
        if !self.argv.is_empty() && kept.as_ref() == Some(&token.secret) {
            *kept = None;
        }
    }
}

/// What the program prints, without the white space around it.
async fn run(argv: &[String]) -> Result<Secret, String> {
    let (program, arguments) = argv.split_first().ok_or("there is no command for a token")?;
    let fault = |problem: &str| format!("could not get a token from `{program}`: {problem}");
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(PATIENCE, command.output())
        .await
        .map_err(|_| fault(&format!("it did not end in {PATIENCE:?}")))?
        .map_err(|error| fault(&error.to_string()))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let last: String = said.trim().lines().next_back().unwrap_or_default().chars().take(200).collect();
        let last = if last.is_empty() { last } else { format!(": {last}") };
        return Err(fault(&format!("{}{last}", output.status)));
    }
    let token = String::from_utf8(output.stdout).unwrap_or_default();
    let token = token.trim();
    if token.is_empty() || token.len() > LONGEST || token.contains(|c: char| c.is_control()) {
        return Err(fault("what it printed is not one line with a token"));
    }
    Ok(Secret::new(token.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str) -> Token {
        Token::printed_by(["sh", "-c", script].map(str::to_owned).to_vec())
    }

    #[tokio::test]
    async fn a_token_is_kept_until_it_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let token = sh(&format!("echo x >>{0}/runs; wc -l <{0}/runs", folder.path().display()));
        let first = token.get().await.unwrap();
        assert_eq!((first.secret.reveal(), first.may_be_old), ("1", false));
        let again = token.get().await.unwrap();
        assert_eq!((again.secret.reveal(), again.may_be_old), ("1", true));
        token.refused(&again).await;
        let second = token.get().await.unwrap();
        assert_eq!((second.secret.reveal(), second.may_be_old), ("2", false));
        // Another connection was refused with the old one, and learns of it late.
        token.refused(&first).await;
        assert_eq!(token.get().await.unwrap().secret.reveal(), "2");
    }

    #[tokio::test]
    async fn a_given_token_stays() {
        let token = Token::given(Secret::new("t".to_owned()));
        let current = token.get().await.unwrap();
        assert!(!current.may_be_old);
        token.refused(&current).await;
        assert_eq!(token.get().await.unwrap().secret.reveal(), "t");
    }

    #[tokio::test]
    async fn a_command_that_gives_none_is_named() {
        for (script, problem) in [
            ("echo half; echo lost >&2; echo network down >&2; exit 3", "exit status: 3: network down"),
            ("exit 1", "`sh`: exit status: 1"),
            (":", "not one line with a token"),
            ("printf 'a\\nb\\n'", "not one line with a token"),
        ] {
            let reason = sh(script).get().await.unwrap_err();
            assert!(reason.contains(problem), "{script}: {reason}");
            assert!(!reason.contains("half"), "{reason}");
        }
        let missing = Token::printed_by(vec!["/nowhere/token".to_owned()]).get().await.unwrap_err();
        assert!(
            missing.starts_with("could not get a token from `/nowhere/token`: No such file"),
            "{missing}"
        );
    }
}
