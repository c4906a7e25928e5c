//! The expression language: seven cron fields, read once into bit masks, and walked without allocating.
//!
//! [`Cron::parse`] reads `S M H d m w Y`; [`Cron::next_after`] and [`Cron::previous_before`] answer fire times
//! in a [`Zone`]. The text is not kept: whatever is asked later is answered from the masks.
//!
//! | file | subject |
//! |---|---|
//! | `field` | the seven fields: names, limits |
//! | `parse` | the grammar, built for speed; it reports only what went wrong and where |
//! | `diagnose`, `error` | what a person reads when the grammar says no |
//! | `expression` | the masks |
//! | `calendar` | days, months and weekdays between 1970 and 2099 by arithmetic |
//! | `next` | the next and previous match on a clock that never changes |
//! | `explain` | one plain sentence, in English or Chinese |
//! | `lint` | what is legal but perhaps not meant |
//! | `zone` | a time zone as a table of spans with one offset each |
//! | `fire` | both together: the rule for gaps and repeated hours |
//! | `count` | how many fires there are between two instants |
//!
//! Pure: no I/O, no clock, and no knowledge of the rest of the crate.

mod calendar;
mod count;
mod diagnose;
mod error;
mod explain;
mod expression;
mod field;
mod fire;
mod lint;
mod next;
mod parse;
pub mod zone;

pub use error::ParseError;
pub(crate) use error::quoted;
pub use explain::Language;
pub use expression::Cron;
pub use field::Field;
pub use lint::Lint;
pub use zone::Zone;
