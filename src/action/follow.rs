//! What is done about an event: a request, a message, a mail.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use super::http::{Delivery, HttpAction, HttpClients, HttpRequest};
use super::mail::{Attachment, MailAction, Transport};
use super::template::RenderError;
use super::wecom::WecomRobot;
use crate::settings::FollowSettings;

/// An action, ready to be done.
#[derive(Debug)]
pub enum Follow {
    /// A request.
    Http(Box<HttpAction>),
    /// A message to a WeCom group.
    WecomRobot(Box<WecomRobot>),
    /// A mail.
    Mail(Arc<MailAction>),
}

/// What it is done with.
#[derive(Debug)]
pub struct Occasion<'a> {
    /// What templates see.
    pub values: &'a Map<String, Value>,
    /// `fire_time` in templates.
    pub fire_time: DateTime<Utc>,
    /// `now` in templates, and the date of a mail.
    pub now: DateTime<Utc>,
    /// The same for the same event: a mail that is sent again has the same `Message-ID`.
    pub id: &'a str,
    /// What a mail encloses, and a request carries that has no body of its own.
    pub file: Option<&'a Attachment>,
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

    /// Whether it is a mail.
    pub const fn is_mail(&self) -> bool {
        matches!(self, Self::Mail(_))
    }

    /// Whether it can have a file with it.
    pub const fn takes_file(&self) -> bool {
        !matches!(self, Self::WecomRobot(_))
    }

    /// Does it.
    pub async fn send(&self, occasion: &Occasion<'_>) -> Delivery {
        let Occasion { values, fire_time, now, id, file } = *occasion;
        match self {
            Self::Http(http) => {
                let rendered = http.render(values, fire_time, now).and_then(|mut request| {
                    if let Some(file) = file.filter(|_| request.body().is_empty()) {
                        carry(&mut request, file)?;
                    }
                    Ok(request)
                });
                done(rendered, async |request| http.deliver(&request).await).await
            }
            Self::WecomRobot(robot) => {
                let rendered = robot.render(values, fire_time, now);
                done(rendered, async |request| robot.deliver(&request).await).await
            }
            Self::Mail(mail) => {
                let rendered = mail.render_values(values, id, fire_time, now, file).await;
                done(rendered, async |rendered| Delivery::of(mail.deliver(&rendered).await)).await
            }
        }
    }
}

/// Has the request carry the file, as it is.
fn carry(request: &mut HttpRequest, file: &Attachment) -> Result<(), RenderError> {
    let name: String = url::form_urlencoded::byte_serialize(file.name().as_bytes()).collect();
    // RFC 6266, RFC 8187: a space is `%20` there.
    let disposition = format!("attachment; filename*=UTF-8''{}", name.replace('+', "%20"));
    let wrong = |header: &'static str| move |reason| RenderError::Header { header: header.into(), reason };
    request.add_header("content-type", file.kind()).map_err(wrong("content-type"))?;
    request.add_header("content-disposition", &disposition).map_err(wrong("content-disposition"))?;
    request.set_body(bytes::Bytes::from_owner(Arc::clone(file.bytes())));
    Ok(())
}

/// Delivers what could be rendered.
async fn done<R>(rendered: Result<R, RenderError>, deliver: impl AsyncFnOnce(R) -> Delivery) -> Delivery {
    match rendered {
        Ok(rendered) => deliver(rendered).await,
        Err(error) => Delivery::of(error.into()),
    }
}
