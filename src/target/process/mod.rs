//! User processes: started, listened to, ended with everything they started in turn.
//!
//! Every process of a run carries a [`Marker`] in its environment, and children inherit it; so a
//! child that left its process group and session (`setsid`, a double fork) is still found, in
//! `/proc`. Signals go through pidfds, which never hit a process that merely got a recycled number.
//! Knows nothing of functions, commands or fires.

mod child;
mod guard;
mod handle;
mod lines;
mod marker;
mod memory;
mod pipe;
mod program;
mod status;
mod strays;
mod table;
mod tree;

pub use child::{Child, Spawn};
pub use guard::Guard;
pub use lines::Lines;
pub use memory::Meter;
pub use program::find_program;
pub use status::describe_failure;
pub use strays::{Registry, become_reaper, end_orphans};
