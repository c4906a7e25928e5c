//! All rows of a PostgreSQL source, a piece at a time from a portal: neither side holds more of them.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::super::{Moment, PIECE, Piece};
use super::shape::Outline;
use super::value::Text;
use super::{Fault, Rows, Turn, borrowed, parameters, prepare};
use crate::action::export::Column;
use crate::db::DbError;

impl Rows {
    pub(in crate::batch::source) async fn stream(
        &self,
        moment: &Moment,
        into: &mpsc::Sender<Piece>,
        cut: &CancellationToken,
    ) -> Result<bool, DbError> {
        let mut tries = 0;
        loop {
            let mut turn = tokio::select! {
                biased;
                () = cut.cancelled() => return Ok(false),
                turn = self.reading.turn(&self.outline) => turn?,
            };
            let token = turn.session.client().cancel_token();
            let mut has_begun = false;
            let read = tokio::select! {
                biased;
                () = cut.cancelled() => None,
                read = turn.stream(&self.outline, moment, into, &mut has_begun) => Some(read),
            };
            match read {
                None => {
                    // The server may be sorting a large table.
                    turn.session.abandon();
                    self.reading.database.cancel(&token).await;
                    return Ok(false);
                }
                Some(Ok(whole)) => return Ok(whole),
                // What was handed on cannot be taken back.
                Some(Err(fault)) if has_begun => return Err(self.reading.say(&fault)),
                Some(Err(fault)) => self.reading.judge(turn, &fault, &mut tries)?,
            }
        }
    }
}

impl Turn<'_> {
    async fn stream(
        &mut self,
        outline: &Outline,
        moment: &Moment,
        into: &mpsc::Sender<Piece>,
        has_begun: &mut bool,
    ) -> Result<bool, Fault> {
        let shape = Arc::clone(&self.shape);
        let sql = shape.all();
        let server = |error| Fault::Server(error, sql.clone());
        let statement = prepare(&mut self.session, &shape, &sql).await?;
        // Without a limit.
        let own = parameters(outline, &shape, moment, vec![Text(None)])?;
        let transaction = self.session.begin().await.map_err(server)?;
        let order = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY";
        transaction.batch_execute(order).await.map_err(server)?;
        let portal = transaction.bind(&statement, &borrowed(&own)).await.map_err(server)?;
        let names = shape.columns.iter().zip(&shape.meanings);
        let columns = names.map(|(name, kind)| Column { name: name.clone(), kind: *kind }).collect();
        let mut columns = Some(Piece::Columns(columns));
        let most = i32::try_from(PIECE).unwrap_or(i32::MAX);
        loop {
            let rows = transaction.query_portal(&portal, most).await.map_err(server)?;
            *has_begun = true;
            if let Some(columns) = columns.take()
                && into.send(columns).await.is_err()
            {
                return Ok(false);
            }
            let is_last = rows.len() < PIECE;
            let values = rows.iter().map(|row| shape.read_row(row, 0).map(|row| row.values));
            let piece = values.collect::<Result<Vec<_>, _>>()?;
            if into.send(Piece::Rows(piece)).await.is_err() {
                return Ok(false);
            }
            if is_last {
                transaction.commit().await.map_err(server)?;
                return Ok(true);
            }
        }
    }
}
