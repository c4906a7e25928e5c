//! Sleeping until an instant on the wall clock.
//!
//! A timerfd on the real-time clock, not a relative sleep: the kernel fires it at the instant itself,
//! also after a suspend, and with cancel-on-set it tells at once when somebody sets the clock
//! (`man 2 timerfd_settime`). So the loop never polls and never oversleeps a clock change.

use std::io;

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use tokio::io::unix::AsyncFd;

/// Why a sleep ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wake {
    /// The instant has come.
    Due,
    /// The wall clock was set; the instant may lie anywhere now.
    ClockSet,
}

/// A timer that can be armed again and again.
#[derive(Debug)]
pub(super) struct Alarm {
    timer: AsyncFd<rustix::fd::OwnedFd>,
}

impl Alarm {
    /// Fails when the system is out of descriptors. Must be called within the tokio runtime.
    pub(super) fn new() -> io::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = timerfd_create(TimerfdClockId::Realtime, flags)?;
        #[expect(
            deprecated,
            reason = "its successor is unsafe, and asks only that the descriptor stays owned: an OwnedFd does"
        )]
        let timer = AsyncFd::new(timer)?;
        Ok(Self { timer })
    }

    /// Sleeps until `instant` (unix milliseconds), or for ever without one; wakes early when the clock
    /// is set. Safe to drop and call again.
    pub(super) async fn until(&self, instant: Option<i64>) -> io::Result<Wake> {
        // An instant that has passed fires at once; the year 9999 stands for never, so that the clock
        // being set is noticed all the same.
        let instant = instant.unwrap_or(253_402_300_799_000).max(1);
        let value = Timespec { tv_sec: instant / 1000, tv_nsec: (instant % 1000) * 1_000_000 };
        let interval = Timespec { tv_sec: 0, tv_nsec: 0 };
        let flags = TimerfdTimerFlags::ABSTIME | TimerfdTimerFlags::CANCEL_ON_SET;
        timerfd_settime(&self.timer, flags, &Itimerspec { it_interval: interval, it_value: value })?;
        loop {
            let mut guard = self.timer.readable().await?;
            let read = guard.try_io(|timer| {
                let mut expirations = [0_u8; 8];
                Ok(rustix::io::read(timer.get_ref(), &mut expirations)?)
            });
            match read {
                Ok(Ok(_)) => return Ok(Wake::Due),
                Ok(Err(error))
                    if error.raw_os_error() == Some(rustix::io::Errno::CANCELED.raw_os_error()) =>
                {
                    return Ok(Wake::ClockSet);
                }
                Ok(Err(error)) => return Err(error),
                Err(_would_block) => {}
            }
        }
    }
}
