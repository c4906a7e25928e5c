//! A mail's templates and the rows that fill them.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use super::address::Address;
use super::extras::{Extras, Filled, Named};
use super::files::Attachment;
use super::message::{Parts, RenderedMail};
use super::transport::Transport;
use super::turn::{Lanes, Turn};
use crate::action::template::{Context, Place, RenderError, TemplateError, Templates};
use crate::action::{Delivery, Outcome};
use crate::run::Row;
use crate::settings::{MOST_ENCLOSED, MailSettings, TemplateSource};

// The templates' names, which are also the keys that users write them under.
const TO: &str = "to";
const REPLY_TO: &str = "reply_to";
const SUBJECT: &str = "subject";
const TEXT: &str = "text";
const HTML: &str = "html";
const LIST_UNSUBSCRIBE: &str = "list_unsubscribe";

/// The `mail` action: compiled templates, and the way out.
#[derive(Debug)]
pub struct MailAction {
    templates: Templates,
    from: Arc<Address>,
    transport: Arc<Transport>,
    /// How many to the server it may have.
    connections: usize,
    lanes: Lanes,
    /// Where every mail goes instead.
    diverted: Option<Address>,
    /// Files and headers, if its mails have any.
    extras: Option<Box<Extras>>,
}

impl MailAction {
    /// Compiles the templates of `settings`. The error names the file, the line and what is wrong.
    pub fn new(settings: &MailSettings, transport: Arc<Transport>) -> Result<Self, TemplateError> {
        let from = settings.from.as_deref().unwrap_or(transport.from());
        let from = Address::parse(from).map_err(|error| TemplateError {
            origin: "from".into(),
            line: 1,
            message: error.to_string(),
        })?;
        let inline = |name: &'static str, place, text: &str| -> Named {
            (name.into(), place, TemplateSource { origin: name.to_owned(), text: text.to_owned() })
        };
        let mut sources =
            vec![inline(TO, Place::Text, &settings.to), inline(SUBJECT, Place::Text, &settings.subject)];
        sources.extend(settings.reply_to.as_ref().map(|text| inline(REPLY_TO, Place::Text, text)));
        sources.extend(settings.text.as_ref().map(|source| (TEXT.into(), Place::Text, source.clone())));
        sources.extend(settings.html.as_ref().map(|source| (HTML.into(), Place::Html, source.clone())));
        let url = settings.list_unsubscribe.as_ref();
        sources.extend(url.map(|text| inline(LIST_UNSUBSCRIBE, Place::Url, text)));
        let extras = Extras::new(&settings.extras, &mut sources);
        Ok(Self {
            templates: Templates::compile(sources)?,
            from: Arc::new(from),
            lanes: Lanes::new(&transport, transport.at_once(1)),
            transport,
            connections: 1,
            diverted: None,
            extras,
        })
    }

    /// The same, with every mail going to `to` and to nobody else. The recipient it had is rendered all the same: a row
    /// that could not be sent cannot be tried either.
    #[must_use]
    pub fn diverted(self, to: Address) -> Self {
        Self { diverted: Some(to), ..self }
    }

    /// Who the mail for one row would go to if it were not diverted.
    pub fn recipient(&self, delivery: &Delivery<'_>) -> Result<String, RenderError> {
        self.templates.render(TO, &Context::row(delivery.row, delivery.fire_time, delivery.now))
    }

    /// The columns that the templates use, sorted: what a row must have. In a digest's templates
    /// `rows` is one of them, and nothing else should be.
    pub fn columns(&self) -> Vec<String> {
        self.templates.variables()
    }

    /// The mail for one row. Blocks while it reads files that the row names.
    pub fn render(&self, delivery: &Delivery<'_>) -> Result<RenderedMail, RenderError> {
        let context = Context::row(delivery.row, delivery.fire_time, delivery.now);
        self.build(&context, delivery.reservation, delivery.now, None)
    }

    /// The same from an async thread, which it does not block.
    pub async fn render_row(self: &Arc<Self>, delivery: &Delivery<'_>) -> Result<RenderedMail, RenderError> {
        let context = Context::row(delivery.row, delivery.fire_time, delivery.now);
        self.build_apart(context, delivery.reservation, delivery.now, None).await
    }

    /// The one mail for all rows; templates see them as `rows`.
    pub async fn render_digest(
        self: &Arc<Self>,
        rows: &[Row],
        reservation: &str,
        fire_time: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Result<RenderedMail, RenderError> {
        self.build_apart(Context::rows(rows, fire_time, now), reservation, now, None).await
    }

    /// A mail that no row fills: templates see `values`. `file` is enclosed.
    pub async fn render_values(
        self: &Arc<Self>,
        values: &Map<String, Value>,
        reservation: &str,
        fire_time: DateTime<Utc>,
        now: DateTime<Utc>,
        file: Option<&Attachment>,
    ) -> Result<RenderedMail, RenderError> {
        self.build_apart(Context::values(values, fire_time, now), reservation, now, file.cloned()).await
    }

    /// The same with more connections to the server than the one it may have otherwise.
    #[must_use]
    pub fn over(self, connections: usize) -> Self {
        let lanes = Lanes::new(&self.transport, self.transport.at_once(connections));
        Self { connections, lanes, ..self }
    }

    /// How many deliveries at once keep its connections full: a connection has the next mail under way while the
    /// server answers to the last one. Where domains are limited, some more wait for their turn.
    pub fn at_once(&self) -> usize {
        self.lanes.at_once(self.transport.at_once(self.connections))
    }

    /// Waits until the mail may go: the domain that it goes to may have enough for now. Nothing has happened if this
    /// future is dropped.
    pub async fn turn(&self, mail: &RenderedMail) -> Turn {
        self.lanes.turn(&self.transport, mail).await
    }

    /// Hands the mail over, whose turn it is. May be called many times at once; see [`MailAction::at_once`]. A dropped
    /// future leaves the mail in doubt.
    pub async fn deliver_in(&self, turn: Turn, mail: &RenderedMail) -> Outcome {
        let outcome = self.transport.deliver(mail, self.connections).await;
        drop(turn);
        outcome
    }

    /// The same as soon as it is the mail's turn.
    pub async fn deliver(&self, mail: &RenderedMail) -> Outcome {
        self.deliver_in(self.turn(mail).await, mail).await
    }

    async fn build_apart(
        self: &Arc<Self>,
        context: Context,
        reservation: &str,
        now: DateTime<Utc>,
        file: Option<Attachment>,
    ) -> Result<RenderedMail, RenderError> {
        if !self.extras.as_ref().is_some_and(|extras| extras.reads_files()) {
            return self.build(&context, reservation, now, file);
        }
        let (action, reservation) = (Arc::clone(self), reservation.to_owned());
        let built =
            tokio::task::spawn_blocking(move || action.build(&context, &reservation, now, file)).await;
        built.unwrap_or_else(|lost| {
            let reason = format!("the thread that read the files is gone: {lost}");
            Err(RenderError::File { header: "attachments".into(), reason })
        })
    }

    fn build(
        &self,
        context: &Context,
        reservation: &str,
        now: DateTime<Utc>,
        file: Option<Attachment>,
    ) -> Result<RenderedMail, RenderError> {
        let required = |name| self.templates.render(name, context);
        let optional = |name| self.templates.render_if_any(name, context);
        let to = address("To", &required(TO)?)?;
        let mut extras = match &self.extras {
            Some(extras) => extras.fill(&self.templates, context)?,
            None => Filled::default(),
        };
        extras.attachments.extend(file);
        limit(&extras)?;
        let parts = Parts {
            from: self.from.clone(),
            to: self.diverted.clone().unwrap_or(to),
            reply_to: optional(REPLY_TO)?.map(|text| address("Reply-To", &text)).transpose()?,
            subject: required(SUBJECT)?,
            text: optional(TEXT)?,
            html: optional(HTML)?,
            list_unsubscribe: optional(LIST_UNSUBSCRIBE)?.map(url).transpose()?,
            extras,
            now,
        };
        RenderedMail::build(parts, reservation)
    }
}

/// What is too large for most servers is not sent to any.
fn limit(extras: &Filled) -> Result<(), RenderError> {
    let files = extras.attachments.iter().chain(extras.inline.iter().map(|(_, image)| image));
    let size: u64 = files.map(|file| file.bytes().len() as u64).sum();
    if size <= MOST_ENCLOSED {
        return Ok(());
    }
    let reason = format!("the files have {size} bytes, and {MOST_ENCLOSED} are the limit");
    Err(RenderError::Header { header: "attachments".into(), reason })
}

fn address(header: &'static str, text: &str) -> Result<Address, RenderError> {
    Address::parse(text)
        .map_err(|error| RenderError::Header { header: header.into(), reason: error.to_string() })
}

/// RFC 8058 §3.1: one-click needs HTTPS.
fn url(text: String) -> Result<String, RenderError> {
    let wrong = |reason: &str| RenderError::Header {
        header: "List-Unsubscribe".into(),
        reason: format!("{text:?} {reason}"),
    };
    if !text.starts_with("https://") {
        return Err(wrong("does not start with https://"));
    }
    if !text.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'<' | b'>')) {
        return Err(wrong("contains what a URL cannot; percent-encode it"));
    }
    Ok(text)
}
