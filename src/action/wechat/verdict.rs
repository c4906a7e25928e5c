//! What WeChat's codes mean for a message, and for the question for a token.

use std::time::Duration;

use chrono::{DateTime, FixedOffset, NaiveTime, Utc};

use crate::action::Outcome;
use crate::action::errcode::Answer;

/// Beijing's, in seconds; WeChat's days begin there.
const BEIJING: i32 = 8 * 3600;
/// WeChat's clock may be behind ours; then the day has not turned there yet.
const MARGIN: Duration = Duration::from_secs(60);
/// A quota that is used up so soon after midnight is that of the day before.
const YOUNG_DAY: Duration = Duration::from_secs(600);
const ASK_AGAIN: Duration = Duration::from_secs(300);
/// Too many calls in this minute.
const A_MINUTE: Duration = Duration::from_secs(60);

/// What an answer to a message means.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Settled.
    Settled(Outcome),
    /// The message was not looked at, because of its token; one line.
    TokenRefused(String),
}

/// Of a message.
pub(super) fn of_message(answer: &Answer, now: DateTime<Utc>) -> Verdict {
    let reason = reason(answer);
    Verdict::Settled(match answer.code {
        0 => {
            let id = &answer.value["msgid"];
            let detail = if id.is_null() { "errcode 0".to_owned() } else { format!("errcode 0, msgid {id}") };
            Outcome::Sent { detail }
        }
        40001 | 40014 | 42001 => return Verdict::TokenRefused(reason),
        _ => common(answer.code, reason, now).unwrap_or_else(|reason| Outcome::Failed { reason }),
    })
}

/// Of the question for a token, which was not answered with one.
pub(super) fn of_token(answer: &Answer, now: DateTime<Utc>) -> Outcome {
    match common(answer.code, reason(answer), now) {
        // No message is to blame.
        Ok(Outcome::Retry { reason }) => Outcome::Unreachable { reason },
        Ok(outcome) => outcome,
        Err(reason) => Outcome::Halt { reason },
    }
}

/// What a code means wherever it turns up; the error: nothing that is known here.
fn common(code: i64, reason: String, now: DateTime<Utc>) -> Result<Outcome, String> {
    Ok(match code {
        -1 => Outcome::Retry { reason },
        45009 => Outcome::Exhausted { reason, wait: until_the_quota_turns(now) },
        45011 => Outcome::Exhausted { reason, wait: A_MINUTE },
        // The account itself: every message would fare alike.
        40013 | 40125 | 40164 | 40243 | 41002 | 41004 | 48001 | 50001 | 50007 | 61024 => {
            Outcome::Halt { reason }
        }
        _ => return Err(reason),
    })
}

/// What WeChat said, and what is to be done about it, in one line.
fn reason(Answer { code, said, .. }: &Answer) -> String {
    let hint = match code {
        43101 => " (the user has not subscribed to this message, or not often enough)",
        43004 => " (the user does not follow the account)",
        40003 => " (there is no such openid, or it is one of another account)",
        47003 => " (a value is not what the template takes: compare `data` with the template's keywords)",
        40037 => " (there is no such template: compare `template_id` with those of the account)",
        41030 => " (the mini program has no such page in its published version)",
        45009 => " (today's quota is used up; WeChat's day begins at midnight in Beijing)",
        40013 => " (there is no such `appid`: mend it in the daemon config)",
        40125 | 41004 => " (the `secret` is not that of the `appid`: mend it in the daemon config)",
        40164 => " (add this machine's address to the IP whitelist of the account)",
        40243 => " (the secret is frozen: thaw it in the account's console)",
        48001 => " (the account has no right to this kind of message)",
        _ => "",
    };
    format!("WeChat answered errcode {code}: {said}{hint}")
}

/// How long until WeChat counts anew: its day turns at midnight in Beijing.
fn until_the_quota_turns(now: DateTime<Utc>) -> Duration {
    let Some(zone) = FixedOffset::east_opt(BEIJING) else { return ASK_AGAIN };
    let since_midnight = now.with_timezone(&zone).time() - NaiveTime::MIN;
    let since_midnight = since_midnight.to_std().unwrap_or_default();
    if since_midnight < YOUNG_DAY {
        return ASK_AGAIN;
    }
    Duration::from_secs(86_400).saturating_sub(since_midnight) + MARGIN
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn at(beijing: &str) -> DateTime<Utc> {
        format!("2026-06-01T{beijing}+08:00").parse().unwrap()
    }

    fn answer(code: i64, value: Value) -> Answer {
        Answer { code, said: "said".to_owned(), value }
    }

    fn message(code: i64) -> String {
        match of_message(&answer(code, json!({})), at("09:00:00")) {
            Verdict::Settled(outcome) => format!("{outcome:?}"),
            Verdict::TokenRefused(reason) => format!("token: {reason}"),
        }
    }

    #[test]
    fn codes_fall_into_classes() {
        assert_eq!(message(0), "Sent { detail: \"errcode 0\" }");
        let with_id = of_message(&answer(0, json!({ "msgid": 200_228_332 })), at("09:00:00"));
        let detail = "errcode 0, msgid 200228332".to_owned();
        assert_eq!(with_id, Verdict::Settled(Outcome::Sent { detail }));
        for (code, expected) in [
            (-1, "Retry { reason: \"WeChat answered errcode -1: said\" }"),
            (43101, "Failed { reason: \"WeChat answered errcode 43101: said (the user has not"),
            (40003, "Failed {"),
            (47003, "Failed {"),
            (40037, "Failed {"),
            (99999, "Failed { reason: \"WeChat answered errcode 99999: said\" }"),
            (45009, "Exhausted {"),
            (45011, "Exhausted {"),
            (40013, "Halt {"),
            (40164, "Halt { reason: \"WeChat answered errcode 40164: said (add this machine's address"),
            (48001, "Halt {"),
            (40001, "token: WeChat answered errcode 40001"),
            (40014, "token: "),
            (42001, "token: "),
        ] {
            assert!(message(code).starts_with(expected), "{code}: {}", message(code));
        }
    }

    #[test]
    fn without_a_token_no_message_is_to_blame() {
        let token = |code| of_token(&answer(code, json!({})), at("09:00:00"));
        assert!(matches!(token(-1), Outcome::Unreachable { .. }));
        assert!(matches!(token(40125), Outcome::Halt { .. }));
        assert!(matches!(token(40001), Outcome::Halt { .. }), "an invalid secret, in older words");
        assert!(matches!(token(45009), Outcome::Exhausted { .. }));
    }

    #[test]
    fn a_quota_turns_at_midnight_in_beijing_by_wechats_clock() {
        let wait = |beijing| until_the_quota_turns(at(beijing)).as_secs();
        assert_eq!(wait("09:00:00"), 15 * 3600 + 60);
        assert_eq!(wait("23:59:59"), 61);
        assert_eq!(wait("00:00:30"), 300, "there it is yesterday still");
        assert_eq!(wait("00:10:00"), 86_400 - 600 + 60);
    }
}
