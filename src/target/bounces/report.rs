//! What a mail says of mails that did not arrive: delivery status notifications (RFC 3464), and what older systems write
//! instead. Knows nothing of folders and tables.

use mail_parser::{Address, HeaderValue, Message, MessageParser, MimeHeaders as _, PartType};

use super::words::{self, Class};

/// Messages within messages that are looked into: a bounce may have been passed on.
const DEPTH: usize = 2;

/// Recipients of one report: each is looked up, and anybody can write a report.
const MOST: usize = 100;

/// What a mail is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Letter {
    /// Mails have not arrived.
    Bounce(Vec<Failure>),
    /// Anything else; says what, for people.
    Other(String),
}

/// A recipient whom a mail has not reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What the mail may have been addressed to, the most trustworthy first.
    pub addresses: Vec<String>,
    /// For good, or for now.
    pub class: Class,
    /// `5.1.1` (RFC 3463), where it is known.
    pub status: Option<String>,
    /// What the last server said: one line.
    pub reason: String,
}

/// Reads a mail, of which the end may be missing.
pub fn read(bytes: &[u8]) -> Letter {
    let Some(message) = MessageParser::new().parse(bytes) else {
        return Letter::Other("no mail".to_owned());
    };
    let mut seen_report = false;
    let mut failures = within(&message, 0, &mut seen_report);
    // Old systems call what they write an automatic reply too.
    if failures.is_none() && !seen_report {
        failures = by_header(&message).or_else(|| by_words(&message));
    }
    let too_many = format!("a report of more than {MOST} recipients");
    let what = match failures {
        Some(failures) if failures.len() <= MOST => return Letter::Bounce(failures),
        Some(_) => &too_many,
        None if seen_report => {
            "a report of mails that did arrive, or without an address, or whose end is missing"
        }
        None if is_automatic(&message) => "an automatic reply",
        None => "no bounce",
    };
    let from = first(message.from()).unwrap_or("nobody").to_owned();
    let subject = message.subject().unwrap_or_default();
    Letter::Other(words::one_line(&format!("{what}, from {from}: {subject}")))
}

/// The failures of the first report in a message, or in a message within it.
fn within(message: &Message<'_>, depth: usize, seen_report: &mut bool) -> Option<Vec<Failure>> {
    let is_report = |kind: &str| {
        kind.eq_ignore_ascii_case("delivery-status") || kind.eq_ignore_ascii_case("global-delivery-status")
    };
    let status = message.parts.iter().find(|part| {
        part.content_type().is_some_and(|kind| {
            kind.ctype().eq_ignore_ascii_case("message") && kind.subtype().is_some_and(is_report)
        })
    });
    if let Some(part) = status {
        *seen_report = true;
        let text = String::from_utf8_lossy(part.contents());
        // Where the mail ends in the middle of it, the last line may be half of one.
        let is_cut = part.offset_end as usize >= message.raw_message.len();
        let whole = if is_cut { text.rfind('\n').map_or("", |end| &text[..end]) } else { &text };
        let failures = failures(whole, returned_to(message).as_deref());
        return (!failures.is_empty()).then_some(failures);
    }
    if depth == DEPTH {
        return None;
    }
    message.parts.iter().find_map(|part| match &part.body {
        PartType::Message(inner) => within(inner, depth + 1, seen_report),
        _ => None,
    })
}

/// The one address that the returned mail went to: as we wrote it.
fn returned_to(report: &Message<'_>) -> Option<String> {
    let one = |message: &Message<'_>| {
        let mut all = message.to()?.iter();
        let address = all.next()?.address()?;
        (all.next().is_none() && words::is_address(address)).then(|| address.to_owned())
    };
    report.parts.iter().find_map(|part| {
        if let PartType::Message(returned) = &part.body {
            return one(returned);
        }
        let kind = part.content_type()?.subtype()?;
        // RFC 6522 and its relatives: nothing but the headers.
        let is_headers =
            ["rfc822-headers", "global-headers"].iter().any(|known| kind.eq_ignore_ascii_case(known));
        let headers = is_headers.then(|| MessageParser::new().parse_headers(part.contents()))??;
        one(&headers)
    })
}

/// RFC 3464 §2: fields of the message, then those of each recipient, with empty lines between. More than `MOST` are not told
/// to their end.
fn failures(text: &str, returned_to: Option<&str>) -> Vec<Failure> {
    let mut groups: Vec<Fields> = vec![Fields::default()];
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        if line.trim().is_empty() {
            groups.push(Fields::default());
            continue;
        }
        let Some((name, value)) = line.split_once(':') else { continue };
        let mut value = value.trim().to_owned();
        while let Some(more) = lines.next_if(|line| line.starts_with([' ', '\t']) && !line.trim().is_empty())
        {
            value.push(' ');
            value.push_str(more.trim());
        }
        if let Some(group) = groups.last_mut() {
            group.set(name.trim(), value);
        }
    }
    let complete: Vec<&Fields> = groups.iter().filter(|group| group.recipient.is_some()).collect();
    // Of a report of several it is not known to which of them the returned mail went.
    let returned_to = returned_to.filter(|_| complete.len() == 1);
    complete.into_iter().filter_map(|group| group.failure(returned_to)).take(MOST + 1).collect()
}

/// What counts of a recipient's fields.
#[derive(Default)]
struct Fields {
    original: Option<String>,
    recipient: Option<String>,
    action: String,
    status: Option<String>,
    diagnostic: String,
}

impl Fields {
    fn set(&mut self, name: &str, value: String) {
        match name.to_ascii_lowercase().as_str() {
            "original-recipient" => self.original = address(&value),
            "final-recipient" => self.recipient = address(&value),
            "action" => self.action = value.to_ascii_lowercase(),
            // Some write a comment behind it.
            "status" => self.status = words::status(&value),
            "diagnostic-code" => self.diagnostic = value,
            _ => {}
        }
    }

    fn failure(&self, returned_to: Option<&str>) -> Option<Failure> {
        let said = self.diagnostic.split_once(';').map_or(self.diagnostic.as_str(), |(_, said)| said);
        let status = self.status.clone().or_else(|| words::status(said));
        let class = match self.action.split_whitespace().next()? {
            // A server that says neither does not say that it is for good.
            "failed" => {
                status.as_deref().and_then(Class::of).or_else(|| words::reply(said)).unwrap_or(Class::Soft)
            }
            "delayed" => Class::Soft,
            _ => return None,
        };
        let mut addresses: Vec<String> = Vec::new();
        let known = [returned_to, self.original.as_deref(), self.recipient.as_deref()];
        for address in known.into_iter().flatten() {
            if !addresses.iter().any(|known| known == address) {
                addresses.push(address.to_owned());
            }
        }
        let reason = match &status {
            Some(status) if !said.contains(status.as_str()) => format!("{status} {said}"),
            _ => said.to_owned(),
        };
        Some(Failure { addresses, class, status, reason: words::one_line(&reason) })
    }
}

/// `rfc822; user@example.com`, with or without what stands before or around it.
fn address(value: &str) -> Option<String> {
    let text = value.split_once(';').map_or(value, |(_, text)| text).trim();
    let text = text.trim_matches(['<', '>', '"']).trim();
    words::is_address(text).then(|| text.to_owned())
}

/// Exim and Gmail name in a header whom they gave up on.
fn by_header(message: &Message<'_>) -> Option<Vec<Failure>> {
    let header = message.header_raw("X-Failed-Recipients")?;
    let text = words::text_of(message);
    let (class, status) = (words::class(&text).unwrap_or(Class::Hard), words::status(&text));
    let reason = words::around(&text);
    let named: Vec<&str> = words::addresses(header).take(MOST + 1).collect();
    // Too many are not looked for: each search reads the whole text.
    let is_said = |address: &&str| named.len() > MOST || text.contains(*address);
    let failures: Vec<Failure> = named
        .iter()
        .copied()
        .filter(is_said)
        .map(|address| Failure {
            addresses: vec![address.to_owned()],
            class,
            status: status.clone(),
            reason: reason.clone(),
        })
        .collect();
    (!failures.is_empty()).then_some(failures)
}

/// A mail system that writes for people alone: it names one address and a reply of a server, or says nothing that could be
/// relied upon.
fn by_words(message: &Message<'_>) -> Option<Vec<Failure>> {
    let from = first(message.from())?;
    let is_system =
        ["mailer-daemon@", "postmaster@"].iter().any(|name| from.to_ascii_lowercase().starts_with(name));
    if !is_system {
        return None;
    }
    let text = words::text_of(message);
    let class = words::class(&text)?;
    let own = [Some(from), first(message.to())];
    let is_own = |address: &str| own.iter().flatten().any(|own| own.eq_ignore_ascii_case(address));
    let mut named: Vec<&str> = words::addresses(&text).filter(|address| !is_own(address)).collect();
    named.sort_unstable_by_key(|address| address.to_ascii_lowercase());
    named.dedup_by(|a, b| a.eq_ignore_ascii_case(b));
    let [address] = named[..] else { return None };
    let status = words::status(&text);
    Some(vec![Failure { addresses: vec![address.to_owned()], class, status, reason: words::around(&text) }])
}

/// RFC 3834, and what was there before it.
fn is_automatic(message: &Message<'_>) -> bool {
    let says = |name: &'static str, words: &[&str]| {
        let value =
            message.header(name).and_then(HeaderValue::as_text).unwrap_or_default().to_ascii_lowercase();
        words.iter().any(|word| value.starts_with(word))
    };
    says("Auto-Submitted", &["auto-replied"])
        || says("Precedence", &["auto_reply"])
        || message.header("X-Autoreply").is_some()
}

fn first<'m>(addresses: Option<&'m Address<'_>>) -> Option<&'m str> {
    addresses?.first()?.address()
}

#[cfg(test)]
mod tests;
