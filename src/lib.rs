//! Gulou 鼓楼: a self-hosted runner of timer triggers.
//!
//! Data flows one way: `config → engine → target / batch → engine → store → cli`.
//! `ARCHITECTURE.md` has the map and the rules; `tests/it/layers.rs` holds the code to them.

pub mod action;
pub mod batch;
pub mod cli;
pub mod clock;
pub mod config;
pub mod cron;
pub mod daemon;
pub mod db;
pub mod engine;
pub mod folder;
pub mod run;
pub mod schedule;
pub mod server;
pub mod settings;
pub mod spelling;
pub mod sql;
pub mod store;
pub mod target;
mod tls;

/// Servers for the unit tests of what speaks to databases.
#[cfg(test)]
#[path = "../tests/servers/mod.rs"]
mod test_servers;
