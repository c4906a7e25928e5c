//! What is done about a change: a request, a message, a mail.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use crate::action::http::{Delivery, HttpAction, HttpClients};
use crate::action::mail::{MailAction, Transport};
use crate::action::wecom::WecomRobot;
use crate::settings::FollowSettings;

/// An action, ready to be done.
#[derive(Debug)]
pub enum Follow {
    Http(Box<HttpAction>),
    WecomRobot(Box<WecomRobot>),
    Mail(Box<MailAction>),
}

/// What it is done with.
#[derive(Debug)]
pub struct Occasion<'a> {
    /// What templates see.
    pub values: &'a Map<String, Value>,
    pub fire_time: DateTime<Utc>,
    pub now: DateTime<Utc>,
    /// The same for the same change: a mail that is sent again has the same `Message-ID`.
    pub change: &'a str,
}

impl Follow {
    /// The reason, when a template cannot be used. `transport`: that of the mail.
    pub fn new(
        settings: &FollowSettings,
        clients: &HttpClients,
        transport: Option<Arc<Transport>>,
    ) -> Result<Self, String> {
        let action = match settings {
            FollowSettings::Http(request) => {
                HttpAction::new(request, clients).map(|http| Self::Http(http.into()))
            }
            FollowSettings::WecomRobot(robot) => {
                WecomRobot::new(robot, clients).map(|robot| Self::WecomRobot(robot.into()))
            }
            FollowSettings::Mail(mail) => {
                let transport =
                    transport.ok_or_else(|| format!("there is no mail transport `{}`", mail.via))?;
                MailAction::new(mail, transport).map(|mail| Self::Mail(mail.into()))
            }
        };
        action.map_err(|error| error.to_string())
    }

    /// As the log names it.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Http(_) => "http",
            Self::WecomRobot(_) => "wecom_robot",
            Self::Mail(_) => "mail",
        }
    }

    /// Does it.
    pub async fn send(&self, occasion: &Occasion<'_>) -> Delivery {
        let Occasion { values, fire_time, now, change } = *occasion;
        match self {
            Self::Http(http) => http.send(values, fire_time, now).await,
            Self::WecomRobot(robot) => robot.send(values, fire_time, now).await,
            Self::Mail(mail) => match mail.render_values(values, change, fire_time, now) {
                Ok(rendered) => Delivery::of(mail.deliver(&rendered).await),
                Err(error) => Delivery::of(error.into()),
            },
        }
    }
}
