//! How WeChat and WeCom answer: status 200 whatever happens, and an `errcode` that says what did.

use serde_json::Value;

use super::Outcome;
use super::http::{HttpRequest, QUOTED, Reply, judge};
use crate::settings::{HttpSuccess, JsonRule};

/// An answer with a code.
#[derive(Debug)]
pub(super) struct Answer {
    /// 0: it is done.
    pub(super) code: i64,
    /// `errmsg`, without secrets.
    pub(super) said: String,
    /// All of it.
    pub(super) value: Value,
}

/// Reads `reply`. The error: what becomes of a request whose answer has no code, because of its status or for another reason.
pub(super) fn answer(request: &HttpRequest, reply: &Reply) -> Result<Answer, Outcome> {
    let plain = judge(&HttpSuccess::default(), request, reply);
    if !matches!(plain, Outcome::Sent { .. }) {
        return Err(plain);
    }
    let value: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
    let Some(code) = value["errcode"].as_i64() else {
        let rule = JsonRule { pointer: "/errcode".to_owned(), equals: 0.into() };
        return Err(judge(&HttpSuccess { json: Some(rule), ..HttpSuccess::default() }, request, reply));
    };
    let said = request.beginning(value["errmsg"].as_str().unwrap_or_default().as_bytes(), QUOTED);
    Ok(Answer { code, said, value })
}
