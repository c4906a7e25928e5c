//! The private servers of the tests keep what they promise.

use std::path::Path;
use std::process::Command;

use crate::servers::postfix::Postfix;
use crate::servers::{self, MariaDb, Postgres};
use crate::support::eventually;

fn lives(process: u32) -> bool {
    Path::new("/proc").join(process.to_string()).exists()
}

/// The same checks for both: they offer the same calls.
macro_rules! checks {
    ($module:ident, $Server:ident, $shared:path, $tls:ident, $sleep:literal) => {
        mod $module {
            use super::*;

            #[test]
            fn databases_are_empty_and_apart() {
                let server = $shared();
                let [one, other] = [server.database(), server.database()];
                server.execute(&one, "create table t (a int, b text)");
                server.execute(&one, "insert into t values (1, '鼓楼🥁')");
                server.execute(&other, "create table t (a int)");
                assert_eq!(server.execute(&one, "select b from t"), "鼓楼🥁\n");
                assert_eq!(server.execute(&other, "select count(*) from t"), "0\n");
            }

            #[test]
            fn a_wrong_password_and_wrong_sql_fail() {
                let server = $shared();
                let url = server.database();
                server.try_execute(&url.replace("secret", "wrong"), "select 1").unwrap_err();
                assert!(server.try_execute(&url, "select nonsense").unwrap_err().contains("nonsense"));
            }

            #[test]
            fn tls_is_served_under_the_ca() {
                let server = $shared();
                for name in ["127.0.0.1", "localhost"] {
                    let which = if name == "localhost" { "-verify_hostname" } else { "-verify_ip" };
                    let output = Command::new("openssl")
                        .args(["s_client", "-starttls", stringify!($tls), "-verify_return_error"])
                        .args([which, name, "-connect", &format!("127.0.0.1:{}", server.port())])
                        .arg("-CAfile")
                        .arg(server.ca())
                        .stdin(std::process::Stdio::null())
                        .output()
                        .unwrap();
                    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
                }
            }

            #[test]
            fn a_killed_server_keeps_what_was_committed_and_its_port() {
                let mut server = $Server::start();
                let url = server.database();
                server.execute(&url, "create table t (a int)");
                server.execute(&url, "insert into t values (7)");
                let (_, killed) = server.place();
                server.kill();
                assert!(!lives(killed));
                server.try_execute(&url, "select 1").unwrap_err();
                server.restart();
                assert_eq!(server.execute(&url, "select a from t"), "7\n");
                server.stop();
                server.try_execute(&url, "select 1").unwrap_err();
                server.restart();
                assert_eq!(server.execute(&url, "select a from t"), "7\n");
            }

            #[test]
            fn connections_are_terminated() {
                let server = $Server::start();
                let url = server.database();
                server.execute(&url, "create table t (a int)");
                std::thread::scope(|scope| {
                    // The insert says that the connection stands; it ends long before the sleep would.
                    let sql = concat!("insert into t values (1); select ", $sleep, "(3600)");
                    let long = scope.spawn(|| server.try_execute(&url, sql));
                    while server.execute(&url, "select count(*) from t") == "0\n" {
                        std::thread::yield_now();
                    }
                    server.terminate_connections();
                    long.join().unwrap().unwrap_err();
                });
                assert_eq!(server.execute(&url, "select count(*) from t"), "1\n");
            }

            #[test]
            fn nothing_stays_of_a_dropped_server() {
                let server = $Server::start();
                let (folder, process) = server.place();
                let folder = folder.to_owned();
                assert!(lives(process));
                drop(server);
                assert!(!lives(process));
                assert!(!folder.exists());
            }
        }
    };
}

checks!(postgres, Postgres, servers::postgres, postgres, "pg_sleep");
checks!(mariadb, MariaDb, servers::mariadb, mysql, "sleep");

#[test]
fn nothing_stays_of_a_dropped_postfix() {
    let server = Postfix::start(&["one".to_owned()]);
    let (folder, process) = server.place();
    let folder = folder.to_owned();
    assert!(lives(process));
    // Its services work in the folder of its queues.
    let queue = folder.join("queue");
    eventually("its services", || (working_in(&queue) > 1).then_some(()));
    drop(server);
    assert!(!folder.exists());
    assert!(!lives(process));
    eventually("the last service to go", || (working_in(&queue) == 0).then_some(()));
}

/// How many processes have a folder as their working directory, which may be gone.
fn working_in(folder: &Path) -> usize {
    let works = |entry: std::io::Result<std::fs::DirEntry>| {
        let cwd = std::fs::read_link(entry.ok()?.path().join("cwd")).ok()?;
        cwd.to_string_lossy().starts_with(&*folder.to_string_lossy()).then_some(())
    };
    std::fs::read_dir("/proc").unwrap().filter_map(works).count()
}
