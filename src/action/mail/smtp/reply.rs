//! What servers say: replies of one or more lines (RFC 5321 §4.2).

use std::ops::Range;

/// A reply of more bytes is an attack or a different protocol. Nothing bounds the lines of a reply, and one to a body that
/// was not heard to its end puts the mail in doubt.
const LIMIT: usize = 1 << 20;

/// Characters of a reply that are told: reasons are kept in the ledger, one a row.
const TOLD: usize = 1000;

/// The code of a reply, and where its lines are in the buffer until more is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reply {
    /// Three digits.
    pub(super) code: u16,
    lines: Range<usize>,
}

impl Reply {
    /// 2xx.
    pub(super) fn is_positive(&self) -> bool {
        (200..300).contains(&self.code)
    }
}

/// What came in does not look like SMTP.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("the server does not speak SMTP: {0:?}")]
pub(super) struct NotSmtp(String);

/// Bytes that came in, and the replies in them.
#[derive(Debug, Default)]
pub(super) struct ReplyBuffer {
    bytes: Vec<u8>,
    taken: usize,
}

impl ReplyBuffer {
    /// Where new bytes go. Forgets the replies that were taken.
    pub(super) fn space(&mut self) -> &mut Vec<u8> {
        self.bytes.drain(..self.taken);
        self.taken = 0;
        &mut self.bytes
    }

    /// Nothing is here that nobody asked for.
    pub(super) fn is_empty(&self) -> bool {
        self.taken == self.bytes.len()
    }

    /// The next whole reply, or nothing as long as it is not whole.
    pub(super) fn take(&mut self) -> Result<Option<Reply>, NotSmtp> {
        let start = self.taken;
        let mut code = None;
        let mut line_start = start;
        while let Some(line) = self.bytes.get(line_start..) {
            let Some(length) = memchr::memchr(b'\n', line) else { break };
            let line = line.get(..length).unwrap_or_default();
            let (line_code, last) = head(line).ok_or_else(|| not_smtp(line))?;
            if *code.get_or_insert(line_code) != line_code {
                return Err(not_smtp(line));
            }
            line_start += length + 1;
            if last {
                self.taken = line_start;
                return Ok(Some(Reply { code: line_code, lines: start..line_start }));
            }
        }
        let rest = self.bytes.get(start..).unwrap_or_default();
        if rest.len() > LIMIT || rest.first().is_some_and(|byte| !byte.is_ascii_digit()) {
            return Err(not_smtp(rest));
        }
        Ok(None)
    }

    /// The lines of a reply that was just taken, without code and line ends.
    pub(super) fn lines(&self, reply: &Reply) -> impl Iterator<Item = &str> {
        let bytes = self.bytes.get(reply.lines.clone()).unwrap_or_default();
        bytes.split(|byte| *byte == b'\n').filter_map(|line| {
            let text = line.get(4..).unwrap_or_default();
            (!line.is_empty()).then(|| std::str::from_utf8(text).unwrap_or_default().trim_end())
        })
    }

    /// The reply on one line, code included, for people.
    pub(super) fn text(&self, reply: &Reply) -> String {
        let bytes = self.bytes.get(reply.lines.clone()).unwrap_or_default();
        let mut text = reply.code.to_string();
        let mut room = TOLD;
        for line in bytes.split(|byte| *byte == b'\n') {
            let words = printable(line.get(4..).unwrap_or_default());
            if words.is_empty() {
                continue;
            }
            text.push(' ');
            text.extend(words.chars().take(room));
            room = room.saturating_sub(words.chars().count() + 1);
            if room == 0 {
                text.push('…');
                break;
            }
        }
        text
    }
}

/// Code and whether the line is its reply's last. Servers leave out the space after a bare code.
fn head(line: &[u8]) -> Option<(u16, bool)> {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let (digits, rest) = line.split_at_checked(3)?;
    let last = match rest.first() {
        None | Some(b' ') => true,
        Some(b'-') => false,
        Some(_) => return None,
    };
    let mut code = 0;
    for digit in digits {
        code = code * 10 + u16::from(digit.checked_sub(b'0').filter(|value| *value <= 9)?);
    }
    (200..600).contains(&code).then_some((code, last))
}

fn not_smtp(line: &[u8]) -> NotSmtp {
    NotSmtp(printable(line))
}

/// At most 300 characters, without control characters.
fn printable(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    text.trim().chars().filter(|c| !c.is_control()).take(300).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buffer(text: &str) -> ReplyBuffer {
        let mut buffer = ReplyBuffer::default();
        buffer.space().extend_from_slice(text.as_bytes());
        buffer
    }

    #[test]
    fn replies_of_one_and_of_many_lines() {
        let mut buffer = buffer("250-mx.test\r\n250-PIPELINING\r\n250 SIZE 10\r\n354 go\r\n250\r\n");
        let hello = buffer.take().unwrap().unwrap();
        assert_eq!(hello.code, 250);
        assert_eq!(buffer.lines(&hello).collect::<Vec<_>>(), ["mx.test", "PIPELINING", "SIZE 10"]);
        assert_eq!(buffer.text(&hello), "250 mx.test PIPELINING SIZE 10");
        assert!(!buffer.is_empty());
        assert_eq!(buffer.take().unwrap().unwrap().code, 354);
        assert_eq!(buffer.take().unwrap().unwrap().code, 250);
        assert!(buffer.is_empty());
        assert_eq!(buffer.take(), Ok(None));
    }

    #[test]
    fn a_reply_is_taken_when_it_is_whole_wherever_it_was_cut() {
        let text = "550-5.1.1 no\r\n550 5.1.1 such user\r\n";
        for cut in 0..text.len() {
            let mut buffer = buffer(&text[..cut]);
            assert_eq!(buffer.take(), Ok(None), "cut at {cut}");
            buffer.space().extend_from_slice(&text.as_bytes()[cut..]);
            let reply = buffer.take().unwrap().unwrap();
            assert_eq!(buffer.text(&reply), "550 5.1.1 no 5.1.1 such user");
        }
    }

    #[test]
    fn other_protocols_are_told() {
        for text in
            ["HTTP/1.1 400 Bad\r\n", "25 x\r\n", "250-a\r\n251 b\r\n", "999 x\r\n", "250_x\r\n", "\r\n"]
        {
            assert!(buffer(text).take().is_err(), "{text:?}");
        }
        assert!(buffer("SSH-2.0").take().is_err());
        assert!(buffer(&format!("250 {}", "x".repeat(LIMIT))).take().is_err());
    }
}
