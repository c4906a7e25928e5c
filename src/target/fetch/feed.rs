//! Entries of feeds: RSS, Atom, JSON Feed.

use feed_rs::model::{Entry, Link, Text};
use feed_rs::parser;
use serde_json::{Value, json};

use super::pick::{Item, Page, Wanted};

/// The entries, in the order of the feed.
pub fn items(page: Page<'_>, wanted: Wanted<'_>) -> Result<Vec<Item>, String> {
    // The library names entries without an id by their links and titles, the same each time.
    let feed = parser::parse(page.body).map_err(|error| format!("the answer is not a feed: {error}"))?;
    Ok(feed.entries.into_iter().map(|entry| wanted.json(value(entry, page))).collect())
}

fn value(entry: Entry, page: Page<'_>) -> Value {
    let text = |text: Option<Text>| text.map(|text| text.content);
    let links = &entry.links;
    let is_page = |link: &&Link| link.rel.as_deref().is_none_or(|rel| rel == "alternate");
    let link = links.iter().find(is_page).or_else(|| links.first()).map(|link| (page.absolute)(&link.href));
    let author = entry.authors.into_iter().find_map(|author| author.name.or(author.email));
    let time = |time: Option<chrono::DateTime<chrono::Utc>>| {
        time.map(|time| time.format("%Y-%m-%dT%H:%M:%SZ").to_string())
    };
    json!({
        "id": entry.id,
        "title": text(entry.title),
        "link": link,
        "published": time(entry.published.or(entry.updated)),
        "updated": time(entry.updated),
        "summary": text(entry.summary),
        "content": entry.content.and_then(|content| content.body),
        "author": author,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: Wanted<'static> = Wanted { columns: &[], key: &[] };

    fn items(body: &[u8], wanted: Wanted<'_>) -> Result<Vec<Item>, String> {
        let absolute = |link: &str| link.replace("rel:", "https://a.b/");
        super::items(Page { body, content_type: None, absolute: &absolute }, wanted)
    }

    #[track_caller]
    fn entries(feed: &str) -> Vec<Value> {
        items(feed.as_bytes(), WHOLE).unwrap().into_iter().map(|item| item.value).collect()
    }

    #[test]
    fn rss_atom_and_json_feeds_have_the_same_fields() {
        let rss = r#"<?xml version="1.0"?><rss version="2.0"><channel><title>t</title><link>https://a.b/</link>
            <item><guid>g1</guid><title>One &amp; two</title><link>rel:1</link>
            <pubDate>Mon, 01 Jun 2026 09:00:00 +0800</pubDate><description>d</description></item></channel></rss>"#;
        assert_eq!(
            entries(rss),
            [
                json!({ "id": "g1", "title": "One & two", "link": "https://a.b/1", "published": "2026-06-01T01:00:00Z",
                "updated": "2026-06-01T01:00:00Z", "summary": "d", "content": null, "author": null })
            ]
        );
        let atom = r#"<feed xmlns="http://www.w3.org/2005/Atom"><title>t</title><id>f</id><updated>2026-06-01T00:00:00Z</updated>
            <entry><id>a1</id><title>鼓</title><updated>2026-06-01T09:00:00+08:00</updated><author><name>N</name></author>
            <link rel="self" href="https://a.b/self"/><link href="https://a.b/1"/><content type="html">&lt;p&gt;</content></entry></feed>"#;
        let found = &entries(atom)[0];
        assert_eq!(found["id"], "a1");
        assert_eq!((&found["link"], &found["author"]), (&json!("https://a.b/1"), &json!("N")));
        assert_eq!((&found["published"], &found["content"]), (&json!("2026-06-01T01:00:00Z"), &json!("<p>")));
        let json = r#"{"version": "https://jsonfeed.org/version/1", "title": "t", "items": [
            {"id": "j1", "title": "x", "url": "https://a.b/1", "content_text": "c", "date_published": "2026-06-01T01:00:00Z"}]}"#;
        let found = &entries(json)[0];
        assert_eq!((&found["id"], &found["link"]), (&json!("j1"), &json!("https://a.b/1")));
    }

    #[test]
    fn an_entry_without_an_id_keeps_the_one_it_is_given() {
        let rss = "<rss version=\"2.0\"><channel><title>t</title><link>x</link><description>d</description>\
                   <item><title>One</title><link>https://a.b/1</link></item></channel></rss>";
        let (first, second) = (entries(rss), entries(rss));
        assert!(first == second && first[0]["id"].as_str().is_some_and(|id| !id.is_empty()), "{first:?}");
    }

    #[test]
    fn what_is_no_feed_is_refused() {
        let error = items(b"<html><body>404</body></html>", WHOLE).unwrap_err();
        assert!(error.starts_with("the answer is not a feed: "), "{error}");
    }
}
