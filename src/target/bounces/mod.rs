//! Reads mails that came back, and marks the rows of a table whose mails they were.
//!
//! `report` tells what a mail says (`words` finds it in text), `maildir` has the folder, `table` the rows, `tally` the counts, `target` is the run:
//! read, look up, remember, mark, put away, a group of mails at a time and in this order. A mail that is counted and not put
//! away yet is in the memo, with the count that its row had before: done again, it counts nothing twice.

mod maildir;
mod preview;
mod report;
mod table;
mod tally;
mod target;
mod words;

pub use preview::preview;
pub use target::BouncesTarget;
