//! Whether blows explain what is in doubt: each leaves at most so many rows in doubt, and only those that were under way.

use super::Event;

/// A row in doubt, and where in the history the reason must lie.
#[derive(Clone, Copy, Debug)]
pub(super) struct Doubt<'a> {
    pub(super) who: &'a str,
    /// Not before the delivery that nobody is sure of.
    pub(super) after: usize,
    /// Before the delivery that repeats it; the largest number: before the end.
    pub(super) before: usize,
}

/// A breach for each doubt that no blow accounts for.
///
/// Every blow takes the doubts that are open, those first whose time runs out first: if any assignment explains all of
/// them, this one does.
pub(super) fn unexplained(doubts: &[Doubt<'_>], history: &[Event]) -> Vec<String> {
    let mut coming: Vec<&Doubt<'_>> = doubts.iter().collect();
    coming.sort_by_key(|doubt| std::cmp::Reverse(doubt.after));
    let mut open: Vec<&Doubt<'_>> = Vec::new();
    let mut breaches = Vec::new();
    let blows = history.iter().enumerate().filter_map(|(at, event)| match event {
        Event::Blow { doubt, .. } => Some((at, *doubt)),
        _ => None,
    });
    let mut complain = |doubt: &Doubt<'_>| {
        breaches.push(format!("{}: in doubt, or delivered again, more than the blows explain", doubt.who));
    };
    for (at, room) in blows {
        while coming.last().is_some_and(|doubt| doubt.after <= at) {
            open.extend(coming.pop());
        }
        open.sort_by_key(|doubt| doubt.before);
        let expired = open.partition_point(|doubt| doubt.before < at);
        open.drain(..expired).for_each(&mut complain);
        open.drain(..open.len().min(room as usize));
    }
    open.into_iter().chain(coming).for_each(&mut complain);
    breaches
}
