//! Finds a program the way `execvp` does, so that a missing one can be named before it is started.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};

/// The file that `name` runs: itself, relative to `cwd`, when it has a slash; else the first
/// executable of that name on `path`, or on this process's PATH when `path` is none.
pub fn find_program(name: &str, cwd: &Path, path: Option<&str>) -> Option<PathBuf> {
    if name.contains('/') {
        return Some(cwd.join(name)).filter(|file| is_program(file));
    }
    let path = path.map(OsString::from).or_else(|| env::var_os("PATH"))?;
    // An empty or relative entry means: from the folder that the program runs in.
    env::split_paths(&path).map(|folder| cwd.join(folder).join(name)).find(|file| is_program(file))
}

fn is_program(file: &Path) -> bool {
    file.is_file() && access(file, Access::EXEC_OK).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_looked_up_on_the_path_and_a_path_from_the_folder() {
        let root = Path::new("/");
        assert_eq!(find_program("sh", root, Some("/nowhere:/bin")), Some(PathBuf::from("/bin/sh")));
        assert_eq!(find_program("bin/sh", root, Some("")), Some(PathBuf::from("/bin/sh")));
        assert_eq!(find_program("sh", root, Some("/nowhere")), None);
    }

    #[test]
    fn a_folder_or_a_plain_file_is_no_program() {
        assert_eq!(find_program("/etc", Path::new("/"), None), None);
        assert_eq!(find_program("/proc/self/limits", Path::new("/"), None), None);
    }
}
