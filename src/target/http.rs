//! Sends an HTTP request: the event, or a template that it fills; success is an answer that the rules call one.

use serde_json::{Value, json};

use super::cut::Cut;
use super::host::Host;
use super::log::RunLog;
use super::process::Lines;
use crate::action::Outcome as Delivered;
use crate::action::http::{Delivery, HttpAction, HttpClients, HttpRequest, Reply};
use crate::run::{Fire, Outcome, Preview, RunContext, Status, Stream};
use crate::settings::HttpSettings;

/// A request to send.
#[derive(Debug)]
pub struct HttpTarget {
    action: HttpAction,
    host: Host,
}

impl HttpTarget {
    /// The reason, when a template cannot be used.
    pub fn new(settings: &HttpSettings, host: &Host, clients: &HttpClients) -> Result<Self, String> {
        let action = HttpAction::new(settings, clients).map_err(|error| error.to_string())?;
        Ok(Self { action, host: host.clone() })
    }

    /// One attempt, from `START` to `Report`.
    pub async fn run(&self, fire: &Fire, context: &RunContext) -> Outcome {
        let limit = self.host.limits.output;
        let log = RunLog::start(&context.output, &fire.request_id, limit, &self.host.clock);
        let outcome = self.attempt(fire, context, &log).await;
        log.end(&outcome, &[], None);
        outcome
    }

    async fn attempt(&self, fire: &Fire, context: &RunContext, log: &RunLog) -> Outcome {
        let request = match self.request(fire) {
            Ok(request) => request,
            Err(reason) => return Outcome::failed(reason),
        };
        let body = request.body_len();
        log.note(if body == 0 { request.title() } else { format!("{} ({body} bytes)", request.title()) });
        let began = self.host.clock.monotonic();
        let delivery = tokio::select! {
            biased;
            () = context.abort.cancelled() => return Cut::Abort.outcome(),
            delivery = self.action.deliver(&request) => delivery,
        };
        let took = self.host.clock.monotonic().saturating_sub(began);
        if let Some(reply) = &delivery.reply {
            let bytes = reply.body.len();
            log.note(format!("{} in {} ms, {bytes} bytes", reply.status_text(), took.as_millis()));
            self.print(&request, reply, log);
        }
        self.outcome(delivery, &request)
    }

    /// The answer, as lines of output.
    fn print(&self, request: &HttpRequest, reply: &Reply, log: &RunLog) {
        if reply.body.contains(&0) {
            let kind = reply.header("content-type").unwrap_or("binary data");
            return log.note(format!("the answer is not text ({kind}) and is not shown"));
        }
        let text = request.without_secrets(&String::from_utf8_lossy(&reply.body));
        let mut lines = Lines::new(self.host.limits.line);
        lines.push(text.as_bytes(), |line| log.line(Stream::Stdout, line));
        lines.flush(|line| log.line(Stream::Stdout, line));
    }

    fn outcome(&self, delivery: Delivery, request: &HttpRequest) -> Outcome {
        let result = delivery.reply.as_ref().map(|reply| self.result(reply, request));
        if matches!(delivery.outcome, Delivered::Sent { .. }) {
            return Outcome::succeeded(result);
        }
        Outcome { result, ..undone(delivery) }
    }

    /// Status and body, as JSON where it is.
    fn result(&self, reply: &Reply, request: &HttpRequest) -> Value {
        let text = request.without_secrets(&String::from_utf8_lossy(&reply.body));
        let body = if text.len() > self.host.limits.result || reply.body.contains(&0) {
            json!({ "not_recorded": true, "bytes": reply.body.len() })
        } else {
            serde_json::from_str(&text).unwrap_or(Value::String(text))
        };
        json!({ "status": reply.status, "body": body })
    }

    fn request(&self, fire: &Fire) -> Result<HttpRequest, String> {
        let values = fire.values();
        self.action.render(&values, fire.fire_time, self.host.clock.now()).map_err(|error| error.to_string())
    }

    /// What a run would do.
    pub fn preview(&self, fire: &Fire) -> Preview {
        let timeout = self.action.timeout().as_secs_f64();
        let mut data = json!({ "target": "http", "timeout_s": timeout, "event": fire.event() });
        match self.request(fire) {
            Ok(request) => {
                let lines = request.lines();
                data["request"] = lines.clone().into();
                let lines = std::iter::once(format!("sends a request, at most {timeout} s:"))
                    .chain(lines.into_iter().map(|line| format!("  {line}").trim_end().to_owned()));
                Preview { lines: lines.collect(), data, problem: None }
            }
            Err(problem) => Preview { lines: Vec::new(), data, problem: Some(problem) },
        }
    }
}

/// The outcome of a run whose request came to nothing, or to nobody knows what.
pub(super) fn undone(delivery: Delivery) -> Outcome {
    let reason = match delivery.outcome {
        Delivered::Sent { detail: reason } | Delivered::Failed { reason } | Delivered::Halt { reason } => {
            reason
        }
        Delivered::Retry { reason }
        | Delivered::Unreachable { reason }
        | Delivered::Exhausted { reason, .. } => match delivery.retry_after {
            Some(wait) => format!("{reason} (the server asks to wait {} s)", wait.as_secs()),
            None => reason,
        },
        Delivered::Uncertain { reason } => format!("{reason}; the server may have done it all the same"),
    };
    let status = if delivery.timed_out { Status::TimedOut } else { Status::Failed };
    Outcome { status, ..Outcome::failed(reason) }
}
