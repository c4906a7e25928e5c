//! A function folder: `triggers/<function>/config.json`.

use std::cell::RefCell;
use std::collections::HashSet;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::daemon::{DaemonConfig, absolute};
use super::decode::{Fields, Keys, Node};
use super::lint::lints;
use super::{alerts, retry, target, trigger};
use crate::settings::{FireRules, FunctionSettings, OnInterrupted, Overlap, TargetSettings, TriggerSettings};

/// What a function folder is read with.
pub(super) struct Scope<'c> {
    pub daemon: &'c DaemonConfig,
    /// The present, to tell what never fires again.
    pub now: DateTime<Utc>,
    /// All rules that triggers have so far: those that say the same share one, for there may be a million of them.
    rules: RefCell<HashSet<Arc<FireRules>>>,
}

impl<'c> Scope<'c> {
    pub fn new(daemon: &'c DaemonConfig, now: DateTime<Utc>) -> Self {
        Self { daemon, now, rules: RefCell::default() }
    }

    /// The one that says what `rules` say.
    pub fn shared(&self, rules: FireRules) -> Arc<FireRules> {
        let mut known = self.rules.borrow_mut();
        if let Some(same) = known.get(&rules) {
            return Arc::clone(same);
        }
        let rules = Arc::new(rules);
        known.insert(Arc::clone(&rules));
        rules
    }
}

pub(super) const KEYS: Keys = Keys {
    known: &[
        "triggers",
        "overlap",
        "max_runs",
        "on_interrupted",
        "retry",
        "alerts",
        "target",
        "handler",
        "runtime",
        "timeout",
        "memorySize",
        "envVariables",
    ],
    // What the cloud's tools write into this file and its deployment alone needs.
    ignored: &[
        "$schema",
        "permissions",
        "installDependency",
        "ignore",
        "vpc",
        "params",
        "httpPath",
        "codeSecret",
        "layers",
        "description",
    ],
    later: &["node", "history"],
};

/// Reads the file whose root is `node`, in the folder `dir` called `name`.
pub(super) fn read(node: &Node<'_>, name: &str, dir: &Path, scope: &Scope<'_>) -> Option<FunctionSettings> {
    let fields = node.object(&KEYS)?;
    let triggers = triggers(&fields, scope);
    let target = target::read(&fields, dir, scope);
    let is_batch = matches!(target, Some(TargetSettings::Batch(_)));
    let default = match target {
        // Statements that wait for each other's locks help nobody.
        Some(TargetSettings::Batch(_) | TargetSettings::Sql(_)) => Overlap::Queue(1),
        // A look that is still under way sees what another would see.
        Some(TargetSettings::Fetch(_) | TargetSettings::Bounces(_)) => Overlap::Skip,
        _ => Overlap::Allow,
    };
    let overlap = fields.read("overlap", overlap).unwrap_or(default);
    let on_interrupted = fields.read("on_interrupted", |node| {
        let word = node.word(&["fail", "rerun"])?;
        if is_batch {
            node.warning("this has no effect: batches always resume", None);
        }
        Some(if word == "rerun" { OnInterrupted::Rerun } else { OnInterrupted::Fail })
    });
    let max_runs = fields.read("max_runs", |node| {
        let max_runs = node.integer(1..=1_000_000)?;
        if overlap != Overlap::Allow {
            node.warning("this has no effect: `overlap` lets one run at a time", None);
        }
        NonZeroUsize::new(usize::try_from(max_runs).ok()?)
    });
    let retry = fields.read("retry", |node| {
        if is_batch {
            let help = "rows that could not be delivered wait in the batch's own retry lane".to_owned();
            node.error("a batch's runs are not tried again", help);
            return None;
        }
        retry::read(node)
    });
    let alerts = match fields.get("alerts") {
        None => scope.daemon.alerts.clone(),
        // `false`: nobody is told.
        Some(node) if node.kind() == "a boolean" => {
            node.boolean().filter(|on| *on).and_then(|_| scope.daemon.alerts.clone())
        }
        Some(node) => alerts::read(node, dir, scope.daemon.mail_names.as_deref()).map(Arc::new),
    };
    let (nodes, triggers): (Vec<_>, Vec<_>) = triggers.into_iter().unzip();
    let function = FunctionSettings {
        name: name.to_owned(),
        dir: absolute(dir, ""),
        triggers: triggers.into(),
        overlap,
        max_runs,
        on_interrupted: on_interrupted.unwrap_or(OnInterrupted::Fail),
        alerts,
        retry: retry.map(Arc::new),
        target: target?,
    };
    warn(&function, &nodes, scope);
    Some(function)
}

/// Says what the schedules may not mean, at their places.
fn warn(function: &FunctionSettings, nodes: &[Node<'_>], scope: &Scope<'_>) {
    for (node, trigger) in nodes.iter().zip(function.triggers.iter()) {
        for lint in lints(function, trigger, scope.now) {
            node.warning_at("config", lint.en);
        }
    }
}

fn triggers<'a>(fields: &Fields<'a>, scope: &Scope<'_>) -> Vec<(Node<'a>, TriggerSettings)> {
    let Some(nodes) = fields.read("triggers", Node::list) else {
        if fields.get("triggers").is_none() {
            let help = "add `triggers`, or run it by hand with `gulou fire`".to_owned();
            fields.node().warning("this function has no triggers", help);
        }
        return Vec::new();
    };
    let mut triggers: Vec<(Node<'a>, TriggerSettings)> = Vec::with_capacity(nodes.len());
    for node in nodes {
        let Some(trigger) = trigger::read(&node, scope) else { continue };
        if triggers.iter().any(|(_, known)| known.name == trigger.name) {
            node.error(
                format!("there are two triggers called `{}`", trigger.name),
                "rename one of them".to_owned(),
            );
        } else {
            triggers.push((node, trigger));
        }
    }
    triggers
}

fn overlap(node: &Node<'_>) -> Option<Overlap> {
    if node.is_string() {
        return node.word(&["allow", "queue", "skip", "replace"]).map(|word| match word {
            "queue" => Overlap::Queue(1),
            "skip" => Overlap::Skip,
            "replace" => Overlap::Replace,
            _ => Overlap::Allow,
        });
    }
    let fields = node.object(&Keys::only(&["queue"]))?;
    let waiting = fields.need("queue", |node| node.integer(1..=1_000_000))?;
    u32::try_from(waiting).ok().map(Overlap::Queue)
}
