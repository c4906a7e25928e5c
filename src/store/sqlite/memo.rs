//! SQL of what functions remember.

use rusqlite::{Connection, OptionalExtension};

use super::StoreError;

pub(in crate::store) fn read(
    connection: &Connection,
    function: &str,
    name: &str,
) -> Result<Option<String>, StoreError> {
    let mut find = connection.prepare_cached("SELECT value FROM memo WHERE function = ?1 AND name = ?2")?;
    Ok(find.query_row([function, name], |row| row.get(0)).optional()?)
}

pub(in crate::store) fn write(
    connection: &Connection,
    function: &str,
    name: &str,
    value: &str,
) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "INSERT INTO memo (function, name, value) VALUES (?1, ?2, ?3)
             ON CONFLICT (function, name) DO UPDATE SET value = excluded.value",
        )?
        .execute([function, name, value])?;
    Ok(())
}
