//! SQL of runs that wait for their next attempt.

use super::session::Session;
use super::{StoreError, storable};
use crate::store::attempts::PutOff;
use crate::store::runs::RunId;

const PUT_OFF: &str = "UPDATE run SET attempt = $2, retry_at = $3, message = $4 WHERE id = $1";
const BEGIN: &str = "UPDATE run SET retry_at = NULL, message = NULL WHERE id = $1";

pub(in crate::store) async fn put_off(session: &Session, wait: &PutOff) -> Result<(), StoreError> {
    let message = wait.message.as_deref().map(storable);
    session.execute(PUT_OFF, &[&wait.run, &i64::from(wait.attempt), &wait.retry_at, &message]).await?;
    Ok(())
}

pub(in crate::store) async fn begin(session: &Session, run: RunId) -> Result<(), StoreError> {
    session.execute(BEGIN, &[&run]).await?;
    Ok(())
}
