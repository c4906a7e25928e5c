//! Any pair of a daemon config and a function's config is read, or refused in words that name a place in it.
//!
//! The input is both files with a line `---` between them; without one it is the function's.
#![no_main]

use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;

use chrono::{DateTime, Utc};
use gulou_fuzz::config::{Diagnostic, lints, load};

/// A project folder; `scripts/fuzz.sh` points the temporary directory at one that it removes.
static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
    let folder = std::env::temp_dir().join(format!("gulou-fuzz-{}", std::process::id()));
    let function = folder.join("triggers/f");
    fs::create_dir_all(&function).unwrap();
    for (file, text) in [
        ("index.js", "exports.main = () => {}"),
        ("mail.txt", "Dear {{ name }}"),
        ("mail.html", "<p>Dear {{ name }}</p>"),
    ] {
        fs::write(function.join(file), text).unwrap();
    }
    folder
});

libfuzzer_sys::fuzz_target!(|text: &str| {
    let (daemon, function) = text.split_once("\n---\n").unwrap_or(("{}", text));
    let file = FOLDER.join("gulou.json");
    fs::write(&file, daemon).unwrap();
    fs::write(FOLDER.join("triggers/f/config.json"), function).unwrap();
    let now: DateTime<Utc> = DateTime::from_timestamp(1_767_196_800, 0).unwrap();
    match load(&file, now) {
        Ok(loaded) => {
            loaded.warnings.iter().for_each(|found| described(found, text));
            for function in &loaded.settings.functions {
                for trigger in function.triggers.iter() {
                    lints(function, trigger, now);
                }
            }
        }
        Err(invalid) => {
            assert!(!invalid.errors.is_empty(), "refused without a reason");
            invalid.errors.iter().chain(&invalid.warnings).for_each(|found| described(found, text));
        }
    }
});

fn described(found: &Diagnostic, text: &str) {
    let controls = |c: char| c.is_control();
    assert!(!found.message.is_empty() && !found.message.contains(controls), "{found:?}");
    assert!(found.help.as_ref().is_none_or(|help| !help.is_empty() && !help.contains(controls)), "{found:?}");
    assert!(!found.path.contains(controls), "{found:?}");
    if let Some(place) = &found.place {
        assert!(place.line >= 1 && place.column >= 1 && place.length >= 1, "{found:?}");
        assert!(place.column <= place.text.chars().count() + 1, "{found:?}");
        let is_quoted = || text.split('\n').any(|line| quotes(&place.text, line));
        assert!(text.contains(&place.text) || place.text == "{}" || is_quoted(), "{found:?}");
        assert!(found.to_string().contains('^'), "{found}");
    }
    assert!(found.to_json().is_object());
}

/// Whether `quoted` is the line, but for secrets, of which each character is hidden.
fn quotes(quoted: &str, line: &str) -> bool {
    let mut line = line.trim_end_matches('\r').chars();
    quoted.chars().all(|shown| line.next().is_some_and(|there| shown == there || shown == '•'))
        && line.next().is_none()
}
