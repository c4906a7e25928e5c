//! Function folders between the one who reads them (`config`) and the one who watches them (`daemon`): what counts in a
//! folder, a fingerprint of it, the places where a change of it shows, what a look at all of them came to, and how a file is read
//! that has to lie in a folder.
//!
//! Knows nothing of file formats, and nothing of how places are watched.

mod within;

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, Metadata};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::settings::FunctionSettings;

pub use within::{FileFault, read_within};

/// The folder of packages, in which only what an install writes at its top is looked at: it may have a hundred thousand files.
pub const MODULES: &str = "node_modules";

/// Where Python keeps what it has compiled: it says nothing that the code beside it does not say.
const COMPILED: &str = "__pycache__";

/// What npm, pnpm and both Yarns write into `node_modules` with each install.
const INSTALLED: [&str; 4] = [".package-lock.json", ".modules.yaml", ".yarn-integrity", ".yarn-state.yml"];

/// Ends of names of files that programs leave behind while they run or edit.
const LITTER: [&str; 4] = [".log", ".tmp", ".swp", "~"];

/// A folder within a function folder that has more entries than this holds data, not code, and is not looked into: a
/// Maildir, say, in a project whose folder of functions is the whole project.
const MANY: usize = 10_000;

/// What to look at.
#[derive(Clone, Debug, Default)]
pub struct Ask {
    /// Read every folder, those too that seem unchanged: what they refer to may have changed elsewhere.
    pub all: bool,
    /// Folders that are being written at this moment; they are left as they are known.
    pub busy: BTreeSet<String>,
}

/// What a look at the function folders came to.
#[derive(Clone, Debug, Default)]
pub struct Look {
    /// New functions, and new versions of known ones.
    pub put: Vec<FunctionSettings>,
    /// Functions whose folders are gone.
    pub removed: Vec<String>,
    /// All folders that cannot be used as they are now.
    pub invalid: Vec<Invalid>,
    /// What else is worth knowing, one line each.
    pub notes: Vec<String>,
    /// What may not be meant in what has changed, one line each; in the log already.
    pub warnings: Vec<String>,
    /// Where later changes show.
    pub places: Vec<Place>,
}

/// A folder that cannot be used as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    /// The folder's name.
    pub function: String,
    /// All that is wrong, as `check` shows it; may have several lines.
    pub message: String,
}

/// Where a change shows.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// As the user would reach it.
    pub path: PathBuf,
    /// What is there.
    pub kind: PlaceKind,
}

/// What lies at a [`Place`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PlaceKind {
    /// A folder whose files count.
    Folder,
    /// A folder of packages.
    Modules,
    /// A file that is a symbolic link to one elsewhere.
    Link,
}

/// Tells two states of a folder apart. Only to be compared within one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint(u64);

/// A function folder at one moment.
#[derive(Debug)]
pub struct Survey {
    /// Of names, sizes, times and inodes of the files that count; their contents are not read.
    pub fingerprint: Fingerprint,
    /// The folder and those within it, and linked files.
    pub places: Vec<Place>,
}

/// Whether a folder of this name may be a function.
pub fn may_be_function(name: &OsStr) -> bool {
    !is_hidden(name) && name != MODULES && name != COMPILED
}

/// Whether the content of a file of this name counts.
pub fn counts(name: &OsStr) -> bool {
    !is_hidden(name) && !is_litter(name)
}

/// Whether a file of this name is none of the function's.
pub fn is_litter(name: &OsStr) -> bool {
    name == COMPILED || LITTER.iter().any(|end| name.as_bytes().ends_with(end.as_bytes()))
}

/// Whether a file of this name in [`MODULES`] tells of an install.
pub fn tells_of_install(name: &OsStr) -> bool {
    INSTALLED.iter().any(|known| name == *known)
}

fn is_hidden(name: &OsStr) -> bool {
    name.as_bytes().starts_with(b".")
}

/// Looks at the function folder `dir`. What cannot be read counts as being unreadable.
pub fn survey(dir: &Path) -> Survey {
    survey_with(dir, MANY)
}

fn survey_with(dir: &Path, many: usize) -> Survey {
    let own = fs::metadata(dir).map(|data| (data.dev(), data.ino()));
    let above = own.into_iter().collect();
    let mut walk = Walk { hash: DefaultHasher::new(), places: Vec::new(), above, many };
    walk.folder(dir, PlaceKind::Folder);
    Survey { fingerprint: Fingerprint(walk.hash.finish()), places: walk.places }
}

struct Walk {
    hash: DefaultHasher,
    places: Vec<Place>,
    /// Device and inode of the folders on the way down, because links can lead back up.
    above: Vec<(u64, u64)>,
    many: usize,
}

impl Walk {
    fn folder(&mut self, dir: &Path, kind: PlaceKind) {
        let may_be_heap = kind == PlaceKind::Folder && !self.places.is_empty();
        let limit = if may_be_heap { self.many + 1 } else { usize::MAX };
        let listing = fs::read_dir(dir);
        listing.is_ok().hash(&mut self.hash);
        let entries: Vec<_> = listing.into_iter().flatten().filter_map(Result::ok).take(limit).collect();
        if may_be_heap && entries.len() > self.many {
            return;
        }
        self.places.push(Place { path: dir.to_owned(), kind });
        let wanted = match kind {
            PlaceKind::Modules => tells_of_install,
            PlaceKind::Folder | PlaceKind::Link => counts,
        };
        let mut paths: Vec<PathBuf> =
            entries.iter().filter(|entry| wanted(&entry.file_name())).map(fs::DirEntry::path).collect();
        paths.sort();
        for path in paths {
            self.entry(path, kind);
        }
    }

    fn entry(&mut self, path: PathBuf, within: PlaceKind) {
        path.hash(&mut self.hash);
        let Ok(data) = fs::metadata(&path) else {
            "unreadable".hash(&mut self.hash);
            return;
        };
        if data.is_dir() {
            let id = (data.dev(), data.ino());
            if within == PlaceKind::Folder && !self.above.contains(&id) {
                self.above.push(id);
                let is_modules = path.file_name().is_some_and(|name| name == MODULES);
                self.folder(&path, if is_modules { PlaceKind::Modules } else { PlaceKind::Folder });
                self.above.pop();
            }
            return;
        }
        self.file(&data);
        if fs::symlink_metadata(&path).is_ok_and(|data| data.is_symlink()) {
            self.places.push(Place { path, kind: PlaceKind::Link });
        }
    }

    fn file(&mut self, data: &Metadata) {
        (data.dev(), data.ino(), data.size(), data.mtime(), data.mtime_nsec()).hash(&mut self.hash);
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::unix::fs::symlink;
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    fn folder() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for name in ["config.json", "index.js", "lib/a.js", "node_modules/x/index.js", ".hidden/a"] {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "1").unwrap();
        }
        dir
    }

    /// Whether `change` makes another fingerprint.
    fn shows(change: impl FnOnce(&Path)) -> bool {
        let dir = folder();
        let before = survey(dir.path()).fingerprint;
        assert_eq!(before, survey(dir.path()).fingerprint);
        change(dir.path());
        before != survey(dir.path()).fingerprint
    }

    #[test]
    fn a_change_of_what_counts_shows() {
        assert!(shows(|dir| fs::write(dir.join("index.js"), "22").unwrap()));
        assert!(shows(|dir| fs::write(dir.join("lib/b.js"), "1").unwrap()));
        assert!(shows(|dir| fs::remove_file(dir.join("lib/a.js")).unwrap()));
        assert!(shows(|dir| fs::rename(dir.join("lib/a.js"), dir.join("lib/b.js")).unwrap()));
        assert!(shows(|dir| fs::write(dir.join("node_modules/.package-lock.json"), "{}").unwrap()));
        // The same size, another time.
        assert!(shows(|dir| {
            let file = File::options().append(true).open(dir.join("index.js")).unwrap();
            file.set_modified(UNIX_EPOCH + Duration::from_nanos(1)).unwrap();
        }));
        // The same size and time, another file.
        assert!(shows(|dir| {
            let (old, new) = (dir.join("index.js"), dir.join(".new"));
            let time = fs::metadata(&old).unwrap().modified().unwrap();
            fs::write(&new, "2").unwrap();
            File::options().append(true).open(&new).unwrap().set_modified(time).unwrap();
            fs::rename(new, old).unwrap();
        }));
    }

    #[test]
    fn a_change_of_what_does_not_count_does_not_show() {
        assert!(!shows(|dir| fs::write(dir.join(".hidden/a"), "22").unwrap()));
        assert!(!shows(|dir| fs::write(dir.join(".config.json.swp"), "22").unwrap()));
        assert!(!shows(|dir| fs::write(dir.join("run.log"), "22").unwrap()));
        assert!(!shows(|dir| fs::write(dir.join("index.js~"), "22").unwrap()));
        assert!(!shows(|dir| fs::write(dir.join("node_modules/x/index.js"), "22").unwrap()));
        assert!(!shows(|dir| fs::create_dir(dir.join("node_modules/y")).unwrap()));
        assert!(!shows(|dir| fs::create_dir(dir.join("lib/__pycache__")).unwrap()));
    }

    /// Kubernetes shows a `ConfigMap` so, and changes it by replacing the hidden link.
    #[test]
    fn a_link_that_leads_elsewhere_shows() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        for version in ["..1", "..2"] {
            fs::create_dir(at(version)).unwrap();
            fs::write(at(version).join("config.json"), "{}").unwrap();
        }
        symlink("..1", at("..data")).unwrap();
        symlink("..data/config.json", at("config.json")).unwrap();
        let before = survey(dir.path());
        assert_eq!(before.places.len(), 2, "{:?}", before.places);
        assert_eq!(before.places[1], Place { path: at("config.json"), kind: PlaceKind::Link });
        symlink("..2", at("..data_tmp")).unwrap();
        fs::rename(at("..data_tmp"), at("..data")).unwrap();
        assert_ne!(before.fingerprint, survey(dir.path()).fingerprint);
    }

    #[test]
    fn links_in_a_circle_end() {
        let dir = folder();
        symlink(dir.path(), dir.path().join("lib/up")).unwrap();
        symlink("nowhere", dir.path().join("dangling")).unwrap();
        let survey = survey(dir.path());
        let folders = survey.places.iter().filter(|place| place.kind == PlaceKind::Folder);
        assert_eq!(folders.count(), 2, "{:?}", survey.places);
    }

    #[test]
    fn a_heap_of_data_is_not_looked_into() {
        let dir = folder();
        let heap = dir.path().join("outbox");
        fs::create_dir(&heap).unwrap();
        for mail in 0..5 {
            File::create(heap.join(mail.to_string())).unwrap();
        }
        let watched = |survey: &Survey| survey.places.iter().any(|place| place.path == heap);
        assert!(watched(&survey_with(dir.path(), 5)));
        File::create(heap.join("one more")).unwrap();
        let before = survey_with(dir.path(), 5);
        assert!(!watched(&before));
        File::create(heap.join("and another")).unwrap();
        assert_eq!(before.fingerprint, survey_with(dir.path(), 5).fingerprint);
    }

    #[test]
    fn a_folder_that_is_gone_has_a_fingerprint() {
        let dir = folder();
        assert_ne!(survey(dir.path()).fingerprint, survey(&dir.path().join("gone")).fingerprint);
    }
}
