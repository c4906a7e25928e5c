//! Postfix's `smtp-sink`, which accepts every mail and writes it down.
//!
//! It appends a mail to its dump, in one piece, before it answers the final dot; a mail whose client
//! vanished before the dot is not in the dump, one whose client vanished after it is.

use std::fs::{self, File, Permissions};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use tempfile::TempDir;

use super::process::Process;
use super::promise::Event;
use super::{eventually, require};

/// A running sink; it stops when this value goes.
#[derive(Debug)]
pub(crate) struct SmtpSink {
    // Its drop is what stops the sink.
    _process: Process,
    address: SocketAddr,
    dir: TempDir,
    // Bytes of the dump that `mails_so_far` has read, and mails in them.
    progress: Mutex<(u64, usize)>,
}

/// The line of the dump that names a mail's recipient.
const RECIPIENT: &[u8] = b"X-Rcpt-Args: ";

/// What the sink accepted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Delivered {
    /// Envelope recipient and `Message-ID`, in the order of their coming.
    pub(crate) mails: Vec<(String, String)>,
}

impl Delivered {
    /// Mails in all.
    pub(crate) fn total(&self) -> u32 {
        u32::try_from(self.mails.len()).unwrap()
    }

    /// As what happened, from the mail number `from`.
    pub(crate) fn events(&self, from: usize) -> impl Iterator<Item = Event> {
        let event = |(who, id): &(String, String)| Event::Delivered {
            who: who.clone(),
            id: id.clone(),
            answered: true,
        };
        self.mails[from..].iter().map(event)
    }
}

impl SmtpSink {
    /// Starts a sink and waits until it greets.
    pub(crate) fn start() -> Self {
        // Between choosing a port and the sink's bind nobody else in this process may choose one;
        // other processes have an address of their own.
        static CHOOSING: Mutex<()> = Mutex::new(());
        let _choosing = CHOOSING.lock().unwrap_or_else(std::sync::PoisonError::into_inner);

        let program = require("smtp-sink");
        let dir = tempfile::Builder::new().permissions(Permissions::from_mode(0o755)).tempdir().unwrap();
        let dump_dir = dir.path().join("dump");
        fs::create_dir(&dump_dir).unwrap();
        fs::set_permissions(&dump_dir, Permissions::from_mode(0o777)).unwrap();

        let address = free_address();
        let mut command = Command::new(program);
        if rustix::process::geteuid().is_root() {
            command.args(["-u", "nobody"]);
        }
        command.args(["-m", "512", "-D"]).arg(dump_dir.join("mails")).arg(address.to_string()).arg("1024");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut process = Process::spawn(&mut command);
        eventually("smtp-sink to listen", || {
            assert!(process.wait(Duration::ZERO).is_none(), "smtp-sink ended: {command:?}");
            TcpStream::connect(address).ok()
        });
        Self { _process: process, address, dir, progress: Mutex::default() }
    }

    /// The address it listens on: some `127.x.y.z`.
    pub(crate) fn host(&self) -> String {
        self.address.ip().to_string()
    }

    /// Its port.
    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// All mails so far, in the order they came, with the sink's own `X-` lines in front.
    pub(crate) fn dump(&self) -> Vec<u8> {
        fs::read(self.dump_file()).unwrap_or_default()
    }

    /// How many mails are in the dump by now.
    pub(crate) fn mails_so_far(&self) -> usize {
        let mut progress = self.progress.lock().unwrap();
        let (read, mails) = &mut *progress;
        if let Ok(mut dump) = File::open(self.dump_file()) {
            let mut new = Vec::new();
            dump.seek(SeekFrom::Start(*read)).unwrap();
            dump.read_to_end(&mut new).unwrap();
            // Up to the last whole line, so that no line is counted in halves.
            let whole = new.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
            *mails += new[..whole].split(|&b| b == b'\n').filter(|line| line.starts_with(RECIPIENT)).count();
            *read += whole as u64;
        }
        *mails
    }

    /// Counts what was delivered, once all that clients have sent is written down.
    ///
    /// Call it when no client is sending.
    pub(crate) fn delivered(&self) -> Delivered {
        self.settle();
        count(&self.dump())
    }

    /// Waits until the sink has worked off what dead clients left in their sockets.
    ///
    /// The sink serves all its connections in turn, so a connection that is answered many times
    /// while the dump stays the same shows that no other one had anything left.
    fn settle(&self) {
        let mut peer = BufReader::new(TcpStream::connect(self.address).unwrap());
        let mut line = String::new();
        peer.read_line(&mut line).unwrap();
        let mut size = self.dump_size();
        let mut quiet = 0;
        while quiet < 200 {
            peer.get_mut().write_all(b"NOOP\r\n").unwrap();
            peer.read_line(&mut line).unwrap();
            let now = self.dump_size();
            quiet = if now == size { quiet + 1 } else { 0 };
            size = now;
        }
    }

    fn dump_size(&self) -> u64 {
        fs::metadata(self.dump_file()).map_or(0, |meta| meta.len())
    }

    fn dump_file(&self) -> PathBuf {
        self.dir.path().join("dump/mails")
    }
}

/// An address where nobody listens and that no other process uses: the whole of 127.0.0.0/8 is this
/// machine, so the process id picks the host and the system the port. Two sinks on one port would share the connections
/// without a word.
pub(crate) fn free_address() -> SocketAddr {
    let [_, a, b, c] = std::process::id().to_be_bytes();
    let host = Ipv4Addr::new(127, a | 0x80, b, c.max(1));
    TcpListener::bind((host, 0)).unwrap().local_addr().unwrap()
}

fn count(dump: &[u8]) -> Delivered {
    let mut delivered = Delivered::default();
    let mut in_head = false;
    for line in dump.split(|&byte| byte == b'\n') {
        if let Some(address) = line.strip_prefix(RECIPIENT) {
            in_head = true;
            delivered.mails.push((bare(address), String::new()));
        } else if line.is_empty() {
            in_head = false;
        } else if in_head && line.len() > 11 && line[..11].eq_ignore_ascii_case(b"message-id:") {
            delivered.mails.last_mut().unwrap().1 = bare(&line[11..]);
        }
    }
    delivered
}

/// What stands between the angle brackets.
fn bare(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let text = text.trim();
    let inner = text.strip_prefix('<').and_then(|text| text.split_once('>')).map(|(inner, _)| inner);
    inner.unwrap_or(text).to_owned()
}

#[test]
fn smtp_sink_is_counted_right() {
    let sink = SmtpSink::start();
    let mut client = BufReader::new(TcpStream::connect(sink.address).unwrap());
    let mut answer = String::new();
    client.read_line(&mut answer).unwrap();
    let mut say = |text: &str, lines: usize| {
        client.get_mut().write_all(text.as_bytes()).unwrap();
        for _ in 0..lines {
            answer.clear();
            client.read_line(&mut answer).unwrap();
        }
    };
    say("HELO test\r\n", 1);
    for (who, id) in [("a@ex.test", "1"), ("b@ex.test", "2"), ("a@ex.test", "1")] {
        say("MAIL FROM:<s@ex.test>\r\n", 1);
        say(&format!("RCPT TO:<{who}>\r\n"), 1);
        say("DATA\r\n", 1);
        say(
            &format!("Message-ID: <{id}@ex.test>\r\n\r\nX-Rcpt-Args in a body\r\nMessage-ID: <no>\r\n.\r\n"),
            1,
        );
    }
    say("MAIL FROM:<s@ex.test>\r\n", 1);
    say("RCPT TO:<cut@ex.test>\r\n", 1);
    say("DATA\r\n", 1);
    say("Subject: never ends\r\n", 0);
    drop(client);

    let delivered = sink.delivered();
    assert_eq!(delivered.total(), 3);
    assert_eq!(sink.mails_so_far(), 3);
    let mails =
        [("a", 1), ("b", 2), ("a", 1)].map(|(who, id)| (format!("{who}@ex.test"), format!("{id}@ex.test")));
    assert_eq!(delivered.mails, mails);
}
