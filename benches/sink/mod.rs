//! Postfix's `smtp-sink` to send to, and its `smtp-source` to be measured beside.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use gulou::clock::Clock;

/// Connections of both sides.
pub(crate) const SESSIONS: usize = 16;
/// Bytes of smtp-source's mails; about what ours have.
pub(crate) const LENGTH: usize = 2048;

/// A running sink; it stops when this value goes.
pub(crate) struct Sink {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Sink {
    pub(crate) fn start() -> Self {
        // Two sinks could share a port without an error: take one that is free now.
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut command = Command::new(program("smtp-sink"));
        if rustix::process::getuid().is_root() {
            command.args(["-u", "nobody"]);
        }
        let mut child =
            command.args(["-m", "512", &address.to_string(), "1024"]).stdout(Stdio::null()).spawn().unwrap();
        while TcpStream::connect(address).is_err() {
            assert!(child.try_wait().unwrap().is_none(), "smtp-sink ended: {command:?}");
            std::thread::yield_now();
        }
        Self { child, address }
    }

    /// Mails a second of Postfix's own load generator, one recipient a mail, sessions kept open.
    pub(crate) fn smtp_source(&self, mails: u32) -> f64 {
        let clock = Clock::system();
        let status = Command::new(program("smtp-source"))
            .args(["-d", "-N", "-s", &SESSIONS.to_string(), "-l", &LENGTH.to_string()])
            .args(["-m", &mails.to_string(), "-f", "a@b.test", "-t", "u@ex.test"])
            .arg(self.address.to_string())
            .status()
            .unwrap();
        assert!(status.success());
        f64::from(mails) / clock.monotonic().as_secs_f64()
    }
}

/// The value of an environment variable, or `default`.
pub(crate) fn from_env(name: &str, default: u32) -> u32 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name}: {text}")))
}

/// The middle one.
pub(crate) fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

fn program(name: &str) -> String {
    // Debian keeps them in a folder that a user's PATH may lack.
    let folders = ["/usr/sbin", "/usr/local/sbin", "/usr/bin", "/usr/local/bin"];
    let found =
        folders.iter().map(|folder| format!("{folder}/{name}")).find(|path| Path::new(path).is_file());
    found.unwrap_or_else(|| panic!("{name} is not installed; it comes with Debian's package postfix"))
}
