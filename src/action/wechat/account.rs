//! An account: where its API is, and the token that its messages need.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::token::Tokens;
use crate::action::Outcome;
use crate::action::http::{Fault, HttpClients, HttpRequest, JsonPost, Reply};
use crate::clock::Clock;
use crate::settings::{Secret, WechatAccountSettings};
use crate::store::memo::Memo;

/// A mini program or an official account, shared by all that send for it.
#[derive(Debug)]
pub struct WechatAccount {
    appid: String,
    base: String,
    post: JsonPost,
    tokens: Tokens,
    clock: Clock,
}

impl WechatAccount {
    /// `memo`: where the token is kept for the next process; none: it is asked for anew.
    pub fn new(
        settings: &WechatAccountSettings,
        clients: &HttpClients,
        memo: Option<Memo>,
        clock: Clock,
    ) -> Self {
        let post = JsonPost::new(clients, settings.timeout);
        let tokens = Tokens::new(settings, post.clone(), memo, clock.clone());
        Self { appid: settings.appid.clone(), base: settings.base.clone(), post, tokens, clock }
    }

    pub(super) fn appid(&self) -> &str {
        &self.appid
    }

    pub(super) fn base(&self) -> &str {
        &self.base
    }

    pub(super) fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    /// A token that is good, and not the one that was `refused`.
    pub(super) async fn token(&self, refused: Option<&Secret>) -> Result<Secret, Outcome> {
        self.tokens.token(refused).await
    }

    /// The request to `path` with `token`, which is never shown.
    pub(super) fn request(&self, path: &str, token: &Secret, body: &Value) -> Result<HttpRequest, Outcome> {
        let url = format!("{}{path}", self.base);
        JsonPost::request(&url, &[("access_token", token.reveal())], body, vec![token.clone()])
            .map_err(|reason| Outcome::Halt { reason })
    }

    pub(super) async fn exchange(&self, request: &HttpRequest) -> Result<Reply, Fault> {
        self.post.exchange(request).await
    }
}

/// What a token that has so long to live is good for: WeChat hands out the next one five minutes before the end, and both
/// are good meanwhile.
pub(super) const fn lifetime(expires_in: u64) -> Duration {
    const OVERLAP: u64 = 300;
    Duration::from_secs(if expires_in > 2 * OVERLAP { expires_in - OVERLAP } else { expires_in / 2 })
}
