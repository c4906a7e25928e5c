//! What counts on a page: its items, what tells them apart, and the values that go into columns.

use ring::digest::{SHA256, digest};
use serde_json::Value;

use super::{feed, html};
use crate::settings::{FetchSettings, Pick};

/// Something on the page.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// As templates see it.
    pub value: Value,
    /// One value a column of the table.
    pub cells: Vec<Value>,
    /// The same for the same item, whenever it is seen.
    pub id: String,
}

/// A page, as it came.
#[derive(Clone, Copy)]
pub struct Page<'a> {
    pub body: &'a [u8],
    pub content_type: Option<&'a str>,
    /// Makes a link absolute.
    pub absolute: &'a dyn Fn(&str) -> String,
}

/// The paths whose values are wanted of each item.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// Of the columns.
    pub columns: &'a [(String, String)],
    /// Of what tells items apart; empty: all of the item does.
    pub key: &'a [String],
}

impl Wanted<'_> {
    /// The item `value`, whose values are found by `at`.
    pub fn item(&self, value: Value, at: impl Fn(&str) -> Value) -> Item {
        let cells = self.columns.iter().map(|(_, path)| at(path)).collect();
        let id = match self.key {
            [] => hash(&value.to_string()),
            paths => hash(&paths.iter().map(|path| at(path)).collect::<Value>().to_string()),
        };
        Item { value, cells, id }
    }

    /// The same for JSON, where paths are pointers.
    pub fn json(&self, value: Value) -> Item {
        let found = value.clone();
        self.item(value, |path| found.pointer(path).cloned().unwrap_or_default())
    }
}

/// The paths that tell the items apart; none: they are not told apart, and each change is news as a whole.
pub fn key(settings: &FetchSettings) -> Vec<String> {
    let of_table = settings.save.as_ref().map(|save| {
        let path = |name: &String| save.columns.iter().find(|(column, _)| column == name);
        save.key.iter().filter_map(path).map(|(_, path)| path.clone()).collect()
    });
    match (&settings.key[..], &settings.pick) {
        ([], Pick::Feed) => vec!["/id".to_owned()],
        ([], _) => of_table.unwrap_or_default(),
        (paths, _) => paths.to_vec(),
    }
}

/// The items of a page; the reason, when it is not the kind of page that it should be.
pub fn items(pick: &Pick, page: Page<'_>, wanted: Wanted<'_>) -> Result<Vec<Item>, String> {
    match pick {
        Pick::Whole => {
            let text = Value::from(String::from_utf8_lossy(page.body));
            Ok(vec![wanted.json(text)])
        }
        Pick::Json(pointer) => json(pointer, page.body, wanted),
        Pick::Html(selector) => html::items(selector, page, wanted),
        Pick::Feed => feed::items(page, wanted),
    }
}

fn json(pointer: &str, body: &[u8], wanted: Wanted<'_>) -> Result<Vec<Item>, String> {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let mut page: Value =
        serde_json::from_slice(body).map_err(|error| format!("the answer is not JSON: {error}"))?;
    let picked = page.pointer_mut(pointer).ok_or_else(|| format!("the answer has no `{pointer}`"))?;
    Ok(match picked.take() {
        Value::Array(values) => values.into_iter().map(|value| wanted.json(value)).collect(),
        value => vec![wanted.json(value)],
    })
}

/// 96 bits of SHA-256, in hexadecimal.
pub fn hash(text: &str) -> String {
    digest(&SHA256, text.as_bytes())
        .as_ref()
        .iter()
        .take(12)
        .map(|byte| format!("{byte:02x}"))
        .fold(String::new(), |all, digits| all + &digits)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn items(pick: &Pick, body: &[u8], wanted: Wanted<'_>) -> Result<Vec<Item>, String> {
        super::items(pick, Page { body, content_type: None, absolute: &str::to_owned }, wanted)
    }

    fn wanted<'a>(columns: &'a [(String, String)], key: &'a [String]) -> Wanted<'a> {
        Wanted { columns, key }
    }

    #[test]
    fn elements_of_an_array_are_items_with_cells_and_an_id_of_their_key() {
        let page = br#"{"data": [{"id": 1, "t": {"x": "a"}}, {"id": 2}, {"id": 1, "t": "b"}]}"#;
        let columns = [("guid".to_owned(), "/id".to_owned()), ("title".to_owned(), "/t/x".to_owned())];
        let key = ["/id".to_owned()];
        let found = items(&Pick::Json("/data".to_owned()), page, wanted(&columns, &key)).unwrap();
        let cells: Vec<_> = found.iter().map(|item| item.cells.clone()).collect();
        assert_eq!(cells, [[json!(1), json!("a")], [json!(2), json!(null)], [json!(1), json!(null)]]);
        assert!(found[0].id == found[2].id && found[0].id != found[1].id && found[0].id.len() == 24);
        assert_eq!(found[2].value, json!({"id": 1, "t": "b"}));
    }

    #[test]
    fn anything_else_is_one_item() {
        let page = b"\xef\xbb\xbf{\"price\": 5}";
        let one = |pointer: &str| {
            let found = items(&Pick::Json(pointer.to_owned()), page, wanted(&[], &[]));
            found.map(|items| items.into_iter().map(|item| item.value).collect::<Vec<_>>())
        };
        assert_eq!(one("/price").unwrap(), [json!(5)]);
        assert_eq!(one("").unwrap(), [json!({"price": 5})]);
        assert_eq!(one("/cost").unwrap_err(), "the answer has no `/cost`");
        let text = items(&Pick::Whole, b"a \xff", wanted(&[], &[])).unwrap();
        assert_eq!(text[0].value, json!("a \u{fffd}"));
        let error = items(&Pick::Json(String::new()), b"<html>", wanted(&[], &[])).unwrap_err();
        assert!(error.starts_with("the answer is not JSON: "), "{error}");
    }
}
