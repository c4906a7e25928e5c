//! The workers of one function: the idle ones, and how many there may be.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Semaphore, SemaphorePermit, mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::language;
use super::launch::Launch;
use super::worker::{Call, End, Served, Worker};
use crate::run::Fire;
use crate::settings::CodeSettings;
use crate::target::cut::Cut;
use crate::target::host::Host;
use crate::target::log::RunLog;

/// Keeps workers between calls; a call takes the one that was idle for the shortest time, so that
/// those too many for the load retire.
#[derive(Debug)]
pub struct Pool {
    settings: CodeSettings,
    host: Host,
    /// None once the pool is closed.
    idle: Mutex<Option<Vec<Handle>>>,
    /// One for each call that may be under way.
    places: Semaphore,
    tasks: TaskTracker,
}

/// Sends calls to a worker. The worker ends when its handle is dropped.
type Handle = mpsc::Sender<Call>;

/// How a call went.
pub struct Called {
    pub end: End,
    /// KiB; the most that was used, where it is known.
    pub memory: Option<u64>,
}

impl Called {
    fn unstarted(problem: String) -> Self {
        Self { end: End::Unstarted(problem), memory: None }
    }
}

impl Pool {
    pub fn new(settings: &CodeSettings, host: &Host) -> Self {
        Self {
            settings: settings.clone(),
            host: host.clone(),
            idle: Mutex::new(Some(Vec::new())),
            places: Semaphore::new(settings.concurrency),
            tasks: TaskTracker::new(),
        }
    }

    /// Has one worker serve one call: an idle one, or a new one. Waits in line when all are at work.
    pub async fn call(
        &self,
        fire: &Fire,
        request: Vec<u8>,
        log: &Arc<RunLog>,
        abort: &CancellationToken,
    ) -> Called {
        let Some(_place) = self.place(log, abort).await else {
            return Called { end: End::Cut(Cut::Abort), memory: None };
        };
        let request: Arc<[u8]> = request.into();
        let prepare = || {
            let (done, answer) = oneshot::channel();
            let (request, log, abort) = (request.clone(), log.clone(), abort.clone());
            (Call { request, log, timeout: self.settings.timeout, abort, done }, answer)
        };
        while let Some(worker) = self.take() {
            let (call, answer) = prepare();
            // It may have ended since it was put here, or be about to: then the call goes elsewhere.
            if worker.send(call).await.is_err() {
                continue;
            }
            if let Ok(served) = answer.await
                && !matches!(served.end, End::Unstarted(_))
            {
                return self.settle(worker, served);
            }
        }
        let (call, answer) = prepare();
        match self.hire(fire, call) {
            Ok(worker) => match answer.await {
                Ok(served) => self.settle(worker, served),
                Err(_) => Called::unstarted("the worker's task broke off".to_owned()),
            },
            Err(problem) => Called::unstarted(problem),
        }
    }

    /// Ends idle workers, and waits for all.
    pub async fn close(&self) {
        self.idle().take();
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// First come, first served. None when the call must not begin any more.
    async fn place(&self, log: &RunLog, abort: &CancellationToken) -> Option<SemaphorePermit<'_>> {
        if let Ok(place) = self.places.try_acquire() {
            return Some(place);
        }
        log.note(format!(
            "waits: `concurrency` is {}, and as many calls are under way",
            self.settings.concurrency
        ));
        tokio::select! {
            biased;
            place = self.places.acquire() => {
                log.begin_after_wait();
                place.ok()
            }
            () = abort.cancelled() => None,
        }
    }

    fn hire(&self, fire: &Fire, first: Call) -> Result<Handle, String> {
        let language = language::of(&self.settings);
        if let Some(problem) = language.problem(&self.settings) {
            return Err(problem);
        }
        let program = language.program(&self.settings).unwrap_or_default();
        let launch = Launch::new(&program, &self.settings, fire, self.host.limits.result);
        let launch = launch.map_err(|error| format!("cannot start {}: {error}", language.name))?;
        let (handle, calls) = mpsc::channel(1);
        self.tasks.spawn(Worker::live(
            launch,
            fire.function.as_str().into(),
            self.host.clone(),
            first,
            calls,
        ));
        Ok(handle)
    }

    fn settle(&self, worker: Handle, served: Served) -> Called {
        if let (true, Some(idle)) = (served.worker_lives, &mut *self.idle()) {
            idle.retain(|worker| !worker.is_closed());
            idle.push(worker);
        }
        Called { end: served.end, memory: served.memory }
    }

    fn take(&self) -> Option<Handle> {
        self.idle().as_mut()?.pop()
    }

    fn idle(&self) -> MutexGuard<'_, Option<Vec<Handle>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
