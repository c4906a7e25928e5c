//! The JSON Schemas of both kinds of file, for editors. They say what keys there are and what values look like; what only
//! all files together can say is `check`'s. A test holds them to the decoder, key by key.

/// Of a function folder's `config.json`.
pub const FUNCTION_SCHEMA: &str = include_str!("schema/function.json");
/// Of the daemon config.
pub const DAEMON_SCHEMA: &str = include_str!("schema/daemon.json");

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;

    use chrono::DateTime;
    use serde_json::{Map, Value, json};

    use super::*;
    use crate::config::{Diagnostic, load};

    /// No key is like it, so that the decoder tells all that it knows.
    const STRANGE: &str = "qqqqqqqqqqqq";

    /// The way from the root of a file to an object.
    #[derive(Clone)]
    struct Step {
        /// What the object before it needs besides.
        example: Map<String, Value>,
        key: Key,
    }

    #[derive(Clone)]
    enum Key {
        Named(String),
        First,
    }

    /// An object's way, what it needs, its keys.
    type Object = (Vec<Step>, Map<String, Value>, BTreeSet<String>);

    /// Each object of a schema that has keys of its own.
    fn objects(root: &Value, at: &Value, way: &[Step], found: &mut Vec<Object>) {
        if let Some(name) = at["$ref"].as_str() {
            let pointer = name.strip_prefix('#').unwrap();
            return objects(root, root.pointer(pointer).unwrap(), way, found);
        }
        let example = at["examples"][0].as_object().cloned().unwrap_or_default();
        let next = |key: Key| [way, &[Step { example: example.clone(), key }]].concat();
        if let Some(properties) = at["properties"].as_object() {
            assert_eq!(at["additionalProperties"], false, "{at}");
            found.push((way.to_vec(), example.clone(), properties.keys().cloned().collect()));
            for (name, schema) in properties {
                objects(root, schema, &next(Key::Named(name.clone())), found);
            }
        } else if at["additionalProperties"].is_object() {
            objects(root, &at["additionalProperties"], &next(Key::Named("x".to_owned())), found);
        }
        if at["items"].is_object() {
            objects(root, &at["items"], &next(Key::First), found);
        }
        for schema in at["oneOf"].as_array().into_iter().flatten() {
            objects(root, schema, way, found);
        }
    }

    /// A file with a strange key in the object at the end of `way`, and the key's path.
    fn file(way: &[Step], example: &Map<String, Value>) -> (Value, String) {
        let mut object = example.clone();
        object.insert(STRANGE.to_owned(), json!(0));
        let mut value = Value::Object(object);
        for step in way.iter().rev() {
            value = match &step.key {
                Key::First => json!([value]),
                Key::Named(name) => {
                    let mut object = step.example.clone();
                    object.insert(name.clone(), value);
                    Value::Object(object)
                }
            };
        }
        let parts = way.iter().map(|step| match &step.key {
            Key::First => "[0]".to_owned(),
            Key::Named(name) => format!(".{name}"),
        });
        let path = parts.chain([format!(".{STRANGE}")]).collect::<String>();
        (value, path.trim_start_matches('.').to_owned())
    }

    fn errors(daemon: &Value, function: &Value) -> Vec<Diagnostic> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.json");
        fs::write(&file, daemon.to_string()).unwrap();
        fs::create_dir_all(folder.path().join("triggers/f")).unwrap();
        fs::write(folder.path().join("triggers/f/index.js"), "").unwrap();
        fs::write(folder.path().join("triggers/f/config.json"), function.to_string()).unwrap();
        load(&file, DateTime::from_timestamp(1_780_000_000, 0).unwrap())
            .map_or_else(|invalid| invalid.errors, |_| Vec::new())
    }

    #[track_caller]
    fn holds(schema: &str, ignored: &[&str], read: impl Fn(&Value) -> Vec<Diagnostic>) {
        let schema: Value = serde_json::from_str(schema).unwrap();
        let mut found = Vec::new();
        objects(&schema, &schema, &[], &mut found);
        assert!(found.len() > 4, "{} objects", found.len());
        for (way, example, mut keys) in found {
            let (file, path) = file(&way, &example);
            let errors = read(&file);
            let error = errors.iter().find(|error| error.path == path);
            let help = error.and_then(|error| error.help.as_deref()).unwrap_or_default();
            let known = help.strip_prefix("known here: ");
            let known = known.unwrap_or_else(|| panic!("{path} is not refused in {file}: {errors:#?}"));
            if way.is_empty() {
                for key in ignored {
                    assert!(keys.remove(*key), "the schema lacks {key}, which is accepted");
                }
            }
            let known: BTreeSet<String> = known.split(", ").map(str::to_owned).collect();
            assert_eq!(keys, known, "the schema and the decoder, at {path}");
        }
    }

    #[test]
    fn the_decoder_and_the_schema_of_functions_know_the_same_keys() {
        holds(FUNCTION_SCHEMA, super::super::function::KEYS.ignored, |file| errors(&json!({}), file));
    }

    #[test]
    fn the_decoder_and_the_schema_of_the_daemon_know_the_same_keys() {
        holds(DAEMON_SCHEMA, super::super::daemon::KEYS.ignored, |file| errors(file, &json!({})));
    }
}
