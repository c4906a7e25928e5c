//! The process table, as `/proc` shows it (proc(5)).

use std::fs;

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
}

/// All processes. Those that end while the table is read may be missing or present.
pub fn all() -> Vec<Entry> {
    let Ok(folder) = fs::read_dir("/proc") else { return Vec::new() };
    folder.flatten().filter_map(|item| entry(item.file_name().to_str()?.parse().ok()?)).collect()
}

/// The process with this number, if there is one.
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
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_spaces_and_parentheses_is_read() {
        let line = "7 (a) b (c) S 1 7 6 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4242 9 9";
        let entry = parse(7, line).unwrap();
        assert_eq!((entry.name.as_str(), entry.parent, entry.group), ("a) b (c", 1, 7));
        assert_eq!((entry.started, entry.zombie), (4242, false));
    }

    #[test]
    fn this_process_is_in_the_table() {
        let pid = i32::try_from(std::process::id()).unwrap();
        assert!(all().iter().any(|entry| entry.pid == pid && !entry.zombie));
    }
}
