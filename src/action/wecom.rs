//! Messages to a group robot of WeCom (企业微信群机器人), by the rules of
//! <https://developer.work.weixin.qq.com/document/path/91770>.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};

use super::Outcome;
use super::http::{Delivery, HttpAction, HttpClients, HttpRequest, QUOTED, Reply, judge};
use super::template::{Context, Place, RenderError, TemplateError, Templates};
use crate::settings::{
    HttpBody, HttpSettings, HttpSuccess, HttpUrl, JsonRule, TlsMode, WecomKind, WecomRobotSettings,
};

const CONTENT: &str = "content";
const MESSAGE: &str = "message";
/// What stands at the end of a text that was cut.
const CUT: &str = "\n…";
/// 20 messages a minute and robot; nothing else says when it may be tried again.
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
        Ok(Self { kind: settings.kind, content, http: HttpAction::new(&http, clients)? })
    }

    /// The request for `values`, which the text's template sees as variables beside `fire_time` and `now`.
    pub fn render(
        &self,
        values: &Map<String, Value>,
        fire_time: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Result<HttpRequest, RenderError> {
        let content = self.content.render(CONTENT, &Context::values(values, fire_time, now))?;
        let mut request = Map::new();
        request.insert(MESSAGE.to_owned(), message(self.kind, &content));
        self.http.render(&request, fire_time, now)
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

/// WeCom answers 200 whatever happens; `errcode` says what did.
fn verdict(request: &HttpRequest, reply: &Reply) -> Outcome {
    let answer: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
    let Some(code) = answer["errcode"].as_i64() else {
        let rule = HttpSuccess {
            json: Some(JsonRule { pointer: "/errcode".to_owned(), equals: 0.into() }),
            ..HttpSuccess::default()
        };
        return judge(&rule, request, reply);
    };
    let said = request.beginning(answer["errmsg"].as_str().unwrap_or_default().as_bytes(), QUOTED);
    let reason = format!("WeCom answered errcode {code}: {said}");
    match code {
        0 => Outcome::Sent { detail: "errcode 0".to_owned() },
        RATE_LIMITED | BUSY => Outcome::Retry { reason },
        NO_ROBOT => Outcome::Halt { reason },
        _ => Outcome::Failed { reason },
    }
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
