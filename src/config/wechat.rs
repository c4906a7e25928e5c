//! WeChat: accounts in the daemon config, and the messages of batches.

use std::path::Path;
use std::time::Duration;

use super::batch::reference;
use super::decode::{Fields, Keys, Node};
use super::http::check_url;
use super::secret::secret;
use super::template::sourced;
use super::units::positive_duration;
use crate::settings::{Secret, WechatAccountSettings, WechatKind, WechatSettings, WechatValue};

const BASE: &str = "https://api.weixin.qq.com";
const TIMEOUT: Duration = Duration::from_secs(20);

/// Reads an entry of `wechat`; the paths of files are seen from `folder`.
pub(super) fn account(node: &Node<'_>, folder: &Path) -> Option<WechatAccountSettings> {
    let fields = node.object(&Keys::only(&["appid", "secret", "base", "timeout"]))?;
    let appid = fields.need("appid", appid);
    let secret = fields.need("secret", |node| app_secret(node, folder));
    let base = match fields.get("base") {
        Some(node) => base(node),
        None => Some(BASE.to_owned()),
    };
    let timeout = fields.read("timeout", positive_duration).unwrap_or(TIMEOUT);
    Some(WechatAccountSettings { appid: appid?, secret: secret?, base: base?, timeout })
}

fn appid(node: &Node<'_>) -> Option<String> {
    let appid = node.text()?;
    if !appid.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        node.error(format!("`{appid}` is not an appid"), "it looks like `wx0123456789abcdef`".to_owned());
        return None;
    }
    Some(appid.to_owned())
}

fn app_secret(node: &Node<'_>, folder: &Path) -> Option<Secret> {
    // What a sample has in place of a secret is nobody's.
    if node.is_string()
        && let Some(zeros) = node.string().filter(|text| !text.is_empty() && text.bytes().all(|b| b == b'0'))
    {
        return Some(Secret::new(zeros.to_owned()));
    }
    secret(node, folder)
}

fn base(node: &Node<'_>) -> Option<String> {
    let base = node.text()?;
    let problem = check_url(base)
        .err()
        .or_else(|| base.contains(['?', '#']).then(|| "has more than a server and a path".to_owned()));
    if let Some(problem) = problem {
        node.error(format!("this {problem}"), format!("write one such as `{BASE}`"));
        return None;
    }
    let host = base.strip_prefix("http://").and_then(|rest| rest.split(['/', ':']).next());
    if host.is_some_and(|host| !matches!(host, "127.0.0.1" | "localhost" | "[")) {
        let message = "the secret of the account goes out unencrypted";
        node.warning(message, "write `https://`".to_owned());
    }
    Some(base.trim_end_matches('/').to_owned())
}

/// Reads `wechat_subscribe`; `names`: the accounts there are, as far as is known.
pub(super) fn subscribe(node: &Node<'_>, names: Option<&[String]>) -> Option<WechatSettings> {
    const KEYS: Keys =
        Keys::only(&["via", "touser", "template_id", "page", "data", "miniprogram_state", "lang"]);
    let fields = node.object(&KEYS)?;
    let page = fields.read("page", sourced);
    let state = fields.get("miniprogram_state").map(|node| node.word(&["developer", "trial", "formal"]));
    let lang = fields.get("lang").map(|node| node.word(&["zh_CN", "en_US", "zh_HK", "zh_TW"]));
    let kind = WechatKind::Subscribe { page, miniprogram_state: state.flatten(), lang: lang.flatten() };
    message(&fields, names, kind)
}

/// Reads `wechat_template`; `names`: the accounts there are, as far as is known.
pub(super) fn template(node: &Node<'_>, names: Option<&[String]>) -> Option<WechatSettings> {
    let fields = node.object(&Keys::only(&["via", "touser", "template_id", "url", "miniprogram", "data"]))?;
    let url = fields.read("url", sourced);
    let miniprogram = fields.read("miniprogram", |node| {
        let fields = node.object(&Keys::only(&["appid", "pagepath"]))?;
        let page = fields.read("pagepath", sourced);
        Some((fields.need("appid", appid)?, page))
    });
    message(&fields, names, WechatKind::Template { url, miniprogram })
}

fn message(fields: &Fields<'_>, names: Option<&[String]>, kind: WechatKind) -> Option<WechatSettings> {
    let via = fields.need("via", |node| reference(node, "WeChat account", "wechat", names));
    let touser = fields.need("touser", sourced);
    let template_id = fields.need("template_id", sourced);
    let has_colors = matches!(kind, WechatKind::Template { .. });
    let data = fields.need("data", |node| data(node, has_colors));
    Some(WechatSettings { via: via?, touser: touser?, template_id: template_id?, data: data?, kind })
}

/// Keywords and values: `"thing1": "{{ name }}"`, or as WeChat writes it, `{ "value": "{{ name }}" }`.
fn data(node: &Node<'_>, has_colors: bool) -> Option<Vec<WechatValue>> {
    let entries = node.entries()?;
    if entries.is_empty() {
        node.error(
            "the message says nothing",
            "name the template's keywords, as in `\"thing1\": \"…\"`".to_owned(),
        );
    }
    let mut data = Vec::with_capacity(entries.len());
    for (key, node) in entries {
        let entry = if node.is_object() {
            let fields = node.object(&Keys::only(&["value", "color"]))?;
            if let Some(node) = fields.get("color").filter(|_| !has_colors) {
                node.error("a subscription message has no colors", "delete it".to_owned());
            }
            let color = fields.read("color", color);
            fields.need("value", sourced).map(|value| WechatValue { key: key.to_owned(), value, color })
        } else {
            sourced(&node).map(|value| WechatValue { key: key.to_owned(), value, color: None })
        };
        data.extend(entry);
    }
    Some(data)
}

fn color(node: &Node<'_>) -> Option<String> {
    let color = node.text()?;
    let digits = color.strip_prefix('#').unwrap_or_default();
    if digits.len() != 6 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        node.error(format!("`{color}` is not a color"), "write one such as `#173177`".to_owned());
        return None;
    }
    Some(color.to_owned())
}
