//! One process at a time owns a state file: an advisory lock on a file beside it.
//!
//! The lock goes with the process, so a crash leaves nothing to clean up. The file itself stays.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};

use super::StoreError;

/// Held for as long as the store is open.
#[derive(Debug)]
pub(super) struct StateLock {
    _file: File,
}

impl StateLock {
    /// Takes the lock, or says who has it.
    pub(super) fn acquire(state: &Path) -> Result<Self, StoreError> {
        let path = lock_path(state);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(|source| StoreError::io(&path, source))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut pid = String::new();
                let read = file.read_to_string(&mut pid);
                let pid = pid.trim();
                let owner =
                    if read.is_ok() && !pid.is_empty() { format!(" (pid {pid})") } else { String::new() };
                return Err(StoreError::Locked { state: state.display().to_string(), owner });
            }
            Err(TryLockError::Error(source)) => return Err(StoreError::io(&path, source)),
        }
        let write_pid = |file: &mut File| {
            file.set_len(0)?;
            file.rewind()?;
            writeln!(file, "{}", std::process::id())
        };
        write_pid(&mut file).map_err(|source| StoreError::io(&path, source))?;
        Ok(Self { _file: file })
    }
}

fn lock_path(state: &Path) -> PathBuf {
    let mut name = state.as_os_str().to_owned();
    name.push(".lock");
    PathBuf::from(name)
}
