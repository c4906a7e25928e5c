//! Where a change of a function folder shows, watched through inotify.
//!
//! Straight on the system's interface, because what libraries ask for includes every opening of a file: each call of a
//! function, and each of our own looks, would wake the daemon. Asked for here is only what changes something. Costs no
//! thread, and no wake-up while nothing changes.
//!
//! Not seen: a change behind two or more symbolic links in other folders than the function's, what network file systems
//! change elsewhere, and files that a configuration names outside of its folder. SIGHUP is for these.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::{OsStr, OsString};
use std::io;
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fd::{AsFd as _, OwnedFd};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use rustix::io::Errno;
use tokio::io::unix::AsyncFd;

use super::settle::{Part, Sign, SignKind};
use crate::folder::{self, Place, PlaceKind};

/// Watches what it is told to.
#[derive(Debug)]
pub(super) struct Watch {
    inotify: AsyncFd<OwnedFd>,
    /// The folder of the function folders, and the daemon config.
    root: PathBuf,
    file: PathBuf,
    spots: BTreeMap<Spot, i32>,
    /// The kernel has one watch an inode, and two paths may lead to it.
    watches: HashMap<i32, BTreeSet<Spot>>,
    /// The system's limit has been reached, and it was said.
    full: bool,
}

/// A path, and what is looked for there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Spot {
    path: PathBuf,
    role: Role,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Role {
    /// A folder in which something of this name comes or goes.
    Name(OsString),
    /// The folder of the function folders.
    Root,
    /// A function folder, or one within it.
    Folder,
    /// A folder of packages.
    Modules,
    /// A file, behind whatever links.
    File,
}

/// Something came, went, or became something else.
const NAMES: WatchFlags = WatchFlags::CREATE
    .union(WatchFlags::DELETE)
    .union(WatchFlags::MOVED_FROM)
    .union(WatchFlags::MOVED_TO)
    .union(WatchFlags::ONLYDIR);
/// The thing itself went.
const ITSELF: WatchFlags = WatchFlags::DELETE_SELF.union(WatchFlags::MOVE_SELF);
const CONTENT: WatchFlags = WatchFlags::MODIFY.union(WatchFlags::CLOSE_WRITE).union(WatchFlags::ATTRIB);

impl Role {
    fn mask(&self) -> WatchFlags {
        match self {
            Self::Name(_) => NAMES,
            Self::Root => NAMES | ITSELF,
            Self::Folder | Self::Modules => NAMES | ITSELF | CONTENT,
            Self::File => ITSELF | CONTENT,
        }
    }
}

impl From<Place> for Spot {
    fn from(place: Place) -> Self {
        let role = match place.kind {
            PlaceKind::Folder => Role::Folder,
            PlaceKind::Modules => Role::Modules,
            PlaceKind::Link => Role::File,
        };
        Self { path: place.path, role }
    }
}

impl Watch {
    /// Watches nothing yet. Must be called within the tokio runtime. Fails when the system has no more descriptors, or
    /// no more inotify instances for this user.
    pub(super) fn new(root: &Path, file: &Path) -> io::Result<Self> {
        let inotify = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
        #[expect(
            deprecated,
            reason = "its successor is unsafe, and asks only that the descriptor stays owned: an OwnedFd does"
        )]
        let inotify = AsyncFd::new(inotify)?;
        let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        Ok(Self {
            inotify,
            root: absolute(root),
            file: absolute(file),
            spots: BTreeMap::new(),
            watches: HashMap::new(),
            full: false,
        })
    }

    /// Watches `places`, and no others beside what is always watched. Answers whether anything is watched that was not
    /// before: what happened there until now went unseen.
    pub(super) fn set(&mut self, places: Vec<Place>) -> bool {
        let absolute = |place: Place| match std::path::absolute(&place.path) {
            Ok(path) => Place { path, ..place },
            Err(_) => place,
        };
        let mut wanted: BTreeSet<Spot> = self.always().into_iter().collect();
        wanted.extend(places.into_iter().map(absolute).map(Spot::from));
        let mut is_new = false;
        for spot in &wanted {
            is_new |= self.add(spot.clone());
        }
        let gone: Vec<Spot> = self.spots.keys().filter(|spot| !wanted.contains(*spot)).cloned().collect();
        for spot in gone {
            self.remove(&spot);
        }
        is_new
    }

    /// The next signs that something changes, at least one.
    pub(super) async fn next(&mut self) -> io::Result<Vec<Sign>> {
        loop {
            let mut events = Vec::new();
            {
                let mut guard = self.inotify.readable().await?;
                if let Err(error) = read(self.inotify.get_ref(), &mut events) {
                    if error != Errno::AGAIN {
                        return Err(error.into());
                    }
                    guard.clear_ready();
                }
            }
            let signs: Vec<Sign> = events.iter().flat_map(|event| self.signs(event)).collect();
            if !signs.is_empty() {
                return Ok(signs);
            }
        }
    }

    /// A sign that everything wants another look.
    pub(super) fn news(&self) -> Sign {
        Sign { part: Part::Rest, path: self.root.clone(), kind: SignKind::Touched }
    }

    /// The folders above and beside: without them nobody would see that a folder comes back, or that a link on the way
    /// leads elsewhere.
    fn always(&self) -> Vec<Spot> {
        let mut spots = vec![
            Spot { path: self.root.clone(), role: Role::Root },
            Spot { path: self.file.clone(), role: Role::File },
        ];
        for path in [&self.root, &self.file] {
            for way in path.ancestors() {
                let is_plain = way.symlink_metadata().is_ok_and(|data| !data.is_symlink());
                if let (Some(above), Some(name)) = (way.parent(), way.file_name())
                    && (way == path || !is_plain)
                {
                    spots.push(Spot { path: above.to_owned(), role: Role::Name(name.to_owned()) });
                }
            }
        }
        spots
    }

    /// Answers whether the spot was not watched before, as it is now.
    fn add(&mut self, spot: Spot) -> bool {
        // Another spot may have put a watch on the same inode: it keeps its mask.
        let mask = spot.role.mask() | WatchFlags::MASK_ADD;
        let id = match inotify::add_watch(self.inotify.get_ref(), &spot.path, mask) {
            Ok(id) => id,
            Err(error) => {
                self.cannot_watch(&spot, error);
                self.remove(&spot);
                return false;
            }
        };
        let before = self.spots.get(&spot).copied();
        if before == Some(id) {
            return false;
        }
        if before.is_some() {
            self.remove(&spot);
        }
        self.watches.entry(id).or_default().insert(spot.clone());
        self.spots.insert(spot, id);
        true
    }

    fn cannot_watch(&mut self, spot: &Spot, error: Errno) {
        let path = spot.path.display();
        match error {
            // It is gone again, or never was: its folder is watched.
            Errno::NOENT | Errno::NOTDIR => {}
            Errno::NOSPC if self.full => {}
            Errno::NOSPC => {
                self.full = true;
                tracing::warn!(
                    %path,
                    "the system lets this user watch no more folders: raise fs.inotify.max_user_watches, or send SIGHUP \
                     after changes"
                );
            }
            _ => tracing::warn!(%path, %error, "cannot be watched; send SIGHUP after changes"),
        }
    }

    fn remove(&mut self, spot: &Spot) {
        let Some(id) = self.spots.remove(spot) else { return };
        let Some(spots) = self.watches.get_mut(&id) else { return };
        spots.remove(spot);
        if spots.is_empty() {
            self.watches.remove(&id);
            // Fails when the inode is gone, and the watch with it.
            let _ = inotify::remove_watch(self.inotify.get_ref(), id);
        }
    }

    fn signs(&mut self, event: &Event) -> Vec<Sign> {
        if event.flags.contains(ReadFlags::QUEUE_OVERFLOW) {
            tracing::warn!("changes came faster than they could be read; looking at everything");
            return vec![self.news()];
        }
        let spots = if event.flags.contains(ReadFlags::IGNORED) {
            // The inode is gone.
            let spots = self.watches.remove(&event.id).unwrap_or_default();
            self.spots.retain(|_, id| *id != event.id);
            spots
        } else {
            self.watches.get(&event.id).cloned().unwrap_or_default()
        };
        let mut signs = Vec::new();
        for spot in spots {
            let Some(kind) = meaning(&spot.role, event.name.as_deref(), event.flags) else { continue };
            let path = event.name.as_ref().map_or(spot.path.clone(), |name| spot.path.join(name));
            if event.flags.intersects(ReadFlags::CREATE | ReadFlags::MOVED_TO) {
                self.adopt(&spot.role, &path);
            }
            signs.push(Sign { part: self.part(&path), path, kind });
        }
        signs
    }

    /// Watches what has just come to be at `path` at once, because it may be filled in this moment.
    fn adopt(&mut self, role: &Role, path: &Path) {
        match role {
            Role::Root => self.adopt_folder(path),
            Role::Folder => match path.file_name() {
                Some(name) if name == folder::MODULES => {
                    self.add(Spot { path: path.to_owned(), role: Role::Modules });
                }
                Some(name) if folder::counts(name) => self.adopt_folder(path),
                _ => {}
            },
            Role::Name(_) => {
                let mut is_new = false;
                for spot in self.always() {
                    is_new |= self.add(spot);
                }
                if is_new && let Ok(entries) = self.root.read_dir() {
                    let names = entries.filter_map(Result::ok).map(|entry| entry.file_name());
                    for name in names.filter(|name| folder::may_be_function(name)) {
                        self.adopt_folder(&self.root.join(name));
                    }
                }
            }
            Role::Modules | Role::File => {}
        }
    }

    /// Again and again, because folders may appear in it between the look and the watch.
    fn adopt_folder(&mut self, path: &Path) {
        loop {
            let mut is_new = false;
            for place in folder::survey(path).places {
                is_new |= self.add(Spot::from(place));
            }
            if !is_new {
                return;
            }
        }
    }

    /// What waits for `path` to come to rest.
    fn part(&self, path: &Path) -> Part {
        let first = path.strip_prefix(&self.root).ok().and_then(|below| below.iter().next());
        first.map_or(Part::Rest, |name| Part::Folder(name.to_string_lossy().into_owned()))
    }
}

#[derive(Debug)]
struct Event {
    id: i32,
    flags: ReadFlags,
    name: Option<OsString>,
}

/// Reads what there is, up to a bufferful; fails with `AGAIN` when there is no more.
fn read(inotify: &OwnedFd, events: &mut Vec<Event>) -> Result<(), Errno> {
    let mut buffer = [MaybeUninit::uninit(); 16 * 1024];
    let mut reader = Reader::new(inotify.as_fd(), &mut buffer);
    loop {
        let event = reader.next()?;
        let name = event.file_name().map(|name| OsStr::from_bytes(name.to_bytes()).to_owned());
        events.push(Event { id: event.wd(), flags: event.events(), name });
        if reader.is_buffer_empty() {
            return Ok(());
        }
    }
}

/// What an event tells about a spot; none when it tells nothing.
fn meaning(role: &Role, name: Option<&OsStr>, flags: ReadFlags) -> Option<SignKind> {
    const NAMES: ReadFlags =
        ReadFlags::CREATE.union(ReadFlags::DELETE).union(ReadFlags::MOVED_FROM).union(ReadFlags::MOVED_TO);
    let comes_or_goes = flags.intersects(NAMES);
    let tells = match (role, name) {
        (Role::Name(awaited), Some(name)) => name == awaited && comes_or_goes,
        (Role::Root, Some(name)) => folder::may_be_function(name) && comes_or_goes,
        // A hidden link is how Kubernetes replaces all files at once.
        (Role::Folder, Some(name)) => folder::counts(name) || (comes_or_goes && !folder::is_litter(name)),
        (Role::Modules, Some(name)) => folder::tells_of_install(name),
        (Role::Name(_), None) => false,
        (Role::Root | Role::Folder | Role::Modules | Role::File, _) => true,
    };
    let kind = if flags.contains(ReadFlags::MODIFY) {
        SignKind::Written
    } else if flags.intersects(ReadFlags::CLOSE_WRITE | ReadFlags::DELETE | ReadFlags::MOVED_FROM) {
        SignKind::Closed
    } else {
        SignKind::Touched
    };
    tells.then_some(kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_can_change_a_function_is_a_sign() {
        let told = |role: &Role, name: &str, flags| meaning(role, Some(OsStr::new(name)), flags);
        let (folder, touched) = (&Role::Folder, Some(SignKind::Touched));
        assert_eq!(told(folder, "index.js", ReadFlags::MODIFY), Some(SignKind::Written));
        assert_eq!(told(folder, "index.js", ReadFlags::CLOSE_WRITE), Some(SignKind::Closed));
        assert_eq!(told(folder, "index.js", ReadFlags::MOVED_TO), touched);
        assert_eq!(told(folder, "index.js", ReadFlags::ATTRIB), touched);
        assert_eq!(told(folder, "lib", ReadFlags::CREATE | ReadFlags::ISDIR), touched);
        // What is open and goes is written no more.
        assert_eq!(told(folder, "index.js", ReadFlags::MOVED_FROM), Some(SignKind::Closed));
        assert_eq!(told(folder, "..data", ReadFlags::MOVED_TO), touched);
        assert_eq!(told(folder, ".git", ReadFlags::MODIFY), None);
        for flags in [ReadFlags::CREATE, ReadFlags::MODIFY, ReadFlags::DELETE] {
            assert_eq!(told(folder, "run.log", flags), None);
            assert_eq!(told(folder, ".config.json.swp", flags), None);
            assert_eq!(told(&Role::Modules, "lodash", flags), None);
            assert_eq!(told(&Role::Root, ".git", flags), None);
            assert_eq!(told(&Role::Name("triggers".into()), "gulou.db-wal", flags), None);
        }
        assert_eq!(told(&Role::Modules, ".package-lock.json", ReadFlags::MOVED_TO), touched);
        assert_eq!(told(&Role::Root, "f", ReadFlags::CREATE), touched);
        assert_eq!(told(&Role::Name("triggers".into()), "triggers", ReadFlags::CREATE), touched);
        assert_eq!(meaning(&Role::File, None, ReadFlags::DELETE_SELF), touched);
        assert_eq!(meaning(&Role::Root, None, ReadFlags::IGNORED), touched);
    }

    /// Both the folder and a link to it are watched, through one watch of the kernel.
    #[tokio::test]
    async fn two_ways_to_a_folder_show_the_same_change() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("triggers");
        std::fs::create_dir_all(root.join("a")).unwrap();
        std::os::unix::fs::symlink("a", root.join("b")).unwrap();
        let mut watch = Watch::new(&root, &dir.path().join("config.json")).unwrap();
        let places = |names: &[&str]| {
            let place = |name: &&str| Place { path: root.join(name), kind: PlaceKind::Folder };
            names.iter().map(place).collect::<Vec<_>>()
        };
        assert!(watch.set(places(&["a", "b"])));
        assert!(!watch.set(places(&["a", "b"])), "nothing is new");
        let seen = async |watch: &mut Watch| {
            std::fs::write(root.join("a/x"), "").unwrap();
            let signs = watch.next().await.unwrap();
            signs.into_iter().map(|sign| sign.path).collect::<BTreeSet<_>>()
        };
        assert_eq!(seen(&mut watch).await, [root.join("a/x"), root.join("b/x")].into());
        // Without the one, the other stays watched.
        assert!(!watch.set(places(&["b"])));
        assert_eq!(seen(&mut watch).await, [root.join("b/x")].into());
    }
}
