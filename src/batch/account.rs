//! The account of a run: every row it took, under exactly one heading.

use std::time::Duration;

use serde_json::{Value, json};

use crate::run::Counts;

/// Where a row stands in the account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heading {
    /// Delivered.
    Sent,
    /// Failed for good.
    Failed,
    /// Nobody knows whether it was delivered; it waits for an operator.
    Held,
    /// Not delivered, and tried again later.
    Retrying,
    /// Nobody knows whether it was delivered; it is tried again, or settled by the next run.
    Uncertain,
    /// Gone from the source before it was delivered, or before it was marked.
    Vanished,
}

/// Counts of rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Account {
    /// Rows that the run took.
    pub(super) selected: u64,
    pub(super) sent: u64,
    pub(super) failed: u64,
    pub(super) held: u64,
    pub(super) retrying: u64,
    pub(super) uncertain: u64,
    pub(super) vanished: u64,
    /// Of the vanished, those that were delivered before they went.
    pub(super) vanished_after_delivery: u64,
    /// Delivered rows that match the source's condition as before; also under their heading.
    pub(super) stuck: u64,
    /// Rows to come in this sweep, if they were counted.
    pub(super) remaining: Option<u64>,
    /// Pages that were begun.
    pub(super) pages: u64,
}

impl Account {
    /// Enters a row.
    pub(super) fn enter(&mut self, heading: Heading) {
        *self.count(heading) += 1;
    }

    /// Takes a row out again, which must have been entered.
    pub(super) fn take_out(&mut self, heading: Heading) {
        let count = self.count(heading);
        *count = count.saturating_sub(1);
    }

    fn count(&mut self, heading: Heading) -> &mut u64 {
        match heading {
            Heading::Sent => &mut self.sent,
            Heading::Failed => &mut self.failed,
            Heading::Held => &mut self.held,
            Heading::Retrying => &mut self.retrying,
            Heading::Uncertain => &mut self.uncertain,
            Heading::Vanished => &mut self.vanished,
        }
    }

    /// What is wrong when the headings do not add up to the rows taken.
    pub(super) fn imbalance(&self) -> Option<String> {
        let Self { selected, sent, failed, held, retrying, uncertain, vanished, .. } = self;
        let sum = sent + failed + held + retrying + uncertain + vanished;
        (sum != *selected).then(|| {
            format!(
                "the account does not add up, which is a bug: selected {selected}, but {sent} sent + {failed} \
                 failed + {held} held + {retrying} retrying + {uncertain} uncertain + {vanished} vanished = {sum}"
            )
        })
    }

    /// For those who ask during the run; `to_come` in it, if that is known.
    pub(super) fn counts(&self, to_come: Option<u64>) -> Counts {
        let &Self { selected, sent, failed, held, retrying, uncertain, vanished, remaining, .. } = self;
        let settled = sent + failed + held + retrying + uncertain + vanished;
        Counts { taken: selected, sent, failed, retrying, settled, remaining, to_come }
    }

    /// For programs.
    pub(super) fn to_json(&self, took: Duration) -> Value {
        let mut account = json!({
            "selected": self.selected,
            "sent": self.sent,
            "failed": self.failed,
            "held": self.held,
            "retrying": self.retrying,
            "uncertain": self.uncertain,
            "vanished": self.vanished,
            "remaining": self.remaining,
            "pages": self.pages,
            "duration_ms": u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            "rate": self.rate(took),
        });
        if self.vanished_after_delivery > 0 {
            account["vanished_after_delivery"] = self.vanished_after_delivery.into();
        }
        if self.stuck > 0 {
            account["stuck"] = self.stuck.into();
        }
        account
    }

    /// A run's message, one line: what stopped it, and how far it had got.
    pub(super) fn message(&self, note: Option<&str>, took: Duration) -> String {
        // Databases quote statements, which may have several lines.
        let note = note.map(|note| note.split_whitespace().collect::<Vec<_>>().join(" "));
        match note {
            Some(note) if self.selected == 0 => note,
            Some(note) => format!("{note}; {}", self.to_line(took)),
            None => self.to_line(took),
        }
    }

    /// For people: `1000 sent, 2 failed in 1.2 s (833/s), 9000 remaining`.
    pub(super) fn to_line(&self, took: Duration) -> String {
        if self.selected == 0 {
            return "nothing to send".to_owned();
        }
        let headings = [
            (self.failed, "failed"),
            (self.held, "held"),
            (self.retrying, "retrying"),
            (self.uncertain, "uncertain"),
            (self.vanished, "vanished"),
        ];
        let mut counts = vec![format!("{} sent", self.sent)];
        let others = headings.into_iter().filter(|(count, _)| *count > 0);
        counts.extend(others.map(|(count, name)| format!("{count} {name}")));
        let counts = counts.join(", ");
        let rate = Some(self.rate(took)).filter(|rate| *rate >= 1.0);
        let rate = rate.map(|rate| format!(" ({rate:.0}/s)")).unwrap_or_default();
        let remaining = self.remaining.map(|count| format!(", {count} remaining")).unwrap_or_default();
        format!("{counts} in {:.1} s{rate}{remaining}", took.as_secs_f64())
    }

    /// Rows a second that got a final answer, to a tenth.
    fn rate(&self, took: Duration) -> f64 {
        let seconds = took.as_secs_f64();
        if seconds < 0.001 {
            return 0.0;
        }
        #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
        let rows = (self.sent + self.failed) as f64;
        (rows / seconds * 10.0).round() / 10.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_adds_up_or_says_so() {
        let mut account = Account { selected: 3, ..Account::default() };
        account.enter(Heading::Sent);
        account.enter(Heading::Failed);
        assert!(account.imbalance().unwrap().contains("selected 3"));
        account.enter(Heading::Retrying);
        assert_eq!(account.imbalance(), None);
        account.take_out(Heading::Retrying);
        account.enter(Heading::Vanished);
        assert_eq!(account.imbalance(), None);
        let counts = account.counts(Some(4));
        assert_eq!((counts.taken, counts.settled, counts.sent, counts.to_come), (3, 3, 1, Some(4)));
    }

    #[test]
    fn people_read_what_matters() {
        let account = Account {
            selected: 1002,
            sent: 1000,
            failed: 2,
            remaining: Some(8998),
            pages: 1,
            ..Account::default()
        };
        let took = Duration::from_millis(1200);
        assert_eq!(account.to_line(took), "1000 sent, 2 failed in 1.2 s (835/s), 8998 remaining");
        assert_eq!(Account::default().to_line(took), "nothing to send");
        assert_eq!(account.to_json(took)["rate"], 835.0);
    }
}
