//! A text that is used and never shown.

use std::fmt;

/// A password or the like. It has no `Display`, and its `Debug` says nothing, so that it gets into no log by accident.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Keeps `text`.
    pub const fn new(text: String) -> Self {
        Self(text)
    }

    /// The text, for whoever has to present it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_nothing_of_it() {
        let secret = Secret::new("a1b2".to_owned());
        assert_eq!(format!("{:?} {:#?}", secret, Some(&secret)), "… Some(\n    …,\n)");
        assert_eq!(secret.reveal(), "a1b2");
    }
}
