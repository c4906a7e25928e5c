//! SQL of what runs print.

use super::session::Session;
use super::{StoreError, storable};
use crate::store::runs::{OutputLine, RunId};

const APPEND: &str = "
    INSERT INTO output (run, seq, at, stream, line)
    SELECT $1, seq, at, stream, line
    FROM unnest($2::bigint[], $3::bigint[], $4::text[], $5::text[]) AS new (seq, at, stream, line)";
const TAKEN: &str = "SELECT output_bytes FROM owner";
const OLDEST: &str = "
    SELECT output.run FROM output JOIN run ON run.id = output.run
    WHERE run.finished_at IS NOT NULL ORDER BY output.run LIMIT 1";

pub(in crate::store) async fn append(
    session: &Session,
    run: RunId,
    lines: &[OutputLine],
) -> Result<(), StoreError> {
    let numbers: Vec<_> = lines.iter().map(|line| line.seq).collect();
    let times: Vec<_> = lines.iter().map(|line| line.at).collect();
    let streams: Vec<_> = lines.iter().map(|line| line.stream.as_str()).collect();
    let texts: Vec<_> = lines.iter().map(|line| storable(&line.text)).collect();
    session.execute(APPEND, &[&run, &numbers, &times, &streams, &texts]).await?;
    Ok(())
}

/// See [`crate::store::Store::prune_output`].
pub(in crate::store) async fn prune(session: &Session, bytes: i64, limit: u32) -> Result<usize, StoreError> {
    let mut gone = 0;
    while gone < limit as usize {
        let taken: i64 = session.query_one(TAKEN, &[]).await?.get(0);
        if taken <= bytes {
            break;
        }
        let Some(oldest) = session.query_opt(OLDEST, &[]).await? else { break };
        session.execute("DELETE FROM output WHERE run = $1", &[&oldest.get::<_, RunId>(0)]).await?;
        gone += 1;
    }
    Ok(gone)
}
