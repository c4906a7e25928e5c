//! What a fire of a batch would do, found without changing a byte.

use std::time::Duration;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use serde_json::{Value, json};

use super::BatchError;
use super::deliver::Deliver;
use super::key::Key;
use super::sight::Sight;
use super::source::Moment;
use crate::action::{Delivery, Outcome};
use crate::run::{Fire, Preview, Row};
use crate::settings::{ActionSettings, BatchSettings, DatabaseSettings, ExportSettings, Pages, Rate};
use crate::store::Reader;

/// Keys that are looked up at a time.
const GROUP: usize = 1000;

/// When a fire happens, and in which zone.
#[derive(Clone, Copy, Debug)]
pub struct Occasion<'a> {
    /// The fire.
    pub fire: &'a Fire,
    /// The present.
    pub now: DateTime<Utc>,
    /// Of the `_local` parameters.
    pub timezone: Tz,
    /// Time between fires, if it is regular.
    pub interval: Option<Duration>,
}

/// What a fire would do. The ledger is read as it is; `state` is none when there is no state yet. A database
/// file that does not exist is made in memory, if its settings say how.
///
/// Blocks while it reads the ledger: for one-shot use.
pub async fn preview<A: Deliver>(
    settings: &BatchSettings,
    database: &DatabaseSettings,
    action: &A,
    state: Option<&Reader>,
    occasion: Occasion<'_>,
) -> Preview {
    let mut preview = Preview { lines: Vec::new(), data: json!({ "batch": settings.id }), problem: None };
    if let Err(error) = look(settings, database, action, state, occasion, &mut preview).await {
        preview.problem = Some(error.to_string());
    }
    preview
}

async fn look<A: Deliver>(
    settings: &BatchSettings,
    database: &DatabaseSettings,
    action: &A,
    state: Option<&Reader>,
    occasion: Occasion<'_>,
    preview: &mut Preview,
) -> Result<(), BatchError> {
    if let DatabaseSettings::Sqlite(file) = database {
        let exists = file.path.try_exists().unwrap_or(false);
        if !exists {
            let path = file.path.display();
            preview.lines.push(format!("database {path} does not exist yet; the first fire makes it"));
        }
        preview.data["database_exists"] = exists.into();
    }
    let sight = Sight::open(settings, database, state, occasion)?;
    match &settings.action {
        ActionSettings::Mail(_)
        | ActionSettings::Http(_)
        | ActionSettings::WecomRobot(_)
        | ActionSettings::Wechat(_) => {
            Rows { settings, sight: &sight }.preview(action, occasion.interval, preview).await
        }
        ActionSettings::Digest { max_rows, .. } => {
            digest(action, &sight.moment, &sight.all(*max_rows).await?, preview).await;
            Ok(())
        }
        ActionSettings::Export(export) => {
            let found = file(action, export, &sight.moment, occasion.fire);
            let columns = sight.source.columns(sight.moment).await?;
            let rows = sight.source.count(sight.moment).await?;
            let columns: Vec<String> = columns.into_iter().map(|column| column.name).collect();
            preview.data["deliverable"] = rows.into();
            preview.data["columns"] = columns.clone().into();
            match found {
                Ok(path) => {
                    preview.data["file"] = path.clone().into();
                    preview.lines.push(format!("one file with {}: {path}", counted(rows, "row")));
                }
                Err(problem) => preview.problem = Some(problem),
            }
            preview.lines.push(format!("columns: {}", columns.join(", ")));
            Ok(())
        }
    }
}

/// The file that an export would write.
fn file<A: Deliver>(
    action: &A,
    settings: &ExportSettings,
    moment: &Moment,
    fire: &Fire,
) -> Result<String, String> {
    let name = match action.export() {
        Some(export) => export.name.render(&fire.values(), fire.fire_time, moment.now),
        None => return Err(format!("nothing writes {}", settings.file.text)),
    };
    name.map(|path| path.display().to_string()).map_err(|error| error.to_string())
}

async fn digest<A: Deliver>(action: &A, moment: &Moment, rows: &[Row], preview: &mut Preview) {
    preview.data["deliverable"] = rows.len().into();
    preview.data["mails"] = usize::from(!rows.is_empty()).into();
    if rows.is_empty() {
        preview.lines.push("no rows: nothing would be sent".to_owned());
        return;
    }
    preview.lines.push(format!("one mail with {}", counted(rows.len() as u64, "row")));
    let row = Row { columns: [].into(), values: Vec::new() };
    let delivery =
        Delivery { row: &row, reservation: "preview", fire_time: moment.fire_time, now: moment.now };
    show(action, action.render_digest(&delivery, rows).await, preview);
}

fn show<A: Deliver>(action: &A, rendered: Result<A::Rendered, Outcome>, preview: &mut Preview) {
    match rendered {
        Ok(rendered) => {
            let shown = action.show(&rendered);
            preview.data["first"] = shown.clone().into();
            preview.lines.push("the first:".to_owned());
            preview.lines.extend(shown.into_iter().map(|line| format!("  {line}").trim_end().to_owned()));
        }
        Err(outcome) => {
            preview.problem = Some(format!("the first row would fail: {}", outcome.text()));
            preview.data["first"] = Value::Null;
        }
    }
}

/// The rows of a batch that delivers each on its own.
struct Rows<'a> {
    settings: &'a BatchSettings,
    sight: &'a Sight,
}

impl Rows<'_> {
    async fn preview<A: Deliver>(
        &self,
        action: &A,
        interval: Option<Duration>,
        preview: &mut Preview,
    ) -> Result<(), BatchError> {
        let passed_over = self.passed_over().await?;
        let deliverable = self.sight.source.count(self.sight.moment).await?.saturating_sub(passed_over);
        let page = u64::from(self.settings.source.page);
        let pages = deliverable.div_ceil(page);
        let fires = match self.settings.pages {
            Pages::All => u64::from(pages > 0),
            Pages::Count(count) => pages.div_ceil(u64::from(count.get())),
        };
        let limits: Vec<Rate> = [self.settings.quota.clone(), action.quota()]
            .into_iter()
            .flatten()
            .flat_map(|quota| quota.limits)
            .collect();
        let estimate =
            estimate(deliverable, fires, self.settings.rate, interval).max(quota(deliverable, &limits));
        let data = json!({
            "deliverable": deliverable,
            "passed_over": passed_over,
            "retries_due": self.sight.holdings.due.len(),
            "pages": pages,
            "fires": fires,
            "estimated_seconds": estimate.map(|estimate| estimate.as_secs()),
        });
        if let (Some(all), Value::Object(more)) = (preview.data.as_object_mut(), data) {
            all.extend(more);
        }
        preview.lines.push(format!(
            "{} deliverable, {} of {page} at most, in {}",
            counted(deliverable, "row"),
            counted(pages, "page"),
            counted(fires, "fire")
        ));
        if passed_over > 0 {
            preview.lines.push(format!(
                "{} more passed over: held, failed or waiting in the ledger",
                counted(passed_over, "row")
            ));
        }
        if let Some(estimate) = estimate {
            preview.lines.push(format!("about {}", in_words(estimate)));
        }
        match self.sight.first().await? {
            None => preview.lines.push("nothing would be sent".to_owned()),
            Some((_, row)) => {
                let Moment { fire_time, now, .. } = self.sight.moment;
                let delivery = Delivery { row: &row, reservation: "preview", fire_time, now };
                show(action, action.render(&delivery).await, preview);
            }
        }
        Ok(())
    }

    /// Rows that match and that the ledger holds back.
    async fn passed_over(&self) -> Result<u64, BatchError> {
        let mut count = 0;
        for group in self.sight.holdings.keys.chunks(GROUP) {
            let keys: Vec<Key> = group.iter().filter_map(|key| Key::decode(key)).collect();
            count += self.sight.source.again(keys, self.sight.moment).await?.iter().flatten().count() as u64;
        }
        Ok(count)
    }
}

/// How long all deliverable rows take: by the rate within a fire, by the fires' rhythm between them.
fn estimate(rows: u64, fires: u64, rate: Option<Rate>, interval: Option<Duration>) -> Option<Duration> {
    let paced = rate.map(|rate| {
        let rows = u32::try_from(rows).unwrap_or(u32::MAX);
        rate.per.mul_f64(f64::from(rows) / f64::from(rate.count.get()))
    });
    let waits = u32::try_from(fires.saturating_sub(1)).unwrap_or(u32::MAX);
    let rhythm = interval.filter(|_| waits > 0).map(|interval| interval.saturating_mul(waits));
    match (paced, rhythm) {
        (Some(paced), Some(rhythm)) => Some(paced.max(rhythm)),
        (paced, rhythm) => paced.or(rhythm),
    }
}

/// How long they take by the quotas, when none of them is used yet.
fn quota(rows: u64, limits: &[Rate]) -> Option<Duration> {
    let of = |limit: &Rate| {
        let windows = rows.saturating_sub(1) / u64::from(limit.count.get());
        limit.per.saturating_mul(u32::try_from(windows).unwrap_or(u32::MAX))
    };
    limits.iter().map(of).max().filter(|wait| !wait.is_zero())
}

fn counted(count: u64, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

/// `1 h 5 min`, `20 s`.
fn in_words(time: Duration) -> String {
    let seconds = time.as_secs().max(1);
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {} s", seconds % 60),
        (0, _, _) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quota_makes_all_rows_wait_but_those_of_the_last_window() {
        let limits = [(20, 60), (100, 3600)].map(|(count, seconds): (u32, u64)| Rate {
            count: count.try_into().unwrap(),
            per: Duration::from_secs(seconds),
        });
        for (rows, seconds) in [(0, None), (20, None), (21, Some(60)), (100, Some(240)), (101, Some(3600))] {
            assert_eq!(quota(rows, &limits), seconds.map(Duration::from_secs), "{rows}");
        }
        assert_eq!(quota(1000, &[]), None);
    }
}
