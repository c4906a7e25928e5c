//! The process table, as `/proc` shows it (proc(5)).

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::Mutex;

use super::marker::marker_of;

/// One process.
#[derive(Clone, Debug)]
pub struct Entry {
    pub pid: i32,
    pub parent: i32,
    pub group: i32,
    /// Dead, and not reaped yet.
    pub zombie: bool,
    /// Clock ticks from boot to its start; with the number it names a process for good.
    pub started: u64,
    /// The first 15 bytes of the program's name.
    pub name: String,
    /// The value of its marker, as far as one was looked for.
    pub marker: Option<String>,
}

/// All processes, with the markers of those that started at `since` or later. Those that end while
/// the table is read may be missing or present.
pub fn read(since: u64) -> Vec<Entry> {
    let Ok(folder) = fs::read_dir("/proc") else { return Vec::new() };
    let mut table: Vec<Entry> =
        folder.flatten().filter_map(|item| entry(item.file_name().to_str()?.parse().ok()?)).collect();
    for entry in table.iter_mut().filter(|entry| entry.started >= since && !entry.zombie) {
        entry.marker = marker_of(entry.pid);
    }
    table
}

/// Reads the table once for all who ask at the same time: a thousand runs that end together cost
/// a few readings, not a thousand.
#[derive(Clone, Debug, Default)]
pub struct Census {
    asked: Arc<AtomicU64>,
    /// Whether the last table will do for those who do not mind its age.
    fresh: Arc<AtomicBool>,
    last: Arc<Mutex<Taken>>,
}

#[derive(Debug, Default)]
struct Taken {
    /// Whoever asked up to this time, counted in questions, is served by this table.
    serves: u64,
    table: Arc<[Entry]>,
}

impl Census {
    /// A table that was read after this call began, with the markers of this process's descendants.
    pub async fn take(&self) -> Arc<[Entry]> {
        let question = self.asked.fetch_add(1, Ordering::SeqCst) + 1;
        let mut last = self.last.lock().await;
        if last.serves < question {
            let serves = self.asked.load(Ordering::SeqCst);
            *last = Taken::read(serves).await;
        }
        last.table.clone()
    }

    /// A table that was read some time ago, `age` at most: all who ask within it are served by one reading.
    pub async fn recent(&self, age: Duration) -> Arc<[Entry]> {
        let mut last = self.last.lock().await;
        if !self.fresh.swap(true, Ordering::SeqCst) {
            let fresh = self.fresh.clone();
            tokio::spawn(async move {
                tokio::time::sleep(age).await;
                fresh.store(false, Ordering::SeqCst);
            });
            *last = Taken::read(self.asked.load(Ordering::SeqCst)).await;
        }
        last.table.clone()
    }
}

impl Taken {
    async fn read(serves: u64) -> Self {
        let reading = tokio::task::spawn_blocking(|| read(own_start()));
        Self { serves, table: reading.await.unwrap_or_default().into() }
    }
}

/// When this process started.
pub fn own_start() -> u64 {
    entry(rustix::process::getpid().as_raw_nonzero().get()).map_or(0, |entry| entry.started)
}

/// The process with this number, if there is one; its marker is not looked for.
pub fn entry(pid: i32) -> Option<Entry> {
    parse(pid, &String::from_utf8_lossy(&fs::read(format!("/proc/{pid}/stat")).ok()?))
}

/// The numbers of this process's children, dead ones that are not reaped included.
pub fn children() -> Vec<i32> {
    let Ok(threads) = fs::read_dir("/proc/self/task") else { return Vec::new() };
    let lists =
        threads.flatten().filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    lists
        .flat_map(|list| list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>())
        .collect()
}

/// A line of `/proc/PID/stat`. The name stands in parentheses and may itself hold any character.
fn parse(pid: i32, line: &str) -> Option<Entry> {
    let (_, rest) = line.split_once('(')?;
    let (name, rest) = rest.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    Some(Entry {
        pid,
        parent: fields.get(1)?.parse().ok()?,
        group: fields.get(2)?.parse().ok()?,
        zombie: matches!(*fields.first()?, "Z" | "X"),
        started: fields.get(19)?.parse().ok()?,
        name: name.to_owned(),
        marker: None,
    })
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_name_with_spaces_and_parentheses_is_read() {
        let line = "7 (a) b (c) S 1 7 6 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4242 9 9";
        let entry = parse(7, line).unwrap();
        assert_eq!((entry.name.as_str(), entry.parent, entry.group), ("a) b (c", 1, 7));
        assert_eq!((entry.started, entry.zombie), (4242, false));
    }

    #[tokio::test]
    async fn a_census_is_never_older_than_the_question() {
        let census = Census::default();
        census.take().await;
        let mut child = Command::new("sleep").arg("1000").stdout(Stdio::null()).spawn().unwrap();
        let pid = child.id().cast_signed();
        // The first is busy with reading while the others ask.
        let (one, two, three) = tokio::join!(census.take(), census.take(), census.take());
        child.kill().unwrap();
        child.wait().unwrap();
        assert!([&one, &two, &three].iter().all(|table| table.iter().any(|entry| entry.pid == pid)));
        assert!(Arc::ptr_eq(&two, &three), "those who ask together are served by one table");
    }

    #[test]
    fn this_process_is_in_the_table() {
        let pid = i32::try_from(std::process::id()).unwrap();
        assert!(read(0).iter().any(|entry| entry.pid == pid && !entry.zombie));
    }
}
