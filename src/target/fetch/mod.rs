//! Looks at a page, and acts when it has changed: rows go into a table, a message goes out.
//!
//! `pick` finds what counts on the page (`html` and `feed` know those), `memory` what was there the last time, `follow`
//! sends the message, `target` is the run: ask, pick, compare, save, send, remember, in this order. What is remembered
//! changes only when all the rest has succeeded, so a change is acted upon at least once.

mod feed;
mod follow;
mod html;
mod memory;
mod pick;
mod preview;
mod target;

pub use preview::preview;
pub use target::{FetchTarget, Links};
