//! All rows, as an export takes them.

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{Ground, moment, table};
use crate::action::export::Kind;
use crate::batch::source::{Piece, Source};
use crate::run::Scalar;

/// More than two pieces.
const ROWS: u32 = 1200;

fn filled(ground: &Ground) -> Source {
    let (decimal, time) = (ground.words.decimal.0, ground.words.times[0].0);
    ground.sql(&format!(
        "CREATE TABLE s (id INTEGER PRIMARY KEY, n {decimal}, at {time}, flag BOOLEAN DEFAULT false)"
    ));
    let rows: Vec<String> =
        (1..=ROWS).rev().map(|id| format!("({id}, '0.50', '2026-06-01 01:00:00', false)")).collect();
    ground.sql(&format!("INSERT INTO s VALUES {}", rows.join(", ")));
    ground.source(&table("s", &["id"], "id > 0 AND :now > '2000-01-01 00:00:00'", &[]))
}

pub(super) async fn all_rows_in_order(ground: Ground) {
    let source = filled(&ground);
    // A second one finds the connection as the first left it.
    for _ in 0..2 {
        let (sender, mut receiver) = mpsc::channel(1);
        let cut = CancellationToken::new();
        let take = async {
            let (mut columns, mut ids) = (Vec::new(), Vec::new());
            while let Some(piece) = receiver.recv().await {
                match piece {
                    Piece::Columns(found) => columns = found,
                    Piece::Rows(rows) => ids.extend(rows.into_iter().map(|row| row[0].clone())),
                }
            }
            (columns, ids)
        };
        let stream = async {
            let whole = source.stream(moment(), &sender, &cut).await;
            drop(sender);
            whole
        };
        let (whole, (columns, ids)) = tokio::join!(stream, take);
        assert!(whole.unwrap());
        let expected: Vec<Scalar> = (1..=i64::from(ROWS)).map(Scalar::Int).collect();
        assert!(ids == expected, "{} rows", ids.len());
        let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
        assert_eq!(names, ["id", "n", "at", "flag"]);
        let kinds: Vec<Kind> = columns.iter().map(|column| column.kind).collect();
        let typed = !matches!(ground.settings, crate::settings::DatabaseSettings::Sqlite(_));
        // SQLite's columns say nothing of what is in them.
        let (decimal, time) = if typed { (Kind::Decimal, Kind::Instant) } else { (Kind::Plain, Kind::Plain) };
        assert_eq!(kinds, [Kind::Plain, decimal, time, Kind::Plain]);
    }
    let columns = source.columns(moment()).await.unwrap();
    assert_eq!(columns.len(), 4);
    // The connection is as good as before.
    assert_eq!(source.count(moment()).await.unwrap(), u64::from(ROWS));
}

pub(super) async fn a_stream_that_is_cut_off(ground: Ground) {
    let source = filled(&ground);
    let (sender, mut receiver) = mpsc::channel(1);
    let cut = CancellationToken::new();
    let stop = async {
        assert!(matches!(receiver.recv().await, Some(Piece::Columns(_))));
        cut.cancel();
        while receiver.recv().await.is_some() {}
    };
    let stream = async {
        let whole = source.stream(moment(), &sender, &cut).await;
        drop(sender);
        whole
    };
    let (whole, ()) = tokio::join!(stream, stop);
    assert!(!whole.unwrap());
    assert_eq!(source.count(moment()).await.unwrap(), u64::from(ROWS));
}

pub(super) async fn a_stream_that_nobody_takes(ground: Ground) {
    let source = filled(&ground);
    let (sender, receiver) = mpsc::channel(1);
    drop(receiver);
    assert!(!source.stream(moment(), &sender, &CancellationToken::new()).await.unwrap());
    assert_eq!(source.count(moment()).await.unwrap(), u64::from(ROWS));
}
