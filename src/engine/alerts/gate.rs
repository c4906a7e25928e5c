//! How often alerts go out.

use std::time::Duration;

/// Lets one alert through in each stretch of time, and knows how many it kept back.
#[derive(Debug, Default)]
pub(super) struct Gate {
    /// Monotonic.
    opened_at: Option<Duration>,
    kept_back: u32,
}

/// What becomes of an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Passage {
    /// It goes out, and stands for so many more that were kept back.
    Open(u32),
    /// It is kept back, the first after one that went out: come again after this.
    Later(Duration),
    /// It is kept back like the one before.
    Shut,
}

impl Gate {
    /// An alert wants out at `now`, monotonic.
    pub(super) fn pass(&mut self, now: Duration, every: Duration) -> Passage {
        let opens_at = self.opened_at.map_or(Duration::ZERO, |opened_at| opened_at + every);
        if self.opened_at.is_none() || now >= opens_at {
            self.opened_at = Some(now);
            return Passage::Open(std::mem::take(&mut self.kept_back));
        }
        self.kept_back += 1;
        if self.kept_back == 1 { Passage::Later(opens_at.saturating_sub(now)) } else { Passage::Shut }
    }

    /// Somebody comes again for what was kept back: how many that was, if it goes out now.
    pub(super) fn come_again(&mut self, now: Duration) -> u32 {
        if self.kept_back > 0 {
            self.opened_at = Some(now);
        }
        std::mem::take(&mut self.kept_back)
    }

    /// What was kept back is not worth telling any more.
    pub(super) fn forget(&mut self) {
        self.kept_back = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERY: Duration = Duration::from_secs(600);

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn one_goes_out_and_what_follows_is_counted() {
        let mut gate = Gate::default();
        assert_eq!(gate.pass(at(5), EVERY), Passage::Open(0));
        assert_eq!(gate.pass(at(105), EVERY), Passage::Later(at(500)));
        assert_eq!(gate.pass(at(205), EVERY), Passage::Shut);
        assert_eq!(gate.come_again(at(605)), 2);
        assert_eq!(gate.pass(at(606), EVERY), Passage::Later(at(599)), "that was one that went out");
        assert_eq!(gate.pass(at(2000), EVERY), Passage::Open(1), "should nobody have come again");
        assert_eq!(gate.come_again(at(2001)), 0);
    }

    #[test]
    fn what_is_forgotten_is_not_told() {
        let mut gate = Gate::default();
        gate.pass(at(0), EVERY);
        gate.pass(at(1), EVERY);
        gate.forget();
        assert_eq!(gate.come_again(at(600)), 0);
    }

    #[test]
    fn without_a_bound_all_go_out() {
        let mut gate = Gate::default();
        assert_eq!(gate.pass(at(1), Duration::ZERO), Passage::Open(0));
        assert_eq!(gate.pass(at(1), Duration::ZERO), Passage::Open(0));
    }
}
