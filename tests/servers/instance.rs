//! A server process: its watchdog, its folder, its port, its certificates.

use std::collections::hash_map::RandomState;
use std::fs;
use std::hash::BuildHasher;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

const WATCHDOG: &str = include_str!("watchdog.sh");

/// Below the range from which the system gives ports to clients. A client that calls a server that is just being
/// restarted could otherwise be given that server's port, and be connected with itself.
const PORTS: std::ops::Range<u16> = 16_000..32_000;

/// How often a start looks whether the server is ready, and how often at most: two minutes, a bound for a hang.
const LOOK: (Duration, u32) = (Duration::from_millis(10), 12_000);

/// A CA and the server's certificate, in the instance's folder. The configuration is given because a system's own may
/// add extensions a second time.
const CERTIFICATES: &str = "printf '%s\\n' '[req]' 'distinguished_name=name' '[name]' \
    '[ca]' 'basicConstraints=critical,CA:TRUE' 'keyUsage=critical,keyCertSign,cRLSign' 'subjectKeyIdentifier=hash' \
    '[server]' 'basicConstraints=CA:FALSE' 'keyUsage=critical,digitalSignature' 'extendedKeyUsage=serverAuth' \
    'subjectAltName=DNS:localhost,IP:127.0.0.1' >openssl.cnf && \
    new() { name=$1; shift; \
      $run openssl req -config openssl.cnf -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout $name.key \"$@\"; } && \
    new ca -x509 -days 3650 -subj '/CN=Gulou test CA' -extensions ca -out ca.pem && \
    new server -new -subj /CN=localhost -out server.csr && \
    $run openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -set_serial 2 -days 3650 \
      -extfile openssl.cnf -extensions server -out server.pem";

/// What differs between the servers.
pub(super) struct Kind {
    pub(super) name: &'static str,
    /// Whom root lends the server to.
    pub(super) user: &'static str,
    /// Programs it cannot do without, beside `openssl` and `setpriv`.
    pub(super) programs: &'static [&'static str],
    /// Ends the server at once, whatever it does.
    pub(super) end_signal: &'static str,
}

/// A folder with a server's data and, most of the time, its process.
pub(super) struct Instance {
    kind: &'static Kind,
    watchdog: Child,
    // `None` once the watchdog was told to finish.
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    pub(super) folder: PathBuf,
    pub(super) ca: PathBuf,
    pub(super) port: u16,
    server: Option<u32>,
}

impl Instance {
    /// A folder with certificates; no data yet, and no process.
    pub(super) fn new(kind: &'static Kind) -> Self {
        for program in kind.programs.iter().chain(&["openssl", "setpriv"]) {
            assert!(
                find(program).is_some(),
                "{} is not installed (no `{program}`): ./scripts/test.sh installs it",
                kind.name
            );
        }
        let mut watchdog = Command::new("sh")
            .args(["-c", WATCHDOG, "watchdog", kind.user, kind.end_signal])
            .env("LC_ALL", "C.UTF-8")
            .env("PATH", search_path())
            // Ctrl-C in a terminal goes to the whole group; the watchdog has to outlive it.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let orders = watchdog.stdin.take();
        let mut answers = BufReader::new(watchdog.stdout.take().unwrap());
        let mut folder = String::new();
        answers.read_line(&mut folder).unwrap();
        let folder = PathBuf::from(folder.trim_end_matches('\n'));
        assert!(folder.is_dir(), "could not make a folder for {}", kind.name);
        let ca = folder.join("ca.pem");
        let mut instance = Self { kind, watchdog, orders, answers, folder, ca, port: 0, server: None };
        instance.prepare(CERTIFICATES);
        instance
    }

    /// Carries out a line of shell in the folder, to its end; its failure fails the test.
    pub(super) fn prepare(&mut self, order: &str) {
        let (code, _) = self.order(order);
        assert!(code == 0, "{} could not be prepared: {order}\n{}", self.kind.name, self.log());
    }

    /// Starts the server on a free port, which it keeps: `command` is given the port.
    pub(super) fn start(&mut self, command: impl Fn(u16) -> String, ready: impl Fn(&Self, u32) -> bool) {
        for _ in 0..20 {
            self.port = free_port();
            if self.try_start(&command(self.port), &ready) {
                return;
            }
            // Somebody may have taken the port since. Any other reason fails again, and is shown.
        }
        panic!("{} did not start\n{}", self.kind.name, self.log());
    }

    /// Starts the server again, where it was.
    pub(super) fn restart(&mut self, command: &str, ready: impl Fn(&Self, u32) -> bool) {
        assert!(self.server.is_none(), "{} runs already", self.kind.name);
        assert!(self.try_start(command, ready), "{} did not start again\n{}", self.kind.name, self.log());
    }

    fn try_start(&mut self, command: &str, ready: impl Fn(&Self, u32) -> bool) -> bool {
        // Emptied before the start: the log of an earlier life must not say that this one is ready.
        let (_, server) = self.order(&format!(": >server.log; $run {command} >>server.log 2>&1 & server=$!"));
        let server: u32 = server.parse().unwrap();
        self.server = Some(server);
        for _ in 0..LOOK.1 {
            if ready(self, server) {
                return true;
            }
            if parent(server).is_none() {
                self.forget_server();
                return false;
            }
            sleep(LOOK.0);
        }
        panic!("{} did not get ready\n{}", self.kind.name, self.log());
    }

    /// Asks the server to end, and waits until it has.
    pub(super) fn stop(&mut self, signal: &str) {
        let server = self.running();
        self.prepare(&format!("kill -s {signal} {server}"));
        self.forget_server();
    }

    /// Kills the server and its children with SIGKILL, and waits until none is left.
    pub(super) fn kill(&mut self) {
        let server = self.running();
        // A server that stands still makes no children between the look and the kill.
        self.prepare(&format!("kill -s STOP {server}"));
        let children = children(server);
        let all: Vec<String> = std::iter::once(&server).chain(&children).map(u32::to_string).collect();
        // A child may have come to its own end meanwhile.
        self.order(&format!("kill -s KILL {}", all.join(" ")));
        self.forget_server();
        while children.iter().any(|child| parent(*child).is_some()) {
            sleep(Duration::from_millis(1));
        }
    }

    fn forget_server(&mut self) {
        self.order("wait $server; server=");
        self.server = None;
    }

    /// The process id.
    pub(super) fn running(&self) -> u32 {
        self.server.unwrap_or_else(|| panic!("{} does not run", self.kind.name))
    }

    /// The exit code of a line of shell, and the process id in `$server` after it.
    fn order(&mut self, order: &str) -> (i32, String) {
        assert!(!order.contains('\n'), "an order is one line");
        writeln!(self.orders.as_ref().unwrap(), "{order}").unwrap();
        let mut answer = String::new();
        self.answers.read_line(&mut answer).unwrap();
        let (code, server) = answer.trim_end_matches('\n').split_once(' ').unwrap();
        (code.parse().unwrap(), server.to_owned())
    }

    /// What the preparation and the server have written.
    fn log(&self) -> String {
        let read = |name| fs::read_to_string(self.folder.join(name)).unwrap_or_default();
        read("log") + &read("server.log")
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        // The end of its stdin ends the watchdog, the end of its stdout says that all is gone.
        self.orders = None;
        let _ = self.answers.read_to_end(&mut Vec::new());
        let _ = self.watchdog.wait();
    }
}

/// `PATH` and where Debian keeps servers, which a user's `PATH` may lack.
fn search_path() -> String {
    format!("{}:/usr/sbin:/usr/local/sbin", std::env::var("PATH").unwrap_or_default())
}

pub(super) fn find(program: &str) -> Option<PathBuf> {
    let path = search_path();
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|candidate| candidate.is_file())
}

fn free_port() -> u16 {
    let free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    // Tests that run beside these begin elsewhere.
    let begin = PORTS.start + u16::try_from(RandomState::new().hash_one(()) % (PORTS.len() as u64)).unwrap();
    (begin..PORTS.end).chain(PORTS.start..begin).find(free).unwrap()
}

/// The parent of a process; `None` when it has ended.
fn parent(process: u32) -> Option<u32> {
    let stat = fs::read_to_string(Path::new("/proc").join(process.to_string()).join("stat")).ok()?;
    // The name before the parenthesis may hold anything.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?;
    let parent = fields.next()?.parse().ok()?;
    (!matches!(state, "Z" | "X")).then_some(parent)
}

fn children(process: u32) -> Vec<u32> {
    fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|candidate| parent(*candidate) == Some(process))
        .collect()
}
