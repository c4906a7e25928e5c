//! Elements of HTML pages, by CSS selectors.

use encoding_rs::{Encoding, UTF_8};
use scraper::{ElementRef, Html, Selector};
use serde_json::{Map, Value, json};

use super::pick::{Item, Page, Wanted};

/// Bytes at the start of a page that may say how it is encoded; the HTML standard's own bound.
const PRESCAN: usize = 1024;

/// The elements that `selector` matches; the reason, when there are none.
pub fn items(selector: &str, source: Page<'_>, wanted: Wanted<'_>) -> Result<Vec<Item>, String> {
    let selected = compile(selector)?;
    let paths = wanted.columns.iter().map(|(_, path)| path).chain(wanted.key);
    let spots =
        paths.map(|path| Ok((path.as_str(), Spot::read(path)?))).collect::<Result<Vec<_>, String>>()?;
    let page = Html::parse_document(&decode(source.body, source.content_type));
    let at = |element: ElementRef<'_>, path: &str| {
        let spot = spots.iter().find(|(known, _)| *known == path).map(|(_, spot)| spot);
        spot.and_then(|spot| spot.find(element, source)).map_or(Value::Null, Value::from)
    };
    let items: Vec<Item> = page
        .select(&selected)
        .map(|element| wanted.item(value(element, source), |path| at(element, path)))
        .collect();
    // A page that was rebuilt must not pass for one that has no news.
    if items.is_empty() { Err(format!("nothing on the page matches `{selector}`")) } else { Ok(items) }
}

/// Where a value stands in an element.
struct Spot {
    /// None: in the element itself.
    inner: Option<Selector>,
    /// None: its text.
    attribute: Option<String>,
}

impl Spot {
    /// `text`, `@href`, `.title`, `a @href`.
    fn read(path: &str) -> Result<Self, String> {
        let (selector, attribute) = match path.rsplit_once('@') {
            Some((selector, name)) if is_attribute(name) => (selector.trim(), Some(name.to_owned())),
            _ => (path.trim(), None),
        };
        let inner = if selector.is_empty() || selector == "text" { None } else { Some(compile(selector)?) };
        Ok(Self { inner, attribute })
    }

    fn find(&self, element: ElementRef<'_>, page: Page<'_>) -> Option<String> {
        let element = match &self.inner {
            Some(selector) => element.select(selector).next()?,
            None => element,
        };
        match &self.attribute {
            Some(name) => element.value().attr(name).map(|value| attribute(name, value, page)),
            None => Some(text(element)),
        }
    }
}

fn is_attribute(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | ':'))
}

fn compile(selector: &str) -> Result<Selector, String> {
    Selector::parse(selector).map_err(|error| format!("`{selector}` is not a CSS selector: {error}"))
}

/// As templates see an element.
fn value(element: ElementRef<'_>, page: Page<'_>) -> Value {
    let attributes = element.value().attrs();
    let attributes: Map<String, Value> =
        attributes.map(|(name, value)| (name.to_owned(), attribute(name, value, page).into())).collect();
    json!({ "text": text(element), "attributes": attributes })
}

/// A link leaves the page, where it would mean nothing without the page's URL.
fn attribute(name: &str, value: &str, page: Page<'_>) -> String {
    if matches!(name, "href" | "src") { (page.absolute)(value) } else { value.to_owned() }
}

/// All text within, with its white space as a browser shows it.
fn text(element: ElementRef<'_>) -> String {
    let all: String = element.text().collect();
    all.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// As the server says it is encoded, or the page itself, else UTF-8.
fn decode(body: &[u8], content_type: Option<&str>) -> String {
    let beginning = String::from_utf8_lossy(&body[..body.len().min(PRESCAN)]);
    let label = content_type.and_then(charset).or_else(|| charset(&beginning));
    let encoding = label.and_then(|label| Encoding::for_label(label.as_bytes())).unwrap_or(UTF_8);
    // A byte order mark wins.
    encoding.decode(body).0.into_owned()
}

/// What stands behind `charset=`.
fn charset(text: &str) -> Option<&str> {
    let at = text.to_ascii_lowercase().find("charset=")?;
    let rest = text.get(at + "charset=".len()..)?.trim_start_matches(['"', '\'']);
    let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && !"-_:.".contains(c)).unwrap_or(rest.len());
    Some(&rest[..end]).filter(|label| !label.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = r#"<ul><li class="news" data-id="1"><a href="/1">One  <b>more</b></a> <i>today</i></li>
        <li class="news" data-id="2"><a href="/2">Two</a></li><li>ad</li></ul>"#;

    #[test]
    fn elements_are_found_with_their_parts() {
        let paths = ["@data-id", "a", "a @href", "i", "text", "a@title"];
        let columns: Vec<_> = paths.iter().map(|path| (String::new(), (*path).to_owned())).collect();
        let key = ["@data-id".to_owned()];
        let absolute = |link: &str| format!("https://a.b{link}");
        let page = Page { body: PAGE.as_bytes(), content_type: None, absolute: &absolute };
        let found = items(".news", page, Wanted { columns: &columns, key: &key }).unwrap();
        let cells: Vec<Value> = found.iter().map(|item| item.cells.clone().into()).collect();
        assert_eq!(cells[0], json!(["1", "One more", "https://a.b/1", "today", "One more today", null]));
        assert_eq!(cells[1], json!(["2", "Two", "https://a.b/2", null, "Two", null]));
        assert_eq!(
            found[1].value,
            json!({ "text": "Two", "attributes": { "class": "news", "data-id": "2" } })
        );
        assert_eq!(found.len(), 2);
        let error = items(".gone", page, Wanted { columns: &[], key: &[] }).unwrap_err();
        assert_eq!(error, "nothing on the page matches `.gone`");
    }

    #[test]
    fn a_page_is_read_in_its_own_encoding() {
        let gbk =
            b"<meta http-equiv='Content-Type' content='text/html; charset=gb2312'><p>\xb9\xc4\xc2\xa5</p>";
        assert!(decode(gbk, None).ends_with("<p>鼓楼</p>"));
        assert!(decode(b"\xb9\xc4", Some("text/html; charset=\"GBK\"")).starts_with('鼓'));
        assert_eq!(decode("鼓".as_bytes(), Some("text/html")), "鼓");
        assert_eq!(decode("鼓".as_bytes(), Some("text/html; charset=nonsense")), "鼓");
    }
}
