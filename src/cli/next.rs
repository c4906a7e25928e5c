//! `gulou next`.

use std::io::{self, BufWriter, Write};

use clap::Args;

use super::{exit, times};
use crate::schedule::Schedule;

const EXAMPLES: &str = "\
Examples:
  gulou next '*/5 * 9-12 * * * *'
  gulou next --count 3 --after 2026-01-01T00:00:00+08:00 --tz America/New_York --json '0 30 17 * * FRI *'
  gulou next --previous '@every 90m'

The times are those strictly later than --after (with --previous: strictly earlier, newest first), fewer when the \
schedule runs out. Exit code 2, and nothing on stdout, when the schedule, the zone, the time or the count is invalid.";

/// Print the next fire times of a schedule
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Next {
    /// Seven cron fields (second minute hour day-of-month month day-of-week year), `@every …` or `@at …`
    #[arg(value_name = "EXPR", allow_hyphen_values = true)]
    expression: String,

    /// How many times to print, at least 1
    #[arg(short = 'n', long, value_name = "N", default_value = "5", allow_hyphen_values = true)]
    count: String,

    /// The instant to start from, in RFC 3339; fractions of a second are dropped [default: now]
    #[arg(long, value_name = "RFC3339", allow_hyphen_values = true)]
    after: Option<String>,

    /// The IANA time zone whose clock the schedule follows
    #[arg(long, value_name = "ZONE", default_value = "Asia/Shanghai", allow_hyphen_values = true)]
    tz: String,

    /// Print the times before --after instead, newest first
    #[arg(long)]
    previous: bool,

    /// Print one JSON array of RFC 3339 strings
    #[arg(long)]
    json: bool,
}

impl Next {
    pub(super) fn run(self) -> anyhow::Result<u8> {
        match self.ask() {
            Ok(question) => {
                let mut out = BufWriter::new(io::stdout().lock());
                match question.answer(self.json, &mut out).and_then(|()| out.flush()) {
                    Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
                    _ => Ok(exit::OK),
                }
            }
            Err(message) => {
                eprintln!("{message}");
                Ok(exit::USAGE)
            }
        }
    }

    /// Reads the arguments here, not in clap, so that a wrong one costs one line that says what to write.
    fn ask(&self) -> Result<Question, String> {
        let count = match self.count.parse() {
            Ok(count) if count > 0 => count,
            _ => {
                return Err(format!(
                    "--count: `{}` is not a whole number from 1 on",
                    self.count.escape_debug()
                ));
            }
        };
        let (schedule, after) =
            times::schedule(&self.expression, &self.tz, self.after.as_deref(), self.json)?;
        Ok(Question { schedule, after, count, previous: self.previous })
    }
}

struct Question {
    schedule: Schedule,
    after: i64,
    count: u64,
    previous: bool,
}

impl Question {
    /// Writes each time as it is found: the count may be large.
    fn answer(&self, json: bool, out: &mut impl Write) -> io::Result<()> {
        let mut at = self.after;
        let mut found = 0;
        if json {
            out.write_all(b"[")?;
        }
        while found < self.count {
            let following = if self.previous { self.schedule.previous(at) } else { self.schedule.next(at) };
            let Some(unix) = following else { break };
            let time = times::rfc3339(unix, self.schedule.timezone());
            match (json, found) {
                (true, 0) => write!(out, "\"{time}\"")?,
                (true, _) => write!(out, ",\"{time}\"")?,
                (false, _) => writeln!(out, "{time}")?,
            }
            at = unix;
            found += 1;
        }
        if json {
            out.write_all(b"]\n")?;
        }
        if !json && found == 0 {
            eprintln!("no fire time {} this", if self.previous { "before" } else { "after" });
        }
        Ok(())
    }
}
