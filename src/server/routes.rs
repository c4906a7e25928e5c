//! The addresses of the API, and how requests are read.

use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderValue, StatusCode, Uri, header};
use axum::response::Response;
use axum::routing::{get, post};
use serde::de::DeserializeOwned;

use super::reply::{Answer, Refusal};
use super::wire::{self, Changed, ROOT, Reloaded, SERVER, Status, Triggers, Which};
use super::{Api, batches, fire};
use crate::engine::handle::Selection;

/// Bytes of a request's body: room for a thousand full names.
const BODY_LIMIT: usize = 128 * 1024;

const WHICH: &str = r#"{"names": ["function", "function/trigger"]} or {"all": true}"#;
const FIRE: &str = r#"{"function": "name"} or {"function": "name", "trigger": "name"}"#;

/// Everything that can be asked.
pub(super) fn router(api: Api) -> Router {
    let v1 = Router::new()
        .route("/status", get(status))
        .route("/triggers", get(triggers))
        .route("/pause", post(pause))
        .route("/resume", post(resume))
        .route("/reload", post(reload))
        .route("/fire", post(fire_now))
        .merge(batches::routes());
    Router::new()
        .nest(ROOT, v1)
        .fallback(unknown)
        .method_not_allowed_fallback(wrong_method)
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .layer(axum::middleware::map_response(signed))
        .with_state(api)
}

/// Says in every answer whose it is, so that a client of another version can tell.
async fn signed(mut response: Response) -> Response {
    response.headers_mut().insert(header::SERVER, HeaderValue::from_static(SERVER));
    response
}

async fn status(State(api): State<Api>) -> Result<Answer<Status>, Refusal> {
    let status = api.handle.status().await?;
    Ok(Answer(Status::new(status, api.info.state.to_string())))
}

async fn triggers(State(api): State<Api>) -> Result<Answer<Triggers>, Refusal> {
    let triggers = api.handle.triggers().await?;
    Ok(Answer(Triggers { triggers: triggers.into_iter().map(wire::Trigger::from).collect() }))
}

async fn pause(State(api): State<Api>, body: Body) -> Result<Answer<Changed>, Refusal> {
    let changed = api.handle.pause(selection(body)?).await?;
    Ok(Answer(Changed { changed }))
}

async fn resume(State(api): State<Api>, body: Body) -> Result<Answer<Changed>, Refusal> {
    let changed = api.handle.resume(selection(body)?).await?;
    Ok(Answer(Changed { changed }))
}

async fn reload(State(api): State<Api>) -> Result<Answer<Reloaded>, Refusal> {
    Ok(Answer(api.reload.now().await?.into()))
}

async fn fire_now(State(api): State<Api>, body: Body) -> Result<Response, Refusal> {
    fire::answer(&api.handle, read(body, FIRE)?).await
}

async fn unknown(uri: Uri) -> Refusal {
    let path = uri.path();
    Refusal::new(StatusCode::NOT_FOUND, format!("there is nothing at {path}; the API begins at {ROOT}"))
}

async fn wrong_method(uri: Uri) -> Refusal {
    let path = uri.path();
    Refusal::new(
        StatusCode::METHOD_NOT_ALLOWED,
        format!("{path} takes another method: questions are GET, orders are POST"),
    )
}

pub(super) type Body = Result<Bytes, BytesRejection>;

/// Which triggers a body means.
fn selection(body: Body) -> Result<Selection, Refusal> {
    match read(body, WHICH)? {
        Which { names: Some(names), all: None } if !names.is_empty() => Ok(Selection::Named(names)),
        Which { names: None, all: Some(true) } => Ok(Selection::All),
        _ => Err(malformed("it says neither one thing nor the other", WHICH)),
    }
}

/// Reads a body as JSON, whatever its `content-type` says.
pub(super) fn read<T: DeserializeOwned>(body: Body, expected: &str) -> Result<T, Refusal> {
    let body = body.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => {
            Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, format!("the body is longer than {BODY_LIMIT} bytes"))
        }
        status => Refusal::new(status, "could not read the body"),
    })?;
    serde_json::from_slice(&body).map_err(|error| malformed(&error.to_string(), expected))
}

pub(super) fn malformed(what: &str, expected: &str) -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, format!("the body should be {expected}; {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selected(body: &'static str) -> Result<Selection, String> {
        selection(Ok(Bytes::from_static(body.as_bytes()))).map_err(|refusal| {
            assert_eq!(refusal.status, StatusCode::BAD_REQUEST);
            refusal.message
        })
    }

    #[test]
    fn a_selection_is_names_or_all() {
        let names = ["f", "f/t"].map(str::to_owned).to_vec();
        assert_eq!(selected(r#"{"names": ["f", "f/t"]}"#), Ok(Selection::Named(names)));
        assert_eq!(selected(r#"{"all": true}"#), Ok(Selection::All));
    }

    #[test]
    fn anything_else_is_refused_with_what_is_expected() {
        for body in [
            "",
            "{}",
            "[]",
            r#"{"all": false}"#,
            r#"{"names": []}"#,
            r#"{"names": "f"}"#,
            r#"{"names": ["f"], "all": true}"#,
            r#"{"name": ["f"]}"#,
            r#"{"all": true} x"#,
        ] {
            let message = selected(body).unwrap_err();
            assert!(message.starts_with("the body should be {\"names\": [\"function\""), "{body}: {message}");
        }
        let message = selected(r#"{"name": ["f"]}"#).unwrap_err();
        assert!(message.contains("unknown field `name`"), "{message}");
    }

    #[test]
    fn a_fire_names_a_function_and_can_define_nothing() {
        let fire = |body: &'static str| read::<wire::Fire>(Ok(Bytes::from_static(body.as_bytes())), FIRE);
        assert_eq!(fire(r#"{"function": "f"}"#).unwrap().trigger, None);
        assert_eq!(fire(r#"{"function": "f", "trigger": "t"}"#).unwrap().trigger.as_deref(), Some("t"));
        let refusal = fire(r#"{"function": "f", "target": {"command": {"argv": ["id"]}}}"#).unwrap_err();
        assert!(refusal.message.contains("unknown field `target`"), "{}", refusal.message);
    }
}
