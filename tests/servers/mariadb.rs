//! A private MariaDB.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::client;
use super::instance::{Instance, Kind};

static KIND: Kind = Kind {
    name: "MariaDB",
    user: "mysql",
    programs: &["mariadbd", "mariadb-install-db", "mariadb"],
    end_signal: "KILL",
};

/// A running MariaDB; stopped and removed when dropped.
pub(crate) struct MariaDb {
    instance: Instance,
}

impl MariaDb {
    /// Starts a server of the test's own: data that a crash must not take is synced to disk.
    pub(crate) fn start() -> Self {
        let mut instance = Instance::new(&KIND);
        // Gulou gets the rights of an ordinary user, on the databases that tests make.
        let users = "create user admin identified via mysql_native_password using password('secret');\n\
                     grant all on *.* to admin with grant option;\n\
                     create user gulou identified via mysql_native_password using password('secret');\n\
                     grant all on `db\\_%`.* to gulou;\n";
        instance.prepare(
            // What the installation writes need not survive a crash: the server begins with a checkpoint.
            "$run mariadb-install-db --no-defaults --datadir=\"$PWD/data\" --skip-test-db \
             --auth-root-authentication-method=normal --tmpdir=\"$PWD\" --innodb-log-file-size=16M \
             --innodb-flush-method=nosync --innodb-doublewrite=0",
        );
        fs::write(instance.folder.join("users.sql"), users).unwrap();
        instance.start(|port| format!("{} --init-file=\"$PWD/users.sql\"", command(port)), ready);
        Self { instance }
    }

    /// Makes an empty database; answers its URL, with the user and the password.
    pub(crate) fn database(&self) -> String {
        let name = super::fresh_name();
        self.execute(&self.admin(), &format!("create database {name} character set utf8mb4"));
        format!("mysql://gulou:secret@127.0.0.1:{}/{name}", self.port())
    }

    /// The URL of the administrator, in a database that no test uses.
    pub(crate) fn admin(&self) -> String {
        format!("mysql://admin:secret@127.0.0.1:{}/mysql", self.port())
    }

    pub(crate) fn port(&self) -> u16 {
        self.instance.port
    }

    /// The file (PEM) of the CA that signed the server's certificate, for 127.0.0.1 and localhost.
    pub(crate) fn ca(&self) -> &Path {
        &self.instance.ca
    }

    /// The folder of all that belongs to the server, and its process.
    pub(crate) fn place(&self) -> (&Path, u32) {
        (&self.instance.folder, self.instance.running())
    }

    /// Runs SQL as the user of the URL; answers the rows, a line each, columns parted by tabs.
    #[track_caller]
    pub(crate) fn execute(&self, url: &str, sql: &str) -> String {
        client::succeed(sql, self.try_execute(url, sql))
    }

    /// The same; a failure answers what the client says.
    #[expect(clippy::unused_self, reason = "the same call for both servers")]
    pub(crate) fn try_execute(&self, url: &str, sql: &str) -> Result<String, String> {
        let [user, password, host, port, database] = super::parts(url);
        let mut client = Command::new("mariadb");
        client.args(["--no-defaults", "--protocol=tcp", "--default-character-set=utf8mb4", "-N", "-B"]);
        client.args(["-h", host, "-P", port, "-u", user, database]).env("MYSQL_PWD", password);
        client::run(&mut client, sql)
    }

    /// Ends all connections of the user gulou, and waits until they have ended.
    pub(crate) fn terminate_connections(&self) {
        let ids = "select id from information_schema.processlist where user = 'gulou'";
        let before = self.execute(&self.admin(), ids);
        self.execute(&self.admin(), "kill connection user gulou");
        let left = |id: &str| self.execute(&self.admin(), ids).lines().any(|other| other == id);
        for id in before.lines() {
            while left(id) {
                std::thread::sleep(std::time::Duration::from_millis(2));
            }
        }
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        self.instance.kill();
    }

    /// Ends it in order, without waiting for its clients.
    pub(crate) fn stop(&mut self) {
        self.instance.stop("TERM");
    }

    /// Starts it again after [`kill`](Self::kill) or [`stop`](Self::stop), on the same port.
    pub(crate) fn restart(&mut self) {
        let command = command(self.instance.port);
        self.instance.restart(&command, ready);
    }
}

fn command(port: u16) -> String {
    // Only the size is that of a test: what is committed is on disk.
    format!(
        "mariadbd --no-defaults --datadir=\"$PWD/data\" --bind-address=127.0.0.1 --port={port} \
         --socket=\"$PWD/socket\" --tmpdir=\"$PWD\" --skip-name-resolve --max-connections=100 \
         --innodb-flush-log-at-trx-commit=1 --innodb-doublewrite=1 \
         --innodb-buffer-pool-size=16M --innodb-log-file-size=16M --key-buffer-size=1M \
         --aria-pagecache-buffer-size=8M --performance-schema=0 \
         --character-set-server=utf8mb4 --default-time-zone=+00:00 \
         --ssl-ca=\"$PWD/ca.pem\" --ssl-cert=\"$PWD/server.pem\" --ssl-key=\"$PWD/server.key\""
    )
}

/// It says so in its log, which begins anew with every start.
fn ready(instance: &Instance, _: u32) -> bool {
    fs::read_to_string(instance.folder.join("server.log"))
        .unwrap_or_default()
        .contains("ready for connections")
}
