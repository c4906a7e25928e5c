//! SQL of what functions remember.

use super::session::Session;
use super::{StoreError, storable};

const READ: &str = "SELECT value FROM memo WHERE function = $1 AND name = $2";
const WRITE: &str = "
    INSERT INTO memo (function, name, value) VALUES ($1, $2, $3)
    ON CONFLICT (function, name) DO UPDATE SET value = EXCLUDED.value";

pub(in crate::store) async fn read(
    session: &Session,
    function: &str,
    name: &str,
) -> Result<Option<String>, StoreError> {
    Ok(session.query_opt(READ, &[&function, &name]).await?.map(|row| row.get(0)))
}

pub(in crate::store) async fn write(
    session: &Session,
    function: &str,
    name: &str,
    value: &str,
) -> Result<(), StoreError> {
    session.execute(WRITE, &[&function, &name, &storable(value)]).await?;
    Ok(())
}
