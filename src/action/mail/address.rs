//! Mail addresses: parsed after rendering, so that no row value can be more than one address.
//!
//! The grammar is RFC 5321 §4.1.2 with the UTF-8 of RFC 6531; obsolete forms, comments, groups
//! and lists are refused.

use std::fmt;

/// One mailbox: an address, and perhaps the name in front of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    name: Option<String>,
    spec: String,
    at: usize,
}

/// Why a text is not one address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Nothing there.
    #[error("the address is empty")]
    Empty,
    /// No `@`, or nothing on one side of it.
    #[error("{0:?} is not an address; write user@example.com or name <user@example.com>")]
    Shape(String),
    /// A comma or semicolon outside quotes.
    #[error("{0:?} is more than one address; a mail goes to one")]
    Several(String),
    /// The part before the `@`.
    #[error("{0:?} has a local part that no server takes")]
    Local(String),
    /// The part after the `@`.
    #[error("{0:?} has a domain that cannot exist")]
    Domain(String),
    /// A control character, a line end among them.
    #[error("{0:?} contains a control character")]
    Control(String),
    /// RFC 5321 §4.5.3.1.
    #[error("{0:?} is too long: 64 bytes before the @ and 254 in all are the limit")]
    Long(String),
}

impl Address {
    /// Reads `user@example.com` or `name <user@example.com>`.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(AddressError::Empty);
        }
        if text.chars().any(char::is_control) {
            return Err(AddressError::Control(text.to_owned()));
        }
        let (name, spec) = match text.strip_suffix('>').and_then(|rest| rest.rsplit_once('<')) {
            Some((name, spec)) => (display_name(name), spec.trim()),
            None => (None, text),
        };
        let at = check(spec)?;
        Ok(Self { name, spec: spec.to_owned(), at })
    }

    /// `user@example.com`.
    pub fn spec(&self) -> &str {
        &self.spec
    }

    /// The name in front, without quotes.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// What stands after the `@`.
    pub fn domain(&self) -> &str {
        self.spec.get(self.at + 1..).unwrap_or_default()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "{name} <{}>", self.spec),
            None => f.write_str(&self.spec),
        }
    }
}

/// Without the quotes of a quoted string; none when nothing is left.
fn display_name(text: &str) -> Option<String> {
    let text = text.trim();
    let inner = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    let name = match inner {
        Some(quoted) => {
            let mut name = String::with_capacity(quoted.len());
            let mut chars = quoted.chars();
            while let Some(c) = chars.next() {
                name.extend(if c == '\\' { chars.next() } else { Some(c) });
            }
            name
        }
        None => text.to_owned(),
    };
    let name = name.trim();
    (!name.is_empty()).then(|| name.to_owned())
}

/// The index of the `@` that parts local part and domain.
fn check(spec: &str) -> Result<usize, AddressError> {
    let wrong = |kind: fn(String) -> AddressError| kind(spec.to_owned());
    let Some((local, domain)) = spec.rsplit_once('@') else {
        return Err(wrong(AddressError::Shape));
    };
    if local.is_empty() || domain.is_empty() || spec.contains(['<', '>']) && !local.starts_with('"') {
        return Err(wrong(AddressError::Shape));
    }
    if !local.starts_with('"') && spec.contains([',', ';']) {
        return Err(wrong(AddressError::Several));
    }
    if local.len() > 64 || spec.len() > 254 {
        return Err(wrong(AddressError::Long));
    }
    if !is_local_part(local) {
        return Err(wrong(AddressError::Local));
    }
    if !is_domain(domain) {
        return Err(wrong(AddressError::Domain));
    }
    Ok(local.len())
}

fn is_local_part(local: &str) -> bool {
    if let Some(quoted) = local.strip_prefix('"') {
        return quoted.strip_suffix('"').is_some_and(is_quoted_content);
    }
    // Readers would take an encoded word (RFC 2047) for something else.
    !local.contains("=?") && local.split('.').all(|atom| !atom.is_empty() && atom.chars().all(is_atom_char))
}

fn is_atom_char(c: char) -> bool {
    if c.is_ascii() {
        c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c)
    } else {
        is_utf8_text(c)
    }
}

fn is_quoted_content(text: &str) -> bool {
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        let fine = match c {
            '"' => false,
            '\\' => chars.next().is_some_and(|next| next == ' ' || next.is_ascii_graphic()),
            c if c.is_ascii() => c == ' ' || c.is_ascii_graphic(),
            c => is_utf8_text(c),
        };
        if !fine {
            return false;
        }
    }
    true
}

fn is_utf8_text(c: char) -> bool {
    !c.is_control() && !c.is_whitespace()
}

fn is_domain(domain: &str) -> bool {
    if let Some(literal) = domain.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return match literal.strip_prefix("IPv6:") {
            Some(v6) => v6.parse::<std::net::Ipv6Addr>().is_ok(),
            None => literal.parse::<std::net::Ipv4Addr>().is_ok(),
        };
    }
    domain.split('.').all(|label| {
        let inner = |c: char| c.is_ascii_alphanumeric() || c == '-' || !c.is_ascii() && c.is_alphanumeric();
        (1..=63).contains(&label.len())
            && label.chars().all(inner)
            && !label.starts_with('-')
            && !label.ends_with('-')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> (Option<String>, String, String) {
        let address = Address::parse(text).unwrap();
        (address.name().map(str::to_owned), address.spec().to_owned(), address.domain().to_owned())
    }

    #[test]
    fn addresses_with_and_without_names() {
        let plain = |spec: &str, domain: &str| (None, spec.to_owned(), domain.to_owned());
        assert_eq!(parsed(" a@b.test\n"), plain("a@b.test", "b.test"));
        assert_eq!(parsed("<a@b.test>"), plain("a@b.test", "b.test"));
        assert_eq!(parsed("\"john doe\"@b.test"), plain("\"john doe\"@b.test", "b.test"));
        assert_eq!(parsed("\"a@,b\"@b.test"), plain("\"a@,b\"@b.test", "b.test"));
        assert_eq!(parsed("a@[127.0.0.1]"), plain("a@[127.0.0.1]", "[127.0.0.1]"));
        assert_eq!(parsed("root@localhost"), plain("root@localhost", "localhost"));
        assert_eq!(parsed("用户@例子.test"), plain("用户@例子.test", "例子.test"));
        let named = |name: &str| (Some(name.to_owned()), "a@b.test".to_owned(), "b.test".to_owned());
        assert_eq!(parsed("张三 <a@b.test>"), named("张三"));
        assert_eq!(parsed("Zhang, San <a@b.test>"), named("Zhang, San"));
        assert_eq!(parsed("\"Zhang \\\"S\\\", San\" <a@b.test>"), named("Zhang \"S\", San"));
        assert_eq!(parsed("evil <x@y.test> <a@b.test>"), named("evil <x@y.test>"));
    }

    #[test]
    fn what_is_not_one_address_is_refused() {
        use AddressError as E;
        let kind = |text: &str| Address::parse(text).unwrap_err();
        assert_eq!(kind("  "), E::Empty);
        for shape in ["nobody", "@b.test", "a@", "<a@b.test", "a <> b@c.test"] {
            assert!(matches!(kind(shape), E::Shape(_)), "{shape}");
        }
        for several in ["a@b.test, c@d.test", "a@b.test;c@d.test", "<a@b.test, c@d.test>"] {
            assert!(matches!(kind(several), E::Several(_)), "{several}");
        }
        for local in [
            "a b@c.test",
            ".a@c.test",
            "a..b@c.test",
            "a(b)@c.test",
            "\"a\"b\"@c.test",
            "\"a\\\"@c.test",
            "=?utf-8?q?b?=@c.test",
        ] {
            assert!(matches!(kind(local), E::Local(_)), "{local}: {:?}", kind(local));
        }
        for domain in ["a@b_c.test", "a@-b.test", "a@b..test", "a@b.test.", "a@[300.1.1.1]", "a@b c"] {
            assert!(matches!(kind(domain), E::Domain(_)), "{domain}");
        }
        for control in ["a@b.test\r\nBcc: c@d.test", "a\u{0}@b.test", "x\u{85} <a@b.test>"] {
            assert!(matches!(kind(control), E::Control(_)), "{control}");
        }
        assert!(matches!(kind(&format!("{}@b.test", "a".repeat(65))), E::Long(_)));
    }
}
