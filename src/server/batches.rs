//! Batches over the API: what they hold back, and what operators do about it.

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use serde_json::Value;

use super::Api;
use super::ledger::{Batch, Batches, Pick, Picked, Row, Rows, RowsOf, State as Of};
use super::reply::{Answer, Refusal};
use super::routes::{Body, malformed, read};
use crate::settings::StateSettings;
use crate::spelling::did_you_mean;
use crate::store::ledger_rows::{Requeue, Selection};
use crate::store::{Reader, StoreError};

const PICK: &str =
    r#"{"batch": "id", "state": "held", "keys": [[17]]}, or "all": true in the place of the keys"#;
const ROWS: &str = r#"{"batch": "id", "state": "held", "count": 100}"#;

pub(super) fn routes() -> Router<Api> {
    Router::new()
        .route("/batches", get(list))
        .route("/batches/rows", post(rows))
        .route("/batches/resend", post(resend))
        .route("/batches/release", post(release))
        .route("/batches/discard", post(discard))
}

async fn list(State(api): State<Api>) -> Result<Answer<Batches>, Refusal> {
    Ok(Answer(Batches { batches: all(&api).await? }))
}

async fn rows(State(api): State<Api>, body: Body) -> Result<Answer<Rows>, Refusal> {
    let RowsOf { batch, state, count } = read(body, ROWS)?;
    known(&api, &batch).await?;
    let rows = look(api.info.state, move |reader| {
        reader.batch_rows(&batch, state.map(Into::into), count.unwrap_or(100))
    });
    Ok(Answer(Rows { rows: rows.await?.into_iter().map(Row::from).collect() }))
}

async fn resend(State(api): State<Api>, body: Body) -> Result<Answer<Picked>, Refusal> {
    let pick: Pick = read(body, PICK)?;
    let doubtful = matches!(pick.state, None | Some(Of::Held));
    requeue(&api, pick, doubtful).await
}

async fn release(State(api): State<Api>, body: Body) -> Result<Answer<Picked>, Refusal> {
    let pick: Pick = read(body, PICK)?;
    if !matches!(pick.state, None | Some(Of::Held)) {
        return Err(Refusal::new(StatusCode::BAD_REQUEST, "only held rows are released; others are resent"));
    }
    requeue(&api, pick, false).await
}

async fn requeue(api: &Api, pick: Pick, doubtful: bool) -> Result<Answer<Picked>, Refusal> {
    let rows = selection(api, pick).await?;
    let rows = api.handle.requeue(Requeue { rows, doubtful }).await?;
    Ok(Answer(Picked { rows, note: None }))
}

async fn discard(State(api): State<Api>, body: Body) -> Result<Answer<Picked>, Refusal> {
    let rows = selection(&api, read(body, PICK)?).await?;
    let discarded = api.handle.discard(rows).await?;
    Ok(Answer(Picked { rows: discarded.rows, note: discarded.marks.note() }))
}

async fn selection(api: &Api, pick: Pick) -> Result<Selection, Refusal> {
    let Pick { batch, state, keys, all } = pick;
    let keys = match (keys, all) {
        (Some(keys), None) if !keys.is_empty() => {
            Some(keys.into_iter().map(|key| Value::from(key).to_string()).collect())
        }
        (None, Some(true)) => None,
        _ => return Err(malformed("it says neither one thing nor the other", PICK)),
    };
    known(api, &batch).await?;
    let now = api.handle.status().await?.now.timestamp_millis();
    Ok(Selection { batch, state: state.unwrap_or(Of::Held).into(), keys, now })
}

async fn known(api: &Api, id: &str) -> Result<(), Refusal> {
    let all = all(api).await?;
    if all.iter().any(|batch| batch.batch == id) {
        return Ok(());
    }
    let nearest = did_you_mean(id, all.iter().map(|batch| batch.batch.as_str()));
    Err(Refusal::new(StatusCode::NOT_FOUND, format!("there is no batch `{id}`{nearest}")))
}

async fn all(api: &Api) -> Result<Vec<Batch>, Refusal> {
    let run = api.handle.batches().await?;
    let known = look(api.info.state.clone(), Reader::batches).await?;
    Ok(Batch::all(known, run))
}

/// Reads the state beside the engine: a ledger may be long.
async fn look<T: Default + Send + 'static>(
    state: StateSettings,
    read: impl FnOnce(&Reader) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, Refusal> {
    let read = move || Reader::of(&state)?.map_or_else(|| Ok(T::default()), |reader| read(&reader));
    match tokio::task::spawn_blocking(read).await {
        Ok(Ok(read)) => Ok(read),
        Ok(Err(error)) => Err(broken(&error)),
        Err(error) => Err(broken(&error)),
    }
}

fn broken(error: &dyn std::fmt::Display) -> Refusal {
    tracing::error!(%error, "the state could not be read for the API");
    Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
}
