//! The function folders of a running daemon, looked at again and again, each for itself: one that cannot be used does not
//! hide the others, and its last usable version stays in force.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};

use super::daemon::DaemonConfig;
use super::diagnostic::Diagnostic;
use super::findings::Findings;
use super::function::Scope;
use super::load::{self, Invalid, Loaded};
use crate::folder::{self, Ask, Fingerprint, Look};
use crate::settings::{FunctionSettings, TargetSettings};

/// What a daemon knows of its function folders.
#[derive(Debug)]
pub struct Folders {
    /// The daemon config, and what it said when the daemon was started.
    file: PathBuf,
    daemon: DaemonConfig,
    known: BTreeMap<String, Known>,
}

#[derive(Debug)]
struct Known {
    /// Of the state that was read last.
    fingerprint: Fingerprint,
    /// The last version that could be used; none if there never was one.
    usable: Option<FunctionSettings>,
    /// Why the state that was read last cannot be used.
    problem: Option<String>,
}

/// A folder that has just been read.
struct Fresh {
    fingerprint: Fingerprint,
    /// None: it is no function.
    read: Result<Option<FunctionSettings>, String>,
    warnings: Vec<Diagnostic>,
}

impl Known {
    fn says(&self, fresh: &Fresh) -> bool {
        let same = self.fingerprint == fresh.fingerprint && self.problem.is_none();
        same && matches!(&fresh.read, Ok(function) if *function == self.usable)
    }
}

impl Folders {
    /// Reads everything, as [`super::load`] does, and remembers it.
    pub fn load(path: &Path, now: DateTime<Utc>) -> Result<(Self, Loaded), Invalid> {
        let findings = Findings::default();
        let daemon = load::read_daemon(path, &findings);
        // Before the files are read: what changes meanwhile is found by the next look.
        let found =
            daemon.as_ref().and_then(|daemon| load::folders(&daemon.triggers).ok()).unwrap_or_default();
        let surveyed: BTreeMap<_, _> =
            found.iter().map(|dir| (name_of(dir), folder::survey(dir).fingerprint)).collect();
        let loaded = load::load_with(daemon.as_ref(), path, now, findings)?;
        let Some(daemon) = daemon else {
            return Err(Invalid { errors: Vec::new(), warnings: loaded.warnings });
        };
        let mut usable: BTreeMap<_, _> = loaded
            .settings
            .functions
            .iter()
            .map(|function| (function.name.clone(), function.clone()))
            .collect();
        let known = surveyed.into_iter().map(|(name, fingerprint)| {
            let usable = usable.remove(&name);
            (name, Known { fingerprint, usable, problem: None })
        });
        let known = known.collect();
        Ok((Self { file: path.to_owned(), daemon, known }, loaded))
    }

    /// The folder of the function folders, and the daemon config: where changes show beside the folders themselves.
    pub fn watched(&self) -> (PathBuf, PathBuf) {
        (self.daemon.triggers.clone(), self.file.clone())
    }

    /// What has changed since the last look, and what was found odd in what has changed.
    ///
    /// Where the folder of the functions itself cannot be read nothing changes, but for a note.
    pub fn look(&mut self, ask: &Ask, now: DateTime<Utc>) -> (Look, Vec<Diagnostic>) {
        let mut look = Look { notes: self.daemon_notes(), ..Look::default() };
        let dirs = match load::folders(&self.daemon.triggers) {
            Ok(dirs) => dirs,
            Err(error) => {
                let root = self.daemon.triggers.display();
                look.notes.push(format!(
                    "could not read the folder `{root}`: {error}; the functions go on as they are"
                ));
                look.invalid = self.invalid();
                return (look, Vec::new());
            }
        };
        let mut fresh = BTreeMap::new();
        let scope = Scope::new(&self.daemon, now);
        let mut names = Vec::with_capacity(dirs.len());
        for dir in &dirs {
            let name = name_of(dir);
            let survey = folder::survey(dir);
            look.places.extend(survey.places);
            let known = self.known.get(&name);
            let is_new_to_us =
                known.is_none_or(|known| known.problem.is_some() || known.fingerprint != survey.fingerprint);
            if (ask.all || is_new_to_us) && !ask.busy.contains(&name) {
                let read = Fresh::read(dir, survey.fingerprint, &scope);
                // Dropped at once where it is what is known: there may be a million triggers.
                if !known.is_some_and(|known| known.says(&read)) {
                    fresh.insert(name.clone(), read);
                }
            }
            names.push(name);
        }
        names.sort();
        look.removed = self.forget_all_but(&names, ask);
        self.settle_batch_ids(&mut fresh);
        let mut warnings = Vec::new();
        for (name, fresh) in fresh {
            if self.learn(name, fresh.fingerprint, fresh.read, &mut look) {
                warnings.extend(fresh.warnings);
            }
        }
        look.invalid = self.invalid();
        (look, warnings)
    }

    /// Forgets folders that are gone; answers those that were functions.
    fn forget_all_but(&mut self, names: &[String], ask: &Ask) -> Vec<String> {
        let mut gone = Vec::new();
        self.known.retain(|name, known| {
            let stays = names.binary_search(name).is_ok() || ask.busy.contains(name);
            if !stays && known.usable.is_some() {
                gone.push(name.clone());
            }
            stays
        });
        gone
    }

    /// Takes over what was read; answers whether it is news.
    fn learn(
        &mut self,
        name: String,
        fingerprint: Fingerprint,
        read: Result<Option<FunctionSettings>, String>,
        look: &mut Look,
    ) -> bool {
        let before = self.known.remove(&name);
        let same_content = before.as_ref().is_some_and(|known| known.fingerprint == fingerprint);
        let (usable, old_problem) = before.map_or((None, None), |known| (known.usable, known.problem));
        let (usable, problem, is_news) = match read {
            Ok(Some(function)) => {
                // A worker has the code of its folder in memory; all else is in the settings.
                let holds_code = matches!(function.target, TargetSettings::Function(_));
                let is_news = usable.as_ref() != Some(&function) || (holds_code && !same_content);
                if is_news {
                    look.put.push(function.clone());
                }
                // What runs shares its triggers with what is known.
                (if is_news { Some(function) } else { usable }, None, is_news)
            }
            Ok(None) => {
                look.removed.extend(usable.is_some().then(|| name.clone()));
                (None, None, !same_content)
            }
            Err(message) => {
                let is_news = old_problem.as_ref() != Some(&message);
                (usable, Some(message), is_news)
            }
        };
        self.known.insert(name, Known { fingerprint, usable, problem });
        is_news
    }

    /// Two batches with the same id would share their ledger: the one that changed is refused; of two, the later by name.
    fn settle_batch_ids(&self, fresh: &mut BTreeMap<String, Fresh>) {
        // Whoever is refused keeps its old id, which somebody else may have taken in the same moment.
        while let Some((name, id, other)) = self.batch_clash(fresh) {
            let findings = Findings::default();
            load::batch_is_taken(&findings, &self.daemon.triggers.join(&name), &id, &other);
            if let Some(fresh) = fresh.get_mut(&name) {
                fresh.read = Err(text_of(&findings.into_sorted().0));
            }
        }
    }

    /// A batch that was just read whose id is taken: its name, the id, and whose it is.
    fn batch_clash(&self, fresh: &BTreeMap<String, Fresh>) -> Option<(String, String, String)> {
        let in_force = self
            .known
            .iter()
            .filter(|(name, _)| fresh.get(*name).is_none_or(|fresh| fresh.read.is_err()))
            .filter_map(|(name, known)| Some((known.usable.as_ref()?, name)));
        let mut owners: BTreeMap<&str, &str> =
            in_force.filter_map(|(function, name)| Some((batch_id(function)?, name.as_str()))).collect();
        for (name, fresh) in fresh {
            if let Ok(Some(function)) = &fresh.read
                && let Some(id) = batch_id(function)
                && let Some(other) = owners.insert(id, name)
            {
                return Some((name.clone(), id.to_owned(), other.to_owned()));
            }
        }
        None
    }

    fn invalid(&self) -> Vec<folder::Invalid> {
        let problem = |(name, known): (&String, &Known)| {
            Some(folder::Invalid { function: name.clone(), message: known.problem.clone()? })
        };
        self.known.iter().filter_map(problem).collect()
    }

    /// What the daemon config says now is never taken over while the daemon runs, and never passed over in silence.
    fn daemon_notes(&self) -> Vec<String> {
        let file = self.file.display();
        let findings = Findings::default();
        let read = load::read_daemon(&self.file, &findings);
        let (errors, _) = findings.into_sorted();
        if errors.is_empty() {
            let differs = read.is_some_and(|read| read != self.daemon);
            return differs
                .then(|| format!("`{file}` has changed: that takes effect at the next start"))
                .into_iter()
                .collect();
        }
        let note = |error: &Diagnostic| {
            let line = error.place.as_ref().map_or(String::new(), |place| format!(":{}", place.line));
            format!("`{file}`{line} is invalid, and nothing of it is taken over: {}", error.message)
        };
        errors.iter().map(note).collect()
    }
}

impl Fresh {
    fn read(dir: &Path, fingerprint: Fingerprint, scope: &Scope<'_>) -> Self {
        let findings = Findings::default();
        let read = load::read_function(dir, scope, &findings);
        let (errors, warnings) = findings.into_sorted();
        Self { fingerprint, read: if errors.is_empty() { Ok(read) } else { Err(text_of(&errors)) }, warnings }
    }
}

fn name_of(dir: &Path) -> String {
    dir.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn batch_id(function: &FunctionSettings) -> Option<&str> {
    match &function.target {
        TargetSettings::Batch(batch) => Some(&batch.id),
        TargetSettings::Function(_)
        | TargetSettings::Command(_)
        | TargetSettings::Http(_)
        | TargetSettings::Fetch(_)
        | TargetSettings::Bounces(_)
        | TargetSettings::Sql(_) => None,
    }
}

/// All of them as `check` prints them.
fn text_of(found: &[Diagnostic]) -> String {
    found.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n\n")
}

#[cfg(test)]
mod tests;
