//! The `access_token` of an account: asked for once, however many need it, and kept until shortly before it expires, in the
//! state too, so that the next process goes on with it.
//!
//! By `stable_token`, which answers the same token to all who ask while it is good
//! (<https://developers.weixin.qq.com/doc/service/api/base/api_getstableaccesstoken.html>): programs of the account do not
//! take it away from each other. A new one is forced only when WeChat refuses the one that it has just named again: at
//! most 20 times a day, and not twice within 30 s.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use tokio::sync::{Mutex, MutexGuard};

use super::account::lifetime;
use super::verdict;
use crate::action::Outcome;
use crate::action::errcode::answer;
use crate::action::http::{FaultKind, JsonPost, Reply};
use crate::clock::Clock;
use crate::settings::{Secret, WechatAccountSettings};
use crate::store::memo::Memo;

const PATH: &str = "/cgi-bin/stable_token";
const DAY: i64 = 86_400;
const FORCED_A_DAY: usize = 20;
const FORCED_APART: i64 = 30;
/// What went wrong a moment ago is not tried again by all who wait.
const REST: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Tokens {
    appid: String,
    secret: Secret,
    url: String,
    post: JsonPost,
    memo: Option<Memo>,
    clock: Clock,
    // Who refreshes holds it; all others wait for what comes of that.
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The memo has been read.
    is_read: bool,
    kept: Kept,
    failed: Option<(Duration, Outcome)>,
}

/// What is remembered.
#[derive(Debug, Default)]
struct Kept {
    token: Option<Secret>,
    /// Unix seconds.
    good_until: i64,
    /// When tokens were forced, unix seconds, oldest first.
    forced: Vec<i64>,
}

impl Tokens {
    pub(super) fn new(
        settings: &WechatAccountSettings,
        post: JsonPost,
        memo: Option<Memo>,
        clock: Clock,
    ) -> Self {
        let WechatAccountSettings { appid, secret, base, .. } = settings;
        let (appid, secret, url) = (appid.clone(), secret.clone(), format!("{base}{PATH}"));
        Self { appid, secret, url, post, memo, clock, state: Mutex::default() }
    }

    /// A token that is good and not `refused`. The error is what becomes of the message that needs one.
    pub(super) async fn token(&self, refused: Option<&Secret>) -> Result<Secret, Outcome> {
        let mut state = self.state.lock().await;
        if let Some(token) = state.kept.good(self.clock.now(), refused) {
            return Ok(token);
        }
        if !state.is_read {
            self.read(&mut state).await;
            if let Some(token) = state.kept.good(self.clock.now(), refused) {
                return Ok(token);
            }
        }
        let at = self.clock.monotonic();
        if let Some((since, outcome)) = &state.failed
            && at.saturating_sub(*since) < REST
        {
            return Err(outcome.clone());
        }
        let refreshed = self.refresh(&mut state, refused).await;
        state.failed = refreshed.as_ref().err().map(|outcome| (self.clock.monotonic(), outcome.clone()));
        refreshed
    }

    async fn refresh(
        &self,
        state: &mut MutexGuard<'_, State>,
        refused: Option<&Secret>,
    ) -> Result<Secret, Outcome> {
        let (mut token, mut expires_in) = self.ask(false).await?;
        if refused == Some(&token) {
            let now = self.clock.now().timestamp();
            state.kept.may_force(now)?;
            // Counted before it is asked for: a crash must not make it one too many.
            state.kept.forced.push(now);
            self.write(&state.kept).await;
            (token, expires_in) = self.ask(true).await?;
        }
        let lifetime = i64::try_from(lifetime(expires_in).as_secs()).unwrap_or_default();
        state.kept.good_until = self.clock.now().timestamp() + lifetime;
        state.kept.token = Some(token.clone());
        self.write(&state.kept).await;
        tracing::info!(appid = self.appid, expires_in, "WeChat named an access token");
        Ok(token)
    }

    /// The token, and how many seconds it has to live.
    async fn ask(&self, force: bool) -> Result<(Secret, u64), Outcome> {
        let body = json!({
            "grant_type": "client_credential", "appid": self.appid, "secret": self.secret.reveal(),
            "force_refresh": force,
        });
        let request = JsonPost::request(&self.url, &[], &body, vec![self.secret.clone()])
            .map_err(|reason| Outcome::Halt { reason })?;
        let no_token = |reason: &str| format!("no access token: {reason}");
        let reply = self.post.exchange(&request).await.map_err(|fault| {
            let reason = no_token(&fault.reason);
            match fault.kind {
                FaultKind::Halt | FaultKind::Final => Outcome::Halt { reason },
                // To ask twice does no harm, and no message is to blame.
                FaultKind::Nobody | FaultKind::Again | FaultKind::Doubt => Outcome::Unreachable { reason },
            }
        })?;
        if let Some(named) = named(&reply) {
            return Ok(named);
        }
        Err(match answer(&request, &reply) {
            Ok(answer) => match verdict::of_token(&answer, self.clock.now()) {
                Outcome::Halt { reason } => Outcome::Halt { reason: no_token(&reason) },
                Outcome::Unreachable { reason } => Outcome::Unreachable { reason: no_token(&reason) },
                other => other,
            },
            Err(outcome) => Outcome::Unreachable { reason: no_token(outcome.text()) },
        })
    }

    async fn read(&self, state: &mut State) {
        let Some(memo) = &self.memo else { return };
        match memo.read().await {
            Ok(text) => {
                state.is_read = true;
                state.kept = text.map(|text| Kept::from_text(&text)).unwrap_or_default();
            }
            Err(error) => tracing::warn!(appid = self.appid, %error, "could not read the access token"),
        }
    }

    /// What cannot be written is asked for again by the next process.
    async fn write(&self, kept: &Kept) {
        let Some(memo) = &self.memo else { return };
        if let Err(error) = memo.write(kept.to_text()).await {
            tracing::warn!(appid = self.appid, %error, "could not keep the access token");
        }
    }
}

/// The token in an answer, if it names one.
fn named(reply: &Reply) -> Option<(Secret, u64)> {
    let value: Value = serde_json::from_slice(&reply.body).ok()?;
    let token = value["access_token"].as_str().filter(|token| !token.is_empty())?;
    Some((Secret::new(token.to_owned()), value["expires_in"].as_u64()?))
}

impl Kept {
    fn good(&self, now: DateTime<Utc>, refused: Option<&Secret>) -> Option<Secret> {
        let is_good = now.timestamp() < self.good_until;
        self.token.as_ref().filter(|token| is_good && refused != Some(*token)).cloned()
    }

    /// Forgets what is longer ago than a day.
    fn may_force(&mut self, now: i64) -> Result<(), Outcome> {
        self.forced.retain(|at| (0..DAY).contains(&(now - at)));
        if self.forced.len() >= FORCED_A_DAY {
            let reason = format!(
                "WeChat refuses the access token that it names, and a new one was forced {FORCED_A_DAY} times today: \
                 does another program of the account force one again and again?"
            );
            return Err(Outcome::Halt { reason });
        }
        if self.forced.last().is_some_and(|last| now - last < FORCED_APART) {
            let reason = format!(
                "WeChat refuses the access token that it names; a new one was forced within the last {FORCED_APART} s"
            );
            return Err(Outcome::Unreachable { reason });
        }
        Ok(())
    }

    fn to_text(&self) -> String {
        let token = self.token.as_ref().map(Secret::reveal);
        json!({ "access_token": token, "good_until": self.good_until, "forced": self.forced }).to_string()
    }

    fn from_text(text: &str) -> Self {
        let value: Value = serde_json::from_str(text).unwrap_or_default();
        let forced = value["forced"].as_array().into_iter().flatten().filter_map(Value::as_i64);
        Self {
            token: value["access_token"].as_str().map(|token| Secret::new(token.to_owned())),
            good_until: value["good_until"].as_i64().unwrap_or_default(),
            forced: forced.collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_read_back_and_nonsense_is_nothing() {
        let kept = Kept { token: Some(Secret::new("t".to_owned())), good_until: 9, forced: vec![1, 2] };
        let read = Kept::from_text(&kept.to_text());
        assert_eq!((&read.token, read.good_until, &read.forced), (&kept.token, 9, &vec![1, 2]));
        assert!(Kept::from_text("{").token.is_none() && Kept::from_text("[1]").forced.is_empty());
        assert!(!format!("{kept:?}").contains("\"t\""));
    }

    #[test]
    fn tokens_are_forced_twenty_times_a_day_and_not_twice_in_a_moment() {
        let mut kept = Kept::default();
        let mut now = 1_000_000;
        for _ in 0..FORCED_A_DAY {
            kept.may_force(now).unwrap();
            kept.forced.push(now);
            if kept.forced.len() < FORCED_A_DAY {
                assert!(matches!(kept.may_force(now + 29), Err(Outcome::Unreachable { .. })));
            }
            now += 30;
        }
        assert!(matches!(kept.may_force(now), Err(Outcome::Halt { .. })));
        kept.may_force(1_000_000 + DAY).unwrap();
    }

    #[test]
    fn a_token_is_used_until_its_successor_is_there() {
        assert_eq!(lifetime(7200), Duration::from_secs(6900));
        assert_eq!(lifetime(100), Duration::from_secs(50));
        assert_eq!(lifetime(0), Duration::ZERO);
    }
}
