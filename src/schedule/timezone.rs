//! Names of time zones, and what is said when there is no such name.

use chrono::{NaiveDate, NaiveDateTime, TimeZone};
use chrono_tz::{TZ_VARIANTS, Tz};

use crate::cron::{Zone, quoted};

/// A name that is not in the IANA database.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("unknown time zone {}; {help}", quoted(.name))]
pub struct UnknownTimezone {
    name: String,
    help: String,
}

/// The zone of an IANA name such as `Asia/Shanghai` or `UTC`.
///
/// ```
/// let error = gulou::schedule::timezone("Asia/Shanghia").unwrap_err();
/// assert_eq!(error.to_string(), "unknown time zone `Asia/Shanghia`; did you mean `Asia/Shanghai`?");
/// ```
pub fn timezone(name: &str) -> Result<Tz, UnknownTimezone> {
    name.parse().map_err(|_| UnknownTimezone { name: name.to_owned(), help: help(name) })
}

fn help(name: &str) -> String {
    let wanted = name.trim().to_ascii_lowercase().replace(' ', "_");
    let china = ["asia/beijing", "beijing", "china", "cst", "北京", "中国", "上海"];
    if china.contains(&wanted.as_str())
        || ["+8", "+08", "+08:00", "+0800"].iter().any(|offset| wanted.ends_with(offset))
    {
        return "Beijing time is `Asia/Shanghai`".to_owned();
    }
    let city = |zone: &'static str| zone.rsplit('/').next().unwrap_or(zone);
    let nearest = TZ_VARIANTS
        .iter()
        .map(|zone| zone.name())
        .map(|zone| {
            let lower = zone.to_ascii_lowercase();
            let whole = strsim::damerau_levenshtein(&lower, &wanted);
            let part = strsim::damerau_levenshtein(&city(zone).to_ascii_lowercase(), &wanted);
            (whole.min(part), zone)
        })
        .min_by_key(|(distance, _)| *distance);
    match nearest {
        Some((distance, zone)) if distance <= wanted.chars().count() / 3 => format!("did you mean `{zone}`?"),
        _ => "give an IANA name such as `Asia/Shanghai` or `UTC`".to_owned(),
    }
}

/// A date and time without offset, completed with the offset of the zone: RFC 3339. `None` when it is something else.
pub(super) fn with_offset(text: &str, zone: &Zone) -> Option<String> {
    let text = text.replacen('T', " ", 1);
    let local = ["%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M"]
        .iter()
        .find_map(|format| NaiveDateTime::parse_from_str(&text, format).ok())
        .or_else(|| NaiveDate::parse_from_str(&text, "%Y-%m-%d").ok()?.and_hms_opt(0, 0, 0))?;
    Some(zone.tz().from_local_datetime(&local).earliest()?.to_rfc3339())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_zones_get_a_likely_name() {
        for (name, help) in [
            ("Asia/Shanghia", "did you mean `Asia/Shanghai`?"),
            ("asia/shanghai", "did you mean `Asia/Shanghai`?"),
            ("Shanghai", "did you mean `Asia/Shanghai`?"),
            ("new york", "did you mean `America/New_York`?"),
            ("Asia/Beijing", "Beijing time is `Asia/Shanghai`"),
            ("UTC+8", "Beijing time is `Asia/Shanghai`"),
            ("+08:00", "Beijing time is `Asia/Shanghai`"),
            ("", "give an IANA name such as `Asia/Shanghai` or `UTC`"),
            ("Mars/Olympus_Mons", "give an IANA name such as `Asia/Shanghai` or `UTC`"),
        ] {
            let error = timezone(name).unwrap_err();
            assert_eq!(error.to_string(), format!("unknown time zone `{name}`; {help}"));
        }
    }
}
