//! What runs say, as they say it. The state is looked at a few times a second, so that it needs no daemon that answers.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::Duration;

use super::Teller;
use crate::store::Reader;
use crate::store::runs::{HistoryFilter, RunId, RunRecord};

/// Between two looks.
const LOOK: Duration = Duration::from_millis(200);
/// Runs of one look.
const GROUP: u32 = 10_000;

/// Runs that are followed.
pub(super) struct Follow<'r> {
    reader: &'r Reader,
    /// Which new runs join; none: no others than those there are.
    joins: Option<HistoryFilter>,
    /// By number: the trigger's full name, and the last line that was shown.
    open: BTreeMap<RunId, (String, i64)>,
}

impl<'r> Follow<'r> {
    /// One run, from its first line.
    pub(super) fn run(reader: &'r Reader, run: &RunRecord) -> Self {
        Self { reader, joins: None, open: BTreeMap::from([(run.id, (full_name(run), -1))]) }
    }

    /// All runs of a function or a trigger, or all: what is running, with all it has said, and what comes.
    pub(super) fn runs_of(reader: &'r Reader, name: Option<&str>) -> anyhow::Result<Self> {
        let (function, trigger) = match name.map(|name| name.split_once('/').ok_or(name)) {
            None => (None, None),
            Some(Err(function)) => (Some(function.to_owned()), None),
            Some(Ok((function, trigger))) => (Some(function.to_owned()), Some(trigger.to_owned())),
        };
        let mut joins = HistoryFilter { function, trigger, limit: 1, ..HistoryFilter::default() };
        joins.after = reader
            .history(&HistoryFilter { limit: 1, ..HistoryFilter::default() })?
            .first()
            .map_or(0, |run| run.id);
        let mut open = BTreeMap::new();
        for state in ["running", "waiting"] {
            let state = Some(state.to_owned());
            let there = HistoryFilter { state, after: 0, limit: GROUP, ..joins.clone() };
            open.extend(reader.history(&there)?.iter().map(|run| (run.id, (full_name(run), -1))));
        }
        joins.limit = GROUP;
        Ok(Self { reader, joins: Some(joins), open })
    }

    /// Until the runs have ended.
    pub(super) fn until_the_end<W: Write>(mut self, teller: &mut Teller<W>) -> anyhow::Result<()> {
        while !self.look(teller)? {
            std::thread::sleep(LOOK);
        }
        Ok(())
    }

    /// Until nobody reads any more.
    pub(super) fn forever<W: Write>(mut self, teller: &mut Teller<W>) -> anyhow::Result<()> {
        loop {
            self.look(teller)?;
            teller.out.flush()?;
            std::thread::sleep(LOOK);
        }
    }

    /// Shows what is new; true when nothing is left that could say more.
    fn look<W: Write>(&mut self, teller: &mut Teller<W>) -> anyhow::Result<bool> {
        if let Some(joins) = &mut self.joins {
            for run in self.reader.history(joins)?.iter().rev() {
                joins.after = run.id;
                self.open.insert(run.id, (full_name(run), -1));
            }
        }
        let several = self.joins.is_some();
        let mut ended = Vec::new();
        for (id, (trigger, shown)) in &mut self.open {
            // An end is recorded after all lines: asked for before them, none is missed.
            let is_over = self.reader.run(&id.to_string())?.is_none_or(|run| run.finished_at.is_some());
            for line in self.reader.output(*id, *shown)? {
                *shown = line.seq;
                teller.line(several.then_some((*id, trigger.as_str())), &line)?;
            }
            if is_over {
                ended.push(*id);
            }
        }
        for id in ended {
            self.open.remove(&id);
        }
        Ok(self.open.is_empty())
    }
}

fn full_name(run: &RunRecord) -> String {
    format!("{}/{}", run.function, run.trigger)
}
