//! What the code under test logs in the thread of the test.

use std::cell::RefCell;
use std::io;
use std::sync::Once;

thread_local! {
    static WRITTEN: RefCell<Option<Vec<u8>>> = const { RefCell::new(None) };
}

/// The lines that were logged since this was made, as long as it lives. Tokio's tests have one thread unless they say
/// otherwise.
pub(crate) struct Log {
    thread: std::thread::ThreadId,
}

impl Log {
    pub(crate) fn start() -> Self {
        // One for all threads: who logs first decides for all whether a line is looked at at all.
        static SUBSCRIBER: Once = Once::new();
        SUBSCRIBER.call_once(|| {
            let to_thread = tracing_subscriber::fmt().with_ansi(false).with_target(false).without_time();
            tracing::subscriber::set_global_default(to_thread.with_writer(|| ToThread).finish()).unwrap();
        });
        WRITTEN.set(Some(Vec::new()));
        Self { thread: std::thread::current().id() }
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        assert_eq!(self.thread, std::thread::current().id(), "this is the log of another thread");
        let written = WRITTEN.with_borrow(|written| written.clone().unwrap_or_default());
        String::from_utf8_lossy(&written).lines().map(|line| line.trim().to_owned()).collect()
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        WRITTEN.set(None);
    }
}

struct ToThread;

impl io::Write for ToThread {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        WRITTEN.with_borrow_mut(|written| {
            if let Some(written) = written {
                written.extend_from_slice(bytes);
            }
        });
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
