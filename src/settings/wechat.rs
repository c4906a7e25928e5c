//! WeChat: accounts, and the messages that they send.

use std::time::Duration;

use super::{Secret, TemplateSource};

/// A mini program or an official account.
#[derive(Clone, Debug, PartialEq)]
pub struct WechatAccountSettings {
    /// `wx…`; no secret.
    pub appid: String,
    /// `AppSecret`, by which tokens are asked for.
    pub secret: Secret,
    /// Where its API is, without a slash at the end; WeChat's own unless configured.
    pub base: String,
    /// Of each request; 20 s unless configured.
    pub timeout: Duration,
}

/// A message to one user of WeChat.
#[derive(Clone, Debug, PartialEq)]
pub struct WechatSettings {
    /// A name in [`Settings::wechat`](super::Settings::wechat).
    pub via: String,
    /// Template of the user's `openid`.
    pub touser: TemplateSource,
    /// Template of the template's id.
    pub template_id: TemplateSource,
    /// What fills WeChat's template, in the order of the file.
    pub data: Vec<WechatValue>,
    /// What only one kind of message has.
    pub kind: WechatKind,
}

/// One keyword of a message.
#[derive(Clone, Debug, PartialEq)]
pub struct WechatValue {
    /// As in `thing1`: its type and a number.
    pub key: String,
    /// Template of the value.
    pub value: TemplateSource,
    /// Of the text, as in `#173177`; in template messages alone.
    pub color: Option<String>,
}

/// The two kinds of messages.
#[derive(Clone, Debug, PartialEq)]
pub enum WechatKind {
    /// 订阅消息, of a mini program.
    Subscribe {
        /// Template of the page that it leads to.
        page: Option<TemplateSource>,
        /// `developer`, `trial` or `formal`.
        miniprogram_state: Option<&'static str>,
        /// `zh_CN`, `en_US`, `zh_HK` or `zh_TW`.
        lang: Option<&'static str>,
    },
    /// 模板消息, of an official account.
    Template {
        /// Template of the address that it leads to.
        url: Option<TemplateSource>,
        /// The mini program that it leads to, before the address: appid, and template of the page.
        miniprogram: Option<(String, Option<TemplateSource>)>,
    },
}
