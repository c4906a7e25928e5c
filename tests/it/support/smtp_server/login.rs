//! The server's side of logins.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::{Conversation, Heard};

impl Conversation {
    /// What `AUTH` and what follows it come to, as `METHOD user secret`.
    pub(super) fn auth(&mut self, command: &str) -> Option<()> {
        let mut words = command.split(' ').skip(1);
        let method = words.next().unwrap_or_default().to_ascii_uppercase();
        let proof = match (method.as_str(), words.next()) {
            ("PLAIN", Some(initial)) => decode(initial).trim_start_matches('\0').replace('\0', " "),
            ("LOGIN", None) => {
                let mut parts = Vec::new();
                for question in ["334 VXNlcm5hbWU6\r\n", "334 UGFzc3dvcmQ6\r\n"] {
                    self.send(question)?;
                    let line = self.line()?;
                    parts.push(decode(String::from_utf8(line).unwrap().trim_end()));
                }
                parts.join(" ")
            }
            ("XOAUTH2", Some(initial)) => {
                let text = decode(initial);
                let fields = text.strip_prefix("user=").unwrap().strip_suffix("\x01\x01").unwrap();
                fields.replace("\x01auth=Bearer ", " ")
            }
            _ => return self.send("504 5.5.4 no such way\r\n"),
        };
        let heard = format!("{method} {proof}");
        self.shared.note(|seen| seen.logins.push(heard.clone()));
        let say = (self.shared.manners.script)(self.number, Heard::Auth(&heard));
        self.act(say, "235 2.7.0 welcome")?;
        if matches!(say, super::Say::This(text) if text.starts_with("334 ")) {
            let line = self.line()?;
            assert_eq!(line, b"\r\n", "a refused token is acknowledged by an empty line");
            self.send("535 5.7.8 the token does not count\r\n")?;
        }
        Some(())
    }
}

fn decode(text: &str) -> String {
    String::from_utf8(BASE64.decode(text).unwrap()).unwrap()
}
