//! One worker process, owned by one task that serves the calls it is sent.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::unix::pipe;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::current::Current;
use super::language::Language;
use super::launch::Launch;
use super::protocol::{Dying, Reply, Returned, Threw, frame, read_replies};
use crate::run::Stream;
use crate::target::cut::Cut;
use crate::target::host::{Host, Limits};
use crate::target::log::RunLog;
use crate::target::process::{Child, Meter, Spawn, describe_failure};

/// How long the last replies of a dead worker may take to be read; they are in the pipe already.
const LAST_REPLIES: Duration = Duration::from_secs(5);

/// What only code that looks for trouble does.
const INTRUSION: &str = "the function wrote on descriptor 4, which belongs to Gulou";

/// A call for a worker.
pub struct Call {
    /// Event and context.
    pub request: Arc<[u8]>,
    /// Takes what the user code prints.
    pub log: Arc<RunLog>,
    /// From the moment the call reaches the worker.
    pub timeout: Duration,
    /// Fires when the call must end now.
    pub abort: CancellationToken,
    /// Told how it ended.
    pub done: oneshot::Sender<Served>,
}

/// A call that was answered, one way or the other.
pub struct Served {
    pub end: End,
    /// KiB; the most that the worker and all it started used during the call.
    pub memory: Option<u64>,
    /// Whether the worker takes another call.
    pub worker_lives: bool,
}

/// How a call ended.
pub enum End {
    /// The handler returned.
    Returned {
        result: Option<Value>,
        /// Why the result is not recorded, if it is not.
        unrecorded: Option<String>,
    },
    /// The handler failed.
    Threw(Threw),
    /// The worker ended before the handler did, or had to be ended.
    Died(String),
    /// The call took too long, or was told to end.
    Cut(Cut),
    /// No user code ran: the worker was not there to take the call.
    Unstarted(String),
}

/// A worker process between its start and its end.
pub struct Worker {
    child: Child,
    requests: pipe::Sender,
    replies: mpsc::Receiver<Reply>,
    current: Current,
    limits: Limits,
    language: &'static Language,
    /// KiB that a call may use.
    memory: u64,
    last_words: LastWords,
}

/// What the worker said of its own end.
#[derive(Default)]
struct LastWords {
    dying: Option<Dying>,
    exit_code: Option<i32>,
}

/// How a call went on, seen from the worker's task.
enum Turn {
    /// The worker goes on.
    Answered(End),
    /// The worker is of no more use, and is ended with all it started.
    Spoiled(End),
    /// The worker has ended.
    Dead { started: bool },
}

impl Worker {
    /// Starts a worker, and serves `first` and then all `calls` until the worker dies, is idle for
    /// too long, or nobody can call it any more.
    pub async fn live(
        launch: Launch,
        function: Arc<str>,
        host: Host,
        first: Call,
        mut calls: mpsc::Receiver<Call>,
    ) {
        let language = launch.language.name;
        let mut worker = match Self::start(launch, function, &host, &first.log).await {
            Ok(worker) => worker,
            Err(error) => {
                let end = End::Unstarted(format!("cannot start {language}: {error}"));
                let _ = first.done.send(Served { end, memory: None, worker_lives: false });
                return;
            }
        };
        let mut next = Some((first, true));
        while let Some((call, fresh)) = next {
            worker = match worker.serve(call, fresh).await {
                Some(worker) => worker,
                None => return,
            };
            next = worker.idle(&mut calls).await.map(|call| (call, false));
        }
        worker.child.end(worker.limits.grace).await;
    }

    async fn start(launch: Launch, function: Arc<str>, host: &Host, log: &Arc<RunLog>) -> io::Result<Self> {
        let current = Current::new(function, log);
        let Launch { command, requests, replies, language, memory_mb } = launch;
        let requests = pipe::Sender::from_owned_fd(OwnedFd::from(requests))?;
        let incoming = pipe::Receiver::from_owned_fd(OwnedFd::from(replies))?;
        let [stdout, stderr] = [Stream::Stdout, Stream::Stderr].map(|stream| {
            let current = current.clone();
            Arc::new(move |line| current.line(stream, line))
        });
        let spawn = Spawn { command, line_limit: host.limits.line, stdout, stderr };
        let child = Child::spawn(spawn, &host.registry).await?;
        let (sender, replies) = mpsc::channel(4);
        tokio::spawn(read_replies(BufReader::new(incoming), host.limits.result, sender));
        let last_words = LastWords::default();
        let (limits, memory) = (host.limits, u64::from(memory_mb) * 1024);
        Ok(Self { child, requests, replies, current, limits, language, memory, last_words })
    }

    /// Serves one call. Answers the worker if it can take another.
    async fn serve(mut self, call: Call, fresh: bool) -> Option<Self> {
        if !fresh {
            // What it printed since its last call belongs to no run.
            self.child.drain();
        }
        self.current.set(Some(call.log.clone()));
        let meter = self.child.meter();
        let turn = self.take_turn(&call, fresh, &meter).await;
        // Asked while the process is there to answer.
        let memory = meter.peak();
        let (end, survivor) = match self.within_memory(turn, memory) {
            Turn::Answered(end) => {
                // The worker printed all of it before it answered.
                self.child.drain();
                self.current.set(None);
                (end, Some(self))
            }
            Turn::Spoiled(end) => {
                self.child.end(self.limits.grace).await;
                (end, None)
            }
            Turn::Dead { started } => (self.autopsy(&call.log, started).await, None),
        };
        let _ = call.done.send(Served { end, memory, worker_lives: survivor.is_some() });
        survivor
    }

    async fn take_turn(&mut self, call: &Call, fresh: bool, meter: &Meter) -> Turn {
        let began = tokio::select! {
            biased;
            began = timeout(self.limits.start, self.begin(&call.request, fresh)) => began,
            () = call.abort.cancelled() => return Turn::Spoiled(End::Cut(Cut::Abort)),
        };
        match began {
            Ok(true) => {}
            Ok(false) => return Turn::Dead { started: false },
            Err(_) => {
                let (language, limit) = (self.language.name, self.limits.start.as_secs_f64());
                return Turn::Spoiled(End::Unstarted(format!(
                    "{language} did not take the call within {limit} s"
                )));
            }
        }
        let limit = self.memory;
        tokio::select! {
            biased;
            turn = self.answer() => turn,
            used = meter.exceeds(limit) => Turn::Spoiled(self.outgrown(used)),
            cut = Cut::wait(call.timeout, &call.abort) => Turn::Spoiled(End::Cut(cut)),
        }
    }

    /// What grew and shrank between two looks has broken the limit as well: the kernel kept note of it.
    fn within_memory(&self, turn: Turn, peak: Option<u64>) -> Turn {
        match (turn, peak) {
            (Turn::Answered(_), Some(peak)) if peak > self.memory => Turn::Spoiled(self.outgrown(peak)),
            (turn, _) => turn,
        }
    }

    fn outgrown(&self, used: u64) -> End {
        let [used, limit] = [used, self.memory].map(|kib| kib.div_ceil(1024));
        End::Died(format!("used {used} MiB, more than its memory of {limit} MiB"))
    }

    /// Hands the call over. False when the worker is dead.
    async fn begin(&mut self, request: &[u8], fresh: bool) -> bool {
        if fresh && !matches!(self.reply().await, Some(Reply::Ready {})) {
            return false;
        }
        if self.requests.write_all(&frame(request)).await.is_err() {
            return false;
        }
        matches!(self.reply().await, Some(Reply::Started {}))
    }

    async fn answer(&mut self) -> Turn {
        match self.reply().await {
            Some(Reply::Returned(returned)) => Turn::Answered(recorded(returned)),
            Some(Reply::Threw(threw)) if threw.worker_is_good => Turn::Answered(End::Threw(threw)),
            Some(Reply::Threw(threw)) => Turn::Spoiled(End::Threw(threw)),
            Some(_) => Turn::Spoiled(End::Died(INTRUSION.to_owned())),
            None => Turn::Dead { started: true },
        }
    }

    /// The next reply that is no last word; none when the worker has ended or closed the channel.
    async fn reply(&mut self) -> Option<Reply> {
        loop {
            let reply = tokio::select! {
                biased;
                reply = self.replies.recv() => reply?,
                () = self.child.exited() => return None,
            };
            if let Some(reply) = self.last_words.hear(reply) {
                return Some(reply);
            }
        }
    }

    /// Finds out how a dead worker's call ended. It may have been answered with the last breath.
    async fn autopsy(mut self, log: &RunLog, started: bool) -> End {
        let ended = self.child.end(self.limits.grace).await;
        while let Ok(Some(reply)) = timeout(LAST_REPLIES, self.replies.recv()).await {
            match self.last_words.hear(reply) {
                Some(Reply::Returned(returned)) if started => return recorded(returned),
                Some(Reply::Threw(threw)) if started => return End::Threw(threw),
                _ => {}
            }
        }
        log.left_behind(&ended.killed);
        let language = self.language.name;
        let status = describe_failure(ended.status).unwrap_or_else(|| "exited with code 0".to_owned());
        let how = match self.last_words.describe(self.language) {
            Some(how) => how,
            None if self.current.heap_was_full() => {
                format!("used more than its memory of {} MiB: its heap was full", self.memory / 1024)
            }
            None => format!("the function's process {status}"),
        };
        if started {
            End::Died(how)
        } else {
            End::Unstarted(format!("{language} did not take the call: {how}"))
        }
    }

    /// Waits for the next call. None when the worker has to go.
    async fn idle(&mut self, calls: &mut mpsc::Receiver<Call>) -> Option<Call> {
        let patience = self.limits.idle;
        tokio::select! {
            biased;
            call = calls.recv() => call,
            reply = self.reply() => {
                let function = self.current.function();
                let how = reply.map_or_else(|| self.last_words.describe(self.language), |_| Some(INTRUSION.to_owned()));
                tracing::warn!(function, how, "an idle worker ended");
                None
            }
            () = sleep(patience) => {
                // A call may be on its way; whoever comes later finds the door closed and goes on.
                calls.close();
                calls.recv().await
            }
        }
    }
}

fn recorded(returned: Returned) -> End {
    let Returned { mut unrecorded, json } = returned;
    let result = match serde_json::from_slice(&json) {
        Ok(value) => Some(value),
        Err(error) => {
            unrecorded = Some(format!("its JSON cannot be read: {error}"));
            None
        }
    };
    End::Returned { result: result.filter(|_| unrecorded.is_none()), unrecorded }
}

impl LastWords {
    /// Keeps a last word, and hands back any other reply.
    fn hear(&mut self, reply: Reply) -> Option<Reply> {
        match reply {
            Reply::Dying(dying) => self.dying = Some(dying),
            Reply::Exiting { code } => self.exit_code = Some(code),
            other => return Some(other),
        }
        None
    }

    fn describe(&self, language: &Language) -> Option<String> {
        match (&self.dying, self.exit_code) {
            (Some(Dying { kind, message }), _) => Some(format!("{kind}: {message}")),
            (None, Some(code)) => {
                Some(format!("the function called {}({code}) before it returned", language.exit))
            }
            (None, None) => None,
        }
    }
}
