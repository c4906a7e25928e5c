//! `dkim` of a way out for mail: whose signature mails bear, and the key that signs.
//!
//! What is found wrong with a key never quotes it.

use std::path::Path;

use ring::signature::{Ed25519KeyPair, RsaKeyPair};
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject as _;

use super::decode::{Keys, Node};
use super::secret::secret;
use crate::settings::{DkimKey, DkimSettings, PrivateKey};

const MAKE: &str = "make one with `openssl genrsa -out dkim.pem 2048`";

/// Reads how mails are signed that are from `from` unless they say otherwise; relative paths start at `folder`.
pub(super) fn read(node: &Node<'_>, from: Option<&str>, folder: &Path) -> Option<DkimSettings> {
    let fields = node.object(&Keys::only(&["domain", "selector", "key"]))?;
    let domain = fields.need("domain", |node| {
        let domain = domain(node)?;
        let author = from.map(|from| folded(author_domain(from)));
        if let Some(author) = author.filter(|author| !is_aligned(&domain, author)) {
            let help =
                format!("receivers look for a signature of the domain in `From` (DMARC); write `{author}`");
            node.warning(format!("a signature of {domain} says nothing about mails from {author}"), help);
        }
        Some(domain)
    });
    let selector = fields.need("selector", selector);
    let key = fields.need("key", |node| {
        let pem = secret(node, folder)?;
        match key(pem.reveal()) {
            Ok(key) => Some(key),
            Err((problem, help)) => {
                node.error(problem, help.to_owned());
                None
            }
        }
    });
    Some(DkimSettings { domain: domain?, selector: selector?, key: key? })
}

fn domain(node: &Node<'_>) -> Option<String> {
    let text = node.text()?;
    let is_one = |domain: &String| {
        let label =
            |label: &str| label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') && !label.is_empty();
        domain.split('.').all(label)
    };
    match url::Host::parse(text) {
        Ok(url::Host::Domain(domain)) if is_one(&domain) => Some(domain),
        _ => {
            let help = "write what stands after the `@` of the sender, such as `example.com`".to_owned();
            node.error(format!("`{text}` is not a domain"), help);
            None
        }
    }
}

/// RFC 6376 §3.1: labels with dots in between.
fn selector(node: &Node<'_>) -> Option<String> {
    let text = node.text()?;
    if let Some((selector, _)) = text.split_once("._domainkey") {
        let help = format!("write `{selector}`");
        node.error("the selector is what stands before `._domainkey` alone", help);
        return None;
    }
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c))
    };
    if !text.split('.').all(label) {
        let help = "write letters, digits and `-`, such as `s1`: the name of the key in the DNS".to_owned();
        node.error(format!("`{text}` is not a selector"), help);
        return None;
    }
    Some(text.to_owned())
}

/// The private key in a text, or what is wrong with it and the fix.
fn key(pem: &str) -> Result<DkimKey, (String, &'static str)> {
    let der = PrivateKeyDer::from_pem_slice(pem.as_bytes()).map_err(|_| no_key(pem))?;
    let unusable = |kind: &str, problem: ring::error::KeyRejected| match problem.to_string().as_str() {
        "TooSmall" => ("the RSA key is too short: 2048 bits are the least".to_owned(), MAKE),
        "TooLarge" => {
            ("the RSA key is too long: 4096 bits are the most, and few receivers need them".to_owned(), MAKE)
        }
        "WrongAlgorithm" => ("the key is neither RSA nor Ed25519, and DKIM knows no other".to_owned(), MAKE),
        problem => (format!("the {kind} cannot be used: {problem}"), MAKE),
    };
    let keep = |der: &[u8]| PrivateKey::new(der.to_vec());
    match &der {
        PrivateKeyDer::Pkcs1(der) => {
            let der = der.secret_pkcs1_der();
            RsaKeyPair::from_der(der).map_err(|problem| unusable("RSA key", problem))?;
            Ok(DkimKey::RsaPkcs1(keep(der)))
        }
        PrivateKeyDer::Pkcs8(der) => {
            let der = der.secret_pkcs8_der();
            if Ed25519KeyPair::from_pkcs8_maybe_unchecked(der).is_ok() {
                return Ok(DkimKey::Ed25519(keep(der)));
            }
            RsaKeyPair::from_pkcs8(der).map_err(|problem| unusable("key", problem))?;
            Ok(DkimKey::RsaPkcs8(keep(der)))
        }
        _ => Err(("the key is neither RSA nor Ed25519, and DKIM knows no other".to_owned(), MAKE)),
    }
}

fn no_key(text: &str) -> (String, &'static str) {
    let has = |what: &str| text.contains(what);
    if has("BEGIN ENCRYPTED PRIVATE KEY") || has("Proc-Type: 4,ENCRYPTED") {
        return (
            "the key is encrypted".to_owned(),
            "write it without its password: `openssl pkey -in KEY -out dkim.pem`",
        );
    }
    if has("PUBLIC KEY-----") || has("BEGIN CERTIFICATE") {
        return (
            "this is a public key, and the private one signs".to_owned(),
            "name the file that has `BEGIN PRIVATE KEY`; the public key goes into the DNS",
        );
    }
    ("this is not a private key in PEM".to_owned(), MAKE)
}

/// What stands after the `@` of `name <address>`.
fn author_domain(from: &str) -> &str {
    from.rsplit_once('@').map_or(from, |(_, domain)| domain).trim_end_matches('>').trim()
}

fn folded(domain: &str) -> String {
    match url::Host::parse(domain) {
        Ok(url::Host::Domain(domain)) => domain,
        _ => domain.to_lowercase(),
    }
}

/// One is the other, or lies below it (DMARC, RFC 7489 §3.1.1, as far as it can be told without a list of registries).
fn is_aligned(one: &str, other: &str) -> bool {
    let below = |low: &str, high: &str| low.strip_suffix(high).is_some_and(|rest| rest.ends_with('.'));
    one == other || below(one, other) || below(other, one)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domains_above_and_below_are_aligned() {
        for (one, other) in [("ex.com", "ex.com"), ("mail.ex.com", "ex.com"), ("ex.com", "a.b.ex.com")] {
            assert!(is_aligned(one, other), "{one} {other}");
        }
        for (one, other) in [("ex.com", "notex.com"), ("ex.com", "ex.org"), ("a.ex.com", "b.ex.com")] {
            assert!(!is_aligned(one, other), "{one} {other}");
        }
        assert_eq!(author_domain("鼓楼 <a@b.test>"), "b.test");
        assert_eq!(author_domain(" a@b.test "), "b.test");
    }
}
