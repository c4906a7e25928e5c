//! The scheduler: what is due, who may run, and what became of it.
//!
//! The rules have no I/O: `plan` (with `missed`) says when triggers fire, `scheduler` (with `backlog` and `roster`) who
//! runs and who waits. [`Engine`] (in `engine_loop`) is the one owner of the running state: it sleeps in `wake` until an
//! instant on the wall clock and is told when the clock is set, does what the rules say in `carry_out`, and what it is
//! asked through a [`Handle`] in `orders`, `batches` and `report`. Runs are tasks that send it one message when they end;
//! `dispatch` alone joins a fire, its run and the store. Nothing here knows of files or the CLI.

mod alerts;
mod backlog;
mod batches;
mod carry_out;
mod dispatch;
mod engine_loop;
mod halt;
pub mod handle;
mod lane;
mod missed;
mod orders;
mod output;
mod plan;
mod put;
mod recovery;
pub mod reload;
mod report;
mod retry;
mod roster;
mod runner;
mod scheduler;
#[cfg(test)]
mod tests;
mod wake;
mod wanted;

pub use alerts::Alerts;
pub use dispatch::Foreground;
pub use engine_loop::{Engine, Limits};
pub use handle::Handle;
pub use reload::Reload;
pub use runner::{Function, Inline, InlineRun, Runner, or_by_hand};
