//! The folder that mails come back to: who has it, what is in it, where mails go from there.
//!
//! Mails in `new` and `cur` are still to be read. Those that were bounces go to `.processed`, a Maildir of its own that
//! mail programs show as a folder; what is none is left in `cur`, flagged, for a person to look at.

use std::fs::{self, DirBuilder, File};
use std::io::{self, ErrorKind, Read as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;

/// Bytes of a mail that are read: a report comes before the mail that it returns.
const MOST: u64 = 1 << 20;

/// Where bounces go.
const PROCESSED: &str = ".processed";

/// A Maildir, for as long as it is nobody else's.
#[derive(Debug)]
pub struct Maildir {
    folder: PathBuf,
    /// The lock on it.
    _lock: Option<File>,
}

impl Maildir {
    /// The reason, when it is not there or another run has it.
    pub fn take(folder: &Path) -> Result<Self, String> {
        let shown = folder.display();
        let file = open(folder)?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self { folder: folder.to_owned(), _lock: Some(file) }),
            Err(error) if error == rustix::io::Errno::WOULDBLOCK => {
                Err(format!("the Maildir {shown} is being read by another run"))
            }
            Err(error) => Err(format!("could not lock the Maildir {shown}: {error}")),
        }
    }

    /// The same to look at alone.
    pub fn look(folder: &Path) -> Result<Self, String> {
        open(folder)?;
        Ok(Self { folder: folder.to_owned(), _lock: None })
    }

    /// What is still to be read, by its place within the Maildir, the oldest first.
    pub fn unread(&self) -> io::Result<Vec<String>> {
        let mut found: Vec<(String, &str)> = Vec::new();
        for part in ["new", "cur"] {
            let entries = match fs::read_dir(self.folder.join(part)) {
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                other => other?,
            };
            for entry in entries {
                let name = entry?.file_name();
                // Nobody's mail is called otherwise.
                let Some(name) = name.to_str().filter(|name| !name.starts_with('.')) else { continue };
                if part == "new" || !is_left(name) {
                    found.push((name.to_owned(), part));
                }
            }
        }
        // Names begin with the time.
        found.sort_unstable();
        Ok(found.into_iter().map(|(name, part)| format!("{part}/{name}")).collect())
    }

    /// The beginning of a mail; none: it is gone.
    pub fn read(&self, mail: &str) -> io::Result<Option<Vec<u8>>> {
        let file = match File::open(self.folder.join(mail)) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            other => other?,
        };
        let mut bytes = Vec::new();
        file.take(MOST).read_to_end(&mut bytes)?;
        Ok(Some(bytes))
    }

    /// Whether all of these mails are where they were.
    pub fn has(&self, mails: &[String]) -> bool {
        mails.iter().all(|mail| self.folder.join(mail).exists())
    }

    /// Puts bounces away, and leaves others where they are looked at. Durable when it returns; done twice, it changes nothing
    /// the second time.
    pub fn put_away(&self, bounces: &[String], others: &[String]) -> io::Result<()> {
        let processed = self.folder.join(PROCESSED);
        if !bounces.is_empty() {
            for part in ["tmp", "new", "cur"] {
                make(&processed.join(part))?;
            }
            File::open(&processed)?.sync_all()?;
        }
        if !others.is_empty() {
            make(&self.folder.join("cur"))?;
        }
        // Also when nothing was made: who made it may have been killed before it synced.
        File::open(&self.folder)?.sync_all()?;
        for mail in bounces {
            move_to(&self.folder.join(mail), &processed.join("cur"), &with_flag(base(mail), 'S'))?;
        }
        for mail in others {
            move_to(&self.folder.join(mail), &self.folder.join("cur"), &with_flag(base(mail), 'F'))?;
        }
        // Where they are first: a power cut may leave a mail in both places, and not in neither.
        let touched = [
            (!bounces.is_empty()).then(|| processed.join("cur")),
            Some(self.folder.join("cur")),
            Some(self.folder.join("new")),
        ];
        for folder in touched.into_iter().flatten() {
            match File::open(folder) {
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                other => other?.sync_all()?,
            }
        }
        Ok(())
    }
}

fn open(folder: &Path) -> Result<File, String> {
    let shown = folder.display();
    let file = File::open(folder).map_err(|error| match error.kind() {
        ErrorKind::NotFound => format!("there is no Maildir {shown}"),
        _ => format!("could not open the Maildir {shown}: {error}"),
    })?;
    if folder.join("new").is_dir() || folder.join("cur").is_dir() {
        Ok(file)
    } else {
        Err(format!("{shown} is no Maildir: it has no `new` in it"))
    }
}

fn make(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// A mail that is gone has been moved already. No mail takes the place of another.
fn move_to(from: &Path, folder: &Path, name: &str) -> io::Result<()> {
    let mut to = folder.join(name);
    let mut number = 1;
    while to != from && to.try_exists()? {
        let (base, info) = name.split_once(':').unwrap_or((name, "2,"));
        to = folder.join(format!("{base}_{number}:{info}"));
        number += 1;
    }
    match fs::rename(from, to) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn base(mail: &str) -> &str {
    mail.rsplit('/').next().unwrap_or_default()
}

/// Whether a person is to look at it: it was read, and is no bounce.
fn is_left(name: &str) -> bool {
    name.rsplit_once(":2,").is_some_and(|(_, flags)| flags.contains('F'))
}

/// The name with a flag more; flags stand in alphabetical order (<https://cr.yp.to/proto/maildir.html>).
fn with_flag(name: &str, flag: char) -> String {
    let (base, flags) = name.rsplit_once(":2,").unwrap_or((name, ""));
    let mut flags: Vec<char> = flags.chars().chain([flag]).collect();
    flags.sort_unstable();
    flags.dedup();
    format!("{base}:2,{}", flags.into_iter().collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn maildir() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for part in ["new", "cur", "tmp"] {
            fs::create_dir(dir.path().join(part)).unwrap();
        }
        dir
    }

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(dir)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn mails_are_read_once_and_never_lost() {
        let dir = maildir();
        for (place, text) in
            [("new/2.b.c", "2"), ("cur/1.a.c:2,S", "1"), ("cur/0.x.c:2,FS", "left"), ("new/3.d.c", "3")]
        {
            fs::write(dir.path().join(place), text).unwrap();
        }
        let maildir = Maildir::take(dir.path()).unwrap();
        let unread = maildir.unread().unwrap();
        assert_eq!(unread, ["cur/1.a.c:2,S", "new/2.b.c", "new/3.d.c"]);
        let (bounces, others) = (unread[..2].to_vec(), unread[2..].to_vec());
        for _ in 0..2 {
            maildir.put_away(&bounces, &others).unwrap();
            assert!(maildir.unread().unwrap().is_empty());
            assert_eq!(names(&dir.path().join("cur")), ["0.x.c:2,FS", "3.d.c:2,F"]);
            assert_eq!(names(&dir.path().join(".processed/cur")), ["1.a.c:2,S", "2.b.c:2,S"]);
        }
        // Another mail of the same name does not take its place.
        fs::write(dir.path().join("new/2.b.c"), "another").unwrap();
        maildir.put_away(&bounces, &[]).unwrap();
        assert_eq!(names(&dir.path().join(".processed/cur")), ["1.a.c:2,S", "2.b.c:2,S", "2.b.c_1:2,S"]);
        assert_eq!(fs::read(dir.path().join(".processed/cur/2.b.c:2,S")).unwrap(), b"2");
        assert_eq!(maildir.read("new/2.b.c").unwrap(), None);
    }

    #[test]
    fn two_do_not_read_one_maildir() {
        let dir = maildir();
        let first = Maildir::take(dir.path()).unwrap();
        assert!(Maildir::take(dir.path()).unwrap_err().ends_with("is being read by another run"));
        assert!(Maildir::look(dir.path()).is_ok());
        drop(first);
        assert!(Maildir::take(dir.path()).is_ok());
        assert!(Maildir::take(&dir.path().join("new")).unwrap_err().ends_with("has no `new` in it"));
        assert!(Maildir::take(&dir.path().join("gone")).unwrap_err().starts_with("there is no Maildir"));
    }
}
