//! Logging in (RFC 4954): PLAIN, LOGIN and XOAUTH2.
//!
//! What shows that the login is ours goes into commands and nowhere else: no reason quotes one.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::Value;

use super::reply::Reply;
use super::token::Token;
use super::wire::{Wire, WireError};
use crate::settings::{LoginProof, PasswordMethod, Secret, SmtpLogin};

/// What a server offers for logging in, in capital letters.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Methods(Vec<String>);

impl Methods {
    /// Of the lines of an answer to EHLO. `AUTH=LOGIN` is how servers spelt it before there was a standard.
    pub(super) fn read<'a>(lines: impl Iterator<Item = &'a str>) -> Self {
        let mut methods = Vec::new();
        for line in lines.skip(1) {
            let line = line.to_ascii_uppercase();
            let Some(names) = line.strip_prefix("AUTH ").or_else(|| line.strip_prefix("AUTH=")) else {
                continue;
            };
            methods.extend(names.split_ascii_whitespace().map(str::to_owned));
        }
        Self(methods)
    }

    fn need(&self, method: &str) -> Result<(), Denied> {
        if self.0.iter().any(|offered| offered == method) {
            return Ok(());
        }
        Err(Denied::Never(format!("it does not offer AUTH {method}; {}", self.offered())))
    }

    fn offered(&self) -> String {
        if self.0.is_empty() {
            "it offers no way to log in".to_owned()
        } else {
            format!("it offers {}", self.0.join(", "))
        }
    }
}

/// Why nobody is logged in.
#[derive(Debug)]
pub(super) enum Denied {
    /// The connection is gone.
    Lost(WireError),
    /// The server cannot tell now, or there is no token now.
    Later(String),
    /// The login is refused, or there is no way to log in.
    Never(String),
}

impl From<WireError> for Denied {
    fn from(error: WireError) -> Self {
        Self::Lost(error)
    }
}

/// Who logs in at a server.
#[derive(Debug)]
pub(super) struct Login {
    user: String,
    proof: Proof,
}

#[derive(Debug)]
enum Proof {
    Password(Secret, Option<PasswordMethod>),
    Token(Token),
}

impl Login {
    pub(super) fn new(settings: &SmtpLogin) -> Self {
        let proof = match &settings.proof {
            LoginProof::Password(password) => Proof::Password(password.clone(), settings.method),
            LoginProof::Token(token) => Proof::Token(Token::given(token.clone())),
            LoginProof::TokenCommand(argv) => Proof::Token(Token::printed_by(argv.clone())),
        };
        Self { user: settings.user.clone(), proof }
    }

    /// Logs in on a connection that has been greeted; `patience` for each answer.
    pub(super) async fn log_in(
        &self,
        wire: &mut Wire,
        methods: &Methods,
        patience: Duration,
    ) -> Result<(), Denied> {
        match &self.proof {
            Proof::Password(password, method) => {
                let only_login = methods.need("PLAIN").is_err() && methods.need("LOGIN").is_ok();
                let usual = if only_login { PasswordMethod::Login } else { PasswordMethod::Plain };
                match method.unwrap_or(usual) {
                    PasswordMethod::Plain => {
                        methods.need("PLAIN")?;
                        self.plain(wire, password, patience).await
                    }
                    PasswordMethod::Login => {
                        methods.need("LOGIN")?;
                        self.in_two_answers(wire, password, patience).await
                    }
                }
            }
            Proof::Token(token) => {
                methods.need("XOAUTH2")?;
                self.xoauth2(wire, token, patience).await
            }
        }
    }

    /// RFC 4616, with the answer in the command.
    async fn plain(&self, wire: &mut Wire, password: &Secret, patience: Duration) -> Result<(), Denied> {
        let proof = BASE64.encode(format!("\0{}\0{}", self.user, password.reveal()));
        let reply = wire.ask(&format!("AUTH PLAIN {proof}\r\n"), patience).await?;
        self.verdict(&reply, &wire.text(&reply))
    }

    async fn in_two_answers(
        &self,
        wire: &mut Wire,
        password: &Secret,
        patience: Duration,
    ) -> Result<(), Denied> {
        let mut reply = wire.ask("AUTH LOGIN\r\n", patience).await?;
        for answer in [&*self.user, password.reveal()] {
            if reply.code != GO_ON {
                break;
            }
            reply = wire.ask(&format!("{}\r\n", BASE64.encode(answer)), patience).await?;
        }
        self.verdict(&reply, &wire.text(&reply))
    }

    /// Google's and Microsoft's use of an access token. One that was kept may have expired since: a command is asked for
    /// another one, once.
    async fn xoauth2(&self, wire: &mut Wire, token: &Token, patience: Duration) -> Result<(), Denied> {
        loop {
            let current = token.get().await.map_err(Denied::Later)?;
            let proof = format!("user={}\x01auth=Bearer {}\x01\x01", self.user, current.secret.reveal());
            let command = format!("AUTH XOAUTH2 {}\r\n", BASE64.encode(proof));
            let mut reply = wire.ask(&command, patience).await?;
            let mut text = wire.text(&reply);
            if reply.code == GO_ON {
                // Why it is refused; an empty answer ends the exchange.
                let status = status(wire.lines(&reply).next().unwrap_or_default());
                reply = wire.ask("\r\n", patience).await?;
                text = wire.text(&reply);
                if let Some(status) = status {
                    text = format!("{text} (status {status})");
                }
            }
            let verdict = self.verdict(&reply, &text);
            if !matches!(verdict, Err(Denied::Never(_))) {
                return verdict;
            }
            token.refused(&current).await;
            if !current.may_be_old {
                return verdict;
            }
        }
    }

    fn verdict(&self, reply: &Reply, text: &str) -> Result<(), Denied> {
        match reply.code {
            235 => Ok(()),
            400..=499 => Err(Denied::Later(format!("it cannot take a login now: {text}"))),
            _ => Err(Denied::Never(format!("it refuses the login of `{}`: {text}", self.user))),
        }
    }
}

/// The server waits for the next part of a login.
const GO_ON: u16 = 334;

/// What the JSON of a refused token gives as the reason.
fn status(challenge: &str) -> Option<String> {
    let json: Value = serde_json::from_slice(&BASE64.decode(challenge.trim()).ok()?).ok()?;
    match json.get("status")? {
        Value::String(text) => Some(text.chars().filter(|c| !c.is_control()).take(100).collect()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_are_read_in_both_spellings() {
        let lines = ["mx.test", "auth plain LOGIN", "AUTH=XOAUTH2", "AUTHOR x"];
        let methods = Methods::read(lines.into_iter());
        assert_eq!(methods.0, ["PLAIN", "LOGIN", "XOAUTH2"]);
        methods.need("XOAUTH2").unwrap();
        let Err(Denied::Never(reason)) = methods.need("CRAM-MD5") else { panic!() };
        assert_eq!(reason, "it does not offer AUTH CRAM-MD5; it offers PLAIN, LOGIN, XOAUTH2");
        assert_eq!(Methods::read(["AUTH PLAIN"].into_iter()), Methods::default(), "the first is the name");
    }

    #[test]
    fn the_reason_of_a_refused_token_is_read() {
        let challenge = |text: &str| BASE64.encode(text);
        assert_eq!(status(&challenge(r#"{"status":"400","scope":"x"}"#)).unwrap(), "400");
        assert_eq!(status(&challenge(r#"{"status":401}"#)).unwrap(), "401");
        for nothing in [challenge("{}"), challenge("no JSON"), "***".to_owned(), String::new()] {
            assert_eq!(status(&nothing), None, "{nothing}");
        }
    }
}
