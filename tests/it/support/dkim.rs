//! A verifier of DKIM signatures that shares nothing with the signer: canonical forms by splitting and joining strings,
//! keys, hashes and signatures by OpenSSL's own program.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::require;

/// A key of its own for a test: the private half in a file, the public one beside it.
pub(crate) struct KeyFile {
    folder: tempfile::TempDir,
    algorithm: &'static str,
}

impl KeyFile {
    /// In PKCS#8.
    pub(crate) fn rsa() -> Self {
        Self::make("rsa-sha256", &["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"])
    }

    /// In PKCS#1.
    pub(crate) fn old_rsa() -> Self {
        Self::make("rsa-sha256", &["genrsa", "-traditional", "2048"])
    }

    pub(crate) fn ed25519() -> Self {
        Self::make("ed25519-sha256", &["genpkey", "-algorithm", "ed25519"])
    }

    fn make(algorithm: &'static str, how: &[&str]) -> Self {
        let key = Self { folder: tempfile::tempdir().unwrap(), algorithm };
        fs::write(key.private(), openssl(how, b"")).unwrap();
        fs::write(key.public(), openssl(&["pkey", "-pubout"], &fs::read(key.private()).unwrap())).unwrap();
        key
    }

    pub(crate) fn private(&self) -> PathBuf {
        self.folder.path().join("private.pem")
    }

    fn public(&self) -> PathBuf {
        self.folder.path().join("public.pem")
    }

    /// Whether the first signature of `message` holds (RFC 6376 §6.1.3); else what is wrong with it.
    pub(crate) fn verify(&self, message: &[u8]) -> Result<(), String> {
        let message = std::str::from_utf8(message).unwrap();
        let (head, body) = message.split_once("\r\n\r\n").unwrap();
        let mut fields = fields(head);
        let at = fields.iter().position(|(name, _)| name == "dkim-signature").ok_or("no signature")?;
        let (name, signature) = fields.remove(at);
        let tag = |tag: &str| tag_of(&signature, tag);
        for (name, expected) in [("v", "1"), ("a", self.algorithm), ("c", "relaxed/relaxed")] {
            assert_eq!(tag(name), expected, "{name}= in {signature}");
        }
        let hash = openssl(&["dgst", "-sha256", "-binary"], relaxed_body(body).as_bytes());
        if tag("bh") != BASE64.encode(hash) {
            return Err("the body is another".to_owned());
        }
        let mut signed = Vec::new();
        for wanted in tag("h").split(':') {
            let found = fields.iter().rposition(|(name, _)| name.eq_ignore_ascii_case(wanted));
            if let Some((name, value)) = found.map(|at| fields.remove(at)) {
                signed.extend(format!("{name}:{}\r\n", words(&value)).into_bytes());
            }
        }
        let (unsigned, _) = signature.rsplit_once("b=").unwrap();
        signed.extend(format!("{name}:{}", words(&format!("{unsigned}b="))).into_bytes());
        let proof = BASE64.decode(tag("b")).unwrap();
        self.holds(&signed, &proof).then_some(()).ok_or_else(|| "the headers are others".to_owned())
    }

    fn holds(&self, signed: &[u8], proof: &[u8]) -> bool {
        let [data, signature] = ["data", "signature"].map(|name| self.folder.path().join(name));
        fs::write(&signature, proof).unwrap();
        let mut command = Command::new(require("openssl"));
        if self.algorithm == "ed25519-sha256" {
            fs::write(&data, openssl(&["dgst", "-sha256", "-binary"], signed)).unwrap();
            command.args(["pkeyutl", "-verify", "-rawin", "-pubin", "-inkey"]).arg(self.public());
            command.arg("-in").arg(&data).arg("-sigfile").arg(&signature);
        } else {
            fs::write(&data, signed).unwrap();
            command.args(["dgst", "-sha256", "-verify"]).arg(self.public());
            command.arg("-signature").arg(&signature).arg(&data);
        }
        command.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().success()
    }
}

/// A tag of a signature, without white space.
pub(crate) fn tag_of(signature: &str, tag: &str) -> String {
    let squeezed: String = signature.split_whitespace().collect();
    let found = squeezed.split(';').find_map(|part| part.strip_prefix(&format!("{tag}=")).map(str::to_owned));
    found.unwrap_or_else(|| panic!("no {tag}= in {signature}"))
}

/// Names in small letters, and values as they stand, folds included.
pub(crate) fn fields(head: &str) -> Vec<(String, String)> {
    let mut fields: Vec<(String, String)> = Vec::new();
    for line in head.split("\r\n") {
        match fields.last_mut() {
            Some((_, value)) if line.starts_with([' ', '\t']) => {
                value.push_str("\r\n");
                value.push_str(line);
            }
            _ => {
                let (name, value) = line.split_once(':').unwrap();
                fields.push((name.trim().to_ascii_lowercase(), value.to_owned()));
            }
        }
    }
    fields
}

fn words(value: &str) -> String {
    value.split([' ', '\t', '\r', '\n']).filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

fn relaxed_body(body: &str) -> String {
    let relaxed = |line: &str| {
        let words: Vec<&str> = line.split([' ', '\t']).filter(|word| !word.is_empty()).collect();
        let indent = if line.starts_with([' ', '\t']) && !words.is_empty() { " " } else { "" };
        format!("{indent}{}", words.join(" "))
    };
    let whole = body.split("\r\n").map(relaxed).collect::<Vec<_>>().join("\r\n");
    let whole = whole.trim_end_matches("\r\n");
    if whole.is_empty() { String::new() } else { format!("{whole}\r\n") }
}

/// What `openssl` says to `input`.
pub(crate) fn openssl(args: &[&str], input: &[u8]) -> Vec<u8> {
    let mut child = Command::new(require("openssl"))
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "openssl {args:?}");
    output.stdout
}
