//! Answers: JSON, errors included, with the status that says whose fault it is.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::wire;
use crate::engine::handle::CommandError;

/// An answer that is not what was hoped for.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    /// A sentence for people.
    pub(super) message: String,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }
}

impl From<CommandError> for Refusal {
    fn from(error: CommandError) -> Self {
        let status = match &error {
            CommandError::Stopped => StatusCode::SERVICE_UNAVAILABLE,
            CommandError::Unknown { .. } | CommandError::NoTrigger { .. } => StatusCode::NOT_FOUND,
            CommandError::TakesNoEvent { .. } => StatusCode::BAD_REQUEST,
            CommandError::Busy { .. } | CommandError::Full { .. } => StatusCode::CONFLICT,
            CommandError::Store(_) | CommandError::Batch(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        if status == StatusCode::INTERNAL_SERVER_ERROR {
            tracing::error!(%error, "an order from the API failed");
        }
        Self::new(status, error.to_string())
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        json(self.status, &wire::Error { error: self.message })
    }
}

/// What was hoped for.
pub(super) struct Answer<T>(pub(super) T);

impl<T: Serialize> IntoResponse for Answer<T> {
    fn into_response(self) -> Response {
        json(StatusCode::OK, &self.0)
    }
}

fn json(status: StatusCode, value: &impl Serialize) -> Response {
    match serde_json::to_vec(value) {
        Ok(mut text) => {
            // For people with curl.
            text.push(b'\n');
            with_type(status, "application/json", Body::from(text))
        }
        Err(error) => {
            tracing::error!(%error, "an answer of the API is no JSON");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// A body that says what it is.
pub(super) fn with_type(status: StatusCode, content_type: &'static str, body: Body) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(content_type)),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    (status, headers, body).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::StoreError;

    #[test]
    fn the_status_says_whose_fault_it_is() {
        let unknown = CommandError::Unknown {
            what: "function",
            name: "greter".to_owned(),
            nearest: "; did you mean `greeter`?".to_owned(),
        };
        let cases = [
            (unknown, 404, "there is no function `greter`; did you mean `greeter`?"),
            (
                CommandError::Busy { function: "f".to_owned() },
                409,
                "the function `f` is still running, so this was not started",
            ),
            (CommandError::Stopped, 503, "the daemon is stopping"),
            (CommandError::Store(StoreError::Closed), 500, "the state store is closed"),
        ];
        for (error, status, message) in cases {
            let refusal = Refusal::from(error);
            assert_eq!((refusal.status.as_u16(), refusal.message.as_str()), (status, message));
        }
    }
}
