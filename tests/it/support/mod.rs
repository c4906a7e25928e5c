//! What integration tests share: projects in temporary folders, the real program as a child
//! process, a daemon that is always stopped, Postfix's `smtp-sink`.
//!
//! Nothing here sleeps and hopes: it waits for an exit, a READY message or an answer, and gives up
//! with a message after [`PATIENCE`], which no working machine needs.

pub(crate) mod certificate;
mod daemon;
mod database;
pub(crate) mod dkim;
mod files;
pub(crate) mod home;
mod ledger;
pub(crate) mod letters;
pub(crate) mod log;
pub(crate) mod mailing;
pub(crate) mod ordeal;
mod process;
mod project;
pub(crate) mod promise;
pub(crate) mod receiver;
mod sink;
pub(crate) mod smtp_server;
mod wait;
pub(crate) mod web;
pub(crate) mod wechat_server;

use std::time::Duration;

pub(crate) use daemon::Daemon;
pub(crate) use database::server_settings;
pub(crate) use files::{copy_tree, repository};
pub(crate) use process::{Ran, run};
pub(crate) use project::Project;
pub(crate) use sink::{Delivered, SmtpSink, free_address};
pub(crate) use wait::eventually;

/// How long a test waits for what must happen. Generous on purpose: it bounds a hang, it measures
/// nothing.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// Fails the test when `program`, which `./scripts/test.sh` installs, is not there; answers its path.
pub(crate) fn require(program: &str) -> std::path::PathBuf {
    // Debian keeps smtp-sink in a folder that a user's PATH may lack.
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/usr/local/sbin".into()]);
    folders.map(|folder| folder.join(program)).find(|candidate| candidate.is_file()).unwrap_or_else(|| {
        panic!("this test needs `{program}`: run ./scripts/test.sh, it installs what tests need")
    })
}
