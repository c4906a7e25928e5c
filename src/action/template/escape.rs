//! How values are written into a template's text, by the place they stand in.

use std::borrow::Cow;
use std::fmt::Write;

use minijinja::value::{Value, ValueKind};
use minijinja::{AutoEscape, Error, Output, State, escape_formatter};

/// The escaping of URLs, which the engine does not have.
pub(super) const URL: AutoEscape = AutoEscape::Custom(Cow::Borrowed("url"));

/// The escaping of texts within JSON's quotes. The engine's own writes quotes around them, and who writes a JSON template
/// has written them already.
pub(super) const JSON: AutoEscape = AutoEscape::Custom(Cow::Borrowed("json in quotes"));

/// Writes `value`, escaped as the template's place asks.
pub(super) fn format(out: &mut Output, state: &mut State, value: &Value) -> Result<(), Error> {
    let place = state.auto_escape();
    if !matches!(place, AutoEscape::Custom(_)) {
        return escape_formatter(out, state, value);
    }
    let text = value.to_string();
    let encoded = if value.is_safe() {
        text
    } else if *place == JSON {
        in_json(value, &text)
    } else {
        urlencode(&text)
    };
    Ok(out.write_str(&encoded)?)
}

/// As it stands within JSON's quotes; booleans and nothing as JSON writes them.
fn in_json(value: &Value, text: &str) -> String {
    match value.kind() {
        ValueKind::Bool => text.to_lowercase(),
        ValueKind::None => "null".to_owned(),
        _ => {
            let quoted = serde_json::Value::from(text).to_string();
            quoted[1..quoted.len() - 1].to_owned()
        }
    }
}

/// Percent-encodes all but the unreserved characters of RFC 3986 §2.3.
pub(super) fn urlencode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len() + 8);
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            encoded.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}
