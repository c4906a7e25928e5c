//! The promise of batches, as a function over what the receiver got and when, what was done to everybody, what the
//! table says, what the ledger holds and what the runs account for, after the dust has settled:
//!
//! nothing lost, nothing silently skipped; never two deliveries of one row where doubtful rows are held, and at most a
//! window of them for each blow where they are resent; every account adds up.
//!
//! `doubt` asks whether the blows explain what is in doubt; `doctored` feeds the judge lies.

mod doctored;
mod doubt;

use std::collections::{BTreeMap, BTreeSet};

use self::doubt::{Doubt, unexplained};

/// A batch's life, as independent witnesses tell it. Rows are named by recipient, which must be unique.
#[derive(Clone, Debug, Default)]
pub(crate) struct Testimony {
    /// What the receiver wrote down, and what was done, in order.
    pub(crate) history: Vec<Event>,
    /// Every row of the source.
    pub(crate) rows: BTreeMap<String, Flag>,
    /// Rows that the ledger still holds.
    pub(crate) ledger: BTreeMap<String, Entry>,
    /// Every run of the batch.
    pub(crate) runs: Vec<Run>,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// The receiver took a mail. `id` is its `Message-ID`. Not answered: it hung up on purpose instead.
    Delivered { who: String, id: String, answered: bool },
    /// The receiver read a whole mail, and hung up without taking it.
    HungUp { who: String },
    /// The receiver refused a mail for good.
    Refused { who: String },
    /// The receiver asked to be tried again later.
    Deferred { who: String },
    /// The daemon has stopped in order. What it left reserved would be in doubt at the next start, for no reason.
    Stop { reserved: u32 },
    /// Somebody was killed, frozen, cut off; or an operator decided.
    Blow {
        what: String,
        /// Rows that this may leave in doubt; 0: none, whatever happens.
        doubt: u32,
    },
}

/// What a row's status column says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flag {
    Open,
    Sent,
}

/// What the ledger says of a row that it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    /// Reserved, or recorded and not marked: fine while a run is at it, never afterwards.
    Unsettled,
    /// In doubt; waits for an operator.
    Held,
    /// Will never succeed.
    Failed,
    /// Not delivered; has a next time.
    Retrying,
    /// In doubt; has a next time.
    Resending,
}

/// What the history says of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) id: u64,
    pub(crate) state: String,
    /// None: it did not live to give one.
    pub(crate) figures: Option<Figures>,
}

/// A run's account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Figures {
    pub(crate) selected: u64,
    pub(crate) sent: u64,
    pub(crate) failed: u64,
    pub(crate) held: u64,
    pub(crate) retrying: u64,
    pub(crate) uncertain: u64,
    pub(crate) vanished: u64,
}

impl Figures {
    fn sum(&self) -> u64 {
        self.sent + self.failed + self.held + self.retrying + self.uncertain + self.vanished
    }
}

/// The account that a keeper of the promise can show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) sent: u32,
    pub(crate) held: u32,
    pub(crate) failed: u32,
    pub(crate) retrying: u32,
    /// Deliveries beyond the first of a row.
    pub(crate) repeated: u32,
}

/// What the receiver knows of one row.
#[derive(Debug, Default)]
struct Told<'a> {
    /// Where in the history, the `Message-ID`, and whether it was answered.
    deliveries: Vec<(usize, &'a str, bool)>,
    hung_up: bool,
    refused: bool,
}

/// Checks every row and every run of a batch that resends doubtful rows, or holds them; answers the account, or every
/// breach.
pub(crate) fn judge(testimony: &Testimony, resend: bool) -> Result<Account, Vec<String>> {
    let mut court = Court { resend, account: Account::default(), breaches: Vec::new(), doubts: Vec::new() };
    let told = told(&testimony.history);
    let nothing = Told::default();
    for (who, flag) in &testimony.rows {
        let told = told.get(who.as_str()).unwrap_or(&nothing);
        court.row(who, *flag, testimony.ledger.get(who).copied(), told);
    }
    let known = testimony.ledger.keys().map(String::as_str).chain(told.keys().copied());
    for who in known.filter(|who| !testimony.rows.contains_key(*who)).collect::<BTreeSet<_>>() {
        court.breaches.push(format!("{who}: not in the table"));
    }
    for event in &testimony.history {
        if let Event::Stop { reserved: reserved @ 1.. } = event {
            court.breaches.push(format!("{reserved} rows left in doubt by a stop in order"));
        }
    }
    court.ids(&told);
    court.runs(testimony);
    court.breaches.extend(unexplained(&court.doubts, &testimony.history));
    if court.breaches.is_empty() { Ok(court.account) } else { Err(court.breaches) }
}

fn told(history: &[Event]) -> BTreeMap<&str, Told<'_>> {
    let mut all: BTreeMap<&str, Told<'_>> = BTreeMap::new();
    for (at, event) in history.iter().enumerate() {
        match event {
            Event::Delivered { who, id, answered } => {
                all.entry(who).or_default().deliveries.push((at, id, *answered));
            }
            Event::HungUp { who } => all.entry(who).or_default().hung_up = true,
            Event::Refused { who } => all.entry(who).or_default().refused = true,
            // It says nothing that must show at the end.
            Event::Deferred { who } => drop(all.entry(who).or_default()),
            Event::Stop { .. } | Event::Blow { .. } => {}
        }
    }
    all
}

/// What has been heard so far.
struct Court<'a> {
    resend: bool,
    account: Account,
    breaches: Vec<String>,
    doubts: Vec<Doubt<'a>>,
}

impl<'a> Court<'a> {
    fn breach(&mut self, who: &str, what: &str) {
        self.breaches.push(format!("{who}: {what}"));
    }

    fn row(&mut self, who: &'a str, flag: Flag, entry: Option<Entry>, told: &Told<'_>) {
        let times = told.deliveries.len();
        match (flag, entry) {
            (Flag::Sent, None) => self.account.sent += 1,
            (Flag::Sent, Some(entry)) => {
                self.breach(who, &format!("marked as sent, and still {entry:?} in the ledger"));
            }
            (Flag::Open, None) => self.breach(who, &format!("silently skipped, delivered {times} times")),
            (Flag::Open, Some(Entry::Unsettled)) => self.breach(who, "reserved, and nobody is at it"),
            (Flag::Open, Some(Entry::Held)) => {
                self.account.held += 1;
                if self.resend {
                    self.breach(who, "held, although doubtful rows are resent");
                }
                self.in_doubt(who, told);
            }
            (Flag::Open, Some(Entry::Resending)) => {
                self.account.retrying += 1;
                if !self.resend {
                    self.breach(who, "to be resent, although doubtful rows are held");
                }
                self.in_doubt(who, told);
            }
            (Flag::Open, Some(Entry::Failed)) => {
                self.account.failed += 1;
                if !told.refused {
                    self.breach(who, "recorded as failed, and the receiver never refused it");
                }
            }
            (Flag::Open, Some(Entry::Retrying)) => self.account.retrying += 1,
        }
        if flag == Flag::Sent && times == 0 {
            self.breach(who, "lost: marked as sent, and never delivered");
        }
        if matches!(entry, Some(Entry::Failed | Entry::Retrying)) && times > 0 {
            self.breach(who, &format!("recorded as not delivered, and delivered {times} times"));
        }
        if times > 1 && !self.resend {
            self.breach(who, &format!("delivered {times} times, although doubtful rows are held"));
        }
        self.account.repeated += u32::try_from(times.saturating_sub(1)).unwrap();
        for pair in told.deliveries.windows(2) {
            let [(first, id, answered), (second, other, _)] = [pair[0], pair[1]];
            // The same reservation has the same id, by which the receiver can tell.
            if id != other {
                self.breach(who, &format!("delivered under two Message-IDs, {id} and {other}"));
            }
            if self.resend && answered {
                self.doubts.push(Doubt { who, after: first, before: second });
            }
        }
    }

    /// A row that stays in doubt: something must have happened since the receiver took it, if it did.
    fn in_doubt(&mut self, who: &'a str, told: &Told<'_>) {
        match told.deliveries.last() {
            Some((_, _, false)) => {}
            None if told.hung_up => {}
            last => {
                let after = last.map_or(0, |(at, _, _)| *at);
                self.doubts.push(Doubt { who, after, before: usize::MAX });
            }
        }
    }

    fn ids(&mut self, told: &BTreeMap<&str, Told<'_>>) {
        let mut owners: BTreeMap<&str, &str> = BTreeMap::new();
        for (who, told) in told {
            for (_, id, _) in &told.deliveries {
                let owner = owners.entry(id).or_insert(who);
                if owner != who {
                    self.breaches.push(format!("{who} and {owner} got the same Message-ID, {id}"));
                }
            }
        }
    }

    fn runs(&mut self, testimony: &Testimony) {
        let mut sent = 0;
        for Run { id, state, figures } in &testimony.runs {
            match figures {
                Some(figures) if figures.sum() != figures.selected => {
                    self.breaches.push(format!("run {id}: its account does not add up: {figures:?}"));
                }
                Some(figures) => sent += figures.sent,
                None if state == "succeeded" => {
                    self.breaches.push(format!("run {id}: succeeded without an account"));
                }
                None => {}
            }
            // One that waits for its turn does so until the next start.
            if state == "running" {
                self.breaches.push(format!("run {id}: running, and nobody is at it"));
            }
        }
        let answered = |event: &&Event| matches!(event, Event::Delivered { answered: true, .. });
        let answered = testimony.history.iter().filter(answered).count() as u64;
        let doubtful = |event: &Event| matches!(event, Event::Blow { doubt: 1.., .. });
        // A run that was killed accounts for nothing, so there may be more deliveries than in the accounts; never fewer.
        let short = sent < answered && !testimony.history.iter().any(doubtful);
        if sent > answered || short {
            self.breaches
                .push(format!("the runs account for {sent} sent, {answered} deliveries were answered"));
        }
    }
}
