//! Copies of a database in a folder, and their names.

use std::path::PathBuf;

use chrono::{DateTime, NaiveDateTime, Utc};
use tokio_util::sync::CancellationToken;

use super::{Database, DbError, Failure};

/// A copy that is to be made.
#[derive(Clone, Debug)]
pub struct Backup {
    /// Where copies go; made when it does not exist.
    pub folder: PathBuf,
    /// The database's name, which the names of its copies start with.
    pub database: String,
    /// What the copy is of, in its name.
    pub time: DateTime<Utc>,
    /// So many stay, the newest; none: all.
    pub keep: Option<u32>,
}

/// A copy that was made.
#[derive(Clone, Debug)]
pub struct Copied {
    /// The file.
    pub path: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// The names of older copies that were deleted.
    pub deleted: Vec<String>,
}

/// In the order of the alphabet, times are in their own.
const TIME: &str = "%Y%m%dT%H%M%SZ";

impl Backup {
    /// Of the file: `main-20260601T010000Z.db`.
    pub fn name(&self) -> String {
        format!("{}-{}.db", plain(&self.database), self.time.format(TIME))
    }
}

/// Whether a file called `name` is a copy of `database`, as [`Backup::name`] names them.
pub(super) fn is_copy(name: &str, database: &str) -> bool {
    let rest = name.strip_prefix(&plain(database)).and_then(|rest| rest.strip_prefix('-'));
    let Some(time) = rest.and_then(|rest| rest.strip_suffix(".db")) else { return false };
    NaiveDateTime::parse_from_str(time, TIME).is_ok_and(|read| read.format(TIME).to_string() == time)
}

/// A name that can be part of a file's.
fn plain(database: &str) -> String {
    let may = |c: char| c.is_alphanumeric() || c == '_' || c == '-' || c == '.';
    database.chars().map(|c| if may(c) { c } else { '_' }).collect()
}

impl Database {
    /// Copies the database, whole or not at all, and deletes the oldest copies. Of SQLite files alone.
    pub async fn backup(&self, backup: &Backup, cut: &CancellationToken) -> Result<Copied, Failure> {
        match self {
            Self::Sqlite(database) => database.backup(backup, cut).await,
            Self::MySql(_) | Self::Postgres(_) => {
                let what = "only SQLite files are copied; run the server's own program from a `command`";
                Err(Failure::early(DbError::Mismatch(what.to_owned())))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_our_own_are_copies() {
        let backup = Backup {
            folder: PathBuf::new(),
            database: "my/main".to_owned(),
            time: DateTime::from_timestamp(1_780_275_600, 0).unwrap(),
            keep: None,
        };
        assert_eq!(backup.name(), "my_main-20260601T010000Z.db");
        assert!(is_copy(&backup.name(), "my/main"));
        for name in [
            "my_main.db",
            "my_main-1.db",
            "my_main-20260601T010000Z.db.part",
            ".my_main-20260601T010000Z.db.part",
            "my_main-20260601T010000.db",
            "my_main-20261301T010000Z.db",
            "my_main-2-20260601T010000Z.db",
            "main-20260601T010000Z.db",
            "my_main-+2026601T010000Z.db",
        ] {
            assert!(!is_copy(name, "my/main"), "{name}");
        }
    }
}
