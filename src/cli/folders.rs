//! New function folders: where they go, and how they get there, whole or not at all.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::Args;
use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::{ConfigArg, valid};
use crate::clock::Clock;
use crate::config::{self, TriggersPlace};

/// Where new function folders go.
#[derive(Args, Debug)]
pub(super) struct PlaceArg {
    #[command(flatten)]
    config: ConfigArg,
    /// The folder that new function folders go to [default: what the daemon config says]
    #[arg(long, value_name = "DIR")]
    to: Option<PathBuf>,
}

/// Where they go, and what they may name.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) folder: PathBuf,
    /// Names in the daemon config, if it was read.
    pub(super) databases: Vec<String>,
    pub(super) mail: Vec<String>,
}

impl PlaceArg {
    /// The folder, for which the daemon config need not be there. On errors of the daemon config prints them, and answers
    /// the exit code instead.
    pub(super) fn folder(&self) -> Result<PathBuf, u8> {
        match &self.to {
            Some(to) => Ok(to.clone()),
            None => self.place().map(|place| place.folder),
        }
    }

    /// The same with what the daemon config has.
    pub(super) fn place(&self) -> Result<Place, u8> {
        let TriggersPlace { triggers, databases, mail } = valid(config::triggers_place(&self.config.config))?;
        // As short as it can be said.
        let here = std::env::current_dir().unwrap_or_default();
        let short = || triggers.strip_prefix(here).map_or_else(|_| triggers.clone(), Path::to_owned);
        Ok(Place { folder: self.to.clone().unwrap_or_else(short), databases, mail })
    }

    /// The daemon config.
    pub(super) fn config(&self) -> &Path {
        &self.config.config
    }
}

/// Makes the folder `name` in `root`, as `fill` fills it, in a hidden one, which a daemon passes over, until it is whole.
/// What exists is left alone, and what no daemon could use, because of which it would not start, is not made: errors.
pub(super) fn create(root: &Path, name: &str, fill: impl FnOnce(&Path) -> io::Result<()>) -> io::Result<()> {
    if root.join(name).exists() {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    fs::create_dir_all(root)?;
    let draft = Draft(root.join(format!(".{name}-{}", std::process::id())));
    draft.remove();
    let folder = draft.0.join(name);
    fs::create_dir_all(&folder)?;
    fill(&folder)?;
    let errors = config::function_errors(&folder, Clock::system().now());
    if !errors.is_empty() {
        let told = errors.iter().map(|error| {
            let path = if error.path.is_empty() { String::new() } else { format!("{}: ", error.path) };
            format!("{path}{}", error.message)
        });
        return Err(io::Error::other(told.collect::<Vec<_>>().join("; ")));
    }
    renameat_with(CWD, &folder, CWD, root.join(name), RenameFlags::NOREPLACE)?;
    Ok(())
}

/// A folder that goes away again, with what is still in it.
struct Draft(PathBuf);

impl Draft {
    fn remove(&self) {
        // Usually there is nothing to remove.
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        self.remove();
    }
}
