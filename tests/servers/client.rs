//! Runs SQL through the client programs of the servers.

use std::io::Write;
use std::process::{Command, Stdio};

/// Gives `sql` to a client on its stdin; answers its stdout, or its stderr when it failed.
pub(super) fn run(client: &mut Command, sql: &str) -> Result<String, String> {
    let mut process = client
        .env("LC_ALL", "C.UTF-8")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = process.stdin.take().unwrap();
    let output = std::thread::scope(|scope| {
        // A client that could not connect reads nothing: its stderr says more than the broken pipe.
        scope.spawn(move || stdin.write_all(sql.as_bytes()));
        process.wait_with_output().unwrap()
    });
    let text = |bytes| String::from_utf8(bytes).unwrap();
    if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
}

/// Fails the test with what the server said.
#[track_caller]
pub(super) fn succeed(sql: &str, ran: Result<String, String>) -> String {
    ran.unwrap_or_else(|stderr| panic!("{stderr}--- in\n{sql}"))
}
