//! Histories that lie, each in one way: the judge must say which. A property doctors good ones at random.

use proptest::prelude::*;

use super::{Account, Entry, Event, Figures, Flag, Run, Testimony, judge};

/// `history`: `a=1` delivered under the id 1, `a=1!` and no answer, `a?` hung up on, `a:5` refused, `a:4` deferred, `#2` a
/// blow that leaves at most two in doubt, `.3` a stop that leaves three rows reserved. `rows`: name, flag, ledger entry (`-` for none), parted by commas. `runs`: states
/// and accounts, such as `succeeded 3=2+0+1`: selected, and the headings in their order.
fn testimony(history: &str, rows: &str, runs: &[&str]) -> Testimony {
    let mut told =
        Testimony { history: history.split_whitespace().map(event).collect(), ..Testimony::default() };
    for row in rows.split(',') {
        let [who, flag, entry] = *row.split_whitespace().collect::<Vec<_>>() else {
            panic!("not a row: {row}")
        };
        let entry = match entry {
            "-" => None,
            "unsettled" => Some(Entry::Unsettled),
            "held" => Some(Entry::Held),
            "failed" => Some(Entry::Failed),
            "retrying" => Some(Entry::Retrying),
            "resending" => Some(Entry::Resending),
            other => panic!("no such entry: {other}"),
        };
        told.ledger.extend(entry.map(|entry| (who.to_owned(), entry)));
        match flag {
            "open" => told.rows.insert(who.to_owned(), Flag::Open),
            "sent" => told.rows.insert(who.to_owned(), Flag::Sent),
            "gone" => None,
            other => panic!("no such flag: {other}"),
        };
    }
    told.runs = (1..).zip(runs).map(|(id, text)| run(id, text)).collect();
    told
}

fn event(word: &str) -> Event {
    if let Some(reserved) = word.strip_prefix('.') {
        return Event::Stop { reserved: reserved.parse().unwrap() };
    }
    if let Some(doubt) = word.strip_prefix('#') {
        return Event::Blow { what: "kill".to_owned(), doubt: doubt.parse().unwrap() };
    }
    let who = word.split(['=', '?', ':']).next().unwrap().to_owned();
    match &word[who.len()..] {
        "?" => Event::HungUp { who },
        ":5" => Event::Refused { who },
        ":4" => Event::Deferred { who },
        id => {
            let bare = id.trim_end_matches('!');
            Event::Delivered { who, id: bare[1..].to_owned(), answered: bare == id }
        }
    }
}

fn run(id: u64, text: &str) -> Run {
    let (state, account) = text.split_once(' ').unwrap_or((text, ""));
    let figures = account.split_once('=').map(|(selected, headings)| {
        let mut counts = headings.split('+').map(|count| count.parse().unwrap());
        let mut next = || counts.next().unwrap_or(0);
        Figures {
            selected: selected.parse().unwrap(),
            sent: next(),
            failed: next(),
            held: next(),
            retrying: next(),
            uncertain: next(),
            vanished: next(),
        }
    });
    Run { id, state: state.to_owned(), figures }
}

#[track_caller]
fn refuses(resend: bool, history: &str, rows: &str, breach: &str) {
    let breaches = judge(&testimony(history, rows, &["interrupted"]), resend).unwrap_err();
    assert!(breaches.iter().any(|found| found.contains(breach)), "{breaches:?}");
}

#[test]
fn honest_accounts_are_accepted() {
    let told = testimony(
        "a=1 b=2 c=3! d? f:5 g:4 #2",
        "a sent -, b open held, c open held, d open held, e open held, f open failed, g open retrying",
        &["interrupted", "succeeded 3=0+1+1+1"],
    );
    // c and d were not answered, b and e were under way at the blow.
    let account = Account { sent: 1, held: 4, failed: 1, retrying: 1, repeated: 0 };
    assert_eq!(judge(&told, false), Ok(account));

    let told = testimony("a=1 b=2 c=3! #1 b=2 c=3", "a sent -, b sent -, c sent -", &["interrupted"]);
    let account = Account { sent: 3, repeated: 2, ..Account::default() };
    assert_eq!(judge(&told, true), Ok(account));
}

#[test]
fn lost_skipped_and_abandoned_rows_are_found() {
    for resend in [false, true] {
        refuses(resend, "", "a sent -", "lost");
        refuses(resend, "a? a:4", "a sent -", "lost");
        refuses(resend, "", "a open -", "silently skipped, delivered 0 times");
        refuses(resend, "a=1", "a open -", "silently skipped, delivered 1 times");
        refuses(resend, "a=1 #1", "a open unsettled", "nobody is at it");
    }
}

#[test]
fn rows_under_two_headings_are_found() {
    for resend in [false, true] {
        refuses(resend, "a=1 #1", "a sent held", "marked as sent, and still Held");
        refuses(resend, "a=1 #1", "a sent resending", "marked as sent, and still Resending");
        refuses(resend, "a=1 a:5", "a open failed", "recorded as not delivered, and delivered 1 times");
        refuses(resend, "a=1", "a open retrying", "recorded as not delivered, and delivered 1 times");
        refuses(resend, "a:4", "a open failed", "never refused it");
    }
    refuses(true, "a=1 #1", "a open held", "although doubtful rows are resent");
    refuses(false, "a=1 #1", "a open resending", "although doubtful rows are held");
}

#[test]
fn deliveries_that_nobody_asked_for_are_found() {
    refuses(false, "a=1 #1 a=1", "a sent -", "delivered 2 times");
    refuses(false, "a=1! a=1", "a sent -", "delivered 2 times");
    refuses(false, "a=1 #1 a=1", "a open held", "delivered 2 times");
    for resend in [false, true] {
        refuses(resend, "a=1", "a gone -", "not in the table");
        refuses(resend, "a:5", "a gone -", "not in the table");
        refuses(resend, "", "a gone held", "not in the table");
    }
}

#[test]
fn repeats_that_no_blow_explains_are_found() {
    let unexplained = "more than the blows explain";
    refuses(true, "a=1 a=1", "a sent -", unexplained);
    refuses(true, "#1 a=1 a=1 #1", "a sent -", unexplained);
    refuses(true, "a=1 #0 a=1", "a sent -", unexplained);
    refuses(true, "a=1! #1 a=1 a=1", "a sent -", unexplained);
    refuses(true, "a=1 b=2 c=3 #2 a=1 b=2 c=3", "a sent -, b sent -, c sent -", unexplained);
    // Two blows, but the second comes when two of the repeats have been delivered already.
    refuses(true, "a=1 b=2 #1 a=1 b=2 #1", "a sent -, b sent -", unexplained);
    let told = testimony("a=1 b=2 #1 a=1 #1 b=2", "a sent -, b sent -", &[]);
    judge(&told, true).unwrap_or_else(|breaches| panic!("{breaches:?}"));
}

#[test]
fn more_doubt_than_the_window_is_found() {
    let unexplained = "more than the blows explain";
    refuses(false, "a=1", "a open held", unexplained);
    refuses(false, "", "a open held", unexplained);
    refuses(false, "#1 a=1", "a open held", unexplained);
    refuses(false, "a=1 #0", "a open held", unexplained);
    refuses(false, "a=1 b=2 #1", "a open held, b open held", unexplained);
    refuses(true, "a=1", "a open resending", unexplained);
    refuses(false, "a=1 #1 .1", "a open held", "1 rows left in doubt by a stop in order");
    judge(&testimony("a=1 #1 .0", "a open held", &[]), false).unwrap();
}

#[test]
fn ids_that_tell_nothing_are_found() {
    refuses(true, "a=1! a=2", "a sent -", "two Message-IDs, 1 and 2");
    refuses(true, "a=1 b=1", "a sent -, b sent -", "got the same Message-ID, 1");
}

#[test]
fn accounts_that_lie_are_found() {
    let refuses = |history: &str, run: &str, breach: &str| {
        let breaches = judge(&testimony(history, "a sent -", &[run]), false).unwrap_err();
        assert!(breaches.iter().any(|found| found.contains(breach)), "{breaches:?}");
    };
    refuses("a=1", "succeeded 2=1", "does not add up");
    refuses("a=1", "succeeded 0=1", "does not add up");
    refuses("a=1", "failed 1=1+1", "does not add up");
    refuses("a=1", "succeeded", "succeeded without an account");
    refuses("a=1", "running", "run 1: running, and nobody is at it");
    refuses("a=1 #1", "succeeded 2=2", "the runs account for 2 sent, 1 deliveries");
    refuses("a=1 #0", "succeeded 0=0", "the runs account for 0 sent, 1 deliveries");
}

/// What can become of a row, honestly.
const FATES: usize = 7;

/// A good history of `fates`, a row each, with one blow in its middle that leaves all rows in doubt that it may.
fn honest(fates: &[usize], resend: bool) -> Testimony {
    let mut told = Testimony::default();
    let (mut before, mut after) = (Vec::new(), Vec::new());
    let (mut sent, mut failed, mut retrying) = (0, 0, 0);
    let mut doubt = 0;
    for (number, fate) in fates.iter().enumerate() {
        let who = format!("p{number}");
        let delivered = |answered| Event::Delivered { who: who.clone(), id: format!("id{number}"), answered };
        let hung_up = Event::HungUp { who: who.clone() };
        let (flag, entry) = match fate {
            // Delivered before the blow, or after it.
            0 | 1 => {
                if *fate == 0 { &mut before } else { &mut after }.push(delivered(true));
                sent += 1;
                (Flag::Sent, None)
            }
            2 => {
                after.push(Event::Refused { who: who.clone() });
                failed += 1;
                (Flag::Open, Some(Entry::Failed))
            }
            3 => {
                after.push(Event::Deferred { who: who.clone() });
                retrying += 1;
                (Flag::Open, Some(Entry::Retrying))
            }
            // In doubt: under way at the blow, taken without an answer, hung up on.
            fate => {
                match fate {
                    4 => {
                        doubt += 1;
                        before.push(delivered(true));
                    }
                    5 => before.push(delivered(false)),
                    _ => before.push(hung_up),
                }
                if resend {
                    after.push(delivered(true));
                    sent += 1;
                    (Flag::Sent, None)
                } else {
                    (Flag::Open, Some(Entry::Held))
                }
            }
        };
        told.ledger.extend(entry.map(|entry| (who.clone(), entry)));
        told.rows.insert(who, flag);
    }
    told.history = before;
    told.history.push(Event::Blow { what: "kill".to_owned(), doubt });
    told.history.extend(after);
    let selected = sent + failed + retrying;
    let figures = Figures { selected, sent, failed, retrying, ..Figures::default() };
    told.runs.push(Run { id: 1, state: "interrupted".to_owned(), figures: None });
    told.runs.push(Run { id: 2, state: "succeeded".to_owned(), figures: Some(figures) });
    told
}

/// Doctors a history in the way `lie` says, at the row that `at` picks; false: there is nothing that way to doctor.
fn doctor(told: &mut Testimony, lie: usize, at: usize) -> bool {
    let pick = |names: Vec<String>| names.get(at % names.len().max(1)).cloned();
    let sent = |told: &Testimony| {
        pick(told.rows.iter().filter(|(_, flag)| **flag == Flag::Sent).map(|(who, _)| who.clone()).collect())
    };
    let parked = |told: &Testimony| pick(told.ledger.keys().cloned().collect());
    let of = |event: &Event, name: &str| match event {
        Event::Delivered { who, .. } | Event::Refused { who } => who == name,
        _ => false,
    };
    let done = match lie {
        0 => sent(told).map(|who| told.history.retain(|event| !of(event, &who))),
        1 => sent(told).map(|who| {
            told.rows.insert(who, Flag::Open);
        }),
        2 => sent(told).map(|who| {
            told.rows.remove(&who);
        }),
        3 => sent(told).map(|who| {
            let last = told.history.iter().rposition(|event| of(event, &who)).unwrap();
            let again = Event::Delivered { who, id: "other".to_owned(), answered: true };
            told.history.insert(last + 1, again);
        }),
        4 => sent(told).map(|who| {
            let last = told.history.iter().rposition(|event| of(event, &who)).unwrap();
            let again = told.history[last].clone();
            told.history.insert(last + 1, again);
        }),
        5 => sent(told).map(|who| {
            told.ledger.insert(who, Entry::Held);
        }),
        6 => parked(told).map(|who| {
            told.ledger.remove(&who);
        }),
        7 => parked(told).map(|who| {
            told.rows.insert(who, Flag::Sent);
        }),
        8 => parked(told).map(|who| {
            told.ledger.insert(who, Entry::Unsettled);
        }),
        9 => {
            let failed = told.ledger.iter().filter(|(_, entry)| **entry == Entry::Failed);
            pick(failed.map(|(who, _)| who.clone()).collect())
                .map(|who| told.history.retain(|event| !of(event, &who)))
        }
        10 => parked(told).filter(|who| told.ledger[who] != Entry::Held).map(|who| {
            told.history.push(Event::Delivered { id: format!("id of {who}"), who, answered: true });
        }),
        11 => {
            let figures = told.runs[1].figures.as_mut().unwrap();
            *[&mut figures.selected, &mut figures.failed, &mut figures.vanished][at % 3] += 1;
            Some(())
        }
        12 => {
            let figures = told.runs[1].figures.as_mut().unwrap();
            let answered = |event: &&Event| matches!(event, Event::Delivered { answered: true, .. });
            let more = told.history.iter().filter(answered).count() as u64 + 1 - figures.sent;
            figures.sent += more;
            figures.selected += more;
            Some(())
        }
        13 => {
            "running".clone_into(&mut told.runs[0].state);
            Some(())
        }
        // A blow that left less in doubt than there is.
        14 => {
            let blow = told.history.iter_mut().find_map(|event| match event {
                Event::Blow { doubt: doubt @ 1.., .. } => Some(doubt),
                _ => None,
            });
            blow.map(|doubt| *doubt -= 1)
        }
        15 => {
            told.history.push(Event::Stop { reserved: 1 });
            Some(())
        }
        _ => unreachable!("no such lie"),
    };
    done.is_some()
}

proptest! {
    #[test]
    fn every_lie_in_a_good_history_is_found(
        fates in prop::collection::vec(0..FATES, 1..40),
        resend: bool,
        lie in 0..16_usize,
        at: usize,
    ) {
        let mut told = honest(&fates, resend);
        prop_assert!(judge(&told, resend).is_ok(), "{:?}", judge(&told, resend));
        if doctor(&mut told, lie, at) {
            prop_assert!(judge(&told, resend).is_err(), "lie {lie} went through: {told:?}");
        }
    }
}
