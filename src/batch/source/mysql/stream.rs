//! All rows of a source on a MySQL or MariaDB server, as the server sends them.

use mysql_async::Column as SqlColumn;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::super::{Moment, PIECE, Piece};
use super::{Rows, values};
use crate::action::export::Column;
use crate::db::DbError;
use crate::db::mysql::{Fault, Session};
use crate::sql::Dialect;

impl Rows {
    pub(in crate::batch::source) async fn stream(
        &self,
        moment: &Moment,
        into: &mpsc::Sender<Piece>,
        cut: &CancellationToken,
    ) -> Result<bool, DbError> {
        let mut tries = self.reading.tries();
        loop {
            let mut session = tokio::select! {
                biased;
                () = cut.cancelled() => return Ok(false),
                session = tries.session() => session?,
            };
            let kill = self.reading.kill(session.id());
            let mut has_begun = false;
            let read = tokio::select! {
                biased;
                () = cut.cancelled() => None,
                read = self.read_stream(&mut session, moment, into, &mut has_begun) => Some(read),
            };
            let Some(read) = read else {
                // The server may be sorting a large table. What it has sent by now goes with the connection.
                kill.await;
                return Ok(false);
            };
            // What was handed on cannot be taken back.
            if has_begun && let Err(fault) = read {
                return Err(self.reading.tell(fault));
            }
            if matches!(read, Ok(false)) {
                return Ok(false);
            }
            if let Some(settled) = tries.settle(session, read).await {
                return settled;
            }
        }
    }

    async fn read_stream(
        &self,
        session: &mut Session<'_>,
        moment: &Moment,
        into: &mpsc::Sender<Piece>,
        has_begun: &mut bool,
    ) -> Result<bool, Fault> {
        let (sql, names) = Dialect::MySql.positional(&self.queries.all);
        let statement = session.prepare(&sql).await?;
        let own = values::bind(&names, moment, |_| None)?;
        session.order("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ").await?;
        session.order("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY").await?;
        let mut result = session.stream(&statement, own).await?;
        let columns: Vec<SqlColumn> = result.columns_ref().to_vec();
        let names = columns.iter().map(|column| column.name_str().into_owned()).collect();
        let exported = columns
            .iter()
            .map(|column| Column { name: column.name_str().into_owned(), kind: values::meaning(column) });
        *has_begun = true;
        if into.send(Piece::Columns(exported.collect())).await.is_err() {
            return Ok(false);
        }
        let mut piece = Vec::with_capacity(PIECE);
        while let Some(row) = result.next().await? {
            piece.push(values::row(&row, &names, 0).values);
            if piece.len() == PIECE {
                let piece = std::mem::replace(&mut piece, Vec::with_capacity(PIECE));
                if into.send(Piece::Rows(piece)).await.is_err() {
                    return Ok(false);
                }
            }
        }
        drop(result);
        session.order("COMMIT").await?;
        Ok(into.send(Piece::Rows(piece)).await.is_ok())
    }
}
