//! The actions that a batch can have, as one.

use super::{Deliver, Export};
use crate::action::http::{HttpAction, HttpRequest};
use crate::action::mail::{MailAction, RenderedMail};
use crate::action::{Delivery, Outcome};
use crate::run::Row;

/// What a batch does with a row.
#[derive(Debug)]
pub enum RowAction {
    /// A mail.
    Mail(Box<MailAction>),
    /// An HTTP request.
    Http(Box<HttpAction>),
    /// A file with all rows.
    Export(Box<Export>),
}

/// What goes out for a row.
#[derive(Debug)]
pub enum Outgoing {
    /// A mail.
    Mail(Box<RenderedMail>),
    /// An HTTP request.
    Http(Box<HttpRequest>),
}

impl Deliver for RowAction {
    type Rendered = Outgoing;

    fn render(&self, delivery: &Delivery<'_>) -> Result<Outgoing, Outcome> {
        Ok(match self {
            Self::Mail(mail) => Outgoing::Mail(Box::new(mail.render(delivery)?)),
            Self::Http(http) => Outgoing::Http(Box::new(http.render_row(delivery)?)),
            // The configuration has no such thing.
            Self::Export(_) => return Err(whole("all rows go into one file")),
        })
    }

    fn render_digest(&self, delivery: &Delivery<'_>, rows: &[Row]) -> Result<Outgoing, Outcome> {
        match self {
            Self::Mail(mail) => {
                let Delivery { reservation, fire_time, now, .. } = *delivery;
                Ok(Outgoing::Mail(Box::new(mail.render_digest(rows, reservation, fire_time, now)?)))
            }
            // The configuration has no such thing.
            Self::Http(_) => Err(whole("a request goes out for each row, not for all of them")),
            Self::Export(_) => Err(whole("all rows go into one file")),
        }
    }

    fn at_once(&self, concurrency: usize) -> usize {
        match self {
            Self::Mail(mail) => mail.at_once(concurrency),
            Self::Http(_) | Self::Export(_) => concurrency,
        }
    }

    fn export(&self) -> Option<&Export> {
        if let Self::Export(export) = self { Some(export) } else { None }
    }

    async fn deliver(&self, rendered: &Outgoing) -> Outcome {
        match (self, rendered) {
            (Self::Mail(action), Outgoing::Mail(mail)) => action.deliver(mail).await,
            (Self::Http(action), Outgoing::Http(request)) => action.deliver(request).await.outcome,
            _ => Outcome::Halt { reason: "what was made by one action cannot go out by another".to_owned() },
        }
    }

    fn show(&self, rendered: &Outgoing) -> Vec<String> {
        match rendered {
            Outgoing::Mail(mail) => mail.lines(),
            Outgoing::Http(request) => request.lines(),
        }
    }
}

fn whole(reason: &str) -> Outcome {
    Outcome::Halt { reason: reason.to_owned() }
}
