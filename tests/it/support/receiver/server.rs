//! The receiving process: speaks as much SMTP as a mailer needs, one thread a connection.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::{ADDRESS, JOURNAL, append};

/// Not a check of anything: the body of the process that `spawn` starts. Run as a test it has nothing to do.
#[test]
fn is_a_process_of_its_own() {
    let (Ok(address), Some(journal)) = (std::env::var(ADDRESS), std::env::var_os(JOURNAL)) else { return };
    std::thread::spawn(|| {
        // The parent holds the other end: it closes when the parent is gone, however it went.
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    serve(&TcpListener::bind(address).unwrap(), &PathBuf::from(journal));
}

/// Tries after which a recipient is no longer put off.
const PATIENCE: u32 = 2;

/// What recipients are like; mails are numbered `p1@`, `p2@`, ….
#[derive(Clone, Copy, PartialEq, Eq)]
enum Nature {
    Kind,
    /// Refuses every mail.
    Refusing,
    /// Asks to be tried again, a few times.
    Busy,
}

impl Nature {
    fn of(recipient: &str) -> Self {
        let digits: String = recipient.chars().filter(char::is_ascii_digit).collect();
        match digits.parse::<u32>() {
            Ok(number) if number % 211 == 5 => Self::Refusing,
            Ok(number) if number % 97 == 3 => Self::Busy,
            _ => Self::Kind,
        }
    }
}

struct Shared {
    journal: File,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    /// Of the connections that are open, by number.
    streams: BTreeMap<u64, TcpStream>,
    /// How often busy recipients were put off.
    put_off: BTreeMap<String, u32>,
    /// How often to hang up, from now on.
    dropping: u32,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One write, so that no kill leaves a half line.
    fn write(&self, line: &str) {
        (&self.journal).write_all(line.as_bytes()).unwrap();
    }

    /// Hangs up on everybody but connection `own`, and on who was about to come: the other side may be frozen, and would
    /// never go by itself.
    fn hang_up(&self, own: u64) {
        let mut state = self.lock();
        loop {
            let mut others = state.streams.iter().filter(|(number, _)| **number != own).peekable();
            if others.peek().is_none() {
                return;
            }
            for (_, stream) in others {
                // It may be gone already.
                let _ = stream.shutdown(Shutdown::Both);
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Waits until connection `own` is alone.
    fn alone(&self, own: u64) {
        let busy = |state: &mut State| state.streams.keys().any(|number| *number != own);
        drop(self.changed.wait_while(self.lock(), busy).unwrap_or_else(PoisonError::into_inner));
    }
}

fn serve(listener: &TcpListener, journal: &PathBuf) {
    let mut put_off = BTreeMap::new();
    // What an earlier life has written.
    for line in fs::read_to_string(journal).unwrap().lines() {
        if let Some(who) = line.strip_prefix("4 - ") {
            *put_off.entry(who.to_owned()).or_default() += 1;
        }
    }
    let state = Mutex::new(State { streams: BTreeMap::new(), put_off, dropping: 0 });
    let shared = Arc::new(Shared { journal: append(journal), state, changed: Condvar::new() });
    for (number, stream) in (0..).zip(listener.incoming()) {
        let Ok(stream) = stream else { continue };
        // Before the next connection is looked at: who comes later finds this one in the list.
        shared.lock().streams.insert(number, stream.try_clone().unwrap());
        shared.changed.notify_all();
        let shared = shared.clone();
        std::thread::spawn(move || {
            stream.set_nodelay(true).unwrap();
            let conversation = Conversation {
                number,
                shared: &shared,
                reader: BufReader::new(stream),
                answers: String::new(),
                recipient: None,
            };
            // `None`: somebody hung up.
            let _ = conversation.run();
            if let Some(stream) = shared.lock().streams.remove(&number) {
                // It may be gone already.
                let _ = stream.shutdown(Shutdown::Both);
            }
            shared.changed.notify_all();
        });
    }
}

struct Conversation<'a> {
    number: u64,
    shared: &'a Shared,
    reader: BufReader<TcpStream>,
    /// Answers to commands that came together go out together.
    answers: String,
    /// Of the open transaction.
    recipient: Option<String>,
}

impl Conversation<'_> {
    fn run(mut self) -> Option<()> {
        self.answer("220 mx.test ESMTP")?;
        loop {
            let line = self.line()?;
            let (verb, rest) = line.split_once([' ', ':']).unwrap_or((&line, ""));
            match verb {
                "EHLO" => self.answer("250-mx.test\r\n250-PIPELINING\r\n250 8BITMIME")?,
                "MAIL" | "RSET" => {
                    self.recipient = None;
                    self.answer("250 ok")?;
                }
                "RCPT" => self.rcpt(rest)?,
                "DATA" if self.recipient.is_none() => self.answer("503 5.5.1 no valid recipients")?,
                "DATA" => {
                    self.answer("354 go ahead")?;
                    self.body()?;
                }
                "QUIT" => {
                    self.answer("221 bye")?;
                    return None;
                }
                "XDROP" => {
                    self.shared.lock().dropping = rest.parse().unwrap();
                    self.answer("250 ok")?;
                }
                "XHANGUP" => {
                    self.shared.hang_up(self.number);
                    self.answer("250 ok")?;
                }
                "XQUIET" => {
                    self.shared.alone(self.number);
                    self.answer("250 ok")?;
                }
                _ => self.answer("500 what?")?,
            }
        }
    }

    fn rcpt(&mut self, rest: &str) -> Option<()> {
        let who = rest.strip_prefix("TO:<")?.trim_end_matches('>').to_owned();
        if self.drops(|left| left % 3 == 0) {
            // The sender is answered, the recipient is not.
            self.flush()?;
            return None;
        }
        match Nature::of(&who) {
            Nature::Refusing => {
                self.shared.write(&format!("5 - {who}\n"));
                return self.answer("550 5.1.1 no such user");
            }
            Nature::Busy => {
                let mut state = self.shared.lock();
                let tries = state.put_off.entry(who.clone()).or_default();
                if *tries < PATIENCE {
                    *tries += 1;
                    drop(state);
                    self.shared.write(&format!("4 - {who}\n"));
                    return self.answer("451 4.3.0 come back later");
                }
            }
            Nature::Kind => {}
        }
        self.recipient = Some(who);
        self.answer("250 ok")
    }

    fn body(&mut self) -> Option<()> {
        let mut id = None;
        loop {
            let line = self.line()?;
            if line == "." {
                break;
            }
            if let Some(text) = line.strip_prefix("Message-ID:").filter(|_| id.is_none()) {
                id = Some(text.trim().to_owned());
            }
        }
        let (who, id) = (self.recipient.take()?, id.expect("a mail has a Message-ID, on one line"));
        if self.drops(|left| left % 3 == 1) {
            self.shared.write(&format!("+! {id} {who}\n"));
            return None;
        }
        if self.drops(|left| left % 3 == 2) {
            self.shared.write(&format!("? - {who}\n"));
            return None;
        }
        // Written down before the answer: whatever happens from here on, it was taken.
        self.shared.write(&format!("+ {id} {who}\n"));
        self.answer("250 2.0.0 taken")
    }

    /// Whether this is the moment to hang up that was ordered; `now` is told how often it is still to be done.
    fn drops(&self, now: impl Fn(u32) -> bool) -> bool {
        let mut state = self.shared.lock();
        let drops = state.dropping > 0 && now(state.dropping);
        state.dropping -= u32::from(drops);
        drops
    }

    /// The next line, without its end; `None` when the client is gone.
    fn line(&mut self) -> Option<String> {
        if self.reader.buffer().is_empty() && !self.answers.is_empty() {
            self.flush()?;
        }
        let mut line = String::new();
        self.reader.read_line(&mut line).ok()?;
        // A line that was cut off is no line.
        Some(line.strip_suffix("\r\n")?.to_owned())
    }

    fn answer(&mut self, text: &str) -> Option<()> {
        self.answers.push_str(text);
        self.answers.push_str("\r\n");
        if self.reader.buffer().is_empty() { self.flush() } else { Some(()) }
    }

    fn flush(&mut self) -> Option<()> {
        let answers = std::mem::take(&mut self.answers);
        self.reader.get_mut().write_all(answers.as_bytes()).ok()
    }
}
