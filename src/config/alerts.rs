//! `alerts`, of a function and of the daemon for all that have none of their own.

use std::path::Path;
use std::time::Duration;

use super::decode::{Keys, Node};
use super::units::duration;
use super::{follow, http};
use crate::settings::{AlertSettings, HttpBody};

/// An alert is posted.
const ALERT: http::Usage = http::Usage {
    method: "POST",
    body: HttpBody::Variables(&["kind", "function", "trigger", "text", "message", "more"]),
};
const EVERY: Duration = Duration::from_secs(600);

/// Paths of files start at `dir`. `mail_names`: the transports there are, as far as is known.
pub(super) fn read(node: &Node<'_>, dir: &Path, mail_names: Option<&[String]>) -> Option<AlertSettings> {
    let fields = node.object(&Keys::only(&["on_failure", "on_recovery", "on_missed", "every"]))?;
    let action = |key| fields.read(key, |node| follow::read(node, dir, mail_names, &ALERT));
    let alerts = AlertSettings {
        on_failure: action("on_failure"),
        on_recovery: action("on_recovery"),
        on_missed: action("on_missed"),
        every: fields.read("every", duration).unwrap_or(EVERY),
    };
    if ["on_failure", "on_recovery", "on_missed"].iter().all(|key| fields.get(key).is_none()) {
        node.error("nobody is told of anything", "add `on_failure`, `on_recovery` or `on_missed`".to_owned());
    }
    Some(alerts)
}
