//! Signatures of mails, by which receivers know whose they are (DKIM, RFC 6376).

use std::fmt;

/// How the mails of a way out are signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DkimSettings {
    /// Whose mails they are: small letters, ASCII as IDNA has it.
    pub domain: String,
    /// Where in that domain the public key is: `SELECTOR._domainkey.DOMAIN`.
    pub selector: String,
    /// What signs.
    pub key: DkimKey,
}

/// A private key that has been looked at, in DER.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DkimKey {
    /// RSA as PKCS#1 has it.
    RsaPkcs1(PrivateKey),
    /// RSA as PKCS#8 has it.
    RsaPkcs8(PrivateKey),
    /// Ed25519 (RFC 8463) as PKCS#8 has it.
    Ed25519(PrivateKey),
}

/// A key that is used and never shown: it has no `Display`, and its `Debug` says nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct PrivateKey(Vec<u8>);

impl PrivateKey {
    /// Keeps `der`.
    pub const fn new(der: Vec<u8>) -> Self {
        Self(der)
    }

    /// The key, for whoever has to sign with it.
    pub fn reveal(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}
