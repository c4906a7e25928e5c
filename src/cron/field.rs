//! The seven fields: what they are called and what values they take.

use std::fmt;

/// One of the seven fields, in the order in which they are written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Field {
    /// 0-59
    Second,
    /// 0-59
    Minute,
    /// 0-23
    Hour,
    /// 1-31, `?`, `L`, `LW`, `nW`
    DayOfMonth,
    /// 1-12 or JAN-DEC
    Month,
    /// 0-6 or SUN-SAT, `?`, `nL`, `n#k`
    DayOfWeek,
    /// 1970-2099
    Year,
}

/// The names of the months, in order, as upper-case letters.
pub(super) const MONTHS: [&[u8; 3]; 12] =
    [b"JAN", b"FEB", b"MAR", b"APR", b"MAY", b"JUN", b"JUL", b"AUG", b"SEP", b"OCT", b"NOV", b"DEC"];

/// The names of the weekdays, Sunday first, as upper-case letters.
pub(super) const WEEKDAYS: [&[u8; 3]; 7] = [b"SUN", b"MON", b"TUE", b"WED", b"THU", b"FRI", b"SAT"];

impl Field {
    /// All seven, in the order in which they are written.
    pub const ALL: [Self; 7] =
        [Self::Second, Self::Minute, Self::Hour, Self::DayOfMonth, Self::Month, Self::DayOfWeek, Self::Year];

    /// What people call the field, in lower case.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Second => "second",
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::DayOfMonth => "day of month",
            Self::Month => "month",
            Self::DayOfWeek => "day of week",
            Self::Year => "year",
        }
    }

    /// The smallest value.
    pub const fn min(self) -> u32 {
        match self {
            Self::Second | Self::Minute | Self::Hour | Self::DayOfWeek => 0,
            Self::DayOfMonth | Self::Month => 1,
            Self::Year => 1970,
        }
    }

    /// The largest value, and the largest step.
    pub const fn max(self) -> u32 {
        match self {
            Self::Second | Self::Minute => 59,
            Self::Hour => 23,
            Self::DayOfMonth => 31,
            Self::Month => 12,
            Self::DayOfWeek => 6,
            Self::Year => 2099,
        }
    }

    /// The three-letter names of the field's values from the smallest value on; empty where there are none.
    pub(super) const fn names(self) -> &'static [&'static [u8; 3]] {
        match self {
            Self::Month => &MONTHS,
            Self::DayOfWeek => &WEEKDAYS,
            _ => &[],
        }
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
