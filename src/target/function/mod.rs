//! Cloud functions: a folder with a handler in Node.js or Python, called in a warm worker process.
//!
//! A worker loads the code once and serves one call at a time; a call that finds no idle worker
//! starts one. `bootstrap.cjs` and `bootstrap.py` are the worker's side of the conversation, `protocol.rs` and
//! `worker.rs` are ours. A call that crashes, exits or times out costs that call and that worker.

mod current;
mod language;
mod launch;
mod pool;
mod protocol;
mod request;
mod surroundings;
mod target;
mod worker;

pub use target::FunctionTarget;
