//! The actions that a batch can have, as one.

use std::sync::Arc;

use super::{Deliver, Export};
use crate::action::http::{HttpAction, HttpRequest};
use crate::action::mail::{MailAction, RenderedMail, Turn};
use crate::action::wechat::{WechatAction, WechatMessage};
use crate::action::wecom::WecomRobot;
use crate::action::{Delivery, Outcome};
use crate::run::Row;
use crate::settings::QuotaSettings;

/// What a batch does with a row.
#[derive(Debug)]
pub enum RowAction {
    /// A mail.
    Mail(Arc<MailAction>),
    /// An HTTP request.
    Http(Box<HttpAction>),
    /// A file with all rows.
    Export(Box<Export>),
    /// A message to a WeCom group.
    WecomRobot(Box<WecomRobot>),
    /// A message to a user of WeChat.
    Wechat(Box<WechatAction>),
}

/// What goes out for a row.
#[derive(Debug)]
pub enum Outgoing {
    /// A mail.
    Mail(Box<RenderedMail>),
    /// An HTTP request.
    Http(Box<HttpRequest>),
    /// A message to a user of WeChat.
    Wechat(Box<WechatMessage>),
}

impl Deliver for RowAction {
    type Rendered = Outgoing;
    type Turn = Turn;

    async fn render(&self, delivery: &Delivery<'_>) -> Result<Outgoing, Outcome> {
        Ok(match self {
            Self::Mail(mail) => Outgoing::Mail(Box::new(mail.render_row(delivery).await?)),
            Self::Http(http) => Outgoing::Http(Box::new(http.render_row(delivery)?)),
            Self::WecomRobot(robot) => Outgoing::Http(Box::new(robot.render_row(delivery)?)),
            Self::Wechat(wechat) => Outgoing::Wechat(Box::new(wechat.render(delivery)?)),
            // The configuration has no such thing.
            Self::Export(_) => return Err(whole("all rows go into one file")),
        })
    }

    async fn render_digest(&self, delivery: &Delivery<'_>, rows: &[Row]) -> Result<Outgoing, Outcome> {
        match self {
            Self::Mail(mail) => {
                let Delivery { reservation, fire_time, now, .. } = *delivery;
                let mail = mail.render_digest(rows, reservation, fire_time, now).await?;
                Ok(Outgoing::Mail(Box::new(mail)))
            }
            // The configuration has no such thing.
            Self::Export(_) => Err(whole("all rows go into one file")),
            _ => Err(whole("a message goes out for each row, not for all of them")),
        }
    }

    fn at_once(&self, concurrency: usize) -> usize {
        match self {
            Self::Mail(mail) => mail.at_once(),
            _ => concurrency,
        }
    }

    fn export(&self) -> Option<&Export> {
        if let Self::Export(export) = self { Some(export) } else { None }
    }

    async fn turn(&self, rendered: &Outgoing) -> Turn {
        match (self, rendered) {
            (Self::Mail(action), Outgoing::Mail(mail)) => action.turn(mail).await,
            _ => Turn::default(),
        }
    }

    async fn deliver(&self, turn: Turn, rendered: &Outgoing) -> Outcome {
        match (self, rendered) {
            (Self::Mail(action), Outgoing::Mail(mail)) => action.deliver_in(turn, mail).await,
            (Self::Http(action), Outgoing::Http(request)) => action.deliver(request).await.outcome,
            (Self::WecomRobot(robot), Outgoing::Http(request)) => robot.deliver(request).await.outcome,
            (Self::Wechat(action), Outgoing::Wechat(message)) => action.deliver(message).await,
            _ => Outcome::Halt { reason: "what was made by one action cannot go out by another".to_owned() },
        }
    }

    fn quota(&self) -> Option<QuotaSettings> {
        match self {
            Self::Mail(_) | Self::Http(_) | Self::Export(_) => None,
            Self::WecomRobot(robot) => Some(robot.quota()),
            Self::Wechat(action) => Some(action.quota()),
        }
    }

    fn show(&self, rendered: &Outgoing) -> Vec<String> {
        match (self, rendered) {
            (_, Outgoing::Mail(mail)) => mail.lines(),
            (_, Outgoing::Http(request)) => request.lines(),
            (Self::Wechat(action), Outgoing::Wechat(message)) => action.lines(message),
            (_, Outgoing::Wechat(_)) => Vec::new(),
        }
    }
}

fn whole(reason: &str) -> Outcome {
    Outcome::Halt { reason: reason.to_owned() }
}
