//! A private PostgreSQL.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::client;
use super::instance::{Instance, Kind, find};

static KIND: Kind = Kind {
    name: "PostgreSQL",
    user: "postgres",
    programs: &["psql", "ipcrm"],
    // Its immediate shutdown: the children end, the shared memory is given back.
    end_signal: "QUIT",
};

/// A running PostgreSQL; stopped and removed when dropped.
pub(crate) struct Postgres {
    instance: Instance,
    programs: PathBuf,
}

impl Postgres {
    /// Starts a server of the test's own: data that a crash must not take is synced to disk.
    pub(crate) fn start() -> Self {
        let programs = programs();
        let mut instance = Instance::new(&KIND);
        let programs_text = programs.display();
        instance.prepare(&format!(
            "echo secret >password && $run {programs_text}/initdb -D data -U admin --pwfile=password \
             -A scram-sha-256 --no-sync -E UTF8 --locale=C.UTF-8"
        ));
        instance.start(|port| command(&programs, port), ready);
        let server = Self { instance, programs };
        // Gulou has to do with the rights of an ordinary user.
        server.execute(&server.admin(), "create role gulou login password 'secret'");
        server
    }

    /// Makes an empty database; answers its URL, with the user and the password.
    pub(crate) fn database(&self) -> String {
        let name = super::fresh_name();
        self.execute(&self.admin(), &format!("create database {name} owner gulou"));
        format!("postgres://gulou:secret@127.0.0.1:{}/{name}", self.port())
    }

    /// The URL of the superuser, in a database that no test uses.
    pub(crate) fn admin(&self) -> String {
        format!("postgres://admin:secret@127.0.0.1:{}/postgres", self.port())
    }

    pub(crate) fn port(&self) -> u16 {
        self.instance.port
    }

    /// The file (PEM) of the CA that signed the server's certificate, for 127.0.0.1 and localhost.
    pub(crate) fn ca(&self) -> &Path {
        &self.instance.ca
    }

    /// The folder of all that belongs to the server, and its main process.
    pub(crate) fn place(&self) -> (&Path, u32) {
        (&self.instance.folder, self.instance.running())
    }

    /// Runs SQL as the user of the URL; answers the rows, a line each, columns parted by `|`.
    #[track_caller]
    pub(crate) fn execute(&self, url: &str, sql: &str) -> String {
        client::succeed(sql, self.try_execute(url, sql))
    }

    /// The same; a failure answers what the client says.
    #[expect(clippy::unused_self, reason = "the same call for both servers")]
    pub(crate) fn try_execute(&self, url: &str, sql: &str) -> Result<String, String> {
        client::run(Command::new("psql").args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", url]), sql)
    }

    /// Ends all connections of the user gulou, and waits until they have ended.
    pub(crate) fn terminate_connections(&self) {
        self.execute(
            &self.admin(),
            "select pg_terminate_backend(pid, 60000) from pg_stat_activity where usename = 'gulou'",
        );
    }

    /// SIGKILL to all its processes at once.
    pub(crate) fn kill(&mut self) {
        self.instance.kill();
        // A killed server leaves a piece of shared memory (the seventh line says which) to the next start. There may be
        // none, and nothing of ours shall stay. With the file goes what said that the server was ready.
        let file = self.instance.folder.join("data/postmaster.pid");
        let text = fs::read_to_string(&file).unwrap();
        if let Some(id) = text.lines().nth(6).and_then(|line| line.split_whitespace().nth(1)) {
            self.instance.prepare(&format!("ipcrm -m {id}"));
        }
        fs::remove_file(file).unwrap();
    }

    /// Ends it in order, without waiting for its clients.
    pub(crate) fn stop(&mut self) {
        self.instance.stop("INT");
    }

    /// Starts it again after [`kill`](Self::kill) or [`stop`](Self::stop), on the same port.
    pub(crate) fn restart(&mut self) {
        let command = command(&self.programs, self.instance.port);
        self.instance.restart(&command, ready);
    }
}

/// Debian keeps the server's programs out of `PATH`, in a folder for each version.
fn programs() -> PathBuf {
    let version = |folder: &Path| -> Option<u32> { folder.file_name()?.to_str()?.parse().ok() };
    let debian = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|folder| folder.join("bin/initdb").is_file())
        .max_by_key(|folder| version(folder))
        .map(|folder| folder.join("bin"));
    debian
        .or_else(|| Some(find("initdb")?.parent()?.to_owned()))
        .unwrap_or_else(|| panic!("PostgreSQL is not installed: ./scripts/test.sh installs it"))
}

fn command(programs: &Path, port: u16) -> String {
    // Only the size is that of a test: what is committed is on disk.
    format!(
        "{}/postgres -D data -p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= \
         -c fsync=on -c synchronous_commit=on -c full_page_writes=on \
         -c shared_buffers=16MB -c max_connections=100 -c dynamic_shared_memory_type=mmap -c timezone=UTC \
         -c ssl=on -c ssl_cert_file=../server.pem -c ssl_key_file=../server.key",
        programs.display()
    )
}

/// It writes its state into its lock file, which may be one that an earlier process left.
fn ready(instance: &Instance, server: u32) -> bool {
    let text = fs::read_to_string(instance.folder.join("data/postmaster.pid")).unwrap_or_default();
    let mut lines = text.lines();
    lines.next() == Some(&server.to_string()) && lines.nth(6).is_some_and(|state| state.trim() == "ready")
}
