//! Files that have to lie in a folder, whatever their names say: a name may come from a row of somebody's table.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read as _};
use std::path::{Component, Path};

/// Why a file was not read.
#[derive(Debug, thiserror::Error)]
pub enum FileFault {
    /// It is not there.
    #[error("there is no file `{0}`")]
    Missing(String),
    /// By its name, or by a symbolic link on the way.
    #[error("`{0}` leads out of the folder")]
    Outside(String),
    /// A folder, a pipe, a device.
    #[error("`{0}` is no regular file")]
    NotAFile(String),
    /// Larger than it may be.
    #[error("`{name}` has {size} bytes, and {most} are the limit")]
    TooLarge {
        /// The file.
        name: String,
        /// What it has.
        size: u64,
        /// What it may have.
        most: u64,
    },
    /// The system refused.
    #[error("could not read `{name}`: {error}")]
    Io {
        /// The file.
        name: String,
        /// Why.
        error: io::Error,
    },
}

impl FileFault {
    /// Whether it may be read another time, with everything left as it is.
    pub const fn may_pass(&self) -> bool {
        matches!(self, Self::Io { .. })
    }
}

/// Reads the file `name` of at most `most` bytes, which lies in `dir` or below it; links may lead from one place there to
/// another. Blocks.
pub fn read_within(dir: &Path, name: &str, most: u64) -> Result<Vec<u8>, FileFault> {
    let fault = |error: io::Error| match error.kind() {
        // With a NUL in the name, or too long a name, there can be no such file.
        ErrorKind::NotFound
        | ErrorKind::NotADirectory
        | ErrorKind::InvalidInput
        | ErrorKind::InvalidFilename => FileFault::Missing(name.to_owned()),
        _ => FileFault::Io { name: name.to_owned(), error },
    };
    // By the letter first, so that nobody learns what there is elsewhere.
    let stays = |part: Component<'_>| matches!(part, Component::Normal(_) | Component::CurDir);
    if !Path::new(name).components().all(stays) {
        return Err(FileFault::Outside(name.to_owned()));
    }
    let root = fs::canonicalize(dir).map_err(fault)?;
    let path = fs::canonicalize(root.join(name)).map_err(fault)?;
    if !path.starts_with(&root) {
        return Err(FileFault::Outside(name.to_owned()));
    }
    let data = fs::metadata(&path).map_err(fault)?;
    if !data.is_file() {
        return Err(FileFault::NotAFile(name.to_owned()));
    }
    let too_large = |size| FileFault::TooLarge { name: name.to_owned(), size, most };
    if data.len() > most {
        return Err(too_large(data.len()));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(data.len()).unwrap_or_default());
    // It may grow meanwhile.
    File::open(&path).and_then(|file| file.take(most + 1).read_to_end(&mut bytes)).map_err(fault)?;
    match bytes.len() as u64 {
        size if size > most => Err(too_large(size)),
        _ => Ok(bytes),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn only_what_lies_in_the_folder_is_read() {
        let outer = tempfile::tempdir().unwrap();
        let dir = outer.path().join("function");
        fs::create_dir_all(dir.join("files/deep")).unwrap();
        fs::write(outer.path().join("secret"), "no").unwrap();
        fs::write(dir.join("files/a.pdf"), "12345").unwrap();
        symlink("../secret", dir.join("out")).unwrap();
        symlink("..", dir.join("up")).unwrap();
        symlink("../a.pdf", dir.join("files/deep/in")).unwrap();
        symlink(&dir, outer.path().join("linked")).unwrap();
        let read = |name: &str| read_within(&dir, name, 5).map_err(|fault| fault.to_string());
        assert_eq!(read("files/a.pdf").unwrap(), b"12345");
        assert_eq!(read("./files//a.pdf").unwrap(), b"12345");
        assert_eq!(read("files/deep/in").unwrap(), b"12345");
        assert_eq!(read_within(&outer.path().join("linked"), "files/a.pdf", 5).unwrap(), b"12345");
        let outside =
            ["../secret", "files/../../secret", "files/../files/a.pdf", "/etc/passwd", "out", "up/secret"];
        for name in outside {
            assert_eq!(read(name).unwrap_err(), format!("`{name}` leads out of the folder"));
        }
        for name in ["files/b.pdf", "files/a.pdf/b", "a\0b", &"x".repeat(300)] {
            assert_eq!(read(name).unwrap_err(), format!("there is no file `{name}`"));
        }
        for name in ["files", "", "."] {
            assert_eq!(read(name).unwrap_err(), format!("`{name}` is no regular file"));
        }
        let fault = read_within(&dir, "files/a.pdf", 4).unwrap_err();
        assert_eq!(fault.to_string(), "`files/a.pdf` has 5 bytes, and 4 are the limit");
        assert!(!fault.may_pass());
    }
}
