//! Quotas: how many deliveries may start within any window of time, through restarts and for all who share a name.
//!
//! A window is counted in slots of a sixtieth of its length. What is taken belongs to the slot of the moment and is good
//! until that slot ends, so all starts of a slot lie within it. A window of time touches 61 slots at most: as long as 61
//! in a row never hold more than the limit, no window does. What is taken and not used is given back, or lost with the
//! process, which errs on the safe side.
//!
//! Slots go by the wall clock. One that went back goes on in the newest slot, which is later than the clock; a clock
//! that was ahead by more than a window was wrong, and what was taken under it counts as taken now.

use super::postgres::{self, Session};
use super::{Backend, Store, StoreError, sqlite};

/// Slots of a window.
const SLOTS: i64 = 60;
/// Nobody rests for longer than two days: a clock was wrong.
const LONGEST_REST: i64 = 2 * 86_400_000;

/// So many starts in any window of this length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Who has the same name shares it.
    pub name: String,
    /// Starts.
    pub count: u32,
    /// Length of the window in milliseconds.
    pub per: i64,
}

/// Somebody wants to start deliveries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Take {
    /// All of them hold at once.
    pub limits: Vec<Limit>,
    /// Names that may be at rest, whether they have a limit or not.
    pub names: Vec<String>,
    /// How many; fewer may be allowed, of a narrow limit a block at a time.
    pub wanted: u32,
    /// What was allowed before and was not used.
    pub back: Option<Allowance>,
    /// Unix milliseconds.
    pub now: i64,
}

/// Deliveries that may start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// How many.
    pub count: u32,
    /// Where they are counted: the slots of [`Take::limits`], in their order.
    slots: Vec<i64>,
    /// From then on they are not good any more, and before `from` neither; unix milliseconds.
    until: i64,
    from: i64,
}

impl Allowance {
    /// Whether a delivery may start by it at `now`.
    pub const fn is_good(&self, now: i64) -> bool {
        self.count > 0 && self.from <= now && now < self.until
    }
}

/// The answer to a [`Take`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Taken {
    /// So many may start.
    Some(Allowance),
    /// None before then.
    Full {
        /// Unix milliseconds.
        until: i64,
        /// Whose quota it is.
        name: String,
    },
    /// None before then, for the other side said so.
    Resting {
        /// Unix milliseconds.
        until: i64,
        /// Whose quota it is.
        name: String,
    },
}

/// What a limit's slots hold: begin and count, in order.
pub(in crate::store) type Slots = Vec<(i64, i64)>;

impl Limit {
    /// At least a millisecond.
    const fn slot_length(&self) -> i64 {
        let length = self.per / SLOTS;
        if length * SLOTS < self.per || length == 0 { length + 1 } else { length }
    }

    /// The last slot that a window may begin in which ends in `slot`.
    const fn first_of(&self, slot: i64) -> i64 {
        slot - SLOTS * self.slot_length()
    }

    /// The slot in which a delivery of `now` counts, when these have been counted before; those that a wrong clock put
    /// into the future are moved to it.
    fn slot_of(&self, now: i64, slots: &mut Slots) -> i64 {
        let length = self.slot_length();
        let slot = now.div_euclid(length) * length;
        let wrong: i64 = slots.iter().filter(|(at, _)| *at > now + self.per).map(|(_, taken)| taken).sum();
        slots.retain(|(at, _)| *at <= now + self.per);
        let slot = slots.last().map_or(slot, |(newest, _)| slot.max(*newest));
        if wrong > 0 {
            match slots.last_mut().filter(|(at, _)| *at == slot) {
                Some((_, taken)) => *taken += wrong,
                None => slots.push((slot, wrong)),
            }
        }
        slot
    }
}

/// What a take comes to: the slots as they are to be written, limit by limit.
pub(in crate::store) struct Decision {
    pub(in crate::store) taken: Taken,
    pub(in crate::store) slots: Vec<Slots>,
}

/// Decides about `take`, when `slots` are those of its limits.
pub(in crate::store) fn decide(take: &Take, mut slots: Vec<Slots>, rest: Option<(String, i64)>) -> Decision {
    if let Some(back) = &take.back {
        for (slots, at) in slots.iter_mut().zip(&back.slots) {
            if let Some((_, taken)) = slots.iter_mut().find(|(slot, _)| slot == at) {
                *taken = (*taken - i64::from(back.count)).max(0);
            }
        }
    }
    let mut granted = i64::from(take.wanted);
    let mut full: Option<(i64, &str)> = None;
    let mut at = Vec::with_capacity(slots.len());
    let (mut until, mut from) = (i64::MAX, i64::MIN);
    for (limit, slots) in take.limits.iter().zip(&mut slots) {
        let slot = limit.slot_of(take.now, slots);
        slots.retain(|(begin, taken)| *begin >= limit.first_of(slot) && *taken > 0);
        let count = i64::from(limit.count);
        let free = count - slots.iter().map(|(_, taken)| taken).sum::<i64>();
        if free <= 0 {
            let again = freed(limit, slots, slot);
            full = full.max(Some((again, &limit.name)));
        }
        // A crash loses a block at most.
        granted = granted.min(free).min(count / 20 + 1);
        until = until.min(slot + limit.slot_length());
        from = from.max(slot - limit.per);
        at.push(slot);
    }
    let taken = if let Some((name, until)) =
        rest.filter(|(_, until)| (1..=LONGEST_REST).contains(&(until - take.now)))
    {
        Taken::Resting { until, name }
    } else if let Some((until, name)) = full {
        Taken::Full { until, name: name.to_owned() }
    } else {
        for (slots, slot) in slots.iter_mut().zip(&at) {
            match slots.last_mut().filter(|(begin, _)| begin == slot) {
                Some((_, taken)) => *taken += granted,
                None => slots.push((*slot, granted)),
            }
        }
        let count = u32::try_from(granted).unwrap_or_default();
        Taken::Some(Allowance { count, slots: at, until, from })
    };
    Decision { taken, slots }
}

/// When enough slots have left the window that something is free.
fn freed(limit: &Limit, slots: &Slots, slot: i64) -> i64 {
    let mut over = slots.iter().map(|(_, taken)| taken).sum::<i64>() - i64::from(limit.count);
    for (begin, taken) in slots {
        over -= taken;
        if over < 0 {
            return begin + (SLOTS + 1) * limit.slot_length();
        }
    }
    slot + limit.slot_length()
}

impl Store {
    /// Takes what `take` wants, or as much of it as there is; durable when it answers.
    pub async fn take_quota(&self, take: Take) -> Result<Taken, StoreError> {
        let epoch = self.epoch();
        match &self.0 {
            Backend::Sqlite(store) => {
                store.write(move |connection| sqlite::quota::take(connection, epoch, &take)).await
            }
            Backend::Postgres(store) => {
                store
                    .write(1, async move |session: &Session| postgres::quota::take(session, &take).await)
                    .await
            }
        }
    }

    /// Lets nothing of `name` start before `until` (unix milliseconds), unless that is settled already for longer.
    pub async fn rest_quota(&self, name: String, until: i64) -> Result<(), StoreError> {
        let epoch = self.epoch();
        match &self.0 {
            Backend::Sqlite(store) => {
                store.write(move |connection| sqlite::quota::rest(connection, epoch, &name, until)).await
            }
            Backend::Postgres(store) => {
                store
                    .write(1, async move |session: &Session| {
                        postgres::quota::rest(session, &name, until).await
                    })
                    .await
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(count: u32, per: i64) -> Limit {
        Limit { name: "q".to_owned(), count, per }
    }

    fn take(limits: &[Limit], wanted: u32, now: i64) -> Take {
        Take { limits: limits.to_vec(), wanted, now, ..Take::default() }
    }

    #[test]
    fn a_block_is_a_small_part_of_the_limit_and_ends_with_its_slot() {
        let limits = [limit(10_000, 3_600_000)];
        let Decision { taken, slots } = decide(&take(&limits, 9999, 3_600_000 + 1), vec![Vec::new()], None);
        let Taken::Some(allowance) = taken else { panic!("{taken:?}") };
        assert_eq!((allowance.count, &slots[0]), (501, &vec![(3_600_000, 501)]));
        assert!(allowance.is_good(3_600_001) && allowance.is_good(3_659_999));
        assert!(!allowance.is_good(3_660_000) && !allowance.is_good(-1));
        let few = decide(&take(&limits, 3, 0), vec![Vec::new()], None);
        assert!(matches!(few.taken, Taken::Some(Allowance { count: 3, .. })));
    }

    #[test]
    fn the_oldest_slot_counts_in_full_until_no_window_touches_it() {
        let limits = [limit(20, 60_000)];
        let held = || vec![vec![(0, 15), (1000, 5)]];
        let full = |now| decide(&take(&limits, 9, now), held(), None).taken;
        for now in [1000, 30_000, 60_999] {
            assert_eq!(full(now), Taken::Full { until: 61_000, name: "q".to_owned() }, "{now}");
        }
        assert!(matches!(full(61_000), Taken::Some(Allowance { count: 2, .. })));
    }

    #[test]
    fn the_narrowest_of_several_decides_and_the_longest_wait() {
        let limits = [limit(20, 60_000), limit(30, 3_600_000)];
        let held = |hour| vec![vec![(0, 20)], vec![(0, hour)]];
        let taken = |hour| decide(&take(&limits, 9, 5000), held(hour), None).taken;
        assert!(matches!(taken(29), Taken::Full { until: 61_000, .. }));
        assert!(matches!(taken(30), Taken::Full { until: 3_660_000, .. }));
        let few = decide(&take(&limits, 9, 100_000), held(29), None);
        assert!(matches!(few.taken, Taken::Some(Allowance { count: 1, until: 101_000, .. })));
    }

    #[test]
    fn what_was_not_used_is_given_back_once() {
        let limits = [limit(20, 60_000)];
        let back = Allowance { count: 4, slots: vec![5000], until: 6000, from: 0 };
        let take = Take { back: Some(back), ..take(&limits, 0, 6000) };
        assert_eq!(decide(&take, vec![vec![(5000, 5)]], None).slots[0], [(5000, 1), (6000, 0)]);
        // Its slot is not there any more.
        assert_eq!(decide(&take, vec![vec![(4000, 5)]], None).slots[0], [(4000, 5), (6000, 0)]);
    }

    #[test]
    fn a_clock_that_went_back_frees_nothing_and_a_wrong_one_blocks_nothing() {
        let limits = [limit(20, 60_000)];
        let back = decide(&take(&limits, 1, 90_000), vec![vec![(70_000, 3), (100_000, 5)]], None);
        assert_eq!(back.slots[0], [(70_000, 3), (100_000, 6)]);
        // A year ahead: as if it were taken now.
        let wrong = decide(&take(&limits, 1, 90_000), vec![vec![(89_000, 3), (31_536_000_000, 5)]], None);
        assert_eq!(wrong.slots[0], [(89_000, 3), (90_000, 6)]);
        let alone = decide(&take(&limits, 1, 90_000), vec![vec![(31_536_000_000, 5)]], None);
        assert_eq!(alone.slots[0], [(90_000, 6)]);
    }

    #[test]
    fn who_rests_starts_nothing() {
        let rest = Some(("r".to_owned(), 5000));
        let resting = decide(&take(&[], 9, 4999), Vec::new(), rest.clone()).taken;
        assert_eq!(resting, Taken::Resting { until: 5000, name: "r".to_owned() });
        for now in [5000, -200_000_000] {
            assert!(matches!(decide(&take(&[], 9, now), Vec::new(), rest.clone()).taken, Taken::Some(_)));
        }
    }

    /// Whatever is asked for, and however late it is used, no window holds more than the limit.
    #[test]
    fn no_window_holds_more_than_the_limit() {
        for seed in 1..=40_u64 {
            let mut random = seed;
            let mut roll = |below: u64| {
                random =
                    random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (random >> 33) % below
            };
            let limits = [limit(20, 60_000), limit(100, 600_000)];
            let mut slots = vec![Vec::new(), Vec::new()];
            let mut held: Option<Allowance> = None;
            let (mut now, mut starts) = (1_000_000_i64, Vec::new());
            for _ in 0..3000 {
                now += i64::try_from(roll(900)).unwrap();
                match &mut held {
                    // A crash.
                    Some(_) if roll(50) == 0 => held = None,
                    Some(allowance) if allowance.is_good(now) => {
                        allowance.count -= 1;
                        starts.push(now);
                    }
                    _ => {
                        let back = held.take();
                        let take = Take { back, ..take(&limits, 1 + u32::try_from(roll(9)).unwrap(), now) };
                        let decision = decide(&take, slots, None);
                        slots = decision.slots;
                        if let Taken::Some(allowance) = decision.taken {
                            held = Some(allowance);
                        }
                    }
                }
            }
            for limit in &limits {
                for (index, start) in starts.iter().enumerate() {
                    let within = starts[index..].iter().take_while(|at| **at < start + limit.per).count();
                    assert!(within <= limit.count as usize, "seed {seed}: {within} within {} ms", limit.per);
                }
            }
            assert!(starts.len() > 200, "seed {seed}: only {}", starts.len());
        }
    }
}
