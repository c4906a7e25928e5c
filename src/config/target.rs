//! What a function folder runs: code as in the cloud, or another of the seven kinds of target.

use std::path::Path;

use super::decode::{Fields, Keys};
use super::function::Scope;
use super::{batch, bounces, code, command, fetch, http, sql};
use crate::settings::TargetSettings;

/// Reads `target` of the function folder `dir`, or finds out what the folder holds.
pub(super) fn read(function: &Fields<'_>, dir: &Path, scope: &Scope<'_>) -> Option<TargetSettings> {
    const KEYS: Keys = Keys::only(&["function", "command", "http", "fetch", "sql", "batch", "bounces"]);
    let Some(node) = function.get("target") else { return untold(function, dir) };
    let fields = node.object(&KEYS)?;
    let given: Vec<&str> = KEYS.known.iter().copied().filter(|key| fields.get(key).is_some()).collect();
    match given[..] {
        ["function"] => fields.read("function", |node| code::read(function, Some(node), dir)),
        ["command"] => fields.read("command", |node| command::read(node, dir)),
        ["http"] => fields
            .read("http", |node| http::read(node, dir, &http::EVENT))
            .map(|request| TargetSettings::Http(Box::new(request))),
        ["fetch"] => fields
            .read("fetch", |node| fetch::read(node, dir, scope))
            .map(|page| TargetSettings::Fetch(Box::new(page))),
        ["sql"] => fields
            .read("sql", |node| sql::read(node, dir, scope))
            .map(|sql| TargetSettings::Sql(Box::new(sql))),
        ["batch"] => fields
            .read("batch", |node| batch::read(node, dir, scope))
            .map(|batch| TargetSettings::Batch(Box::new(batch))),
        ["bounces"] => fields
            .read("bounces", |node| bounces::read(node, dir, scope))
            .map(|bounces| TargetSettings::Bounces(Box::new(bounces))),
        [] => {
            // A target of a later version has been reported as such already.
            if node.entries().is_some_and(|entries| entries.is_empty()) {
                let help = "say `function`, `command`, `http`, `fetch`, `sql`, `batch` or `bounces`";
                node.error("the target is empty", help.to_owned());
            }
            None
        }
        _ => {
            node.error(format!("a function has one target; here are {}", given.join(" and ")), None);
            None
        }
    }
}

/// The target of a folder that names none, as the cloud has it.
fn untold(function: &Fields<'_>, dir: &Path) -> Option<TargetSettings> {
    if function.get("handler").is_some() || code::is_in(dir) {
        return code::read(function, None, dir);
    }
    let help = "add an `index.js`, an `index.py`, or a `target` with a `function`, a `command`, `http`, `fetch`, `sql`, a `batch` or `bounces`";
    function.node().error(
        "the folder has no `index.js` and no `index.py`, and the file names no `target`",
        help.to_owned(),
    );
    None
}
