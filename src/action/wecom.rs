//! Messages to a group robot of WeCom (企业微信群机器人), by the rules of
//! <https://developer.work.weixin.qq.com/document/path/91770>.

use std::num::NonZeroU32;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};

use super::errcode::{Answer, answer};
use super::http::{Delivery, HttpAction, HttpClients, HttpRequest, Reply};
use super::template::{Context, Place, RenderError, TemplateError, Templates};
use super::{Delivery as Delivered, Outcome};
use crate::settings::{
    HttpBody, HttpSettings, HttpSuccess, HttpUrl, QuotaSettings, Rate, TlsMode, WecomKind, WecomRobotSettings,
};

const CONTENT: &str = "content";
const MESSAGE: &str = "message";
/// What stands at the end of a text that was cut.
const CUT: &str = "\n…";
/// Messages a minute and robot.
const A_MINUTE: NonZeroU32 = NonZeroU32::MIN.saturating_add(19);
const MINUTE: Duration = Duration::from_secs(60);
/// There were more; nothing says when it may be tried again.
const RATE_LIMITED: i64 = 45009;
/// The system is busy.
const BUSY: i64 = -1;
/// There is no such robot: no message will ever arrive.
const NO_ROBOT: i64 = 93000;

/// The `wecom_robot` action.
#[derive(Debug)]
pub struct WecomRobot {
    kind: WecomKind,
    content: Templates,
    http: HttpAction,
    fingerprint: u32,
}

impl WecomRobot {
    /// Compiles the template of the text. The error names the place, the line and what is wrong.
    pub fn new(settings: &WecomRobotSettings, clients: &HttpClients) -> Result<Self, TemplateError> {
        let content = Templates::compile(vec![(CONTENT, Place::Text, settings.content.clone())])?;
        let http = HttpSettings {
            method: "POST".to_owned(),
            url: HttpUrl::Secret(settings.url.clone()),
            headers: Vec::new(),
            body: HttpBody::Variable(MESSAGE),
            timeout: Duration::from_secs(20),
            tls: TlsMode::Verify { ca: None },
            redirects: 0,
            max_response: 64 << 10,
            success: HttpSuccess::default(),
        };
        let fingerprint = fingerprint(settings.url.reveal());
        Ok(Self { kind: settings.kind, content, http: HttpAction::new(&http, clients)?, fingerprint })
    }

    /// The request for `values`, which the text's template sees as variables beside `fire_time` and `now`.
    pub fn render(
        &self,
        values: &Map<String, Value>,
        fire_time: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Result<HttpRequest, RenderError> {
        self.request(&Context::values(values, fire_time, now), fire_time, now)
    }

    /// The request for one row, whose columns the template sees.
    pub fn render_row(&self, delivery: &Delivered<'_>) -> Result<HttpRequest, RenderError> {
        let Delivered { row, fire_time, now, .. } = *delivery;
        self.request(&Context::row(row, fire_time, now), fire_time, now)
    }

    fn request(
        &self,
        context: &Context,
        fire_time: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Result<HttpRequest, RenderError> {
        let text = self.content.render(CONTENT, context)?;
        let request = Map::from_iter([(MESSAGE.to_owned(), message(self.kind, &text))]);
        self.http.render(&request, fire_time, now)
    }

    /// What WeCom lets a robot send.
    pub fn quota(&self) -> QuotaSettings {
        let limits = vec![Rate { count: A_MINUTE, per: MINUTE }];
        QuotaSettings { name: format!("wecom_robot:{:08x}", self.fingerprint), limits }
    }

    /// Sends it, and says what became of it.
    pub async fn deliver(&self, request: &HttpRequest) -> Delivery {
        let delivery = self.http.deliver(request).await;
        let outcome = match (&delivery.outcome, &delivery.reply) {
            (Outcome::Sent { .. }, Some(reply)) => verdict(request, reply),
            (outcome, _) => outcome.clone(),
        };
        Delivery { outcome, ..delivery }
    }
}

/// What the robot is sent. A text that is longer than WeCom takes is cut, at the end of a line if one is near, and says so.
pub fn message(kind: WecomKind, content: &str) -> Value {
    match kind {
        WecomKind::Text => json!({ "msgtype": "text", "text": { "content": fitted(content, 2048) } }),
        WecomKind::Markdown => {
            json!({ "msgtype": "markdown", "markdown": { "content": fitted(content, 4096) } })
        }
    }
}

/// At most `limit` bytes of UTF-8.
fn fitted(content: &str, limit: usize) -> String {
    if content.len() <= limit {
        return content.to_owned();
    }
    let mut end = limit - CUT.len();
    while !content.is_char_boundary(end) {
        end -= 1;
    }
    let kept = &content[..end];
    let whole_lines = kept.rfind('\n').filter(|at| *at >= end / 2);
    format!("{}{CUT}", &kept[..whole_lines.unwrap_or(end)])
}

/// What a robot's answer means.
fn verdict(request: &HttpRequest, reply: &Reply) -> Outcome {
    let Answer { code, said, .. } = match answer(request, reply) {
        Ok(answer) => answer,
        Err(outcome) => return outcome,
    };
    let reason = format!("WeCom answered errcode {code}: {said}");
    match code {
        0 => Outcome::Sent { detail: "errcode 0".to_owned() },
        RATE_LIMITED => Outcome::Exhausted { reason, wait: MINUTE },
        BUSY => Outcome::Retry { reason },
        NO_ROBOT => Outcome::Halt { reason },
        _ => Outcome::Failed { reason },
    }
}

/// A robot's name, from which its key cannot be found again (FNV-1a of the URL).
fn fingerprint(url: &str) -> u32 {
    url.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_as_documented() {
        assert_eq!(
            message(WecomKind::Text, "你好\n\"x\""),
            json!({ "msgtype": "text", "text": { "content": "你好\n\"x\"" } })
        );
        assert_eq!(
            message(WecomKind::Markdown, "**a**"),
            json!({ "msgtype": "markdown", "markdown": { "content": "**a**" } })
        );
    }

    #[test]
    fn long_texts_are_cut_between_characters_and_lines() {
        let full = "鼓".repeat(682);
        assert_eq!(fitted(&full, 2048), full);
        let cut = fitted(&"鼓".repeat(683), 2048);
        assert!(cut.len() <= 2048 && cut.ends_with("鼓\n…"), "{}", cut.len());
        assert_eq!(cut.chars().filter(|c| *c == '鼓').count(), 681);
        let lines = format!("{}\n{}", "a".repeat(1500), "b".repeat(1000));
        assert_eq!(fitted(&lines, 2048), format!("{}\n…", "a".repeat(1500)));
        // A line that is not near the end would cost most of the text.
        let early = format!("a\n{}", "b".repeat(3000));
        assert_eq!(fitted(&early, 2048).len(), 2048);
    }
}
