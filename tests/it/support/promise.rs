//! The promise of batches, as a function over what the mail server got, what the table says and
//! what the ledger holds after the dust of crashes has settled:
//!
//! never two deliveries of one row except by an explicit resend; nothing lost, nothing silently
//! skipped; at most a window of rows in doubt for each kill.

use std::collections::BTreeMap;

/// The end of a batch's life, as three independent witnesses tell it. Rows are named by recipient,
/// which must be unique.
#[derive(Clone, Debug, Default)]
pub(crate) struct Testimony {
    /// Mails that the server accepted for each recipient.
    pub(crate) delivered: BTreeMap<String, u32>,
    /// Every row of the source.
    pub(crate) rows: BTreeMap<String, Flag>,
    /// Rows that the ledger still holds.
    pub(crate) ledger: BTreeMap<String, Entry>,
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
    /// Has a next time.
    Retrying,
}

/// What the batch was told, and what was done to it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ordeal {
    /// `on_uncertain: "resend"`, not `"hold"`.
    pub(crate) resend: bool,
    /// Rows that may be in doubt at a time.
    pub(crate) window: u32,
    /// How often the daemon was killed.
    pub(crate) kills: u32,
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

/// Checks every row; answers the account, or every breach.
pub(crate) fn judge(testimony: &Testimony, ordeal: Ordeal) -> Result<Account, Vec<String>> {
    let mut account = Account::default();
    let mut breaches = Vec::new();
    for (who, flag) in &testimony.rows {
        let times = testimony.delivered.get(who).copied().unwrap_or(0);
        match (flag, testimony.ledger.get(who)) {
            (Flag::Sent, None) => account.sent += 1,
            (Flag::Sent, Some(entry)) => {
                breaches.push(format!("{who}: marked as sent, and still {entry:?} in the ledger"));
            }
            (Flag::Open, None) => breaches.push(format!("{who}: silently skipped, delivered {times} times")),
            (Flag::Open, Some(Entry::Unsettled)) => {
                breaches.push(format!("{who}: reserved, and nobody is at it"));
            }
            (Flag::Open, Some(Entry::Held)) => account.held += 1,
            (Flag::Open, Some(Entry::Failed)) => account.failed += 1,
            (Flag::Open, Some(Entry::Retrying)) => account.retrying += 1,
        }
        if *flag == Flag::Sent && times == 0 {
            breaches.push(format!("{who}: lost: marked as sent, and never delivered"));
        }
        if matches!(testimony.ledger.get(who), Some(Entry::Failed | Entry::Retrying)) && times > 0 {
            breaches.push(format!("{who}: recorded as not delivered, and delivered {times} times"));
        }
        if times > 1 && !ordeal.resend {
            breaches.push(format!("{who}: delivered {times} times, although doubtful rows are held"));
        }
        account.repeated += times.saturating_sub(1);
    }
    let stranger = |who: &&String| !testimony.rows.contains_key(*who);
    for who in testimony.delivered.keys().chain(testimony.ledger.keys()).filter(stranger) {
        breaches.push(format!("{who}: not in the table"));
    }
    let doubtful = ordeal.window * ordeal.kills;
    if account.held > doubtful {
        breaches.push(format!("{} rows held, at most {doubtful} can be in doubt", account.held));
    }
    if account.repeated > doubtful {
        breaches
            .push(format!("{} deliveries repeated, at most {doubtful} can be in doubt", account.repeated));
    }
    if ordeal.resend && account.held > 0 {
        breaches.push(format!("{} rows held, although doubtful rows are resent", account.held));
    }
    if breaches.is_empty() { Ok(account) } else { Err(breaches) }
}

mod the_judge {
    use super::{Account, Entry, Flag, Ordeal, Testimony, judge};

    const HOLD: Ordeal = Ordeal { resend: false, window: 2, kills: 1 };
    const RESEND: Ordeal = Ordeal { resend: true, window: 2, kills: 1 };

    /// `name flag ledger delivered`, a row a line; `-` for no ledger entry.
    fn testimony(text: &str) -> Testimony {
        let mut told = Testimony::default();
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let [who, flag, entry, times] = *line.split_whitespace().collect::<Vec<_>>() else {
                panic!("not a row: {line}")
            };
            let entry = match entry {
                "-" => None,
                "unsettled" => Some(Entry::Unsettled),
                "held" => Some(Entry::Held),
                "failed" => Some(Entry::Failed),
                "retrying" => Some(Entry::Retrying),
                other => panic!("no such entry: {other}"),
            };
            told.ledger.extend(entry.map(|entry| (who.to_owned(), entry)));
            match flag {
                "open" => told.rows.insert(who.to_owned(), Flag::Open),
                "sent" => told.rows.insert(who.to_owned(), Flag::Sent),
                "gone" => None,
                other => panic!("no such flag: {other}"),
            };
            if times != "0" {
                told.delivered.insert(who.to_owned(), times.parse().unwrap());
            }
        }
        told
    }

    #[track_caller]
    fn refuses(ordeal: Ordeal, text: &str, breach: &str) {
        let breaches = judge(&testimony(text), ordeal).unwrap_err();
        assert!(breaches.iter().any(|found| found.contains(breach)), "{breaches:?}");
    }

    #[test]
    fn accepts_an_honest_account() {
        let held = "a sent - 1\n b open held 1\n c open held 0\n d open failed 0\n e open retrying 0";
        let account = Account { sent: 1, held: 2, failed: 1, retrying: 1, repeated: 0 };
        assert_eq!(judge(&testimony(held), HOLD), Ok(account));

        let resent = "a sent - 1\n b sent - 2\n c sent - 2";
        let account = Account { sent: 3, repeated: 2, ..Account::default() };
        assert_eq!(judge(&testimony(resent), RESEND), Ok(account));
    }

    #[test]
    fn refuses_lost_skipped_and_abandoned_rows() {
        for ordeal in [HOLD, RESEND] {
            refuses(ordeal, "a sent - 0", "lost");
            refuses(ordeal, "a open - 0", "silently skipped");
            refuses(ordeal, "a open - 1", "silently skipped");
            refuses(ordeal, "a open unsettled 1", "nobody is at it");
            refuses(ordeal, "a sent held 1", "still Held");
            refuses(ordeal, "a open failed 1", "recorded as not delivered");
            refuses(ordeal, "a open retrying 1", "recorded as not delivered");
        }
    }

    #[test]
    fn refuses_deliveries_that_nobody_asked_for() {
        refuses(HOLD, "a sent - 2", "delivered 2 times");
        refuses(HOLD, "a open held 2", "delivered 2 times");
        refuses(RESEND, "a sent - 2\n b sent - 2\n c sent - 2", "3 deliveries repeated");
        refuses(RESEND, "a sent - 4", "3 deliveries repeated");
        refuses(HOLD, "a gone - 1", "not in the table");
        refuses(HOLD, "a gone held 0", "not in the table");
    }

    #[test]
    fn refuses_more_doubt_than_the_window() {
        refuses(HOLD, "a open held 1\n b open held 1\n c open held 0", "3 rows held");
        refuses(RESEND, "a open held 1", "although doubtful rows are resent");
    }
}
