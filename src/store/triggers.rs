//! What the state knows of triggers: their numbers, how far they are accounted for, and whether they are paused.

use std::sync::Arc;

use super::postgres::skips::Skipped;
use super::postgres::{self, Session};
use super::runs::SkippedSpan;
use super::{Backend, Store, StoreError, sqlite};
use crate::settings::TriggerSettings;

/// A function's number in the state.
pub type FunctionId = i64;
/// A trigger's number in the state.
pub type TriggerId = i64;

/// A function that is part of the configuration now.
#[derive(Clone, Debug)]
pub struct Enrolment {
    /// Its name.
    pub function: String,
    /// Its triggers.
    pub triggers: Arc<[TriggerSettings]>,
}

/// What the state knows of an enrolled function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enrolled {
    /// Its number.
    pub function: FunctionId,
    /// One a trigger, in the order of the enrolment.
    pub triggers: Vec<Place>,
}

/// Where a trigger stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its number.
    pub id: TriggerId,
    /// Fire times up to here are accounted for; unix seconds, never later than the enrolment.
    pub accounted: i64,
    /// Since when it is paused; unix milliseconds.
    pub paused_since: Option<i64>,
    /// Why, when it was a run that asked for it and not a person.
    pub paused_because: Option<String>,
    /// The mark that the state had, when that lay in the future: the clock had jumped. With [`Others::Leave`] it has been
    /// put back.
    pub ahead: Option<i64>,
}

/// How a trigger is paused.
#[derive(Clone, Debug)]
pub(super) struct Pause {
    /// Unix milliseconds.
    pub(super) since: i64,
    /// Why, when a run asked for it.
    pub(super) because: Option<String>,
}

/// Which triggers an enrolment leaves alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Others {
    /// All that are not named: a few functions are taken over again.
    Stay,
    /// None: this is the whole configuration. What is not named has no place any more, and starts anew when
    /// it comes back. It stays paused if it is.
    Leave,
}

impl Store {
    /// Gives functions and triggers their numbers and tells where they stand. A trigger that is new, or was not
    /// part of the configuration, is accounted for up to `now` (unix seconds) from here on, and so is one that is
    /// disabled.
    pub async fn enroll(
        &self,
        functions: Vec<Enrolment>,
        others: Others,
        now: i64,
    ) -> Result<Vec<Enrolled>, StoreError> {
        match &self.0 {
            Backend::Sqlite(store) => {
                store
                    .write(move |connection| sqlite::triggers::enroll(connection, &functions, others, now))
                    .await
            }
            Backend::Postgres(store) => {
                store
                    .write(1, async move |session: &Session| {
                        postgres::triggers::enroll(session, &functions, others, now).await
                    })
                    .await
            }
        }
    }

    /// Triggers leave the configuration: when they come back they start anew.
    pub async fn dismiss(&self, triggers: Vec<TriggerId>) -> Result<(), StoreError> {
        match &self.0 {
            Backend::Sqlite(store) => {
                store.write(move |connection| sqlite::triggers::dismiss(connection, &triggers)).await
            }
            Backend::Postgres(store) => {
                store
                    .write(1, async move |session: &Session| {
                        postgres::triggers::dismiss(session, &triggers).await
                    })
                    .await
            }
        }
    }

    /// Puts the marks of triggers at `now` (unix seconds), whatever they were: their schedules have changed.
    pub async fn start_anew(&self, triggers: Vec<TriggerId>, now: i64) -> Result<(), StoreError> {
        match &self.0 {
            Backend::Sqlite(store) => {
                store.write(move |connection| sqlite::triggers::start_anew(connection, &triggers, now)).await
            }
            Backend::Postgres(store) => {
                store
                    .write(1, async move |session: &Session| {
                        postgres::triggers::start_anew(session, &triggers, now).await
                    })
                    .await
            }
        }
    }

    /// Triggers are paused from `now` (unix milliseconds) on, by a run that says why, or by a person. What waited to be
    /// caught up of them is recorded as skipped in the same commit.
    pub async fn pause(
        &self,
        triggers: Vec<TriggerId>,
        because: Option<String>,
        skipped: Vec<SkippedSpan>,
        now: i64,
    ) -> Result<(), StoreError> {
        self.set_paused(triggers, Some(Pause { since: now, because }), skipped, now).await
    }

    /// Triggers go on. What fell due meanwhile is recorded as skipped in the same commit.
    pub async fn resume(
        &self,
        triggers: Vec<TriggerId>,
        skipped: Vec<SkippedSpan>,
        now: i64,
    ) -> Result<(), StoreError> {
        self.set_paused(triggers, None, skipped, now).await
    }

    async fn set_paused(
        &self,
        triggers: Vec<TriggerId>,
        pause: Option<Pause>,
        skipped: Vec<SkippedSpan>,
        now: i64,
    ) -> Result<(), StoreError> {
        match &self.0 {
            Backend::Sqlite(store) => {
                let work = move |connection: &_| {
                    skipped.iter().try_for_each(|span| sqlite::claims::skip(connection, span, now))?;
                    sqlite::triggers::set_paused(connection, &triggers, pause.as_ref())
                };
                store.write(work).await
            }
            Backend::Postgres(store) => {
                let skipped: Vec<_> = skipped.into_iter().map(|span| Skipped { span, now }).collect();
                let work = async move |session: &Session| {
                    postgres::skips::record(session, &skipped).await?;
                    postgres::triggers::set_paused(session, &triggers, pause.as_ref()).await
                };
                store.write(1, work).await
            }
        }
    }
}
