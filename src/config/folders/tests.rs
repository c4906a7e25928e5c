//! Looks at folders that change.

use std::fs;

use serde_json::{Value, json};

use super::*;

struct World {
    dir: tempfile::TempDir,
    folders: Folders,
}

impl World {
    /// A daemon that has started on a folder with the functions `configs`.
    fn new(configs: &[(&str, Value)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let daemon = json!({ "databases": { "main": { "url": "sqlite://demo.db" } },
            "mail": { "outbox": { "url": "maildir:out", "from": "a@example.com" } } });
        fs::write(dir.path().join("config.json"), daemon.to_string()).unwrap();
        fs::create_dir(dir.path().join("triggers")).unwrap();
        for (name, config) in configs {
            write(dir.path(), name, &config.to_string());
        }
        let (folders, _) = Folders::load(&dir.path().join("config.json"), now()).unwrap();
        Self { dir, folders }
    }

    fn write(&self, name: &str, config: &Value) {
        write(self.dir.path(), name, &config.to_string());
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join("triggers").join(name)
    }

    /// `+name` put, `-name` removed, `!name` invalid.
    fn look(&mut self, ask: &Ask) -> Vec<String> {
        let (look, _) = self.folders.look(ask, now());
        let put = look.put.iter().map(|function| format!("+{}", function.name));
        let removed = look.removed.iter().map(|name| format!("-{name}"));
        put.chain(removed).chain(look.invalid.iter().map(|bad| format!("!{}", bad.function))).collect()
    }

    fn changes(&mut self) -> Vec<String> {
        self.look(&Ask::default())
    }

    fn message(&mut self) -> String {
        self.folders.look(&Ask::default(), now()).0.invalid[0].message.clone()
    }
}

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_780_000_000, 0).unwrap()
}

fn write(dir: &Path, name: &str, config: &str) {
    let folder = dir.join("triggers").join(name);
    fs::create_dir_all(&folder).unwrap();
    // In one step, and always another inode than before.
    fs::write(folder.join(".new"), config).unwrap();
    fs::rename(folder.join(".new"), folder.join("config.json")).unwrap();
}

fn command(expression: &str) -> Value {
    json!({ "triggers": [{ "name": "t", "config": expression }],
        "target": { "command": { "argv": ["true"] } } })
}

fn batch(id: &str) -> Value {
    json!({ "triggers": [{ "name": "t", "config": "0 0 9 * * * *" }], "target": { "batch": { "id": id,
        "source": { "database": "main", "table": "u", "key": "id", "where": "s = 0" },
        "action": { "mail": { "via": "outbox", "to": "{{ e }}", "subject": "s", "text": "t" } },
        "mark": { "sent": { "s": 1 } } } } })
}

#[test]
fn only_what_changed_is_told() {
    let mut world = World::new(&[("a", command("0 0 9 * * * *")), ("b", command("0 0 9 * * * *"))]);
    assert_eq!(world.changes(), [""; 0]);
    assert_eq!(world.look(&Ask { all: true, ..Ask::default() }), [""; 0]);
    world.write("b", &command("0 0 10 * * * *"));
    world.write("c", &command("0 0 9 * * * *"));
    fs::remove_dir_all(world.file("a")).unwrap();
    assert_eq!(world.changes(), ["+b", "+c", "-a"]);
    assert_eq!(world.changes(), [""; 0]);
    // Written anew with the same content: nothing of a command is kept in memory.
    world.write("c", &command("0 0 9 * * * *"));
    assert_eq!(world.changes(), [""; 0]);
    fs::remove_file(world.file("c/config.json")).unwrap();
    assert_eq!(world.changes(), ["-c"]);
}

#[test]
fn code_that_changed_is_a_new_version() {
    let cloud = json!({ "triggers": [{ "name": "t", "type": "timer", "config": "0 0 9 * * * *" }] });
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("config.json"), "{}").unwrap();
    write(dir.path(), "f", &cloud.to_string());
    fs::write(dir.path().join("triggers/f/index.js"), "1").unwrap();
    let (folders, _) = Folders::load(&dir.path().join("config.json"), now()).unwrap();
    let mut world = World { dir, folders };
    assert_eq!(world.changes(), [""; 0]);
    fs::write(world.file("f/index.js"), "22").unwrap();
    assert_eq!(world.changes(), ["+f"]);
    fs::write(world.file("f/run.log"), "22").unwrap();
    assert_eq!(world.changes(), [""; 0]);
}

#[test]
fn one_invalid_folder_does_not_hide_the_others() {
    let mut world = World::new(&[("a", command("0 0 9 * * * *")), ("b", command("0 0 9 * * * *"))]);
    write(world.dir.path(), "a", "{ oops");
    world.write("b", &command("0 0 10 * * * *"));
    write(world.dir.path(), "new", "[]");
    assert_eq!(world.changes(), ["+b", "!a", "!new"]);
    let message = world.message();
    assert!(message.starts_with("error: ") && message.contains("triggers/a/config.json:1:"), "{message}");
    // Told for as long as it is so.
    assert_eq!(world.changes(), ["!a", "!new"]);
    world.write("a", &command("0 0 9 * * * *"));
    fs::remove_dir_all(world.file("new")).unwrap();
    assert_eq!(world.changes(), [""; 0]);
}

#[test]
fn what_is_being_written_is_left_alone() {
    let mut world = World::new(&[("a", command("0 0 9 * * * *"))]);
    fs::remove_file(world.file("a/config.json")).unwrap();
    write(world.dir.path(), "new", "{");
    let busy = ["a", "new"].map(str::to_owned).into();
    assert_eq!(world.look(&Ask { all: true, busy }), [""; 0]);
    assert_eq!(world.changes(), ["-a", "!new"]);
}

#[test]
fn the_batch_that_changed_is_refused_an_id_that_is_taken() {
    let mut world = World::new(&[("a", batch("1")), ("z", batch("2"))]);
    world.write("a", &batch("2"));
    assert_eq!(world.changes(), ["!a"]);
    let message = world.message();
    assert!(message.contains("the batch id `2` is taken by the function `z`"), "{message}");
    // Once it is free, the one that waited for it gets it.
    world.write("z", &batch("3"));
    assert_eq!(world.changes(), ["+a", "+z"]);
    // They change places at the same moment.
    world.write("a", &batch("3"));
    world.write("z", &batch("2"));
    assert_eq!(world.changes(), ["+a", "+z"]);
    // Of two that are new, the later by name.
    world.write("m", &batch("4"));
    world.write("n", &batch("4"));
    assert_eq!(world.changes(), ["+m", "!n"]);
}

/// `a` cannot get the id of `b`, so it keeps its own, and `c` cannot have that.
#[test]
fn a_refused_batch_keeps_its_id() {
    let mut world = World::new(&[("a", batch("1")), ("b", batch("2"))]);
    world.write("a", &batch("2"));
    world.write("c", &batch("1"));
    assert_eq!(world.changes(), ["!a", "!c"]);
}

#[test]
fn a_folder_of_functions_that_is_gone_changes_nothing() {
    let mut world = World::new(&[("a", command("0 0 9 * * * *"))]);
    fs::rename(world.dir.path().join("triggers"), world.dir.path().join("elsewhere")).unwrap();
    let (look, _) = world.folders.look(&Ask::default(), now());
    assert!(look.removed.is_empty() && look.notes.len() == 1, "{look:?}");
    assert!(look.notes[0].contains("the functions go on as they are"), "{look:?}");
    fs::create_dir(world.dir.path().join("triggers")).unwrap();
    assert_eq!(world.changes(), ["-a"]);
}

#[test]
fn a_daemon_config_that_changed_is_spoken_of() {
    let mut world = World::new(&[("a", command("0 0 9 * * * *"))]);
    let mut notes = |text: &str| {
        fs::write(world.dir.path().join("config.json"), text).unwrap();
        let notes = world.folders.look(&Ask::default(), now()).0.notes;
        notes.into_iter().map(|note| note.replace(world.dir.path().to_str().unwrap(), "")).collect::<Vec<_>>()
    };
    assert_eq!(
        notes("{ \"max_runs\": 9 }"),
        ["`/config.json` has changed: that takes effect at the next start"]
    );
    assert_eq!(
        notes("{\n \"max_runs\": 0 }"),
        [
            "`/config.json`:2 is invalid, and nothing of it is taken over: `0` is not a whole number from 1 to 1000000"
        ]
    );
}
