//! Signatures of mails (DKIM, RFC 6376; Ed25519 as RFC 8463 has it), relaxed in headers and body.
//!
//! What is signed are the final bytes of a mail, before a connection doubles dots. `From` is signed once more than it is
//! there, so that nobody can add another one. An RSA signature takes a processor most of a millisecond: it is made beside
//! the threads that connections live on, and by no more of them at a time than there are processors.

mod canon;

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ring::error::KeyRejected;
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, RSA_PKCS1_SHA256, RsaKeyPair};
use tokio::sync::Semaphore;

use self::canon::Message;
use super::message::RenderedMail;
use crate::action::Outcome;
use crate::clock::Clock;
use crate::settings::{DkimKey, DkimSettings};

/// The headers that are signed if they are there: who, to whom, when, what it is, and how to unsubscribe, which RFC 8058
/// §4 wants signed.
const SIGNED: [&str; 12] = [
    "From",
    "To",
    "Cc",
    "Reply-To",
    "Subject",
    "Date",
    "Message-ID",
    "MIME-Version",
    "Content-Type",
    "Content-Transfer-Encoding",
    "List-Unsubscribe",
    "List-Unsubscribe-Post",
];
/// The one that is signed once more than it is there.
const AUTHOR: &str = "From";

/// A mail that is no larger is hashed faster than it is handed to another thread.
const SMALL: usize = 64 << 10;

/// Lines of the header are folded at about this length.
const FOLD: usize = 72;

/// What signs the mails of a way out. Clones share the key.
#[derive(Clone, Debug)]
pub(super) struct Signer(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    domain: String,
    selector: String,
    key: Key,
    clock: Clock,
    /// One for each processor.
    rooms: Semaphore,
}

#[derive(Debug)]
enum Key {
    Rsa(Box<RsaKeyPair>),
    Ed25519(Box<Ed25519KeyPair>),
}

impl Signer {
    /// The error is why the key does not sign, which whoever read it has looked at.
    pub(super) fn new(settings: &DkimSettings, clock: Clock) -> Result<Self, KeyRejected> {
        let rsa = |pair: RsaKeyPair| Key::Rsa(Box::new(pair));
        let key = match &settings.key {
            DkimKey::RsaPkcs1(der) => rsa(RsaKeyPair::from_der(der.reveal())?),
            DkimKey::RsaPkcs8(der) => rsa(RsaKeyPair::from_pkcs8(der.reveal())?),
            DkimKey::Ed25519(der) => {
                Key::Ed25519(Box::new(Ed25519KeyPair::from_pkcs8_maybe_unchecked(der.reveal())?))
            }
        };
        let processors = std::thread::available_parallelism().map_or(1, Into::into);
        Ok(Self(Arc::new(Shared {
            domain: settings.domain.clone(),
            selector: settings.selector.clone(),
            key,
            clock,
            rooms: Semaphore::new(processors),
        })))
    }

    /// The mail with a signature in front of it.
    pub(super) async fn sign(&self, mail: &RenderedMail) -> Result<RenderedMail, Outcome> {
        let failed = |problem: &dyn std::fmt::Display| Outcome::Halt {
            reason: format!("could not sign the mail (dkim): {problem}"),
        };
        let at = self.0.clock.now().timestamp();
        if matches!(self.0.key, Key::Ed25519(_)) && mail.bytes().len() <= SMALL {
            return Ok(mail.under(&self.0.header(mail.bytes(), at).map_err(|error| failed(&error))?));
        }
        // It is never closed.
        let _room = self.0.rooms.acquire().await.ok();
        let (shared, unsigned) = (Arc::clone(&self.0), mail.clone());
        let signing =
            tokio::task::spawn_blocking(move || Ok(unsigned.under(&shared.header(unsigned.bytes(), at)?)));
        let signed: Result<_, ring::error::Unspecified> = signing.await.map_err(|error| failed(&error))?;
        signed.map_err(|error| failed(&error))
    }
}

impl Shared {
    /// `DKIM-Signature` of a message, signed at `at` (unix seconds), with its last line end.
    fn header(&self, message: &[u8], at: i64) -> Result<String, ring::error::Unspecified> {
        let message = Message::read(message);
        let mut names = Vec::new();
        let mut signed = Vec::new();
        for name in SIGNED {
            // Those at the bottom are signed first (RFC 6376 §5.4.2).
            for field in message.fields_called(name).rev() {
                names.push(name);
                canon::field(field, &mut signed);
                signed.extend_from_slice(b"\r\n");
            }
            if name == AUTHOR {
                names.push(name);
            }
        }
        let algorithm = match &self.key {
            Key::Rsa(_) => "rsa-sha256",
            Key::Ed25519(_) => "ed25519-sha256",
        };
        let Self { domain, selector, .. } = self;
        let mut header = format!(
            "DKIM-Signature: v=1; a={algorithm}; c=relaxed/relaxed;\r\n\td={domain}; s={selector};\r\n\tt={at}; \
             bh={};\r\n\th=",
            BASE64.encode(message.body_hash()),
        );
        header.push_str(&folded_names(&names));
        header.push_str(";\r\n\tb=");
        canon::field(header.as_bytes(), &mut signed);
        let signature = self.key.sign(&signed)?;
        let signature = BASE64.encode(signature);
        for (index, c) in signature.char_indices() {
            if index > 0 && index.is_multiple_of(FOLD) {
                header.push_str("\r\n\t");
            }
            header.push(c);
        }
        header.push_str("\r\n");
        Ok(header)
    }
}

impl Key {
    fn sign(&self, bytes: &[u8]) -> Result<Vec<u8>, ring::error::Unspecified> {
        match self {
            Self::Rsa(pair) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), bytes, &mut signature)?;
                Ok(signature)
            }
            // RFC 8463 §3: what Ed25519 signs is the hash.
            Self::Ed25519(pair) => {
                let hash = ring::digest::digest(&ring::digest::SHA256, bytes);
                Ok(pair.sign(hash.as_ref()).as_ref().to_vec())
            }
        }
    }
}

/// The names with colons in between, in lines.
fn folded_names(names: &[&str]) -> String {
    let mut list = String::new();
    let mut line = "\th=".len();
    for (index, name) in names.iter().enumerate() {
        if index > 0 {
            list.push(':');
            line += 1;
        }
        if line + name.len() > FOLD {
            list.push_str("\r\n\t");
            line = 1;
        }
        list.push_str(name);
        line += name.len();
    }
    list
}
