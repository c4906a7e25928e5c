//! A receiving mail server that can be killed: a process of its own, which writes down what it takes before it answers.
//!
//! It hangs up on orders, after it has taken a mail or just before, refuses some recipients for good and puts others off
//! for a while. `server` is the process; here is the handle to it, and its journal, which outlives it.

mod server;

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::process::Process;
use super::promise::Event;
use super::{eventually, free_address};

/// Says where the process listens and writes; without it the test that is the process does nothing.
const ADDRESS: &str = "GULOU_RECEIVER_ADDRESS";
const JOURNAL: &str = "GULOU_RECEIVER_JOURNAL";

/// The server, and what it has written down.
#[derive(Debug)]
pub(crate) struct Receiver {
    process: Process,
    address: SocketAddr,
    journal: PathBuf,
    // Bytes of the journal that were read, and mails in them.
    progress: (u64, usize),
    _dir: TempDir,
}

impl Receiver {
    pub(crate) fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (address, journal) = (free_address(), dir.path().join("journal"));
        File::create(&journal).unwrap();
        let process = spawn(address, &journal);
        Self { process, address, journal, progress: (0, 0), _dir: dir }
    }

    pub(crate) fn url(&self) -> String {
        format!("smtp://{}", self.address)
    }

    /// SIGKILL; nobody listens until [`restart`](Self::restart).
    pub(crate) fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts it again at the same address.
    pub(crate) fn restart(&mut self) {
        self.process = spawn(self.address, &self.journal);
    }

    /// It hangs up that often instead of answering: in turn in the middle of an envelope, before it takes a mail, and when
    /// it has just taken one.
    pub(crate) fn hang_up_in_between(&self, times: u32) {
        self.order(&format!("XDROP {times}"));
    }

    /// It hangs up on everybody at once.
    pub(crate) fn hang_up(&self) {
        self.order("XHANGUP");
    }

    /// Waits until it has worked off what dead clients left in their sockets. No client may be alive.
    pub(crate) fn settle(&self) {
        self.order("XQUIET");
    }

    fn order(&self, order: &str) {
        let mut peer = BufReader::new(TcpStream::connect(self.address).unwrap());
        let mut answer = String::new();
        peer.read_line(&mut answer).unwrap();
        peer.get_mut().write_all(format!("{order}\r\n").as_bytes()).unwrap();
        answer.clear();
        peer.read_line(&mut answer).unwrap();
        assert!(answer.starts_with("250"), "{order}: {answer}");
    }

    /// Writes a blow into the journal, behind all that was taken before it.
    pub(crate) fn note(&self, what: &str, doubt: u32) {
        append(&self.journal).write_all(format!("# {doubt} {what}\n").as_bytes()).unwrap();
    }

    /// Writes down that the daemon has stopped in order, and what it left reserved.
    pub(crate) fn note_stop(&self, reserved: u32) {
        append(&self.journal).write_all(format!(". {reserved} -\n").as_bytes()).unwrap();
    }

    /// Mails that were taken.
    pub(crate) fn mails_so_far(&mut self) -> usize {
        let (read, mails) = &mut self.progress;
        let mut journal = File::open(&self.journal).unwrap();
        journal.seek(SeekFrom::Start(*read)).unwrap();
        let mut new = Vec::new();
        journal.read_to_end(&mut new).unwrap();
        let whole = new.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        *read += whole as u64;
        *mails += new[..whole].split(|byte| *byte == b'\n').filter(|line| line.starts_with(b"+")).count();
        *mails
    }

    /// All that was written down.
    pub(crate) fn history(&self) -> Vec<Event> {
        fs::read_to_string(&self.journal).unwrap().lines().map(event).collect()
    }
}

/// A line of the journal: what happened, the `Message-ID` or a number, and to whom.
fn event(line: &str) -> Event {
    let [kind, detail, who] = *line.splitn(3, ' ').collect::<Vec<_>>() else {
        panic!("not an event: {line}")
    };
    let who = who.to_owned();
    match kind {
        "+" | "+!" => Event::Delivered { who, id: detail.to_owned(), answered: kind == "+" },
        "?" => Event::HungUp { who },
        "5" => Event::Refused { who },
        "4" => Event::Deferred { who },
        "#" => Event::Blow { what: who, doubt: detail.parse().unwrap() },
        "." => Event::Stop { reserved: detail.parse().unwrap() },
        _ => panic!("not an event: {line}"),
    }
}

/// Every write goes to the end, whoever else writes.
fn append(journal: &PathBuf) -> File {
    File::options().append(true).open(journal).unwrap()
}

/// This test binary again, with nothing to do but to be the server. It ends when its stdin does, so it outlives nobody.
fn spawn(address: SocketAddr, journal: &PathBuf) -> Process {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "support::receiver::server::is_a_process_of_its_own", "--nocapture"]);
    command.env(ADDRESS, address.to_string()).env(JOURNAL, journal);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let process = Process::spawn(&mut command);
    eventually("the receiver to listen", || TcpStream::connect(address).ok());
    process
}
