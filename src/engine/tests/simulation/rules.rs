//! Who may run beside whom: overlap rules, the limit of runs, and that nobody is told to wait for nothing.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::lanes::is_of_lane;
use crate::run::Reason;
use crate::settings::Overlap;
use crate::store::runs::{Claim, ClaimRequest, RunId};
use crate::store::triggers::FunctionId;

#[derive(Debug, Default)]
pub(super) struct Rules {
    functions: HashMap<FunctionId, Function>,
    /// Function, and whether it runs.
    open: BTreeMap<RunId, (FunctionId, bool)>,
    running: usize,
    max_runs: usize,
    /// Functions of which somebody waits.
    waiting: BTreeSet<FunctionId>,
    /// Replaced runs that have not been told to end.
    to_abort: BTreeSet<RunId>,
}

#[derive(Debug)]
struct Function {
    overlap: Overlap,
    running: usize,
    waiting: u32,
}

impl Rules {
    pub(super) const fn start(&mut self, max_runs: usize) {
        self.max_runs = max_runs;
    }

    pub(super) fn put(&mut self, function: FunctionId, overlap: Overlap) {
        let (running, waiting) = (0, 0);
        self.functions.entry(function).or_insert(Function { overlap, running, waiting }).overlap = overlap;
    }

    pub(super) fn down(&mut self) {
        self.to_abort.clear();
    }

    pub(super) fn is_busy(&self, function: FunctionId) -> bool {
        let function = &self.functions[&function];
        function.running > 0 || function.waiting > 0
    }

    pub(super) fn claimed(&mut self, request: &ClaimRequest, answer: &Claim) -> Result<(), String> {
        let id = request.function;
        let function = self.functions.get_mut(&id).expect("the function was enlisted");
        let (busy, waiting) = (function.running > 0 || function.waiting > 0, function.waiting);
        let overlap = match request.reason {
            _ if is_of_lane(request) => Overlap::Skip,
            Reason::Retry | Reason::Resume => Overlap::Allow,
            _ => function.overlap,
        };
        let full = self.running >= self.max_runs;
        let (run, runs, holds) = match answer {
            Claim::AlreadyClaimed => return Ok(()),
            Claim::Skipped => {
                let holds = match overlap {
                    Overlap::Skip => busy,
                    Overlap::Queue(limit) => busy && waiting >= limit,
                    Overlap::Allow | Overlap::Replace => false,
                };
                return if holds { Ok(()) } else { Err(format!("{request:?} was refused")) };
            }
            Claim::Started(run) => (*run, true, !full && (overlap == Overlap::Allow || !busy)),
            Claim::Waiting(run) => {
                let holds = match overlap {
                    Overlap::Allow => true,
                    Overlap::Queue(limit) => !busy || waiting < limit,
                    Overlap::Skip | Overlap::Replace => !busy,
                };
                (*run, false, holds)
            }
            Claim::Replaces { run, old } => {
                let running = old.iter().filter(|old| self.open.get(old).is_some_and(|(_, runs)| *runs));
                self.to_abort.extend(running);
                // Those that waited have ended by now.
                (*run, false, overlap == Overlap::Replace && waiting == 0)
            }
        };
        if !holds {
            return Err(format!("{request:?} came to {answer:?}, of {overlap:?} with {function:?}"));
        }
        self.open.insert(run, (id, runs));
        if runs {
            function.running += 1;
            self.running += 1;
        } else {
            function.waiting += 1;
            self.waiting.insert(id);
        }
        Ok(())
    }

    pub(super) fn started(&mut self, run: RunId) -> Result<(), String> {
        let Some((id, runs @ false)) = self.open.get_mut(&run) else {
            return Err(format!("run {run} starts, and does not wait"));
        };
        *runs = true;
        let function = self.functions.get_mut(id).expect("the function was enlisted");
        if function.running > 0 && function.overlap != Overlap::Allow {
            return Err(format!("run {run} starts beside another: {function:?}"));
        }
        if self.running >= self.max_runs {
            return Err(format!("run {run} starts though {} run", self.running));
        }
        function.running += 1;
        function.waiting -= 1;
        self.running += 1;
        if function.waiting == 0 {
            self.waiting.remove(id);
        }
        Ok(())
    }

    pub(super) fn aborted(&mut self, run: RunId) -> Result<(), String> {
        self.to_abort.remove(&run);
        if self.open.contains_key(&run) {
            Ok(())
        } else {
            Err(format!("run {run} is told to end, and has ended"))
        }
    }

    pub(super) fn ended(&mut self, run: RunId) -> Result<(), String> {
        let Some((id, runs)) = self.open.remove(&run) else {
            return Err(format!("run {run} ends, and is not open"));
        };
        self.to_abort.remove(&run);
        let function = self.functions.get_mut(&id).expect("the function was enlisted");
        if runs {
            function.running -= 1;
            self.running -= 1;
        } else {
            function.waiting -= 1;
            if function.waiting == 0 {
                self.waiting.remove(&id);
            }
        }
        Ok(())
    }

    /// Nobody waits who could run, and who is to end knows.
    pub(super) fn quiet(&self) -> Result<(), String> {
        if let Some(run) = self.to_abort.first() {
            return Err(format!("run {run} was replaced, and not told to end"));
        }
        if self.running < self.max_runs {
            for id in &self.waiting {
                let function = &self.functions[id];
                if function.running == 0 || function.overlap == Overlap::Allow {
                    return Err(format!("runs of function {id} wait for nothing: {function:?}"));
                }
            }
        }
        Ok(())
    }
}
