//! What a fetch knows from the last time.

use serde::{Deserialize, Serialize};

use super::pick::{Item, hash, key};
use crate::action::http::Reply;
use crate::settings::FetchSettings;

/// So many items that are gone from the page are remembered: some feeds show an entry again after a while.
const REMEMBERED: usize = 5000;

/// What a fetch knows from the last time.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Memory {
    /// What was asked for, and how: under other settings none of this counts.
    of: String,
    /// The URL that the validators belong to.
    url: String,
    etag: Option<String>,
    last_modified: Option<String>,
    /// Of all that counts on the page.
    hash: String,
    /// Ids of items, the newest first.
    seen: Vec<String>,
}

impl Memory {
    /// What `text` says, if it was written under the same settings.
    pub fn read(text: &str, settings: &FetchSettings) -> Option<Self> {
        let memory: Self = serde_json::from_str(text).ok()?;
        (memory.of == fingerprint(settings)).then_some(memory)
    }

    /// What is known after a look that found `items`.
    pub fn after(
        settings: &FetchSettings,
        url: &str,
        reply: &Reply,
        items: &[Item],
        before: Option<&Self>,
    ) -> Self {
        let mut known = std::collections::HashSet::new();
        let mut seen: Vec<String> =
            items.iter().filter(|item| known.insert(&item.id)).map(|item| item.id.clone()).collect();
        // Items without a key are told apart by what they say: what a page said long ago would be news again.
        if !key(settings).is_empty() {
            let room = REMEMBERED.saturating_sub(seen.len());
            let before = before.map_or(&[][..], |before| &before.seen);
            seen.extend(before.iter().filter(|id| !known.contains(*id)).take(room).cloned());
        }
        let header = |name| reply.header(name).map(str::to_owned);
        let texts: Vec<String> = items.iter().map(|item| item.value.to_string()).collect();
        Self {
            of: fingerprint(settings),
            url: hash(url),
            etag: header("etag"),
            last_modified: header("last-modified"),
            hash: hash(&texts.join("\n")),
            seen,
        }
    }

    /// As it is written.
    pub fn text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// What to ask with: the page need not be sent if it is still what it was.
    pub fn conditions(&self, url: &str) -> Vec<(&'static str, &str)> {
        if self.url != hash(url) {
            return Vec::new();
        }
        [("if-none-match", &self.etag), ("if-modified-since", &self.last_modified)]
            .into_iter()
            .filter_map(|(name, value)| Some((name, value.as_deref()?)))
            .collect()
    }

    /// All that counts is the same.
    pub fn is_same(&self, other: &Self) -> bool {
        self.hash == other.hash
    }

    /// Whether an item was there the last time, or, of items with a key, at any time.
    pub fn has_seen(&self) -> impl Fn(&Item) -> bool + use<> {
        let seen: std::collections::HashSet<String> = self.seen.iter().cloned().collect();
        move |item| seen.contains(&item.id)
    }
}

/// What makes memories of one look worthless for another.
fn fingerprint(settings: &FetchSettings) -> String {
    let save = settings.save.as_ref();
    hash(&format!("{:?} {:?} {:?} {:?}", settings.request.url, settings.pick, key(settings), save))
}
