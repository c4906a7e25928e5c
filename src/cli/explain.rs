//! `gulou explain`.

use std::fmt::Write as _;
use std::io::{self, Write as _};

use chrono::{DateTime, Datelike, Days, NaiveDate};
use clap::{Args, ValueEnum};
use serde_json::json;

use super::{exit, times};
use crate::schedule::{Language, LintFacts, Schedule};

const EXAMPLES: &str = "\
Examples:
  gulou explain '* 30 17 * * FRI *'
  gulou explain --lang zh --after 2026-01-01T00:00:00+08:00 '0 0 9 1,15 * * *'

In the calendar, [ ] marks the days on which the schedule fires. Exit code 2 when the schedule, the zone or the time is \
invalid.";

/// Say in words when a schedule fires, and what may not be meant
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Explain {
    /// Seven cron fields (second minute hour day-of-month month day-of-week year), `@every …` or `@at …`
    #[arg(value_name = "EXPR", allow_hyphen_values = true)]
    expression: String,

    /// The language [default: zh when LANG is Chinese, else en]
    #[arg(long)]
    lang: Option<Lang>,

    /// The instant to start from, in RFC 3339 [default: now]
    #[arg(long, value_name = "RFC3339")]
    after: Option<String>,

    /// The IANA time zone whose clock the schedule follows
    #[arg(long, value_name = "ZONE", default_value = "Asia/Shanghai")]
    tz: String,

    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Lang {
    En,
    Zh,
}

/// How many fire times are shown.
const SHOWN: usize = 5;

impl Explain {
    pub(super) fn run(self) -> anyhow::Result<u8> {
        let (schedule, after) =
            match times::schedule(&self.expression, &self.tz, self.after.as_deref(), self.json) {
                Ok(question) => question,
                Err(message) => {
                    eprintln!("{message}");
                    return Ok(exit::USAGE);
                }
            };
        let answer = Answer::of(&schedule, after);
        let text = if self.json {
            format!("{}\n", answer.json(&self.expression, &schedule))
        } else {
            answer.text(&schedule, self.language())
        };
        match io::stdout().write_all(text.as_bytes()) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
            _ => Ok(exit::OK),
        }
    }

    fn language(&self) -> Language {
        match self.lang {
            Some(Lang::Zh) => Language::Chinese,
            None if std::env::var("LANG").is_ok_and(|lang| lang.starts_with("zh")) => Language::Chinese,
            Some(Lang::En) | None => Language::English,
        }
    }
}

struct Answer {
    next: Vec<i64>,
    /// The month of the first fire.
    month: Option<NaiveDate>,
    lints: Vec<crate::schedule::Lint>,
}

impl Answer {
    fn of(schedule: &Schedule, after: i64) -> Self {
        let next: Vec<i64> =
            std::iter::successors(schedule.next(after), |at| schedule.next(*at)).take(SHOWN).collect();
        let month = next
            .first()
            .and_then(|unix| DateTime::from_timestamp(*unix, 0))
            .and_then(|time| time.with_timezone(&schedule.timezone()).date_naive().with_day(1));
        let lints = schedule.lints(&LintFacts { now: after, ..LintFacts::default() });
        Self { next, month, lints }
    }

    fn json(&self, expression: &str, schedule: &Schedule) -> serde_json::Value {
        let zone = schedule.timezone();
        let lints: Vec<_> = self
            .lints
            .iter()
            .map(|lint| json!({ "code": lint.code, "en": lint.en, "zh": lint.zh }))
            .collect();
        json!({
            "expression": expression,
            "timezone": zone.name(),
            "en": schedule.explain(Language::English),
            "zh": schedule.explain(Language::Chinese),
            "next": self.next.iter().map(|unix| times::rfc3339(*unix, zone)).collect::<Vec<_>>(),
            "month": self.month.map(|month| json!({
                "month": month.format("%Y-%m").to_string(),
                "days": schedule.fire_days(month.year(), month.month()),
            })),
            "lints": lints,
        })
    }

    fn text(&self, schedule: &Schedule, language: Language) -> String {
        let zone = schedule.timezone();
        let sentence = schedule.explain(language);
        let words = Words::of(language);
        let mut text = match language {
            Language::English => format!("Fires {sentence} ({zone}).\n"),
            Language::Chinese => format!("触发时间：{sentence}（{zone}）。\n"),
        };
        text.push('\n');
        if self.next.is_empty() {
            text.push_str(words.never);
            text.push('\n');
        } else {
            text.push_str(words.next);
            text.push('\n');
        }
        for unix in &self.next {
            let utc = DateTime::from_timestamp(*unix, 0).unwrap_or_default();
            let local = utc.with_timezone(&zone);
            let weekday = words.weekdays[local.weekday().num_days_from_monday() as usize];
            let _ = writeln!(
                text,
                "  {} {weekday} {}  ({})",
                local.format("%Y-%m-%d"),
                local.format("%H:%M:%S %:z"),
                utc.format("%Y-%m-%dT%H:%M:%SZ")
            );
        }
        if let Some(month) = self.month {
            text.push('\n');
            text.push_str(&calendar(
                month,
                &schedule.fire_days(month.year(), month.month()),
                &words,
                language,
            ));
        }
        for (index, lint) in self.lints.iter().enumerate() {
            let said = if language == Language::English { &lint.en } else { &lint.zh };
            let gap = if index == 0 { "\n" } else { "" };
            let _ = writeln!(text, "{gap}{}{said} [{}]", words.warning, lint.code);
        }
        text
    }
}

struct Words {
    next: &'static str,
    never: &'static str,
    warning: &'static str,
    /// Monday first.
    weekdays: [&'static str; 7],
}

impl Words {
    const fn of(language: Language) -> Self {
        match language {
            Language::English => Self {
                next: "Next:",
                never: "It never fires after that time.",
                warning: "warning: ",
                weekdays: ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"],
            },
            Language::Chinese => Self {
                next: "接下来：",
                never: "在那之后不会再触发。",
                warning: "警告：",
                weekdays: ["周一", "周二", "周三", "周四", "周五", "周六", "周日"],
            },
        }
    }
}

/// A month, Monday first, five columns a day.
fn calendar(first: NaiveDate, days: &[u32], words: &Words, language: Language) -> String {
    let mut text = match language {
        Language::English => format!("  {}\n ", first.format("%B %Y")),
        Language::Chinese => format!("  {} 年 {} 月\n ", first.year(), first.month()),
    };
    // A Chinese character takes two columns: both kinds of names end in the column of the second digit.
    let names = words
        .weekdays
        .map(|name| if language == Language::English { format!("  {name}") } else { format!(" {name}") });
    text.push_str(&names.concat());
    text.push('\n');
    let mut line = " ".repeat(1 + 5 * first.weekday().num_days_from_monday() as usize);
    for date in first.iter_days().take_while(|date| date.month() == first.month()) {
        let day = date.day();
        let _ = if days.contains(&day) { write!(line, " [{day:2}]") } else { write!(line, "  {day:2} ") };
        let ends = date + Days::new(1);
        if ends.weekday() == chrono::Weekday::Mon || ends.month() != date.month() {
            text.push_str(line.trim_end());
            text.push('\n');
            line.clear();
            line.push(' ');
        }
    }
    text
}
