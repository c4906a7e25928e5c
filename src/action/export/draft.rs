//! A file that goes away again, unless it becomes whole and gets its name.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// See the module.
#[derive(Debug)]
pub struct Draft {
    path: PathBuf,
    /// The name that it is to have.
    target: PathBuf,
}

impl Draft {
    /// For the file `target`, beside it, under a name that has `id` in it and that nobody takes for the file. Nothing
    /// is written yet.
    pub fn of(target: &Path, id: &str) -> Self {
        let name = target.file_name().unwrap_or_default().to_string_lossy();
        let path = target.with_file_name(format!(".{name}.{id}.part"));
        Self { path, target: target.to_owned() }
    }

    /// Where it is until it is whole.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens it, empty; makes its folder when it does not exist.
    pub(super) fn create(&self) -> io::Result<File> {
        if let Some(folder) = self.path.parent() {
            fs::create_dir_all(folder)?;
        }
        File::options().write(true).create_new(true).open(&self.path)
    }

    /// Gives it its name, in the place of whatever has it; durable when this returns. It must have been synced.
    pub fn publish(self) -> io::Result<()> {
        fs::rename(&self.path, &self.target)?;
        match self.target.parent() {
            Some(folder) => File::open(folder)?.sync_all(),
            None => Ok(()),
        }
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // Usually it has its name by now.
        let _ = fs::remove_file(&self.path);
    }
}
