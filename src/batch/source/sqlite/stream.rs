//! All rows of a SQLite file, one after the other.

use rusqlite::{Connection, Statement};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::super::{Moment, PIECE, Piece};
use super::{Fault, Queries, Rows, bind, scalar};
use crate::action::export::{Column, Kind};
use crate::db::DbError;
use crate::run::Scalar;

impl Rows {
    pub(in crate::batch::source) async fn stream(
        &self,
        moment: Moment,
        into: mpsc::Sender<Piece>,
        cut: &CancellationToken,
    ) -> Result<bool, DbError> {
        let (queries, path) = (self.queries.clone(), self.database.path().to_owned());
        let work = move |connection: &mut Connection, cut: &CancellationToken| {
            match stream(connection, &queries, &moment, &into, cut) {
                // The database says no more than that it was interrupted.
                Err(_) if cut.is_cancelled() => Ok(false),
                Err(Fault::Sqlite(source)) => Err(DbError::Sqlite { path, source }),
                Err(Fault::Mismatch(what)) => Err(DbError::Mismatch(what)),
                Ok(whole) => Ok(whole),
            }
        };
        Ok(self.database.cuttable(cut, work).await?.unwrap_or(false))
    }
}

/// One statement sees the file as it is when it begins.
fn stream(
    connection: &Connection,
    queries: &Queries,
    moment: &Moment,
    into: &mpsc::Sender<Piece>,
    cut: &CancellationToken,
) -> Result<bool, Fault> {
    let mut statement = connection.prepare(&queries.all)?;
    bind(&mut statement, moment, &[])?;
    let prepared: Vec<String> = statement.column_names().map(str::to_owned).collect();
    let mut rows = statement.raw_query();
    // SQLite knows the columns of today, if somebody changed the table, not before the first row.
    let mut row = rows.next()?;
    let names = match row {
        Some(row) => {
            let statement: &Statement<'_> = row.as_ref();
            statement.column_names().map(str::to_owned).collect()
        }
        None => prepared,
    };
    let width = names.len();
    let columns = names.into_iter().map(|name| Column { name, kind: Kind::Plain });
    if into.blocking_send(Piece::Columns(columns.collect())).is_err() {
        return Ok(false);
    }
    let mut piece = Vec::with_capacity(PIECE);
    while let Some(values) = row {
        let values = (0..width).map(|at| values.get_ref(at).map(scalar));
        piece.push(values.collect::<rusqlite::Result<Vec<Scalar>>>()?);
        if piece.len() == PIECE {
            let piece = std::mem::replace(&mut piece, Vec::with_capacity(PIECE));
            if cut.is_cancelled() || into.blocking_send(Piece::Rows(piece)).is_err() {
                return Ok(false);
            }
        }
        row = rows.next()?;
    }
    Ok(into.blocking_send(Piece::Rows(piece)).is_ok())
}
