//! A message in the shape that is hashed: "relaxed" (RFC 6376 §3.4.2 and §3.4.4), so that white space which servers change
//! on the way breaks nothing.

use ring::digest::{Context, Digest, SHA256};

/// A message whose lines end in CRLF.
#[derive(Debug)]
pub(super) struct Message<'a> {
    /// Each with its folds, without its last line end.
    fields: Vec<&'a [u8]>,
    body: &'a [u8],
}

impl<'a> Message<'a> {
    pub(super) fn read(message: &'a [u8]) -> Self {
        let end = memchr::memmem::find(message, b"\r\n\r\n").map_or(message.len(), |at| at + 2);
        let (head, rest) = message.split_at(end);
        let mut fields = Vec::new();
        let mut start = 0;
        for at in memchr::memmem::find_iter(head, b"\r\n") {
            // A line that begins with white space goes on with the one before.
            if !matches!(head.get(at + 2), Some(b' ' | b'\t')) {
                fields.extend(head.get(start..at));
                start = at + 2;
            }
        }
        Self { fields, body: rest.get(2..).unwrap_or_default() }
    }

    /// The fields of that name, from top to bottom.
    pub(super) fn fields_called(&self, name: &str) -> impl DoubleEndedIterator<Item = &'a [u8]> {
        let is_called = move |field: &&[u8]| {
            let (of_field, _) = parts(field);
            of_field.eq_ignore_ascii_case(name.as_bytes())
        };
        self.fields.iter().copied().filter(is_called)
    }

    /// The hash of the body.
    pub(super) fn body_hash(&self) -> Digest {
        let mut hash = Context::new(&SHA256);
        body(self.body, |bytes| hash.update(bytes));
        hash.finish()
    }
}

/// Name and value of a field.
fn parts(field: &[u8]) -> (&[u8], &[u8]) {
    let colon = memchr::memchr(b':', field).unwrap_or(field.len());
    let (name, value) = field.split_at(colon);
    (name.trim_ascii_end(), value.get(1..).unwrap_or_default())
}

/// Appends a field as it is hashed, without a line end.
pub(super) fn field(field: &[u8], out: &mut Vec<u8>) {
    let (name, value) = parts(field);
    out.extend(name.to_ascii_lowercase());
    out.push(b':');
    let mut begun = false;
    let mut space = false;
    for byte in value {
        match byte {
            // What is folded is one line.
            b'\r' | b'\n' => {}
            b' ' | b'\t' => space = true,
            byte => {
                if space && begun {
                    out.push(b' ');
                }
                out.push(*byte);
                (begun, space) = (true, false);
            }
        }
    }
}

/// Hands `take` a body as it is hashed, in pieces.
fn body(body: &[u8], mut take: impl FnMut(&[u8])) {
    let mut empty = 0_usize;
    let mut reduced = Vec::new();
    let mut rest = body;
    while !rest.is_empty() {
        let end = memchr::memmem::find(rest, b"\r\n");
        let (line, after) = rest.split_at(end.unwrap_or(rest.len()));
        rest = after.get(2..).unwrap_or_default();
        let line = if memchr::memchr2(b' ', b'\t', line).is_some() {
            reduce(line, &mut reduced);
            reduced.as_slice()
        } else {
            line
        };
        if line.is_empty() {
            empty += 1;
            continue;
        }
        // Those at the end do not count.
        for _ in 0..std::mem::take(&mut empty) {
            take(b"\r\n");
        }
        take(line);
        take(b"\r\n");
    }
}

/// White space within a line becomes one space, and none is left at its end.
fn reduce(line: &[u8], out: &mut Vec<u8>) {
    out.clear();
    let mut space = false;
    for byte in line {
        if matches!(byte, b' ' | b'\t') {
            space = true;
            continue;
        }
        if std::mem::take(&mut space) {
            out.push(b' ');
        }
        out.push(*byte);
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD as BASE64;
    use ring::signature::{self, UnparsedPublicKey};

    use super::*;

    fn relaxed(text: &str) -> String {
        let mut out = Vec::new();
        body(text.as_bytes(), |bytes| out.extend_from_slice(bytes));
        String::from_utf8(out).unwrap()
    }

    fn fields(text: &str) -> String {
        let message = Message::read(text.as_bytes());
        let mut out = Vec::new();
        for one in &message.fields {
            field(one, &mut out);
            out.extend_from_slice(b"\r\n");
        }
        String::from_utf8(out).unwrap()
    }

    /// RFC 6376 §3.4.5.
    #[test]
    fn the_example_of_the_standard() {
        let message = "A: X\r\nB : Y\t\r\n\tZ  \r\n\r\n C \r\nD \t E\r\n\r\n\r\n";
        assert_eq!(fields(message), "a:X\r\nb:Y Z\r\n");
        assert_eq!(relaxed(" C \r\nD \t E\r\n\r\n\r\n"), " C\r\nD E\r\n");
        assert_eq!(Message::read(message.as_bytes()).body, b" C \r\nD \t E\r\n\r\n\r\n");
    }

    #[test]
    fn bodies_at_their_edges() {
        // §3.4.4: the hash of an empty body.
        for empty in ["", "\r\n", "\r\n\r\n", " \t\r\n \r\n"] {
            let message = format!("A: b\r\n\r\n{empty}");
            let hash = BASE64.encode(Message::read(message.as_bytes()).body_hash());
            assert_eq!(hash, "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=", "{empty:?}");
        }
        for (text, expected) in [
            ("a", "a\r\n"),
            ("\r\n\r\na\r\n \r\nb \r\n\r\n", "\r\n\r\na\r\n\r\nb\r\n"),
            ("\ta\t \tb", " a b\r\n"),
            (".\r\n..\r\n", ".\r\n..\r\n"),
            ("六 \t一\r\n", "六 一\r\n"),
        ] {
            assert_eq!(relaxed(text), expected, "{text:?}");
        }
        assert!(Message::read(b"A: b\r\n").body.is_empty());
    }

    #[test]
    fn fields_are_found_whatever_their_case_and_folds() {
        let message =
            Message::read(b"Subject: one\r\n\ttwo\r\nX: y\r\nSUBJECT : three\r\n\r\nSubject: body\r\n");
        let found: Vec<_> = message.fields_called("subject").collect();
        assert_eq!(found, [&b"Subject: one\r\n\ttwo"[..], b"SUBJECT : three"]);
        assert_eq!(fields("Empty:\r\nA:\r\n b\r\n c\r\n\r\n"), "empty:\r\na:b c\r\n");
    }

    /// The message of RFC 8463 §A.3 with the signatures that it bears.
    const SIGNED: &str = "DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed;\r\n d=football.example.com; \
        i=@football.example.com;\r\n q=dns/txt; s=brisbane; t=1528637909; h=from : to :\r\n subject : date : \
        message-id : from : subject : date;\r\n bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;\r\n \
        b=\r\nDKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed;\r\n d=football.example.com; \
        i=@football.example.com;\r\n q=dns/txt; s=test; t=1528637909; h=from : to : subject :\r\n date : \
        message-id : from : subject : date;\r\n bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;\r\n \
        b=\r\nFrom: Joe SixPack <joe@football.example.com>\r\nTo: Suzie Q \
        <suzie@shopping.example.net>\r\nSubject: Is dinner ready?\r\nDate: Fri, 11 Jul 2003 21:00:37 -0700 \
        (PDT)\r\nMessage-ID: <20030712040037.46341.5F8J@football.example.com>\r\n\r\nHi.\r\n\r\nWe lost the game.  \
        Are you hungry yet?\r\n\r\nJoe.\r\n";

    #[test]
    fn the_signatures_of_the_standard_hold() {
        let message = Message::read(SIGNED.as_bytes());
        let hash = BASE64.encode(message.body_hash());
        assert_eq!(hash, "2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=");
        let signed = |number: usize| {
            let mut out = Vec::new();
            for name in ["from", "to", "subject", "date", "message-id"] {
                field(message.fields_called(name).next().unwrap(), &mut out);
                out.extend_from_slice(b"\r\n");
            }
            field(message.fields_called("dkim-signature").nth(number).unwrap(), &mut out);
            out
        };
        let decode = |text: &str| BASE64.decode(text).unwrap();
        let ed25519 = UnparsedPublicKey::new(
            &signature::ED25519,
            decode("11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="),
        );
        let ed25519_signature = decode(
            "/gCrinpcQOoIfuHNQIbq4pgh9kyIK3AQUdt9OdqQehSwhEIug4D11BusFa3bT3FY5OsU7ZbnKELq+eXdp1Q1Dw==",
        );
        let hash = ring::digest::digest(&SHA256, &signed(0));
        ed25519.verify(hash.as_ref(), &ed25519_signature).unwrap();
        // What stands before the key in its SubjectPublicKeyInfo is no business of ring's.
        let info = decode(
            "MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDkHlOQoBTzWRiGs5V6NpP3idY6Wk08a5qhdR6wy5bdOKb2jLQiY/J16JYi0Qvx\
             /byYzCNb3W91y3FutACDfzwQ/BC/e/8uBsCR+yz1Lxj+PL6lHvqMKrM3rG4hstT5QjvHO9PzoxZyVYLzBfO2EeC3Ip3G+2kryOTIKT+l\
             /K4w3QIDAQAB",
        );
        let rsa = UnparsedPublicKey::new(
            &signature::RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY,
            info[22..].to_vec(),
        );
        let rsa_signature = decode(
            "F45dVWDfMbQDGHJFlXUNB2HKfbCeLRyhDXgFpEL8GwpsRe0IeIixNTe3DhCVlUrSjV4BwcVcOF6+FF3Zo9Rpo1tFOeS9mPYQTnGdaSGs\
             geefOsk2JzdA+L10TeYt9BgDfQNZtKdN1WO//KgIqXP7OdEFE4LjFYNcUxZQ4FADY+8=",
        );
        rsa.verify(&signed(1), &rsa_signature).unwrap();
    }
}
