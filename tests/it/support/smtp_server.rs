//! A scripted SMTP server: keeps the protocol's rules, says what a test wants said, and remembers
//! what it accepted.

mod line;
mod login;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rustls::ServerConfig;

use self::line::Line;
use super::PATIENCE;
use super::certificate::Identity;

/// What the client just did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heard<'a> {
    Connect,
    Hello(&'a str),
    StartTls,
    /// A login: method, user and what proves it, decoded, with spaces in between.
    Auth(&'a str),
    /// What stands after `MAIL FROM:`.
    Mail(&'a str),
    /// The address after `RCPT TO:`.
    Rcpt(&'a str),
    Data,
    /// A whole body, dots unstuffed.
    Body(&'a [u8]),
    Reset,
    Quit,
}

/// What the server does about it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Say {
    /// What a server that likes everything says.
    Usual,
    /// This, with CRLF added.
    This(&'static str),
    /// This, and then it hangs up.
    ThisAndHangUp(&'static str),
    /// This, so many bytes of it first and the others a moment later.
    Cut(&'static str, usize),
    /// The usual answer in pieces of one byte.
    Dribble,
    /// The usual answer, after a while.
    Late(Duration),
    /// It hangs up at once.
    HangUp,
    /// Nothing until the client hangs up.
    Nothing,
}

/// How the server behaves.
pub(crate) struct Manners {
    /// The lines of the EHLO answer after the first; none: EHLO is an unknown command.
    pub(crate) offers: Option<Vec<&'static str>>,
    /// DATA is answered with 354 even when no recipient was accepted (RFC 2920 §3.1).
    pub(crate) data_without_recipient: bool,
    /// What comes behind a body in one go is thrown away.
    pub(crate) forgetful: bool,
    /// Every connection is cut after the server has read this many bytes.
    pub(crate) cut_after: Option<usize>,
    /// The same of the bytes on the wire, encrypted ones among them.
    pub(crate) cut_wire_after: Option<usize>,
    /// It reads at most so many bytes at a time, each time after a pause.
    pub(crate) slowly: Option<(usize, Duration)>,
    /// TLS, from the first byte on or after STARTTLS.
    pub(crate) tls: Option<(Arc<ServerConfig>, Begins)>,
    /// Said in the clear behind the answer to STARTTLS, in the same breath.
    pub(crate) injected: &'static str,
    /// Offered once encryption has begun, in the place of `offers`.
    pub(crate) offers_inside: Option<Vec<&'static str>>,
    /// The answers: number of the connection from 0, and what it said.
    pub(crate) script: Box<Script>,
}

/// When encryption begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Begins {
    AtOnce,
    AfterStartTls,
}

type Script = dyn Fn(usize, Heard<'_>) -> Say + Send + Sync;

impl Manners {
    /// With PIPELINING and friends, and an answer for everything.
    pub(crate) fn new(script: impl Fn(usize, Heard<'_>) -> Say + Send + Sync + 'static) -> Self {
        Self {
            offers: Some(vec!["PIPELINING", "SIZE 10240000", "8BITMIME"]),
            data_without_recipient: false,
            forgetful: false,
            cut_after: None,
            cut_wire_after: None,
            slowly: None,
            tls: None,
            injected: "",
            offers_inside: None,
            script: Box::new(script),
        }
    }

    /// Likes everything.
    pub(crate) fn kind() -> Self {
        Self::new(|_, _| Say::Usual)
    }

    /// Offers just `offers`.
    pub(crate) fn offering(mut self, offers: &[&'static str]) -> Self {
        self.offers = Some(offers.to_vec());
        self
    }

    /// Proves to be `identity`, and offers STARTTLS if that is when.
    pub(crate) fn encrypting(mut self, identity: &Identity, begins: Begins) -> Self {
        self.tls = Some((identity.config.clone(), begins));
        self.offers_inside.clone_from(&self.offers);
        if begins == Begins::AfterStartTls {
            self.offers.get_or_insert_default().push("STARTTLS");
        }
        self
    }

    /// Offers `line` as well, once encryption has begun if there is any.
    pub(crate) fn with(mut self, line: &'static str) -> Self {
        let offers = if self.tls.is_some() { &mut self.offers_inside } else { &mut self.offers };
        offers.get_or_insert_default().push(line);
        self
    }
}

/// A mail that was answered with 2xx, or would have been had the script not cut the answer off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Received {
    pub(crate) sender: String,
    pub(crate) recipient: String,
    pub(crate) body: Vec<u8>,
    /// The client got the answer.
    pub(crate) answered: bool,
}

/// What the server has seen so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) connections: usize,
    /// The most connections at a time; one that has said QUIT is gone.
    pub(crate) most_connections: usize,
    pub(crate) quits: usize,
    /// Of each domain in small letters: mails whose recipient was accepted and whose body was not taken yet, and the most
    /// of them at a time.
    pub(crate) domains: BTreeMap<String, (usize, usize)>,
    /// Commands as they came, without bodies, all connections mixed.
    pub(crate) commands: Vec<String>,
    pub(crate) mails: Vec<Received>,
    /// Logins, right or wrong, as `METHOD user secret`.
    pub(crate) logins: Vec<String>,
    /// Commands that came in the clear.
    pub(crate) in_the_clear: Vec<String>,
    /// Commands that came before the answer to the one before, though PIPELINING was not offered.
    pub(crate) hasty: usize,
    /// Bodies behind which the next envelope came in one go.
    pub(crate) overlapped: usize,
    /// How often something behind a body was thrown away.
    pub(crate) forgotten: usize,
    /// The most bytes that one connection sent.
    pub(crate) longest: usize,
}

impl Seen {
    /// How often each recipient got a mail.
    pub(crate) fn recipients(&self) -> BTreeMap<&str, usize> {
        let mut counts = BTreeMap::new();
        for mail in &self.mails {
            *counts.entry(mail.recipient.as_str()).or_default() += 1;
        }
        counts
    }

    /// How often each mail came, by its `Message-ID`.
    pub(crate) fn message_ids(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for mail in &self.mails {
            let text = String::from_utf8_lossy(&mail.body);
            let id = text.lines().find_map(|line| line.strip_prefix("Message-ID: "));
            *counts.entry(id.unwrap_or("none").to_owned()).or_default() += 1;
        }
        counts
    }
}

/// A running server; it stops when this value goes.
pub(crate) struct SmtpServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

struct Shared {
    manners: Manners,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    seen: Seen,
    /// Of the connections that are open, by number.
    streams: BTreeMap<usize, TcpStream>,
    /// Those of them that have not said goodbye.
    staying: BTreeSet<usize>,
    stopped: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, change: impl FnOnce(&mut Seen)) {
        change(&mut self.lock().seen);
        self.changed.notify_all();
    }
}

impl SmtpServer {
    /// Listens on a free port.
    pub(crate) fn start(manners: Manners) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared { manners, state: Mutex::default(), changed: Condvar::new() });
        let acceptor = std::thread::spawn({
            let shared = shared.clone();
            move || accept(&listener, &shared)
        });
        Self { address, shared, acceptor: Some(acceptor) }
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// What it has seen so far.
    pub(crate) fn seen(&self) -> Seen {
        self.shared.lock().seen.clone()
    }

    /// Waits until it has seen what `enough` wants.
    pub(crate) fn wait_until(&self, what: &str, enough: impl Fn(&Seen) -> bool) -> Seen {
        let state = self.shared.lock();
        let waited = self.shared.changed.wait_timeout_while(state, PATIENCE, |state| !enough(&state.seen));
        let (state, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        assert!(!timeout.timed_out(), "waited {PATIENCE:?} in vain for {what}: {:?}", state.seen);
        state.seen.clone()
    }

    /// What it has seen once every client is gone, and all that they sent is worked off.
    pub(crate) fn seen_in_the_end(&self) -> Seen {
        let state = self.shared.lock();
        let waited =
            self.shared.changed.wait_timeout_while(state, PATIENCE, |state| !state.streams.is_empty());
        let (state, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        assert!(!timeout.timed_out(), "waited {PATIENCE:?} in vain for the clients to go");
        state.seen.clone()
    }

    /// Hangs up on everybody, as a restarted server would; goes on listening.
    pub(crate) fn hang_up(&self) {
        for stream in std::mem::take(&mut self.shared.lock().streams).into_values() {
            // It may be gone already.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for SmtpServer {
    fn drop(&mut self) {
        self.shared.lock().stopped = true;
        self.hang_up();
        // Wakes the acceptor.
        let _ = TcpStream::connect(self.address);
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    let mut conversations = Vec::new();
    for stream in listener.incoming() {
        let Ok(stream) = stream else { continue };
        let mut state = shared.lock();
        if state.stopped {
            break;
        }
        let number = state.seen.connections;
        state.seen.connections += 1;
        state.streams.insert(number, stream.try_clone().unwrap());
        state.staying.insert(number);
        state.seen.most_connections = state.seen.most_connections.max(state.staying.len());
        drop(state);
        shared.changed.notify_all();
        let shared = shared.clone();
        conversations.push(std::thread::spawn(move || {
            // `None`: somebody hung up, which tests want.
            let _ = Conversation::new(number, stream, shared.clone()).run();
            // The last handle of the socket, so this closes it.
            let mut state = shared.lock();
            state.streams.remove(&number);
            state.staying.remove(&number);
            drop(state);
            shared.changed.notify_all();
        }));
    }
    for conversation in conversations {
        conversation.join().unwrap();
    }
}

/// The open transaction.
struct Transaction {
    sender: String,
    recipient: Option<String>,
}

struct Conversation {
    number: usize,
    shared: Arc<Shared>,
    reader: BufReader<Line>,
    encrypted: bool,
    read: usize,
    transaction: Option<Transaction>,
}

impl Conversation {
    fn new(number: usize, stream: TcpStream, shared: Arc<Shared>) -> Self {
        // A script that says nothing must not hang the test run for ever.
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        let Manners { cut_wire_after, slowly, .. } = shared.manners;
        let reader = BufReader::new(Line::new(stream, cut_wire_after, slowly));
        Self { number, shared, reader, encrypted: false, read: 0, transaction: None }
    }

    fn run(mut self) -> Option<()> {
        if self.shared.manners.tls.as_ref().is_some_and(|(_, begins)| *begins == Begins::AtOnce) {
            self.encrypt();
        }
        self.answer(Heard::Connect, "220 mx.test ESMTP")?;
        loop {
            let line = self.line()?;
            let text = String::from_utf8(line).unwrap();
            let command = text.trim_end().to_owned();
            self.shared.note(|seen| {
                seen.commands.push(command.clone());
                seen.in_the_clear.extend((!self.encrypted).then(|| command.clone()));
            });
            let pipelining = self.offers().into_iter().flatten().any(|offer| *offer == "PIPELINING");
            if !pipelining && !self.reader.buffer().is_empty() {
                self.shared.note(|seen| seen.hasty += 1);
            }
            let upper = command.to_ascii_uppercase();
            match upper.split([' ', ':']).next().unwrap_or_default() {
                "EHLO" => self.hello(&command)?,
                "HELO" => self.answer(Heard::Hello(&command), "250 mx.test").map(|_| ())?,
                "STARTTLS" => self.start_tls()?,
                "AUTH" => self.auth(&command)?,
                "MAIL" => self.mail(command["MAIL FROM:".len()..].to_owned())?,
                "RCPT" => self.rcpt(&command)?,
                "DATA" => self.data()?,
                "RSET" => {
                    self.transaction = None;
                    self.answer(Heard::Reset, "250 forgotten")?;
                }
                "QUIT" => {
                    self.shared.lock().staying.remove(&self.number);
                    self.shared.note(|seen| seen.quits += 1);
                    self.answer(Heard::Quit, "221 bye")?;
                    return None;
                }
                _ => self.send("500 what?\r\n")?,
            }
        }
    }

    fn offers(&self) -> Option<&Vec<&'static str>> {
        let manners = &self.shared.manners;
        if self.encrypted { manners.offers_inside.as_ref() } else { manners.offers.as_ref() }
    }

    fn encrypt(&mut self) {
        let (config, _) = self.shared.manners.tls.clone().unwrap();
        let line = std::mem::replace(&mut self.reader, BufReader::new(Line::Nowhere)).into_inner();
        self.reader = BufReader::new(line.encrypted(config));
        self.encrypted = true;
    }

    fn start_tls(&mut self) -> Option<()> {
        let injected = self.shared.manners.injected;
        let usual = format!("220 2.0.0 go ahead{}{injected}", if injected.is_empty() { "" } else { "\r\n" });
        if self.answer(Heard::StartTls, &usual)? {
            self.encrypt();
        }
        Some(())
    }

    fn hello(&mut self, command: &str) -> Option<()> {
        let usual = match self.offers() {
            None => "502 not implemented".to_owned(),
            Some(offers) => {
                let mut lines = vec!["250-mx.test".to_owned()];
                lines.extend(offers.iter().map(|offer| format!("250-{offer}")));
                let last = lines.last_mut().unwrap();
                last.replace_range(3..4, " ");
                lines.join("\r\n")
            }
        };
        self.answer(Heard::Hello(command), &usual).map(|_| ())
    }

    fn mail(&mut self, sender: String) -> Option<()> {
        if self.transaction.is_some() {
            return self.send("503 nested MAIL\r\n");
        }
        if self.answer(Heard::Mail(&sender), "250 2.1.0 sender ok")? {
            self.transaction = Some(Transaction { sender, recipient: None });
        }
        Some(())
    }

    fn rcpt(&mut self, command: &str) -> Option<()> {
        if self.transaction.is_none() {
            return self.send("503 MAIL first\r\n");
        }
        let address = command["RCPT TO:<".len()..].trim_end_matches('>').to_owned();
        let accepted = self.answer(Heard::Rcpt(&address), "250 2.1.5 recipient ok")?;
        if accepted {
            let domain = domain(&address);
            self.shared.note(|seen| {
                let (now, most) = seen.domains.entry(domain).or_default();
                *now += 1;
                *most = (*most).max(*now);
            });
        }
        if let Some(transaction) = self.transaction.as_mut().filter(|_| accepted) {
            assert!(transaction.recipient.replace(address).is_none(), "a mail goes to one recipient");
        }
        Some(())
    }

    fn data(&mut self) -> Option<()> {
        let recipient = self.transaction.as_ref().is_some_and(|transaction| transaction.recipient.is_some());
        if !recipient && !self.shared.manners.data_without_recipient {
            return self.send("503 5.5.1 no valid recipients\r\n");
        }
        if !self.answer(Heard::Data, "354 go ahead")? {
            return Some(());
        }
        let mut body = Vec::new();
        loop {
            let line = self.line()?;
            assert!(line.ends_with(b"\r\n"), "bare line feed");
            assert!(!line[..line.len() - 2].contains(&b'\r'), "bare carriage return");
            assert!(line.len() <= 1001, "a line of {} bytes", line.len());
            match line.as_slice() {
                b".\r\n" => break,
                [b'.', rest @ ..] => body.extend_from_slice(rest),
                line => body.extend_from_slice(line),
            }
        }
        let behind = self.reader.buffer().len();
        if behind > 0 {
            self.shared.note(|seen| seen.overlapped += 1);
            if self.shared.manners.forgetful {
                self.shared.note(|seen| seen.forgotten += 1);
                self.reader.consume(behind);
            }
        }
        let transaction = self.transaction.take();
        let Some((sender, recipient)) = transaction.and_then(|open| Some((open.sender, open.recipient?)))
        else {
            assert!(body.is_empty(), "a body without a recipient");
            return self.send("554 5.5.1 no valid recipients\r\n");
        };
        let say = (self.shared.manners.script)(self.number, Heard::Body(&body));
        let domain = domain(&recipient);
        self.shared.note(|seen| seen.domains.entry(domain).or_default().0 -= 1);
        // The mail is taken before the answer goes out: what comes after may be lost.
        let taken = !matches!(&say, Say::This(text) | Say::ThisAndHangUp(text) if !text.starts_with('2'));
        if taken {
            let mail =
                Received { sender, recipient, body, answered: !matches!(say, Say::HangUp | Say::Nothing) };
            self.shared.note(|seen| seen.mails.push(mail));
        }
        self.act(say, "250 2.0.0 queued as 4F2A").map(|_| ())
    }

    /// Whether the client may go on to the next step.
    fn answer(&mut self, heard: Heard<'_>, usual: &str) -> Option<bool> {
        let say = (self.shared.manners.script)(self.number, heard);
        self.act(say, usual)
    }

    fn act(&mut self, say: Say, usual: &str) -> Option<bool> {
        let positive = |text: &str| text.starts_with(['2', '3']);
        match say {
            Say::Usual => self.send(&format!("{usual}\r\n")).map(|()| positive(usual)),
            Say::This(text) => self.send(&format!("{text}\r\n")).map(|()| positive(text)),
            Say::ThisAndHangUp(text) => {
                self.send(&format!("{text}\r\n"))?;
                None
            }
            Say::Cut(text, at) => {
                let (first, second) = text.split_at(at);
                self.send(first)?;
                // Were it too short, both would come at once, which is the usual case.
                std::thread::sleep(Duration::from_millis(5));
                self.send(&format!("{second}\r\n")).map(|()| positive(text))
            }
            Say::Dribble => {
                for byte in format!("{usual}\r\n").chars() {
                    self.send(&byte.to_string())?;
                    std::thread::yield_now();
                }
                Some(positive(usual))
            }
            Say::Late(pause) => {
                std::thread::sleep(pause);
                self.send(&format!("{usual}\r\n")).map(|()| positive(usual))
            }
            Say::HangUp => None,
            Say::Nothing => {
                while !self.reader.fill_buf().ok()?.is_empty() {
                    let length = self.reader.buffer().len();
                    self.reader.consume(length);
                }
                None
            }
        }
    }

    fn send(&mut self, text: &str) -> Option<()> {
        let line = self.reader.get_mut();
        line.write_all(text.as_bytes()).ok()?;
        line.flush().ok()
    }

    /// The next line, or `None` when the client is gone or the cut is due.
    fn line(&mut self) -> Option<Vec<u8>> {
        let mut line = Vec::new();
        loop {
            let available = self.reader.fill_buf().ok()?;
            if available.is_empty() {
                return None;
            }
            let end = available.iter().position(|byte| *byte == b'\n').map(|index| index + 1);
            let mut length = end.unwrap_or(available.len());
            let cut = self.shared.manners.cut_after.map(|cut| cut - self.read).filter(|left| *left <= length);
            length = cut.unwrap_or(length);
            line.extend_from_slice(&available[..length]);
            self.reader.consume(length);
            self.read += length;
            let read = self.read;
            self.shared.note(|seen| seen.longest = seen.longest.max(read));
            if cut.is_some() {
                return None;
            }
            if end.is_some() {
                return Some(line);
            }
        }
    }
}

fn domain(address: &str) -> String {
    address.rsplit_once('@').map_or(address, |(_, domain)| domain).to_lowercase()
}

/// How long clients in these tests wait for a silent server: long enough for a busy machine where
/// it must not run out, short where the test is that it does.
pub(crate) const SHORT: Duration = Duration::from_millis(50);
