//! Mails to hand to a transport, and the settings of servers to take them.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use gulou::action::mail::{MailAction, RenderedMail, Timeouts, Transport};
use gulou::action::{Delivery, Outcome};
use gulou::clock::Clock;
use gulou::run::{Row, Scalar};
use gulou::settings::{
    MailExtras, MailRoute, MailSettings, MailTransportSettings, SmtpLogin, SmtpSecurity, SmtpServerSettings,
    SmtpSettings, TemplateSource,
};

use super::PATIENCE;

/// Nothing in a test is slow on purpose, unless the test says so.
pub(crate) fn patient() -> Timeouts {
    Timeouts { connect: PATIENCE, command: PATIENCE, body: PATIENCE, answer: PATIENCE, idle: PATIENCE }
}

/// A server that is talked to in the clear, without a login.
pub(crate) fn plain_smtp(host: &str, port: u16) -> MailRoute {
    smtp(host, port, SmtpSecurity::Plain, None)
}

pub(crate) fn smtp(host: &str, port: u16, security: SmtpSecurity, login: Option<SmtpLogin>) -> MailRoute {
    let server = SmtpServerSettings { host: host.to_owned(), port, security, login, connections: None };
    MailRoute::Smtp(Box::new(SmtpSettings { server, fallback: None, per_domain: None }))
}

/// The settings of servers, to be changed.
pub(crate) fn servers(route: &mut MailRoute) -> &mut SmtpSettings {
    match route {
        MailRoute::Smtp(servers) => servers,
        MailRoute::Maildir(_) => panic!("a folder"),
    }
}

/// Mails to `email`, with `body` as the text.
pub(crate) fn action_by(route: MailRoute, timeouts: Timeouts) -> (MailAction, Arc<Transport>) {
    action_at(route, timeouts, Clock::system())
}

/// The same with another clock.
pub(crate) fn action_at(route: MailRoute, timeouts: Timeouts, clock: Clock) -> (MailAction, Arc<Transport>) {
    let settings = MailTransportSettings { route, from: "鼓楼 <drum@tower.test>".into(), dkim: None };
    let transport = Transport::with_timeouts(&settings, clock, timeouts);
    (action_on(&transport), transport)
}

/// The same on a transport that others may use as well.
pub(crate) fn action_on(transport: &Arc<Transport>) -> MailAction {
    let mail = MailSettings {
        via: "outbox".into(),
        from: None,
        to: "{{ email }}".into(),
        reply_to: None,
        subject: "你好 {{ email }}".into(),
        text: Some(TemplateSource { origin: "mail.txt".into(), text: "{{ body }}".into() }),
        html: None,
        list_unsubscribe: None,
        extras: MailExtras::default(),
    };
    MailAction::new(&mail, transport.clone()).unwrap()
}

pub(crate) fn mail(action: &MailAction, email: &str, body: &str) -> RenderedMail {
    let row = Row {
        columns: Arc::from(["email".to_owned(), "body".to_owned()]),
        values: vec![Scalar::Text(email.into()), Scalar::Text(body.into())],
    };
    let at = DateTime::<Utc>::UNIX_EPOCH;
    let reservation = format!("r-{email}");
    action.render(&Delivery { row: &row, reservation: &reservation, fire_time: at, now: at }).unwrap()
}

/// One mail to whoever takes it, and goodbye.
pub(crate) async fn deliver_by(route: MailRoute) -> Outcome {
    let (action, transport) = action_by(route, patient());
    let outcome = action.deliver(&mail(&action, "a@ex.test", "hello")).await;
    transport.close().await;
    outcome
}

pub(crate) fn kind(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Sent { .. } => "sent",
        Outcome::Failed { .. } => "failed",
        Outcome::Retry { .. } => "retry",
        Outcome::Unreachable { .. } => "unreachable",
        Outcome::Uncertain { .. } => "uncertain",
        Outcome::Halt { .. } => "halt",
        Outcome::Exhausted { .. } => "exhausted",
    }
}
