//! Ends user processes when this process is killed and cannot do it itself.
//!
//! A small shell waits at a pipe whose other end only this process holds. The kernel closes that end
//! however the process ends, `kill -9` included. The parent-death signal of Linux was the
//! alternative: it needs code between `fork` and `exec`, is sent when the starting *thread* ends, and
//! says nothing to grandchildren.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use super::marker::Owner;
use super::strays::Registry;

/// Keeps the guard; without it the guard does its work and leaves.
#[derive(Debug)]
pub struct Guard {
    _shell: Child,
}

impl Guard {
    /// Starts the guard of this process.
    pub fn start(registry: &Registry) -> io::Result<Self> {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", include_str!("guard.sh"), "guard", &Owner::this_process().entry_prefix()]);
        // A group of its own: what is sent to the daemon's group must not hit its guard.
        command
            .process_group(0)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        Ok(Self { _shell: registry.spawn(&mut command)? })
    }
}
