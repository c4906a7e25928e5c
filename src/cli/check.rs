//! `gulou check`: everything that is wrong with the configuration, at once.

mod statements;
mod tables;

use std::io::Write as _;

use anyhow::Context as _;
use clap::Args;
use serde_json::{Value, json};
use tokio::runtime::Builder;

use super::{ConfigArg, exit};
use crate::clock::Clock;
use crate::config::{self, Diagnostic, Severity};
use crate::settings::Settings;

/// Check the configuration and every function folder, and say all that is wrong
///
/// Looks into the databases as well, read-only: tables, keys, columns, conditions. Exit code 0 when the
/// configuration can be used (warnings are allowed), 3 when it cannot.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  gulou check --config config.example.json")]
pub(super) struct Check {
    #[command(flatten)]
    config: ConfigArg,
    /// Print one JSON object: errors and warnings with file, line, column and JSON path
    #[arg(long)]
    json: bool,
}

impl Check {
    pub(super) fn run(self) -> anyhow::Result<u8> {
        let (settings, mut errors, mut warnings) =
            match config::load(&self.config.config, Clock::system().now()) {
                Ok(loaded) => (Some(loaded.settings), Vec::new(), loaded.warnings),
                Err(invalid) => (None, invalid.errors, invalid.warnings),
            };
        if let Some(settings) = &settings {
            let runtime = Builder::new_current_thread().enable_all().build().context("could not start")?;
            let found = runtime.block_on(tables::check(settings, &self.config.config));
            let (wrong, odd): (Vec<_>, Vec<_>) =
                found.into_iter().partition(|found| found.severity == Severity::Error);
            errors.extend(wrong);
            warnings.extend(odd);
        }
        let mut out = std::io::stdout().lock();
        if self.json {
            writeln!(out, "{:#}", report(settings.as_ref(), &errors, &warnings))?;
        } else {
            for found in errors.iter().chain(&warnings) {
                writeln!(out, "{found}\n")?;
            }
            writeln!(out, "{}", summary(settings.as_ref(), errors.len(), warnings.len()))?;
        }
        Ok(if errors.is_empty() { exit::OK } else { exit::CONFIG })
    }
}

fn report(settings: Option<&Settings>, errors: &[Diagnostic], warnings: &[Diagnostic]) -> Value {
    let all = |found: &[Diagnostic]| found.iter().map(Diagnostic::to_json).collect::<Vec<_>>();
    json!({
        "ok": errors.is_empty(),
        "functions": settings.map(|settings| settings.functions.len()),
        "triggers": settings.map(triggers),
        "errors": all(errors),
        "warnings": all(warnings),
    })
}

fn triggers(settings: &Settings) -> usize {
    settings.functions.iter().map(|function| function.triggers.len()).sum()
}

fn summary(settings: Option<&Settings>, errors: usize, warnings: usize) -> String {
    let found = format!("{}, {}", count(errors, "error"), count(warnings, "warning"));
    settings.filter(|_| errors == 0).map_or_else(
        || format!("the configuration is invalid: {found}"),
        |settings| {
            let functions = count(settings.functions.len(), "function");
            format!(
                "the configuration is valid: {functions}, {}, {found}",
                count(triggers(settings), "trigger")
            )
        },
    )
}

fn count(number: usize, word: &str) -> String {
    format!("{number} {word}{}", if number == 1 { "" } else { "s" })
}
