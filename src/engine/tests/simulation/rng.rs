//! Random numbers from a seed, the same everywhere: `SplitMix64` (Steele, Lea, Flood 2014).

#[derive(Clone, Debug)]
pub(super) struct Rng(u64);

impl Rng {
    pub(super) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From `low` to `high`, both included.
    pub(super) fn between(&mut self, low: i64, high: i64) -> i64 {
        low + i64::try_from(self.next() % high.abs_diff(low).saturating_add(1)).unwrap()
    }

    /// About as often small as large: its logarithm is even.
    pub(super) fn scaled(&mut self, low: i64, high: i64) -> i64 {
        let bits = |n: i64| i64::from(64 - n.max(1).leading_zeros());
        let limit = 1_i64 << self.between(bits(low), bits(high));
        self.between(low, limit.clamp(low, high))
    }

    /// True once in so many times.
    pub(super) fn one_in(&mut self, n: i64) -> bool {
        self.between(1, n) == 1
    }

    pub(super) fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.index(from.len())].clone()
    }

    /// A place among so many; 0 when there is none.
    pub(super) fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.between(0, i64::try_from(length.max(1)).unwrap() - 1)).unwrap()
    }
}
