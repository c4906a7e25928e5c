//! Finding the place of a value again, for what is found wrong with it after loading.

use std::path::Path;

use jsonc_parser::ast::Value;
use jsonc_parser::common::Ranged;

use super::diagnostic::{Diagnostic, Severity};
use super::json::{Document, parse};

impl Diagnostic {
    /// Something to say about the value at `path` in `file`; keys that are not there are left off its end.
    pub fn at(file: &Path, path: &[&str], severity: Severity, message: String, help: Option<String>) -> Self {
        let mut found =
            Self { severity, file: file.to_owned(), place: None, path: path.join("."), message, help };
        let Ok(document) = Document::read(file) else { return found };
        let (Some(root), _) = parse(&document.text) else { return found };
        let mut value = &root;
        let mut known = Vec::new();
        for key in path {
            match value {
                Value::Object(object) => {
                    let Some(property) = object.get(key) else { break };
                    value = &property.value;
                    known.push(format!(".{key}"));
                }
                Value::Array(array) => {
                    let Some(element) = key.parse().ok().and_then(|index: usize| array.elements.get(index))
                    else {
                        break;
                    };
                    value = element;
                    known.push(format!("[{key}]"));
                }
                _ => break,
            }
        }
        known.concat().trim_start_matches('.').clone_into(&mut found.path);
        found.place = Some(document.place(value.range().start, value.range().end));
        found
    }
}
