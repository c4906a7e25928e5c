//! Waiting for an effect that announces itself to nobody.

use std::time::Duration;

use gulou::clock::Clock;

use super::PATIENCE;

/// Asks again and again until `probe` answers something, and panics with `what` after [`PATIENCE`].
///
/// For effects that can only be looked at, such as rows in a database that another process writes.
pub(crate) fn eventually<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let clock = Clock::system();
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(clock.monotonic() < PATIENCE, "waited {PATIENCE:?} in vain for {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}
