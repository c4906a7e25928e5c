//! What a mark must know of the table that it changes.

use std::collections::BTreeMap;

use mysql_async::{Row, Value};

use super::{Fault, Session};

/// How much text a column takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Room {
    characters: usize,
    bytes: usize,
    charset: String,
}

impl Room {
    /// As much of `text` as the column takes; what its character set may lack is a question mark.
    pub(crate) fn fit(&self, text: &str) -> String {
        let has = |c: char| match self.charset.as_str() {
            "utf8mb4" | "utf16" | "utf32" | "utf16le" => true,
            // Characters of the basic plane alone.
            "utf8mb3" | "utf8" | "ucs2" => c <= '\u{ffff}',
            _ => c.is_ascii(),
        };
        let mut bytes = 0;
        let shown = text.chars().map(|c| if has(c) { c } else { '?' }).take(self.characters);
        shown
            .take_while(|c| {
                bytes += c.len_utf8();
                bytes <= self.bytes
            })
            .collect()
    }
}

impl Session<'_> {
    /// The room in each text column of a table. None of an unknown table.
    pub(crate) async fn rooms(&mut self, table: &str) -> Result<BTreeMap<String, Room>, Fault> {
        let sql = "SELECT column_name, character_maximum_length, character_octet_length, character_set_name \
                   FROM information_schema.columns \
                   WHERE table_schema = ifnull(?, database()) AND table_name = ? AND character_set_name IS NOT NULL";
        let rows = self.ask(sql, path(table)).await?;
        let room = |row: &Row| {
            let room = Room { characters: number(row, 1), bytes: number(row, 2), charset: text(row, 3)? };
            Some((text(row, 0)?.to_lowercase(), room))
        };
        Ok(rows.iter().filter_map(room).collect())
    }

    /// The storage engine of a table, when it is one that undoes nothing.
    pub(crate) async fn careless_engine(&mut self, table: &str) -> Result<Option<String>, Fault> {
        let sql = "SELECT t.engine FROM information_schema.tables AS t \
                   JOIN information_schema.engines AS e ON e.engine = t.engine \
                   WHERE t.table_schema = ifnull(?, database()) AND t.table_name = ? AND e.transactions <> 'YES'";
        let rows = self.ask(sql, path(table)).await?;
        Ok(rows.first().and_then(|row| text(row, 0)))
    }

    /// Why what is committed may be lost all the same.
    pub(crate) async fn careless_commits(&mut self) -> Result<Option<String>, Fault> {
        let rows =
            self.ask("SHOW GLOBAL VARIABLES LIKE 'innodb_flush_log_at_trx_commit'", Vec::new()).await?;
        let value = rows.first().and_then(|row| text(row, 1)).filter(|value| value != "1");
        Ok(value.map(|value| {
            format!(
                "the server has innodb_flush_log_at_trx_commit = {value}: a power cut may undo marks of the last second, \
                 and their rows would be delivered again; set it to 1"
            )
        }))
    }

    pub(super) async fn ask(&mut self, sql: &str, values: Vec<Value>) -> Result<Vec<Row>, Fault> {
        let statement = self.prepare(sql).await?;
        self.rows(&statement, values).await
    }
}

/// What to say of a table whose engine undoes nothing.
pub(crate) fn careless(table: &str, engine: &str) -> String {
    format!(
        "rows of `{table}` cannot be marked: its engine {engine} has no transactions; run ALTER TABLE {table} ENGINE = \
         InnoDB"
    )
}

/// Schema, if there is one, and name.
pub(super) fn path(table: &str) -> Vec<Value> {
    match table.split_once('.') {
        Some((schema, name)) => vec![schema.into(), name.into()],
        None => vec![Value::NULL, table.into()],
    }
}

pub(super) fn text(row: &Row, index: usize) -> Option<String> {
    match row.as_ref(index)? {
        Value::Bytes(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
        _ => None,
    }
}

pub(super) fn number(row: &Row, index: usize) -> usize {
    match row.as_ref(index) {
        Some(Value::Int(value)) => usize::try_from(*value).unwrap_or_default(),
        Some(Value::UInt(value)) => usize::try_from(*value).unwrap_or(usize::MAX),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_cut_to_what_a_column_takes() {
        let fit = |characters, bytes, charset: &str, text| {
            Room { characters, bytes, charset: charset.to_owned() }.fit(text)
        };
        assert_eq!(fit(3, 12, "utf8mb4", "鼓楼🥁!"), "鼓楼🥁");
        assert_eq!(fit(255, 7, "utf8mb4", "鼓楼🥁!"), "鼓楼");
        assert_eq!(fit(3, 9, "utf8mb3", "鼓🥁楼!"), "鼓?楼");
        assert_eq!(fit(5, 5, "latin1", "a鼓é"), "a??");
    }
}
