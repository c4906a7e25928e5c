//! What an exit status means, in words.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

/// Completes "the program …". None for exit code 0.
pub fn describe_failure(status: Option<ExitStatus>) -> Option<String> {
    let Some(status) = status else {
        return Some("hangs in the kernel and could not be ended".to_owned());
    };
    if let Some(signal) = status.signal() {
        let hint = match signal {
            9 => " (by hand, or because memory ran out)",
            24 => " (its limit of processor time)",
            6 => " (it gave up by itself; its output may say why)",
            _ => "",
        };
        return Some(format!("was killed by {}{hint}", signal_name(signal)));
    }
    match status.code() {
        Some(0) => None,
        Some(code) => Some(format!("exited with code {code}")),
        None => Some("ended in an unknown way".to_owned()),
    }
}

/// Linux numbers that are the same on all of its common architectures; signal(7).
fn signal_name(signal: i32) -> String {
    let name = match signal {
        1 => "SIGHUP",
        2 => "SIGINT",
        3 => "SIGQUIT",
        4 => "SIGILL",
        5 => "SIGTRAP",
        6 => "SIGABRT",
        8 => "SIGFPE",
        9 => "SIGKILL",
        11 => "SIGSEGV",
        13 => "SIGPIPE",
        14 => "SIGALRM",
        15 => "SIGTERM",
        24 => "SIGXCPU",
        25 => "SIGXFSZ",
        _ => return format!("signal {signal}"),
    };
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_signals_are_told_apart() {
        let describe = |raw| describe_failure(Some(ExitStatus::from_raw(raw)));
        assert_eq!(describe(0), None);
        assert_eq!(describe(3 << 8).as_deref(), Some("exited with code 3"));
        assert_eq!(describe(11).as_deref(), Some("was killed by SIGSEGV"));
        assert_eq!(describe(50).as_deref(), Some("was killed by signal 50"));
    }
}
