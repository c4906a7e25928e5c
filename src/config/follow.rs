//! What is done about an event: a change of a page, a run that failed.

use std::path::Path;

use super::decode::{Keys, Node};
use super::secret::secret;
use super::template::part;
use super::{http, mail};
use crate::settings::{
    ActionSettings, FollowSettings, HttpSettings, HttpUrl, Secret, WecomKind, WecomRobotSettings,
};

/// Reads what is done: exactly one of `http`, `wecom_robot`, `mail`. `usage`: what a request is that says nothing else;
/// `mail_names`: the transports there are, as far as is known.
pub(super) fn read(
    node: &Node<'_>,
    dir: &Path,
    mail_names: Option<&[String]>,
    usage: &http::Usage,
) -> Option<FollowSettings> {
    const KEYS: Keys = Keys::only(&["http", "wecom_robot", "mail"]);
    let fields = node.object(&KEYS)?;
    let given: Vec<&str> = KEYS.known.iter().copied().filter(|key| fields.get(key).is_some()).collect();
    match given[..] {
        ["http"] => fields
            .read("http", |node| -> Option<HttpSettings> { http::read(node, dir, usage) })
            .map(|request| FollowSettings::Http(Box::new(request))),
        ["wecom_robot"] => {
            fields.read("wecom_robot", |node| wecom(node, dir)).map(FollowSettings::WecomRobot)
        }
        ["mail"] => fields.read("mail", |node| {
            if let ActionSettings::Mail(mail) = mail::read(node, dir, mail_names)? {
                return Some(FollowSettings::Mail(Box::new(mail)));
            }
            let help = "delete `per`: one mail is sent at a time";
            node.error("`\"per\": \"run\"` belongs to the mail of a batch", help.to_owned());
            None
        }),
        [] => {
            if node.entries().is_some_and(|entries| entries.is_empty()) {
                node.error("nothing is done", "say `http`, `wecom_robot` or `mail`".to_owned());
            }
            None
        }
        _ => {
            let message = format!("one thing is done; here are {}", given.join(" and "));
            node.error(message, "keep one of them".to_owned());
            None
        }
    }
}

/// A message to a WeCom group: `url`, `kind`, and `content` or `content_file`.
pub(super) fn wecom(node: &Node<'_>, dir: &Path) -> Option<WecomRobotSettings> {
    let fields = node.object(&Keys::only(&["url", "kind", "content", "content_file"]))?;
    let url = fields.need("url", |node| webhook(node, dir));
    let kind = match fields.get("kind") {
        Some(node) => node.word(&["text", "markdown"]),
        None => Some("text"),
    };
    if ["content", "content_file"].iter().all(|key| fields.get(key).is_none()) {
        node.error("the message has no text", "add `content` or `content_file`".to_owned());
    }
    let content = part(&fields, "content", "content_file", dir);
    let kind = if kind? == "markdown" { WecomKind::Markdown } else { WecomKind::Text };
    Some(WecomRobotSettings { url: url?, kind, content: content? })
}

/// The URL of a robot, whose key makes it a secret.
fn webhook(node: &Node<'_>, dir: &Path) -> Option<Secret> {
    if node.is_string() {
        let text = node.text()?;
        // What a sample has in place of a key is nobody's secret.
        let key = text.rsplit_once("key=").map_or("", |(_, key)| key);
        if !key.is_empty() && key.chars().all(|c| c == '0' || c == '-') {
            return Some(Secret::new(text.to_owned()));
        }
        let secret = secret(node, dir)?;
        http::is_url(node, secret.reveal()).then_some(secret)
    } else {
        match http::url(node, dir)? {
            HttpUrl::Secret(secret) => Some(secret),
            HttpUrl::Template(_) => None,
        }
    }
}
