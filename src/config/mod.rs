//! From files to [`Settings`](crate::settings::Settings): the daemon config and every function folder.
//!
//! Raw is the parsed JSON with the place of every value (`json`); resolved is `settings`. In between, `decode`
//! walks the JSON and collects what is wrong instead of stopping at the first, so that one look at
//! `gulou check` shows all there is to fix, in all files. The other files each know one part of the format:
//!
//! - `daemon`: the daemon config; `database`: its databases; `transport`: its ways out for mail
//! - `function`: a function folder; `trigger`: one timer on it; `period`: its `start` and `end`; `target`: what it runs
//! - `code`, `command`: functions and commands; `variables`: their `env`
//! - `batch`, `mail`, `mark`: the parts of a batch; `http`: a request; `fetch`: a page that is looked at; `follow`: what is done about it; `template`: texts
//!   that are filled in
//! - `alerts`, `retry`: what follows a run that failed
//! - `lint`: what schedules may not mean
//! - `secret`: passwords and where they are kept; `hide`: keeps them out of what is found
//! - `units`: durations, rates, names and addresses
//! - `load`: all files together, and what only all files together can say; `folders`: the same again and again, folder by
//!   folder, for a daemon that runs
//! - `schema`: the same format for editors
//! - `state`: one key of the daemon config, for those who only want to reach the daemon
//!
//! Files are read, nothing is opened, started or changed. Only `daemon` and `cli` may use this module.

mod alerts;
mod batch;
mod bounces;
mod code;
mod command;
mod daemon;
mod database;
mod decode;
mod diagnostic;
mod dkim;
mod enclosed;
mod export;
mod fetch;
mod findings;
mod folders;
mod follow;
mod function;
mod hide;
mod http;
mod json;
mod lint;
mod load;
mod locate;
mod mail;
mod mark;
mod per_domain;
mod period;
mod quota;
mod retry;
mod schema;
mod secret;
mod sql;
mod state;
mod target;
mod template;
mod transport;
mod trigger;
mod units;
mod variables;
mod wechat;

pub use diagnostic::{Diagnostic, Place, Severity};
pub use folders::Folders;
pub use lint::lints;
pub use load::{Invalid, Loaded, function_errors, load};
pub use schema::{DAEMON_SCHEMA, FUNCTION_SCHEMA};
pub use state::{StatePlace, TriggersPlace, state_place, triggers_place};
pub use units::name_problem;
