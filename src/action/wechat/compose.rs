//! A row becomes a message: templates are filled in, values checked, JSON built from them.

use std::borrow::Cow;

use serde_json::{Map, Value, json};

use super::limits;
use crate::action::template::{Context, Place, TemplateError, Templates};
use crate::action::{Delivery, Outcome};
use crate::settings::{TemplateSource, WechatKind, WechatSettings};

const TO_USER: &str = "touser";
const TEMPLATE_ID: &str = "template_id";
const PAGE: &str = "page";
const URL: &str = "url";
/// WeChat sends one message for the same id and user within ten minutes; it has at most so many characters.
const CLIENT_MSG_ID: usize = 32;

/// A message that is ready to go out.
#[derive(Clone, Debug, PartialEq)]
pub struct WechatMessage {
    pub(super) body: Value,
}

/// The templates of an action.
#[derive(Debug)]
pub(super) struct Composer {
    settings: WechatSettings,
    templates: Templates,
}

impl Composer {
    /// Compiles the templates of `settings`. The error names the place, the line and what is wrong.
    pub(super) fn new(settings: &WechatSettings) -> Result<Self, TemplateError> {
        let mut sources: Vec<(Cow<'static, str>, Place, TemplateSource)> = Vec::new();
        let mut add = |name: Cow<'static, str>, source: &TemplateSource| {
            sources.push((name, Place::Text, source.clone()));
        };
        add(TO_USER.into(), &settings.touser);
        add(TEMPLATE_ID.into(), &settings.template_id);
        for (index, value) in settings.data.iter().enumerate() {
            add(data_name(index).into(), &value.value);
        }
        match &settings.kind {
            WechatKind::Subscribe { page: Some(page), .. } => add(PAGE.into(), page),
            WechatKind::Subscribe { page: None, .. } => {}
            WechatKind::Template { url, miniprogram } => {
                if let Some(url) = url {
                    add(URL.into(), url);
                }
                if let Some((_, Some(page))) = miniprogram {
                    add(PAGE.into(), page);
                }
            }
        }
        Ok(Self { settings: settings.clone(), templates: Templates::compile(sources)? })
    }

    /// The path of the API below the account's base.
    pub(super) const fn path(&self) -> &'static str {
        match self.settings.kind {
            WechatKind::Subscribe { .. } => "/cgi-bin/message/subscribe/send",
            WechatKind::Template { .. } => "/cgi-bin/message/template/send",
        }
    }

    /// Whether WeChat knows a second try from a second message.
    pub(super) const fn may_repeat(&self) -> bool {
        matches!(self.settings.kind, WechatKind::Template { .. })
    }

    /// The message for a row. The error is what becomes of the row.
    pub(super) fn message(&self, delivery: &Delivery<'_>) -> Result<WechatMessage, Outcome> {
        let Delivery { row, reservation, fire_time, now } = *delivery;
        let context = Context::row(row, fire_time, now);
        let mut body = Map::new();
        for name in [TO_USER, TEMPLATE_ID] {
            let value = self.templates.render(name, &context)?.trim().to_owned();
            if value.is_empty() {
                return Err(Outcome::Failed { reason: format!("`{name}` is empty") });
            }
            body.insert(name.to_owned(), value.into());
        }
        let is_checked = matches!(self.settings.kind, WechatKind::Subscribe { .. });
        let mut data = Map::new();
        for (index, of) in self.settings.data.iter().enumerate() {
            let value = self.templates.render(&data_name(index), &context)?;
            let problem = if is_checked { limits::problem(&of.key, &value) } else { None };
            if let Some(problem) = problem {
                return Err(Outcome::Failed { reason: format!("`data.{}`: {problem}", of.key) });
            }
            let mut entry = json!({ "value": value });
            if let Some(color) = &of.color {
                entry["color"] = color.as_str().into();
            }
            data.insert(of.key.clone(), entry);
        }
        match &self.settings.kind {
            WechatKind::Subscribe { miniprogram_state, lang, .. } => {
                let page = self.optional(PAGE, &context)?;
                body.extend(page.map(|page| ("page".to_owned(), page)));
                body.insert("data".to_owned(), data.into());
                let state = miniprogram_state.map(|state| ("miniprogram_state".to_owned(), state.into()));
                body.extend(state.into_iter().chain(lang.map(|lang| ("lang".to_owned(), lang.into()))));
            }
            WechatKind::Template { miniprogram, .. } => {
                let url = self.optional(URL, &context)?;
                body.extend(url.map(|url| ("url".to_owned(), url)));
                if let Some((appid, _)) = miniprogram {
                    let mut to = json!({ "appid": appid });
                    if let Some(page) = self.optional(PAGE, &context)? {
                        to["pagepath"] = page;
                    }
                    body.insert("miniprogram".to_owned(), to);
                }
                body.insert("client_msg_id".to_owned(), client_msg_id(reservation).into());
                body.insert("data".to_owned(), data.into());
            }
        }
        Ok(WechatMessage { body: body.into() })
    }

    /// What a template comes to, unless that is nothing.
    fn optional(&self, name: &str, context: &Context) -> Result<Option<Value>, Outcome> {
        let text = self.templates.render_if_any(name, context)?;
        Ok(text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty()).map(Value::from))
    }
}

fn data_name(index: usize) -> String {
    format!("data {index}")
}

/// The same for the same reservation, whichever try it is.
fn client_msg_id(reservation: &str) -> String {
    let id: Vec<char> =
        reservation.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_')).collect();
    id[id.len().saturating_sub(CLIENT_MSG_ID)..].iter().collect()
}

#[cfg(test)]
mod tests {
    use super::client_msg_id;

    #[test]
    fn the_id_of_a_message_is_that_of_its_reservation_and_fits() {
        assert_eq!(client_msg_id("0123456789abcdef-1f"), "0123456789abcdef-1f");
        let longest = format!("{:016x}-{:x}", u64::MAX, u64::MAX);
        assert_eq!(longest.len(), 33);
        assert_eq!(client_msg_id(&longest), longest[1..]);
    }
}
