//! The socket's place in the file system: beside the state file unless configured, for its owner alone.
//!
//! A socket's address holds 107 bytes, and the path may be longer. So addresses here go through
//! `/proc/self/fd/N`, where N is a descriptor of the folder (to listen) or of the socket itself (to connect).

use std::ffi::OsString;
use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::fs::{DirBuilderExt as _, FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, openat};

use crate::store::Store;

/// The socket's name in the private folder where it is made.
const NEW: &str = "s";

/// Why there is no socket to listen on.
#[derive(Debug, thiserror::Error)]
#[error("could not make the API's socket {path}: {reason}", path = path.display())]
pub struct SocketError {
    /// Where it should be.
    path: PathBuf,
    /// The system's reason, or ours.
    reason: io::Error,
}

/// A socket that listens. Dropping it takes it away.
#[derive(Debug)]
pub struct Socket {
    pub(super) listener: tokio::net::UnixListener,
    pub(super) place: Place,
}

/// A file that goes with this value.
#[derive(Debug)]
pub(super) struct Place {
    path: PathBuf,
    // Holds the lock for as long as the file is there: the next daemon's socket must not be taken for ours.
    _store: Store,
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!(socket = %self.path.display(), %error, "could not remove the API's socket");
        }
    }
}

impl Socket {
    /// Listens at `path` for the daemon on `store`; what a daemon that died left there is replaced. To be called
    /// within the async runtime.
    ///
    /// There is no instant at which another user could connect: the socket is made in a folder that is
    /// closed to others, and moved to its place when its mode is right.
    pub fn bind(path: &Path, store: &Store) -> Result<Self, SocketError> {
        let failed = |reason| SocketError { path: path.to_owned(), reason };
        let listener = make(path).map_err(failed)?;
        let place = Place { path: path.to_owned(), _store: store.clone() };
        listener.set_nonblocking(true).map_err(failed)?;
        let listener = tokio::net::UnixListener::from_std(listener).map_err(failed)?;
        Ok(Self { listener, place })
    }
}

/// Connects to the socket at `path`. No socket is `NotFound`; one that nobody listens on is
/// `ConnectionRefused`.
pub fn connect(path: &Path) -> io::Result<UnixStream> {
    let socket = open_path(path, OFlags::empty())?;
    UnixStream::connect(through(&socket))
}

fn make(path: &Path) -> io::Result<UnixListener> {
    if fs::symlink_metadata(path).is_ok_and(|found| !found.file_type().is_socket()) {
        return Err(io::Error::new(
            io::ErrorKind::AlreadyExists,
            "something else has that name; move it away",
        ));
    }
    // Two states may have been given the same place.
    if connect(path).is_ok() {
        let reason = "another daemon listens there; give one of them another \"socket\"";
        return Err(io::Error::new(io::ErrorKind::AddrInUse, reason));
    }
    let private = with_suffix(path, ".new");
    let made = private.join(NEW);
    // An earlier daemon may have been killed right here.
    ignore_missing(fs::remove_file(&made))?;
    ignore_missing(fs::remove_dir(&private))?;
    DirBuilder::new().mode(0o700).create(&private)?;
    let folder = open_path(&private, OFlags::DIRECTORY)?;
    let listener = UnixListener::bind(through(&folder).join(NEW))?;
    fs::set_permissions(&made, Permissions::from_mode(0o600))?;
    fs::rename(&made, path)?;
    fs::remove_dir(&private)?;
    Ok(listener)
}

/// A descriptor that only names a file; that the file may be neither read nor written does not matter.
fn open_path(path: &Path, flags: OFlags) -> io::Result<OwnedFd> {
    Ok(openat(CWD, path, flags | OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?)
}

/// A short path to what `descriptor` names.
fn through(descriptor: &OwnedFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", descriptor.as_raw_fd()))
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    PathBuf::from(name)
}

fn ignore_missing(result: io::Result<()>) -> io::Result<()> {
    result.or_else(|error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) })
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use tempfile::TempDir;

    use super::*;

    fn sockets(folder: &Path) -> Vec<String> {
        let names = fs::read_dir(folder).unwrap();
        let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.contains("sock")).collect()
    }

    #[tokio::test]
    async fn is_the_owners_alone_and_goes_with_its_daemon() {
        let folder = TempDir::new().unwrap();
        let state = folder.path().join("gulou.db");
        let path = folder.path().join("gulou.db.sock");
        let store = Store::open(&state).unwrap();
        let socket = Socket::bind(&path, &store).unwrap();
        assert_eq!(fs::symlink_metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(sockets(folder.path()), ["gulou.db.sock"]);
        connect(&path).unwrap();
        drop(store);
        assert!(Store::open(&state).is_err(), "the lock outlives the socket");
        drop(socket);
        assert_eq!(connect(&path).unwrap_err().kind(), ErrorKind::NotFound);
        assert_eq!(sockets(folder.path()), Vec::<String>::new());
        Store::open(&state).unwrap();
    }

    #[test]
    fn a_daemon_that_listens_keeps_its_socket() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("gulou.sock");
        let _listener = make(&path).unwrap();
        let error = make(&path).unwrap_err().to_string();
        assert!(error.contains("another daemon listens there"), "{error}");
        connect(&path).unwrap();
    }

    #[test]
    fn replaces_what_dead_daemons_left() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("gulou.db.sock");
        drop(UnixListener::bind(&path).unwrap());
        assert_eq!(connect(&path).unwrap_err().kind(), ErrorKind::ConnectionRefused);
        let half_made = folder.path().join("gulou.db.sock.new");
        fs::create_dir(&half_made).unwrap();
        drop(UnixListener::bind(half_made.join(NEW)).unwrap());
        let _listener = make(&path).unwrap();
        connect(&path).unwrap();
        assert_eq!(sockets(folder.path()), ["gulou.db.sock"]);
    }

    #[tokio::test]
    async fn leaves_alone_what_is_no_socket() {
        let folder = TempDir::new().unwrap();
        let state = folder.path().join("gulou.db");
        let store = Store::open(&state).unwrap();
        let path = folder.path().join("gulou.db.sock");
        fs::write(&path, "precious").unwrap();
        let error = Socket::bind(&path, &store).unwrap_err().to_string();
        assert!(error.contains("gulou.db.sock: something else has that name"), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    }

    #[test]
    fn a_path_may_be_longer_than_an_address() {
        let root = TempDir::new().unwrap();
        let folder = root.path().join("深".repeat(60)).join("d".repeat(200));
        fs::create_dir_all(&folder).unwrap();
        // The last part alone is longer.
        let path = folder.join(format!("{}.db.sock", "名".repeat(70)));
        let _listener = make(&path).unwrap();
        connect(&path).unwrap();
        assert_eq!(sockets(&folder).len(), 1);
    }
}
