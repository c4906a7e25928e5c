//! Function folders that change while the daemon runs: a look at them when something has changed and come to rest, or
//! when somebody asks, and what has changed goes to the engine. Sleeps otherwise.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::signal::unix::Signal;
use tokio_util::sync::CancellationToken;

use super::settle::{Settling, Sign};
use super::signals;
use super::watch::Watch;
use super::wiring::{Runners, Wiring};
use crate::engine::Function;
use crate::engine::handle::{Changes, CommandError, FolderProblem, Handle};
use crate::engine::reload::{ReloadReport, ReloadRequests};
use crate::folder::{Ask, Invalid, Look};

/// Between two tries when the engine cannot take changes over (a full disk, mostly).
const AGAIN: Duration = Duration::from_secs(1);
/// At most so many names stand in a line of the log.
const NAMED: usize = 10;

/// Where functions come from, and how they are read.
pub(crate) struct Source {
    /// The folder of the function folders.
    pub(crate) root: PathBuf,
    /// The daemon config.
    pub(crate) file: PathBuf,
    /// Looks at them; may take a while.
    pub(crate) look: Box<dyn FnMut(&Ask) -> Look + Send>,
}

/// Takes over what changes.
pub(super) struct Reloader {
    handle: Handle,
    wiring: Arc<Wiring>,
    runners: Runners,
    source: Arc<Mutex<Source>>,
    watch: Option<Watch>,
    settling: Settling,
    /// New versions that were read well and could not be set up: nobody will find them again.
    unbuilt: BTreeMap<String, String>,
    problems: BTreeMap<String, FolderProblem>,
    /// As they were logged.
    notes: Vec<String>,
}

/// A look, and its functions made ready to run or why they could not be.
#[derive(Default)]
struct Seen {
    look: Look,
    built: Vec<Function>,
    unbuilt: Vec<Invalid>,
}

impl Reloader {
    /// Must be called within the tokio runtime.
    pub(super) fn new(handle: Handle, wiring: Arc<Wiring>, runners: Runners, source: Source) -> Self {
        let watch = match Watch::new(&source.root, &source.file) {
            Ok(watch) => Some(watch),
            Err(error) => {
                tracing::warn!(%error, "the function folders cannot be watched; send SIGHUP after changes");
                None
            }
        };
        Self {
            handle,
            wiring,
            runners,
            source: Arc::new(Mutex::new(source)),
            watch,
            settling: Settling::default(),
            unbuilt: BTreeMap::new(),
            problems: BTreeMap::new(),
            notes: Vec::new(),
        }
    }

    /// Until `stop`, or until the engine takes no more changes. Answers the runners that are in force then.
    pub(super) async fn run(
        mut self,
        mut hangups: Signal,
        mut requests: ReloadRequests,
        stop: CancellationToken,
    ) -> Runners {
        // What has changed since the folders were read at the start, and nobody watched.
        let first = self.look(Ask::default()).await;
        if first.is_ok() {
            let serving = self.serve(&mut hangups, &mut requests);
            tokio::select! {
                () = stop.cancelled() => {}
                result = serving => {
                    if let Err(error) = result {
                        tracing::debug!(%error, "no more changes are taken over");
                    }
                }
            }
        }
        self.runners
    }

    async fn serve(
        &mut self,
        hangups: &mut Signal,
        requests: &mut ReloadRequests,
    ) -> Result<(), CommandError> {
        loop {
            let now = self.wiring.clock.monotonic();
            let pause = self.settling.due().map(|due| due.saturating_sub(now));
            tokio::select! {
                biased;
                Some(()) = hangups.recv() => {
                    tracing::info!("SIGHUP");
                    signals::reloading();
                    let looked = self.look(Ask { all: true, ..Ask::default() }).await;
                    signals::ready();
                    let ReloadReport { added, changed, removed, .. } = looked?;
                    if [added, changed, removed].iter().all(Vec::is_empty) {
                        tracing::info!("no function has changed");
                    }
                }
                Some(request) = requests.recv() => {
                    let report = self.look(Ask { all: true, ..Ask::default() }).await?;
                    // Whoever asked may have gone.
                    let _ = request.send(report);
                }
                signs = next(&mut self.watch) => self.note(signs),
                () = tokio::time::sleep(pause.unwrap_or_default()), if pause.is_some() => {
                    if self.settling.settle(self.wiring.clock.monotonic()) {
                        self.look(Ask { all: false, busy: self.settling.busy() }).await?;
                    }
                }
            }
        }
    }

    fn note(&mut self, signs: io::Result<Vec<Sign>>) {
        match signs {
            Ok(signs) => {
                let now = self.wiring.clock.monotonic();
                for sign in signs {
                    self.settling.note(sign, now);
                }
            }
            Err(error) => {
                tracing::error!(%error, "the function folders are no longer watched; send SIGHUP after changes");
                self.watch = None;
            }
        }
    }

    /// One look, and all that follows from it. Fails when the engine takes no more changes.
    async fn look(&mut self, ask: Ask) -> Result<ReloadReport, CommandError> {
        let Seen { look, built, unbuilt } = self.see(ask).await;
        let mut report = ReloadReport::default();
        for function in &built {
            let known = self.runners.has(&function.name);
            if known { &mut report.changed } else { &mut report.added }.push(function.name.clone());
            self.unbuilt.remove(&function.name);
        }
        for name in look.removed {
            self.unbuilt.remove(&name);
            if self.runners.has(&name) {
                report.removed.push(name);
            }
        }
        self.unbuilt.extend(unbuilt.into_iter().map(|bad| (bad.function, bad.message)));
        let problems = self.problems_now(look.invalid);
        report.problems = problems.values().cloned().collect();
        if !built.is_empty() || !report.removed.is_empty() || problems != self.problems {
            self.apply(&built, &report).await?;
        }
        self.log(&report, &problems, look.notes.clone());
        self.problems = problems;
        report.notes = look.notes.into_iter().chain(look.warnings).collect();
        for function in built {
            self.runners.put(function.name, function.runner);
        }
        for name in &report.removed {
            self.runners.remove(name);
        }
        if let Some(watch) = &mut self.watch
            && watch.set(look.places)
        {
            // A folder that was not watched may have changed since it was read.
            self.settling.note(watch.news(), self.wiring.clock.monotonic());
        }
        Ok(report)
    }

    /// Reads the folders, which takes its time, away from the threads that fire triggers.
    async fn see(&self, ask: Ask) -> Seen {
        let (source, wiring) = (Arc::clone(&self.source), Arc::clone(&self.wiring));
        let seeing = tokio::task::spawn_blocking(move || {
            let mut source = source.lock().unwrap_or_else(PoisonError::into_inner);
            let mut look = (source.look)(&ask);
            let mut seen = Seen::default();
            for settings in std::mem::take(&mut look.put) {
                match wiring.function(&settings) {
                    Ok(function) => seen.built.push(function),
                    Err(error) => {
                        let message = format!("{error:#}");
                        seen.unbuilt.push(Invalid { function: settings.name, message });
                    }
                }
            }
            Seen { look, ..seen }
        });
        match seeing.await {
            Ok(seen) => seen,
            Err(error) => {
                let note = format!("the look at the function folders broke off: {error}");
                Seen { look: Look { notes: vec![note], ..Look::default() }, ..Seen::default() }
            }
        }
    }

    /// All problems there are now; those that were known keep the time at which they were found.
    fn problems_now(&self, invalid: Vec<Invalid>) -> BTreeMap<String, FolderProblem> {
        let unbuilt = self.unbuilt.iter().map(|(name, message)| (name.clone(), message.clone()));
        let read = invalid.into_iter().map(|bad| (bad.function, bad.message));
        let problem = |(function, message): (String, String)| {
            let known = self.problems.get(&function).filter(|known| known.message == message);
            let since = known.map_or_else(|| self.wiring.clock.now(), |known| known.since);
            let old_version_runs = self.runners.has(&function);
            (function.clone(), FolderProblem { function, message, since, old_version_runs })
        };
        unbuilt.chain(read).map(problem).collect()
    }

    async fn apply(&self, built: &[Function], report: &ReloadReport) -> Result<(), CommandError> {
        loop {
            let changes = Changes {
                put: built.to_vec(),
                removed: report.removed.clone(),
                problems: report.problems.clone(),
            };
            match self.handle.apply(changes).await {
                Ok(()) => return Ok(()),
                Err(CommandError::Stopped) => return Err(CommandError::Stopped),
                Err(error) => {
                    tracing::error!(%error, "changes of functions cannot be taken over yet; trying again");
                    tokio::time::sleep(AGAIN).await;
                }
            }
        }
    }

    /// What is new of it.
    fn log(&mut self, report: &ReloadReport, problems: &BTreeMap<String, FolderProblem>, notes: Vec<String>) {
        for note in notes.iter().filter(|note| !self.notes.contains(note)) {
            tracing::warn!("{note}");
        }
        self.notes = notes;
        for problem in
            problems.values().filter(|problem| self.problems.get(&problem.function) != Some(*problem))
        {
            let FolderProblem { function, message, .. } = problem;
            if problem.old_version_runs {
                tracing::error!(function, problem = %message, "cannot be used as it is now, its old version goes on");
            } else {
                tracing::error!(function, problem = %message, "cannot be used, and does not run");
            }
        }
        let ReloadReport { added, changed, removed, .. } = report;
        let told = |function: &String| [added, changed, removed].iter().any(|names| names.contains(function));
        let mended: Vec<String> = self
            .problems
            .keys()
            .filter(|function| !problems.contains_key(*function) && !told(function))
            .cloned()
            .collect();
        let sets = [added, changed, removed, &mended];
        if sets.iter().any(|names| !names.is_empty()) {
            let [added, changed, removed, mended] = sets.map(|names| Names(names).some());
            let invalid = problems.len();
            tracing::info!(added, changed, removed, mended, invalid, "functions reloaded");
        }
    }
}

/// Never, without a watch.
async fn next(watch: &mut Option<Watch>) -> io::Result<Vec<Sign>> {
    match watch {
        Some(watch) => watch.next().await,
        None => std::future::pending().await,
    }
}

/// Names in a line, not too many.
struct Names<'a>(&'a [String]);

impl Names<'_> {
    fn some(&self) -> Option<String> {
        (!self.0.is_empty()).then(|| self.to_string())
    }
}

impl fmt::Display for Names<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = &self.0[..self.0.len().min(NAMED)];
        f.write_str(&shown.join(", "))?;
        match self.0.len() - shown.len() {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}
