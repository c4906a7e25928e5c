//! How far a batch is, for people: a line for `status`, a bar below what `fire` prints on a terminal.

use std::fmt::Write as _;
use std::io::{IsTerminal as _, Stderr, Write};
use std::pin::pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::TimeDelta;

use super::times::span;
use crate::run::HowFar;
use crate::server::wire;

/// Between two drawings.
const REDRAW: Duration = Duration::from_millis(200);
/// The bar before the first row, and after the last.
const EMPTY: &str = "........................";
const FULL: &str = "########################";

/// `600 sent, 2 failed, 312/s, 9000 remaining, 33 s left`.
pub(super) fn text(progress: &wire::Progress) -> String {
    let wire::Progress { sent, failed, retrying, remaining, rate, left_ms, .. } = progress;
    let mut text = format!("{sent} sent");
    for (count, what) in [(failed, "failed"), (retrying, "retrying")] {
        if *count > 0 {
            let _ = write!(text, ", {count} {what}");
        }
    }
    let _ = if *rate < 10.0 { write!(text, ", {rate}/s") } else { write!(text, ", {rate:.0}/s") };
    if let Some(rows) = remaining {
        let _ = write!(text, ", {rows} remaining");
    }
    if let Some(millis) = left_ms {
        // Rounded up: what goes on is not over.
        let seconds = i64::try_from(millis.div_ceil(1000)).unwrap_or(i64::MAX);
        let _ = write!(text, ", {} left", span(TimeDelta::try_seconds(seconds).unwrap_or(TimeDelta::MAX)));
    }
    text
}

/// The same with a bar in front, if the end is known.
fn bar(how_far: HowFar) -> String {
    let counts = how_far.counts;
    let text = text(&how_far.into());
    let Some(to_come) = counts.to_come else { return text };
    let all = (counts.taken + to_come).max(1);
    let settled = counts.settled.min(all);
    let part = |of: usize| {
        let part = u128::from(settled) * of as u128 / u128::from(all);
        usize::try_from(part).unwrap_or(of).min(of)
    };
    let cells = part(FULL.len());
    format!("[{}{}] {:>3}%  {text}", &FULL[..cells], &EMPTY[cells..], part(100))
}

/// The last line of a terminal, which is rewritten in place; other lines are printed above it.
#[derive(Debug)]
pub(super) struct Bar<W>(Mutex<Line<W>>);

#[derive(Debug)]
struct Line<W> {
    terminal: W,
    shown: bool,
}

impl Bar<Stderr> {
    /// None when the standard error is no terminal that can rewrite a line.
    pub(super) fn of_stderr() -> Option<Self> {
        let can = std::env::var("TERM").is_ok_and(|name| !name.is_empty() && name != "dumb");
        (can && std::io::stderr().is_terminal()).then(|| Self::new(std::io::stderr()))
    }
}

impl<W: Write> Bar<W> {
    fn new(terminal: W) -> Self {
        Self(Mutex::new(Line { terminal, shown: false }))
    }

    /// Draws what `look` finds until `work` is done.
    pub(super) async fn during<T>(
        &self,
        work: impl Future<Output = T>,
        look: impl Fn() -> Option<HowFar>,
    ) -> T {
        let mut work = pin!(work);
        let mut redraw = tokio::time::interval(REDRAW);
        redraw.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                done = &mut work => {
                    self.aside(|| {});
                    return done;
                }
                _ = redraw.tick() => if let Some(how_far) = look() {
                    self.draw(how_far);
                }
            }
        }
    }

    /// Prints with the bar out of the way; the next drawing brings it back.
    pub(super) fn aside<T>(&self, print: impl FnOnce() -> T) -> T {
        let mut line = self.line();
        if std::mem::take(&mut line.shown) {
            let _ = write!(line.terminal, "\r\x1b[K").and_then(|()| line.terminal.flush());
        }
        print()
    }

    fn draw(&self, how_far: HowFar) {
        let mut line = self.line();
        line.shown = true;
        // Without the wrap at the margin, a narrow terminal cuts the line off and it stays one line.
        let drawn = write!(line.terminal, "\r\x1b[?7l{}\x1b[K\x1b[?7h", bar(how_far));
        let _ = drawn.and_then(|()| line.terminal.flush());
    }

    fn line(&self) -> MutexGuard<'_, Line<W>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::run::Counts;

    fn how_far(settled: u64, to_come: Option<u64>) -> HowFar {
        let (taken, remaining) = (settled + 10, to_come);
        let counts = Counts { taken, sent: settled, failed: 0, retrying: 0, settled, remaining, to_come };
        HowFar { counts, rate: 312.4, left: to_come.map(|rows| Duration::from_millis(100 * rows)) }
    }

    #[test]
    fn a_line_says_what_is_known() {
        let progress = |failed, retrying, remaining, rate, left_ms| {
            text(&wire::Progress { taken: 700, sent: 600, failed, retrying, remaining, rate, left_ms })
        };
        assert_eq!(progress(0, 0, None, 0.0, None), "600 sent, 0/s");
        assert_eq!(
            progress(2, 1, Some(9000), 9.5, Some(33_001)),
            "600 sent, 2 failed, 1 retrying, 9.5/s, 9000 remaining, 34 s left"
        );
        assert_eq!(progress(0, 0, Some(0), 312.4, Some(0)), "600 sent, 312/s, 0 remaining, 0 s left");
        assert!(progress(0, 0, None, 0.1, Some(u64::MAX)).contains(" d "));
    }

    #[test]
    fn a_bar_fills_up() {
        let rest = |rows| format!("312/s, {rows} remaining");
        assert_eq!(
            bar(how_far(0, Some(990))),
            format!("[........................]   0%  0 sent, {}, 1 m 39 s left", rest(990))
        );
        assert_eq!(
            bar(how_far(500, Some(490))),
            format!("[############............]  50%  500 sent, {}, 49 s left", rest(490))
        );
        let end = HowFar { counts: Counts { taken: 7, ..how_far(7, Some(0)).counts }, ..how_far(7, Some(0)) };
        assert!(bar(end).starts_with("[########################] 100%  7 sent, "), "{}", bar(end));
        assert_eq!(bar(how_far(5, None)), "5 sent, 312/s");
    }

    #[test]
    fn other_lines_go_above_the_bar_and_nothing_of_it_stays() {
        let bar = Bar::new(Vec::new());
        bar.aside(|| {});
        assert!(bar.line().terminal.is_empty());
        bar.draw(how_far(5, None));
        bar.aside(|| {});
        bar.aside(|| {});
        let written = String::from_utf8(bar.line().terminal.clone()).unwrap();
        assert_eq!(written, "\r\x1b[?7l5 sent, 312/s\x1b[K\x1b[?7h\r\x1b[K");
    }

    #[tokio::test]
    async fn the_bar_is_drawn_five_times_a_second_and_no_longer_than_the_work() {
        let (bar, clock) = (Bar::new(Vec::new()), Clock::system());
        let (looked, mut looks) = tokio::sync::watch::channel(0);
        let look = || {
            looked.send_modify(|looks| *looks += 1);
            (*looked.borrow() > 1).then(|| how_far(5, None))
        };
        let work = looks.wait_for(|looks| *looks == 4);
        assert_eq!(*bar.during(work, look).await.unwrap(), 4);
        assert!(clock.monotonic() >= 3 * REDRAW);
        let written = String::from_utf8(bar.line().terminal.clone()).unwrap();
        assert_eq!(written.matches("5 sent").count(), 3);
        assert!(written.ends_with("\r\x1b[K"));
    }
}
