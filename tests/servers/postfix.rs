//! A private Postfix: it takes mail for a list of people, and delivers it into a Maildir for each.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::instance::{Instance, Kind};

static KIND: Kind = Kind {
    name: "Postfix",
    // Its master runs as root, and lends its services to Debian's user `postfix` itself.
    user: "root",
    programs: &["postconf"],
    // It ends its whole process group.
    end_signal: "TERM",
};

/// The domain whose mail it takes.
pub(crate) const DOMAIN: &str = "ex.test";

/// The most bytes of a mail that it takes.
pub(crate) const MOST_BYTES: usize = 50_000;

/// Where Debian keeps the services.
const SERVICES: &str = "/usr/lib/postfix/sbin";

/// Nobody's: mail is delivered as this user.
const OWNER: u32 = 65_534;

/// The services that taking and delivering mail needs, none of them in a chroot.
const MASTER: &str = "cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
error unix - - n - - error
retry unix - - n - - error
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
postlog unix-dgram n - n - 1 postlogd
";

const QUEUES: &str = "active bounce corrupt defer deferred flush hold incoming private public saved trace";

/// A running Postfix; stopped and removed when dropped.
pub(crate) struct Postfix {
    instance: Instance,
}

impl Postfix {
    /// Starts a server of the test's own, which knows `people` of [`DOMAIN`], by the part before the `@`. It offers
    /// STARTTLS.
    pub(crate) fn start(people: &[String]) -> Self {
        for service in ["master", "smtpd", "virtual"] {
            assert!(
                Path::new(SERVICES).join(service).is_file(),
                "Postfix is not installed (no {SERVICES}/{service}): ./scripts/test.sh installs it"
            );
        }
        assert!(
            fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0),
            "this test starts Postfix, which runs as root only: ./scripts/test.sh leaves it out for other users"
        );
        let mut instance = Instance::new(&KIND);
        let folder = &instance.folder;
        let maildir = |who: &String| format!("{who}@{DOMAIN} {who}/\n");
        fs::write(folder.join("people"), people.iter().map(maildir).collect::<Vec<_>>().concat()).unwrap();
        fs::write(folder.join("main.cf"), settings(folder)).unwrap();
        // The folder itself is for root alone, and Postfix's users have to get through it.
        instance.prepare(&format!(
            "chmod 711 . && mkdir -p queue/pid data mail && (cd queue && mkdir {QUEUES} && chown postfix {QUEUES} && \
             chmod 700 private) && chown postfix data && chown {OWNER}:{OWNER} mail"
        ));
        let master = |port| {
            let listener = format!("127.0.0.1:{port} inet n - n - - smtpd");
            format!(
                "sh -c '(echo \"{listener}\"; cat services) >master.cf; exec {SERVICES}/master -c \"$PWD\" -s'"
            )
        };
        fs::write(instance.folder.join("services"), MASTER).unwrap();
        instance.start(master, ready);
        Self { instance }
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

    /// The mails that were delivered to `who`, as they lie in the Maildir.
    pub(crate) fn delivered(&self, who: &str) -> Vec<Vec<u8>> {
        let new = self.instance.folder.join("mail").join(who).join("new");
        // There is none before the first mail.
        let entries = fs::read_dir(new).into_iter().flatten();
        entries.map(|entry| fs::read(entry.unwrap().path()).unwrap()).collect()
    }

    /// Mails that were taken and are not delivered yet.
    pub(crate) fn queued(&self) -> usize {
        let queue = |name| fs::read_dir(self.instance.folder.join("queue").join(name)).unwrap().count();
        ["incoming", "active", "deferred"].map(queue).iter().sum()
    }

    /// What it has logged so far.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.instance.folder.join("server.log")).unwrap()
    }
}

/// Nothing of the system's own Postfix is in it.
fn settings(folder: &Path) -> String {
    let folder = folder.display();
    format!(
        "compatibility_level = 3.6
         queue_directory = {folder}/queue
         data_directory = {folder}/data
         daemon_directory = {SERVICES}
         maillog_file = {folder}/server.log
         maillog_file_prefixes = {folder}
         myhostname = mx.{DOMAIN}
         mydestination =
         mynetworks = 127.0.0.0/8
         inet_interfaces = 127.0.0.1
         inet_protocols = ipv4
         local_recipient_maps =
         alias_maps =
         alias_database =
         virtual_mailbox_domains = {DOMAIN}
         virtual_mailbox_base = {folder}/mail
         virtual_mailbox_maps = texthash:{folder}/people
         virtual_uid_maps = static:{OWNER}
         virtual_gid_maps = static:{OWNER}
         message_size_limit = {MOST_BYTES}
         smtpd_tls_security_level = may
         smtpd_tls_cert_file = {folder}/server.pem
         smtpd_tls_key_file = {folder}/server.key
         smtpd_tls_loglevel = 1
         "
    )
    // A line that begins with a space goes on with the one before.
    .replace("\n         ", "\n")
}

/// It says so in its log, once it listens.
fn ready(instance: &Instance, _: u32) -> bool {
    let log = fs::read_to_string(instance.folder.join("server.log")).unwrap_or_default();
    log.contains("daemon started")
}
