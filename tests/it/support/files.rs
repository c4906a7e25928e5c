//! Folders: where the repository is, and copies of what it holds.

use std::fs;
use std::path::{Path, PathBuf};

/// The top folder of the repository.
pub(crate) fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Copies a file, or a folder with all that is in it, permissions included.
pub(crate) fn copy_tree(from: &Path, to: &Path) {
    let copied = if from.is_dir() {
        fs::create_dir_all(to).unwrap_or_else(|error| panic!("could not make {}: {error}", to.display()));
        for entry in fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            copy_tree(&entry.path(), &to.join(entry.file_name()));
        }
        Ok(0)
    } else {
        fs::copy(from, to)
    };
    copied.unwrap_or_else(|error| panic!("could not copy {}: {error}", from.display()));
}
