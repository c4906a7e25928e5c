//! What a run would do, found without moving a mail or writing a row.

use std::path::Path;
use std::sync::Arc;

use serde_json::json;

use super::maildir::Maildir;
use super::report::{self, Letter};
use super::table::Table;
use super::tally::Tally;
use crate::db::{Database, Moment};
use crate::run::Preview;
use crate::settings::BouncesSettings;

/// Mails that are shown.
const SHOWN: usize = 10;

/// What a run would do. `database` is only asked.
pub async fn preview(settings: &BouncesSettings, database: Database, moment: Moment) -> Preview {
    let mut preview = nothing(&settings.maildir);
    let mut tally = Tally::default();
    if let Err(problem) = look(settings, database, moment, &mut tally, &mut preview).await {
        preview.problem = Some(problem);
    }
    if let (Some(data), serde_json::Value::Object(counts)) = (preview.data.as_object_mut(), tally.json()) {
        data.extend(counts);
    }
    preview
}

/// What is known before anything is looked at.
pub fn nothing(maildir: &Path) -> Preview {
    let shown = maildir.display().to_string();
    let lines = vec![format!("reads the mails in {shown}")];
    Preview { lines, data: json!({ "target": "bounces", "maildir": shown }), problem: None }
}

async fn look(
    settings: &BouncesSettings,
    database: Database,
    moment: Moment,
    tally: &mut Tally,
    preview: &mut Preview,
) -> Result<(), String> {
    let maildir = Maildir::look(&settings.maildir)?;
    let table = Table::new(&Arc::new(settings.clone()), database);
    let mails = maildir.unread().map_err(|error| error.to_string())?;
    let mut lines = Vec::new();
    for mail in mails {
        let bytes = match maildir.read(&mail) {
            Ok(None) => continue,
            Ok(Some(bytes)) => bytes,
            Err(error) => {
                tally.read += 1;
                tally.unknown += 1;
                lines.push(format!("{mail} could not be read, and stays where it is: {error}"));
                continue;
            }
        };
        tally.read += 1;
        let failures = match report::read(&bytes) {
            Letter::Bounce(failures) => failures,
            Letter::Other(what) => {
                tally.unknown += 1;
                lines.push(format!("left: {what}"));
                continue;
            }
        };
        for failure in failures {
            let rows = table.find(&failure, moment).await.map_err(|error| error.to_string())?;
            lines.push(tally.count(&failure, &rows, table.class(&failure)));
        }
    }
    let Tally { read, hard, soft, unknown, unmatched } = tally;
    preview.lines.push(format!(
        "{read} to read: {hard} hard, {soft} soft, {unknown} no bounces, {unmatched} in no row of `{}`",
        settings.table
    ));
    let more = lines.len().saturating_sub(SHOWN);
    preview.lines.extend(lines.into_iter().take(SHOWN).map(|line| format!("  {line}")));
    if more > 0 {
        preview.lines.push(format!("  and {more} more"));
    }
    Ok(())
}
