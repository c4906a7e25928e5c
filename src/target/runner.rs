//! The one type that the engine sees: a target of any kind.

use std::sync::Arc;

use chrono_tz::Tz;

use super::bounces::BouncesTarget;
use super::command::CommandTarget;
use super::fetch::{FetchTarget, Links};
use super::function::FunctionTarget;
use super::host::Host;
use super::http::HttpTarget;
use super::sql::SqlTarget;
use crate::action::http::HttpClients;
use crate::db::Database;
use crate::run::{Fire, Outcome, Preview, RunContext};
use crate::settings::{
    BouncesSettings, CodeSettings, CommandSettings, FetchSettings, HttpSettings, SqlSettings,
};
use crate::store::memo::Memo;

/// What a fire runs. Made once a function, called for each of its fires, from many tasks at once.
#[derive(Clone, Debug)]
pub struct Target {
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    Function(Arc<FunctionTarget>),
    Command(Arc<CommandTarget>),
    Http(Arc<HttpTarget>),
    Sql(Arc<SqlTarget>),
    Fetch(Arc<FetchTarget>),
    Bounces(Arc<BouncesTarget>),
}

impl Target {
    /// A cloud function. Starts nothing yet.
    pub fn function(settings: &CodeSettings, host: &Host) -> Self {
        Self { kind: Kind::Function(Arc::new(FunctionTarget::new(settings, host))) }
    }

    /// A program. Starts nothing yet.
    pub fn command(settings: &CommandSettings, host: &Host) -> Self {
        Self { kind: Kind::Command(Arc::new(CommandTarget::new(settings, host))) }
    }

    /// A request. Connects to nothing yet; the reason, when a template cannot be used.
    pub fn http(settings: &HttpSettings, host: &Host, clients: &HttpClients) -> Result<Self, String> {
        Ok(Self { kind: Kind::Http(Arc::new(HttpTarget::new(settings, host, clients)?)) })
    }

    /// A page. Connects to nothing yet; the reason, when a template cannot be used.
    pub fn fetch(settings: &FetchSettings, host: &Host, links: Links) -> Result<Self, String> {
        Ok(Self { kind: Kind::Fetch(Arc::new(FetchTarget::new(settings, host, links)?)) })
    }

    /// Mails that came back, whose rows are in `database`; what is being counted is kept in `memo`. Opens nothing yet.
    pub fn bounces(
        settings: &BouncesSettings,
        database: Database,
        memo: Memo,
        timezone: Tz,
        host: &Host,
    ) -> Self {
        Self { kind: Kind::Bounces(Arc::new(BouncesTarget::new(settings, database, memo, timezone, host))) }
    }

    /// Statements in `database`, whose `_local` parameters follow the clocks of `timezone`. Opens nothing yet.
    pub fn sql(settings: &SqlSettings, database: Database, timezone: Tz, host: &Host) -> Self {
        Self { kind: Kind::Sql(Arc::new(SqlTarget::new(settings, database, timezone, host))) }
    }

    /// Runs one attempt to its end and writes its log to `context.output`, from `START` to
    /// `Report`. Never fails otherwise than by its outcome. When it returns, no process of the run is
    /// left (a function's idle worker excepted). Ignores `context.drain`, but for
    /// statements that are repeated, which stop behind a page. Dropping the future
    /// aborts the run.
    pub async fn run(&self, fire: &Fire, context: &RunContext) -> Outcome {
        // In a task of its own, so that a caller that goes away cannot leave processes behind.
        let abort = context.abort.child_token();
        let _abort_when_dropped = abort.clone().drop_guard();
        let (kind, fire) = (self.kind.clone(), fire.clone());
        let context = RunContext { abort, ..context.clone() };
        let run = tokio::spawn(async move {
            match kind {
                Kind::Function(function) => function.run(&fire, &context).await,
                Kind::Command(command) => command.run(&fire, &context).await,
                Kind::Http(request) => request.run(&fire, &context).await,
                Kind::Sql(sql) => sql.run(&fire, &context).await,
                Kind::Fetch(page) => page.run(&fire, &context).await,
                Kind::Bounces(mails) => mails.run(&fire, &context).await,
            }
        });
        run.await.unwrap_or_else(|error| Outcome::failed(format!("the run broke off: {error}")))
    }

    /// `function`, `command`, `http`, `fetch`, `bounces` or `sql`.
    pub const fn kind(&self) -> &'static str {
        match &self.kind {
            Kind::Function(_) => "function",
            Kind::Command(_) => "command",
            Kind::Http(_) => "http",
            Kind::Sql(_) => "sql",
            Kind::Fetch(_) => "fetch",
            Kind::Bounces(_) => "bounces",
        }
    }

    /// What [`Target::run`] would do, without doing it: program, arguments, folder, variables, event, request.
    pub fn preview(&self, fire: &Fire) -> Preview {
        match &self.kind {
            Kind::Function(function) => function.preview(fire),
            Kind::Command(command) => command.preview(fire),
            Kind::Http(request) => request.preview(fire),
            Kind::Sql(sql) => sql.preview(fire),
            Kind::Fetch(page) => page.preview(fire),
            Kind::Bounces(mails) => mails.preview(),
        }
    }

    /// Ends idle workers and waits for busy ones. Runs still in flight end by their own token.
    pub async fn shutdown(&self) {
        match &self.kind {
            Kind::Function(function) => function.shutdown().await,
            Kind::Command(_) | Kind::Http(_) | Kind::Fetch(_) | Kind::Bounces(_) | Kind::Sql(_) => {}
        }
    }
}
