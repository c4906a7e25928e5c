//! `gulou schema`: what it prints takes the files that are shown, and refuses what is wrong.

use std::fs;
use std::path::{Path, PathBuf};

use boon::{Compiler, SchemaIndex, Schemas};
use serde_json::{Value, json};

use crate::support::{Project, repository};

struct Schema {
    schemas: Schemas,
    index: SchemaIndex,
}

impl Schema {
    /// As the program prints it.
    fn of(kind: &str) -> Self {
        let printed = Project::empty().gulou(&["schema", kind]).expect_code(0).stdout;
        let mut schemas = Schemas::new();
        let mut compiler = Compiler::new();
        compiler.add_resource("gulou.json", serde_json::from_str(&printed).unwrap()).unwrap();
        let index = compiler.compile("gulou.json", &mut schemas).unwrap();
        Self { schemas, index }
    }

    fn problem(&self, file: &Value) -> Option<String> {
        self.schemas.validate(file, self.index).err().map(|error| error.to_string())
    }
}

fn read(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// The `config.json` of each folder in a folder.
fn configs(root: &str) -> Vec<PathBuf> {
    let folders = fs::read_dir(repository().join(root)).unwrap().map(|entry| entry.unwrap().path());
    folders.map(|folder| folder.join("config.json")).filter(|file| file.exists()).collect()
}

#[test]
fn samples_templates_and_documents_are_as_the_schemas_say() {
    let (function, daemon) = (Schema::of("function"), Schema::of("daemon"));
    assert_eq!(daemon.problem(&read(&repository().join("config.example.json"))), None);
    let files = [configs("triggers"), configs("templates")].concat();
    assert!(files.len() > 15, "{files:?}");
    for file in files {
        assert_eq!(function.problem(&read(&file)), None, "{}", file.display());
    }
    let mut shown = 0;
    for name in ["README.md", "README.zh-CN.md", "docs/configuration.md"] {
        let text = fs::read_to_string(repository().join(name)).unwrap();
        for fence in text.split("```json\n").skip(1).map(|rest| rest.split("```").next().unwrap()) {
            // A whole file, keys out of one, or a target a line.
            for piece in [fence].into_iter().chain(fence.lines()) {
                let (keys, object) =
                    (serde_json::from_str(&format!("{{{piece}}}")), serde_json::from_str(piece));
                let Ok(value): Result<Value, _> = keys.or(object) else { continue };
                let Some(object) = value.as_object() else { continue };
                let has = |names: &[&str]| names.iter().any(|name| object.contains_key(*name));
                let problem = if has(&["command", "http", "fetch", "sql", "batch", "bounces", "function"]) {
                    function.problem(&json!({ "target": value }))
                } else if has(&["triggers", "target"]) && !has(&["databases"]) {
                    function.problem(&value)
                } else if has(&["state", "databases", "mail"]) {
                    daemon.problem(&value)
                } else {
                    continue;
                };
                assert_eq!(problem, None, "{name}: {piece}");
                shown += 1;
            }
        }
    }
    assert!(shown > 12, "only {shown} examples were found");
}

#[test]
fn what_is_wrong_is_refused() {
    let schema = Schema::of("function");
    let trigger = json!({ "name": "t", "config": "0 0 9 * * * *" });
    for wrong in [
        json!({ "trigers": [] }),
        json!({ "triggers": [{ "name": "1t", "config": "x" }] }),
        json!({ "triggers": [trigger], "overlap": "never" }),
        json!({ "target": { "command": { "argv": [] } } }),
        json!({ "target": { "command": { "argv": ["x"], "timeout": "90" } } }),
        json!({ "target": { "command": { "argv": ["x"], "timeout": "" } } }),
        json!({ "target": { "command": { "argv": ["x"] }, "sql": { "database": "d", "statement": "SELECT 1" } } }),
        json!({ "target": { "sql": { "database": "d", "statement": "SELECT 1", "file": "x.sql" } } }),
        json!({ "target": { "http": { "url": { "env": "A", "file": "B" } } } }),
    ] {
        assert!(schema.problem(&wrong).is_some(), "{wrong}");
    }
    let ran = Project::empty().gulou(&["schema", "functions"]).expect_code(2);
    assert!(ran.stderr.contains("possible values: function, daemon"), "{}", ran.stderr);
}

#[test]
fn completions_and_manual_pages_know_the_verbs() {
    let project = Project::empty();
    for shell in ["bash", "zsh", "fish"] {
        let printed = project.gulou(&["completions", shell]).expect_code(0).stdout;
        assert!(printed.contains("dry-run") && printed.contains("cloudbaserc"), "{shell}");
    }
    let page = project.gulou(&["man"]).expect_code(0).stdout;
    assert!(page.contains(".TH gulou 1") && page.contains("gulou\\-serve(1)"), "{page}");
    project.gulou(&["man", "--to", "man"]).expect_code(0);
    for name in ["gulou.1", "gulou-serve.1", "gulou-batch-rows.1"] {
        assert!(project.path(format!("man/{name}")).exists(), "{name}");
    }
}
