//! What servers say, found in text: addresses, statuses, replies.

use mail_parser::Message;

/// Characters of a reason: it goes into a column of a table.
const LONGEST: usize = 250;

/// Bytes of an address: 64 of its name, 255 of its domain (RFC 5321 §4.5.3.1).
const LONGEST_ADDRESS: usize = 320;

/// Replies of SMTP servers to mail that they do not take (RFC 5321, RFC 7504). Other numbers mean other things.
const REPLIES: [&str; 15] =
    ["421", "422", "431", "450", "451", "452", "521", "541", "550", "551", "552", "553", "554", "556", "571"];

/// How long a failure lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// For good.
    Hard,
    /// For now.
    Soft,
}

impl Class {
    /// By the first digit of a status or a reply.
    pub fn of(code: &str) -> Option<Self> {
        match code.as_bytes().first()? {
            b'5' => Some(Self::Hard),
            b'4' => Some(Self::Soft),
            _ => None,
        }
    }
}

/// The first status of RFC 3463 in `text` that tells of a failure: `5.1.1`.
pub fn status(text: &str) -> Option<String> {
    codes(text).find(|word| is_status(word)).map(str::to_owned)
}

/// What the first reply of a server in `text` means.
pub fn reply(text: &str) -> Option<Class> {
    codes(text).find(|word| REPLIES.contains(word)).and_then(Class::of)
}

/// What `text` tells of how long a failure lasts.
pub fn class(text: &str) -> Option<Class> {
    status(text).as_deref().and_then(Class::of).or_else(|| reply(text))
}

/// What may be a number or a status.
fn codes(text: &str) -> impl Iterator<Item = &str> {
    // An address of the Internet has dots too, and a version has letters.
    text.split(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '@')))
        .map(|word| word.trim_end_matches('.'))
}

fn is_status(word: &str) -> bool {
    let parts: Vec<&str> = word.split('.').collect();
    let is_number = |part: &&str| (1..=3).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
    parts.len() == 3 && matches!(parts[0], "4" | "5") && parts.iter().all(is_number)
}

/// Whether `text` may be an address, and be shown as it stands.
pub fn is_address(text: &str) -> bool {
    text.contains('@') && text.len() <= LONGEST_ADDRESS && !text.contains(char::is_control)
}

/// All mail addresses in `text`, in their order.
pub fn addresses(text: &str) -> impl Iterator<Item = &str> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "@.!#$%&*+-/=?^_{|}~".contains(c);
    let is_whole = |word: &&str| {
        word.split_once('@').is_some_and(|(name, domain)| {
            !name.is_empty() && !domain.contains('@') && domain.contains('.') && !domain.ends_with('.')
        })
    };
    text.split(move |c: char| !is_part(c))
        .map(|word| word.trim_matches(['.', '-', '=']))
        .filter(|word| is_address(word))
        .filter(is_whole)
}

/// What a person reads of a mail.
pub fn text_of(message: &Message<'_>) -> String {
    message.body_text(0).map(std::borrow::Cow::into_owned).unwrap_or_default()
}

/// The line of `text` in which a server speaks, else nothing.
pub fn around(text: &str) -> String {
    let line = text.lines().find(|line| class(line).is_some());
    line.map(one_line).unwrap_or_default()
}

/// One line, not too long.
pub fn one_line(text: &str) -> String {
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    line.chars().take(LONGEST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_and_replies_are_told_from_other_numbers() {
        let found = |text: &str| (status(text), reply(text));
        let is = |text: &str| Some(text.to_owned());
        assert_eq!(found("smtp; 550 5.1.1 <a@b.c>: unknown"), (is("5.1.1"), Some(Class::Hard)));
        assert_eq!(found("said: 450-4.2.1 later."), (is("4.2.1"), Some(Class::Soft)));
        assert_eq!(found("550-Mailbox not found"), (None, Some(Class::Hard)));
        assert_eq!(found("at 5.6.7.8 port 587, Postfix 5.1.1a, 2.0.0, 5.1, 500 MB"), (None, None));
        assert_eq!(found("5.1.1."), (is("5.1.1"), None));
        assert_eq!(class("nothing"), None);
    }

    #[test]
    fn addresses_are_found_in_any_script() {
        let all = |text: &str| addresses(text).map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(
            all("收件人（abc+x@qq.com）不存在，<d@e.f>: g@h; @i.j k@l.m."),
            ["abc+x@qq.com", "d@e.f", "k@l.m"]
        );
        assert_eq!(all("a@b@c.d mailto:x@y.test"), ["x@y.test"]);
    }

    #[test]
    fn a_reason_is_one_line_of_bounded_length() {
        assert_eq!(one_line(" a\r\n b\tc\u{0}"), "a b c");
        assert_eq!(one_line(&"鼓".repeat(300)).chars().count(), 250);
        assert_eq!(
            around("Hello\n  host said: 550 5.1.1 no such user\n"),
            "host said: 550 5.1.1 no such user"
        );
    }
}
