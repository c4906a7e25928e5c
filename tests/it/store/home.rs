//! Where a state is, and what every case does with it.

use std::sync::Arc;
use std::time::Duration;

use gulou::run::{Outcome, Reason};
use gulou::schedule::Schedule;
use gulou::settings::{FireRules, Misfire, Overlap, TriggerSettings};
use gulou::store::runs::{Claim, ClaimRequest, Ended, HistoryFilter, RunId};
use gulou::store::triggers::{Enrolment, Others, Place};
use gulou::store::{Reader, Server, Store, StoreError};

use crate::servers;
use crate::support::eventually;

/// What the first function and its first trigger are called in a new state.
pub(super) const FUNCTION: i64 = 1;
pub(super) const TRIGGER: i64 = 1;

/// A state of its own for each case.
pub(super) enum Home {
    File(tempfile::TempDir),
    Database(String),
}

impl Home {
    pub(super) fn sqlite() -> Self {
        Self::File(tempfile::tempdir().unwrap())
    }

    pub(super) fn postgres() -> Self {
        Self::Database(servers::postgres().database())
    }

    pub(super) fn try_open(&self) -> Result<Store, StoreError> {
        match self {
            Self::File(folder) => Store::open(&folder.path().join("state.db")),
            Self::Database(url) => Store::open_postgres(&server(url)),
        }
    }

    /// The state after a restart. A process that another test forks at this moment has a copy of the old lock until it
    /// turns into its program.
    pub(super) fn reopen(&self) -> Store {
        eventually("the lock", || match self.try_open() {
            Err(StoreError::Locked { .. }) => None,
            opened => Some(opened.unwrap()),
        })
    }

    pub(super) fn try_reader(&self) -> Result<Option<Reader>, StoreError> {
        match self {
            Self::File(folder) => Reader::open(&folder.path().join("state.db")),
            Self::Database(url) => Reader::open_postgres(&server(url)),
        }
    }

    pub(super) fn reader(&self) -> Reader {
        self.try_reader().unwrap().unwrap()
    }

    /// Makes the state one of another version.
    pub(super) fn set_version(&self, version: i64) {
        match self {
            Self::File(folder) => {
                let connection = rusqlite::Connection::open(folder.path().join("state.db")).unwrap();
                connection.pragma_update(None, "user_version", version).unwrap();
            }
            Self::Database(url) => {
                let set = format!("update gulou.owner set version = {version}");
                servers::postgres().execute(url, &set);
            }
        }
    }

    /// Whether nothing has been made there.
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::File(folder) => std::fs::read_dir(folder.path()).unwrap().count() == 0,
            Self::Database(url) => {
                let find = "select count(*) from pg_namespace where nspname = 'gulou'";
                servers::postgres().execute(url, find).trim() == "0"
            }
        }
    }
}

pub(super) fn server(url: &str) -> Server {
    Server::new(url.parse().unwrap(), "gulou")
}

pub(super) fn request(fire_time: i64, overlap: Overlap) -> ClaimRequest {
    ClaimRequest {
        request_id: uuid::Uuid::new_v4(),
        function: FUNCTION,
        trigger: TRIGGER,
        fire_time,
        since: fire_time,
        reason: Reason::Timed,
        attempt: 1,
        missed: 0,
        overlap,
        room: true,
        now: fire_time * 1000,
    }
}

pub(super) async fn claim(store: &Store, fire_time: i64, overlap: Overlap) -> Claim {
    store.claim(vec![request(fire_time, overlap)]).await.unwrap().remove(0)
}

#[track_caller]
pub(super) fn started(claim: Claim) -> RunId {
    match claim {
        Claim::Started(run) => run,
        other => panic!("not started: {other:?}"),
    }
}

/// The state, with a function `f` that has a trigger `t`, from the beginning of time on.
pub(super) async fn open(home: &Home) -> Store {
    let store = home.reopen();
    enroll(&store, &["t"], Others::Stay, 0).await;
    store
}

/// Enrols the function `f` with these triggers.
pub(super) async fn enroll(store: &Store, triggers: &[&str], others: Others, now: i64) -> Vec<Place> {
    let rules = Arc::new(FireRules {
        misfire: Misfire::Skip,
        start_within: Duration::from_secs(60),
        jitter: Duration::ZERO,
        catch_up: Duration::ZERO,
    });
    let trigger = |name: &&str| TriggerSettings {
        name: (*name).into(),
        schedule: Schedule::parse("* * * * * * *", "UTC").unwrap(),
        expression: "* * * * * * *".into(),
        argument: "".into(),
        enabled: true,
        rules: Arc::clone(&rules),
    };
    let triggers = triggers.iter().map(trigger).collect();
    let enrolment = Enrolment { function: "f".to_owned(), triggers };
    let mut enrolled = store.enroll(vec![enrolment], others, now).await.unwrap();
    assert_eq!(enrolled[0].function, FUNCTION);
    enrolled.remove(0).triggers
}

pub(super) async fn finish(store: &Store, run: i64, outcome: Outcome, at: i64) {
    store.finish(Ended { run, outcome, at }).await.unwrap();
}

/// Fire times and states of all runs, the oldest first.
pub(super) fn states(home: &Home) -> Vec<(i64, String)> {
    let filter = HistoryFilter { limit: 100_000, ..HistoryFilter::default() };
    let mut runs: Vec<_> =
        home.reader().history(&filter).unwrap().into_iter().map(|run| (run.fire_time, run.state)).collect();
    runs.reverse();
    runs
}
