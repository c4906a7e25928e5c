//! How many of the last rows failed: when too many did, something is wrong that more rows would not mend.

use std::collections::VecDeque;

use crate::settings::ErrorLimit;

/// The last final outcomes of a batch, over its runs.
#[derive(Debug, Default)]
pub(super) struct Errors {
    /// True: failed.
    outcomes: VecDeque<bool>,
    failed: usize,
}

impl Errors {
    /// Enters an outcome. Answers how many of the last [`ErrorLimit::of_last`] failed if those are too many, and begins
    /// to count anew then: whoever goes on after that has seen to it.
    pub(super) fn enter(&mut self, failed: bool, limit: ErrorLimit) -> Option<usize> {
        self.outcomes.push_back(failed);
        self.failed += usize::from(failed);
        while self.outcomes.len() > limit.of_last.max(1) {
            self.failed -= usize::from(self.outcomes.pop_front() == Some(true));
        }
        let enough = self.outcomes.len() >= limit.of_last;
        let too_many = self.failed * 100 >= limit.percent as usize * self.outcomes.len();
        (enough && failed && too_many).then(|| {
            self.outcomes.clear();
            std::mem::take(&mut self.failed)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: ErrorLimit = ErrorLimit { percent: 50, of_last: 4 };

    fn trips(outcomes: &str) -> Vec<Option<usize>> {
        let mut errors = Errors::default();
        outcomes.chars().map(|outcome| errors.enter(outcome == 'x', LIMIT)).collect()
    }

    #[test]
    fn too_many_of_the_last_rows_trip() {
        assert_eq!(trips("xxx."), [None; 4], "a row that goes well trips nothing");
        assert_eq!(trips("xxx")[2], None, "too few to tell");
        assert_eq!(trips("..xx")[3], Some(2));
        assert_eq!(trips("xx...x.x")[7], Some(2), "those before are forgotten");
        assert_eq!(trips("xx...x...x..."), [None; 13]);
    }

    #[test]
    fn it_counts_anew_after_that() {
        assert_eq!(trips("xxxxxxxx"), [None, None, None, Some(4), None, None, None, Some(4)]);
    }
}
