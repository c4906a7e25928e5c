//! A message goes out, with a token that WeChat takes.

use std::sync::Arc;

use super::account::WechatAccount;
use super::compose::{Composer, WechatMessage};
use super::verdict::{Verdict, of_message};
use crate::action::errcode::answer;
use crate::action::http::{Delivery as Delivered, FaultKind, HttpClients};
use crate::action::template::TemplateError;
use crate::action::{Delivery, Outcome};
use crate::clock::Clock;
use crate::settings::{QuotaSettings, Secret, WechatAccountSettings, WechatSettings};

/// Tries of a message that WeChat knows again, one right after the other: far less than the ten minutes for which it
/// does.
const REPEATS: u32 = 2;

/// The `wechat_subscribe` and `wechat_template` actions.
#[derive(Debug)]
pub struct WechatAction {
    composer: Composer,
    account: Arc<WechatAccount>,
}

impl WechatAction {
    /// Compiles the templates of `settings`. The error names the place, the line and what is wrong.
    pub fn new(settings: &WechatSettings, account: Arc<WechatAccount>) -> Result<Self, TemplateError> {
        Ok(Self { composer: Composer::new(settings)?, account })
    }

    /// The same to look at its messages: its account is nobody else's, and remembers nothing.
    pub fn to_look_at(
        settings: &WechatSettings,
        account: &WechatAccountSettings,
        clock: Clock,
    ) -> Result<Self, TemplateError> {
        Self::new(settings, Arc::new(WechatAccount::new(account, &HttpClients::default(), None, clock)))
    }

    /// The message for a row. The error is what becomes of the row: values that are longer than WeChat takes fail it.
    pub fn render(&self, delivery: &Delivery<'_>) -> Result<WechatMessage, Outcome> {
        self.composer.message(delivery)
    }

    /// For people, one line each: what would go out, without its token.
    pub fn lines(&self, message: &WechatMessage) -> Vec<String> {
        let title = format!("POST {}{}?access_token=…", self.account.base(), self.composer.path());
        vec![title, String::new(), message.body.to_string()]
    }

    /// What WeChat counts for the account and this kind of message: when it says that it is used up, it is for all.
    pub fn quota(&self) -> QuotaSettings {
        let path = self.composer.path();
        QuotaSettings { name: format!("wechat:{}:{path}", self.account.appid()), limits: Vec::new() }
    }

    /// Sends it, and says what became of it. A future that is dropped leaves it in doubt.
    pub async fn deliver(&self, message: &WechatMessage) -> Outcome {
        let mut is_in_doubt = false;
        match self.with_a_token(message, &mut is_in_doubt).await {
            // A later try that came to nothing says nothing of the first, and the next may come after those ten minutes.
            Outcome::Retry { reason }
            | Outcome::Unreachable { reason }
            | Outcome::Exhausted { reason, .. }
                if is_in_doubt =>
            {
                Outcome::Uncertain {
                    reason: format!("an earlier try may have arrived; the last one: {reason}"),
                }
            }
            outcome => outcome,
        }
    }

    async fn with_a_token(&self, message: &WechatMessage, is_in_doubt: &mut bool) -> Outcome {
        let mut refused: Option<Secret> = None;
        loop {
            let token = match self.account.token(refused.as_ref()).await {
                Ok(token) => token,
                Err(outcome) => return outcome,
            };
            match self.send(message, &token, is_in_doubt).await {
                Verdict::Settled(outcome) => return outcome,
                Verdict::TokenRefused(reason) if refused.is_some() => {
                    let reason = format!("WeChat refuses a new access token as well: {reason}");
                    return Outcome::Halt { reason };
                }
                Verdict::TokenRefused(_) => refused = Some(token),
            }
        }
    }

    async fn send(&self, message: &WechatMessage, token: &Secret, is_in_doubt: &mut bool) -> Verdict {
        let request = match self.account.request(self.composer.path(), token, &message.body) {
            Ok(request) => request,
            Err(outcome) => return Verdict::Settled(outcome),
        };
        let mut repeats = if self.composer.may_repeat() { REPEATS } else { 0 };
        let reply = loop {
            match self.account.exchange(&request).await {
                Ok(reply) => break reply,
                // It may have arrived, and `client_msg_id` keeps the user from getting it twice.
                Err(fault) if fault.kind == FaultKind::Doubt && repeats > 0 => {
                    *is_in_doubt = true;
                    repeats -= 1;
                }
                Err(fault) => return Verdict::Settled(Delivered::from(fault).outcome),
            }
        };
        match answer(&request, &reply) {
            Ok(answer) => of_message(&answer, self.account.now()),
            Err(outcome) => Verdict::Settled(outcome),
        }
    }
}
