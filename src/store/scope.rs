//! Where a run of a batch begins: the rule of it. What is in the state, and what is changed in it, is SQL of the stores.

use super::ledger::{BeginRun, Scope, ScopeId, Sweep};
use crate::run::Reason;

/// A scope as the state has it.
#[derive(Clone, Debug)]
pub(in crate::store) struct Found {
    pub(in crate::store) id: ScopeId,
    /// Of the newest fire in it.
    pub(in crate::store) trigger: String,
    pub(in crate::store) fire_time: i64,
    /// That fire's work is done.
    pub(in crate::store) done: bool,
    pub(in crate::store) run: i64,
    pub(in crate::store) taken: u64,
    pub(in crate::store) sweep: Sweep,
}

/// What is to be done for a run that begins.
#[derive(Clone, Debug)]
pub(in crate::store) enum Beginning {
    /// Nothing: its work was done before.
    Over(Scope),
    /// It goes on in the scope of its fire.
    GoOn(Scope),
    /// The scope that lasts until marked goes over to its fire.
    NextFire(Scope),
    /// It gets a scope of its own.
    New,
}

impl Beginning {
    /// Of `begin`, when `found` is the scope until marked, or the newest of the fire.
    pub(in crate::store) fn of(begin: &BeginRun, found: Option<Found>) -> Self {
        let goes_on = begin.reason.is_scheduled() || matches!(begin.reason, Reason::Resume | Reason::Retry);
        match found {
            Some(found) if goes_on && found.is_of(begin) && found.done => Self::Over(found.into_scope()),
            Some(found) if goes_on && found.is_of(begin) => {
                Self::GoOn(Found { run: found.run + 1, ..found }.into_scope())
            }
            Some(found) if begin.until_marked => {
                let sweep = found.sweep.onward();
                Self::NextFire(Scope { id: found.id, run: found.run + 1, taken: 0, sweep, done: false })
            }
            _ => Self::New,
        }
    }
}

impl Found {
    fn is_of(&self, begin: &BeginRun) -> bool {
        self.trigger == begin.trigger && self.fire_time == begin.fire_time
    }

    fn into_scope(self) -> Scope {
        Scope { id: self.id, run: self.run, taken: self.taken, sweep: self.sweep, done: self.done }
    }
}

impl Sweep {
    /// The sweep of the next fire, which goes on where this one stands.
    pub(in crate::store) fn onward(self) -> Self {
        Self { origin: self.cursor.clone(), wrapped: false, ..self }
    }
}
