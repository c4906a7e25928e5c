//! Until when a folder is left alone because somebody is writing it. Pure: instants are handed in, as time since the
//! start of a clock.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

/// So long nothing must have happened in a folder before it is looked at.
const QUIET: Duration = Duration::from_millis(300);
/// So long a folder is waited for at most; some programs write without end.
const PATIENCE: Duration = Duration::from_secs(30);

/// What waits for itself alone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    /// A function folder.
    Folder(String),
    /// All else: the folder of the folders, the daemon config.
    Rest,
}

/// Something has happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sign {
    /// Where.
    pub(super) part: Part,
    /// To which file or folder.
    pub(super) path: PathBuf,
    /// What.
    pub(super) kind: SignKind,
}

/// What has happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SignKind {
    /// It was written to, and is still open.
    Written,
    /// Whoever wrote it has closed it, or it is gone.
    Closed,
    /// Anything else.
    Touched,
}

/// What is not at rest.
#[derive(Debug, Default)]
pub(super) struct Settling {
    parts: BTreeMap<Part, Restless>,
}

#[derive(Debug)]
struct Restless {
    since: Duration,
    last: Duration,
    /// Files that are open for writing and have been written to.
    writing: BTreeSet<PathBuf>,
}

impl Restless {
    /// When it is to be looked at, if nothing more happens.
    fn due(&self) -> Duration {
        let latest = self.since + PATIENCE;
        if self.writing.is_empty() { latest.min(self.last + QUIET) } else { latest }
    }
}

impl Settling {
    /// Takes note of something that happens `now`.
    pub(super) fn note(&mut self, sign: Sign, now: Duration) {
        let new = || Restless { since: now, last: now, writing: BTreeSet::new() };
        let restless = self.parts.entry(sign.part).or_insert_with(new);
        restless.last = now;
        match sign.kind {
            SignKind::Written => {
                restless.writing.insert(sign.path);
            }
            SignKind::Closed => {
                restless.writing.remove(&sign.path);
            }
            SignKind::Touched => {}
        }
    }

    /// When the next part is to be looked at; none while all is at rest.
    pub(super) fn due(&self) -> Option<Duration> {
        self.parts.values().map(Restless::due).min()
    }

    /// Forgets what has come to rest by `now`; answers whether there was something.
    pub(super) fn settle(&mut self, now: Duration) -> bool {
        let before = self.parts.len();
        self.parts.retain(|_, restless| restless.due() > now);
        self.parts.len() < before
    }

    /// The function folders that are not at rest.
    pub(super) fn busy(&self) -> BTreeSet<String> {
        let name = |part: &Part| match part {
            Part::Folder(name) => Some(name.clone()),
            Part::Rest => None,
        };
        self.parts.keys().filter_map(name).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn sign(folder: &str, file: &str, kind: SignKind) -> Sign {
        Sign { part: Part::Folder(folder.to_owned()), path: PathBuf::from(file), kind }
    }

    #[test]
    fn a_simple_edit_is_looked_at_after_the_quiet() {
        let mut settling = Settling::default();
        assert_eq!(settling.due(), None);
        settling.note(sign("f", "config.json", SignKind::Written), ms(1000));
        settling.note(sign("f", "config.json", SignKind::Closed), ms(1001));
        assert_eq!(settling.due(), Some(ms(1301)));
        assert!(!settling.settle(ms(1300)));
        assert_eq!(settling.busy(), ["f".to_owned()].into());
        assert!(settling.settle(ms(1301)));
        assert_eq!((settling.due(), settling.busy()), (None, BTreeSet::new()));
    }

    #[test]
    fn each_folder_waits_for_itself() {
        let mut settling = Settling::default();
        settling.note(sign("a", "x", SignKind::Touched), ms(0));
        settling.note(sign("b", "x", SignKind::Touched), ms(200));
        settling.note(Sign { part: Part::Rest, path: PathBuf::new(), kind: SignKind::Touched }, ms(250));
        assert!(settling.settle(ms(300)));
        assert_eq!(settling.busy(), ["b".to_owned()].into());
        assert_eq!(settling.due(), Some(ms(500)));
        assert!(settling.settle(ms(550)));
        assert_eq!(settling.due(), None);
    }

    #[test]
    fn a_file_that_is_being_written_is_waited_for() {
        let mut settling = Settling::default();
        settling.note(sign("f", "big", SignKind::Written), ms(0));
        settling.note(sign("f", "config.json", SignKind::Written), ms(10));
        settling.note(sign("f", "config.json", SignKind::Closed), ms(20));
        assert!(!settling.settle(ms(5000)), "`big` is open");
        settling.note(sign("f", "big", SignKind::Closed), ms(6000));
        assert!(!settling.settle(ms(6299)));
        assert!(settling.settle(ms(6300)));
    }

    #[test]
    fn what_never_rests_is_looked_at_all_the_same() {
        let mut settling = Settling::default();
        settling.note(sign("f", "log", SignKind::Written), ms(0));
        assert_eq!(settling.due(), Some(PATIENCE));
        for at in (0..40_000).step_by(100) {
            settling.note(sign("g", "x", SignKind::Touched), ms(at));
            if ms(at) < PATIENCE {
                assert!(!settling.settle(ms(at)), "{at}");
            } else if ms(at) == PATIENCE {
                assert!(settling.settle(ms(at)));
                assert_eq!(settling.due(), None, "both were waited for long enough");
            }
        }
    }
}
