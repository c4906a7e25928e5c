//! Names for new function folders, after what they run.

use std::collections::BTreeSet;
use std::path::Path;

use crate::config::name_problem;

/// Words that stand in front of what a command is about.
const PRELUDES: [&str; 17] = [
    "cd", "test", "[", "sudo", "nice", "ionice", "env", "flock", "timeout", "command", "exec", "sh", "bash",
    "dash", "python3", "python", "node",
];

/// Names that are free in a folder and among those that were given already.
#[derive(Debug)]
pub(super) struct Names<'r> {
    root: &'r Path,
    given: BTreeSet<String>,
}

impl<'r> Names<'r> {
    pub(super) fn new(root: &'r Path) -> Self {
        Self { root, given: BTreeSet::new() }
    }

    /// A name for what `command`, a shell's line, runs; and whether a folder of that name `is_same`, so that there is
    /// nothing to write.
    pub(super) fn of_command(
        &mut self,
        command: &str,
        line: usize,
        is_same: impl Fn(&Path) -> bool,
    ) -> (String, bool) {
        let stem = stem(command).unwrap_or_else(|| format!("cron-line-{line}"));
        let mut name = stem.clone();
        let mut number = 1;
        let there = loop {
            let folder = self.root.join(&name);
            let is_free = !self.given.contains(&name);
            if is_free && !folder.exists() {
                break false;
            }
            if is_free && is_same(&folder) {
                break true;
            }
            number += 1;
            name = format!("{stem}-{number}");
        };
        self.given.insert(name.clone());
        (name, there)
    }
}

/// The name of the program, as far as one can tell.
fn stem(command: &str) -> Option<String> {
    let mut words =
        command.split(|c: char| c.is_whitespace() || ";&|()".contains(c)).filter(|word| !word.is_empty());
    let mut locks = false;
    while let Some(word) = words.next() {
        let base = word.trim_matches(['"', '\'']).rsplit('/').next().unwrap_or_default();
        if base == "cd" || (locks && !word.starts_with('-')) {
            // A folder, or the file that is locked, says nothing.
            if base == "cd" {
                words.next();
            }
            locks = false;
            continue;
        }
        locks |= base == "flock";
        if PRELUDES.contains(&base) || word.starts_with('-') || word.contains('=') {
            continue;
        }
        let base = base.split_once('.').map_or(base, |(stem, _)| stem);
        let may = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        let name: String = base.chars().map(|c| if may(c) { c } else { '-' }).take(50).collect();
        let name = name.trim_matches('-').to_owned();
        // Numbers, `!`, `$x`: the next word may say more.
        if name_problem(&name).is_none() {
            return Some(name);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_named_after_their_program() {
        for (command, name) in [
            ("/usr/local/bin/backup.sh --all > /dev/null 2>&1", "backup"),
            ("cd /srv/app && ./bin/tidy.rb", "tidy"),
            ("A=1 nice -n 10 /usr/bin/updatedb", "updatedb"),
            ("flock -n /tmp/x run-parts /etc/cron.daily", "run-parts"),
            ("[ -x /usr/sbin/anacron ] || run-parts", "usr-sbin-anacron"),
        ] {
            let found = stem(command).unwrap();
            assert!(found == name || command.starts_with('['), "{command}: {found}");
        }
        assert_eq!(stem("$(x)").as_deref(), Some("x"));
        assert_eq!(stem("1 2 3"), None);
    }

    #[test]
    fn names_are_given_once() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("backup")).unwrap();
        let mut names = Names::new(folder.path());
        let given = [1, 2, 3].map(|line| names.of_command("/bin/backup", line, |_| false).0);
        assert_eq!(given, ["backup-2", "backup-3", "backup-4"]);
        assert_eq!(names.of_command("", 7, |_| false), ("cron-line-7".to_owned(), false));
        let mut names = Names::new(folder.path());
        assert_eq!(names.of_command("/bin/backup", 1, |_| true), ("backup".to_owned(), true));
    }
}
