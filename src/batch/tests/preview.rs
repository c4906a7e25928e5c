//! What would be done is found out without changing a byte.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::world::{Recorder, World, failed, retry, sent, start_of_time};
use crate::batch::{Occasion, preview};
use crate::run::Preview;
use crate::settings::{DatabaseSettings, SqliteSettings};
use crate::store::Reader;

async fn look(world: &mut World, database: &DatabaseSettings) -> Preview {
    let fire = world.next_fire();
    let occasion = Occasion {
        fire: &fire,
        now: start_of_time(),
        timezone: chrono_tz::Tz::Asia__Shanghai,
        interval: Some(Duration::from_secs(2)),
    };
    let state = Reader::open(&world.state()).unwrap();
    let action = Recorder::new(&world.post);
    preview(&world.settings, database, &action, state.as_ref(), occasion).await
}

fn sqlite(path: PathBuf, create_with: Option<PathBuf>) -> DatabaseSettings {
    DatabaseSettings::Sqlite(SqliteSettings { path, create_with })
}

/// Every file below `dir`, with its bytes.
fn files(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.display().to_string(), fs::read(&path).unwrap()))
        .collect();
    files.sort();
    files
}

#[tokio::test]
async fn rows_pages_time_and_the_first_mail_are_shown() {
    let mut world = World::new(45);
    world.post.answers(|email| match email {
        "1@x" => failed(),
        "2@x" => retry(),
        _ => sent(),
    });
    world.run().await;
    let database = world.source();
    // The thread of the run's connection closes the file in its own time, and the log goes with it.
    while [world.database(), world.state()].iter().any(|path| path.with_extension("db-wal").exists()) {
        tokio::task::yield_now().await;
    }
    let before = files(world.database().parent().unwrap());
    let preview = look(&mut world, &database).await;
    assert_eq!(preview.problem, None);
    let data = &preview.data;
    assert_eq!((&data["deliverable"], &data["passed_over"]), (&35.into(), &2.into()), "{preview:?}");
    assert_eq!((&data["pages"], &data["fires"]), (&4.into(), &4.into()));
    assert_eq!(data["estimated_seconds"], 6);
    assert!(preview.lines.contains(&"  To: 11@x".to_owned()), "{preview:?}");
    assert_eq!(files(world.database().parent().unwrap()), before);
    assert_eq!(world.post.taken().len(), 8);
}

#[tokio::test]
async fn a_database_that_is_not_there_yet_is_made_in_memory() {
    let mut world = World::new(0);
    let dir = tempfile::tempdir().unwrap();
    let script = dir.path().join("demo.sql");
    fs::write(
        &script,
        "CREATE TABLE users (id INTEGER PRIMARY KEY, email TEXT, status BOOLEAN, sent_at TEXT);
                        INSERT INTO users VALUES (1, 'first@x', false, NULL)",
    )
    .unwrap();
    let path = dir.path().join("var").join("demo.db");
    let preview = look(&mut world, &sqlite(path.clone(), Some(script))).await;
    assert_eq!((preview.problem, &preview.data["deliverable"]), (None, &1.into()));
    assert!(preview.lines.contains(&"  To: first@x".to_owned()), "{:?}", preview.lines);
    assert!(!path.parent().unwrap().exists());
    let preview = look(&mut world, &sqlite(path, None)).await;
    assert!(preview.problem.unwrap().contains("create_with"));
}
