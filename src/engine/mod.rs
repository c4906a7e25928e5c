//! The scheduler: what is due, who may run, and what became of it.
//!
//! `plan` is pure: now and marks go in, due fires and the next wake come out. `wake` sleeps until an
//! instant on the wall clock and is told when the clock is set. [`Engine`] (in `engine_loop`) is the
//! one owner of the running state; runs are tasks that send it one message when they end.
//! `dispatch` alone joins a fire, its run and the store. Nothing here knows of files or the CLI.

mod dispatch;
mod engine_loop;
pub mod handle;
mod output;
mod plan;
mod provisional;
mod recovery;
pub mod reload;
mod runner;
mod wake;
mod wanted;

pub use dispatch::Foreground;
pub use engine_loop::{Engine, Limits};
pub use handle::Handle;
pub(crate) use provisional::provisional_handle;
pub use reload::Reload;
pub use runner::{Function, Runner};
