//! Reading beside a running daemon, without changing anything.

use std::thread;

use tokio::runtime::Runtime;

use super::session::Session;
use super::{Server, StoreError, schema};

/// A read-only connection. Its calls block, as those on a file do, and may be made within a runtime and without.
#[derive(Debug)]
pub struct Reader {
    session: Session,
    /// There until the reader goes. It drives the connection while somebody waits for an answer.
    runtime: Option<Runtime>,
}

impl Reader {
    /// Connects; `None` when there is no state yet.
    pub fn open(server: &Server) -> Result<Option<Self>, StoreError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|source| StoreError::Io { path: server.name().into(), source })?;
        let opened = blocking(&runtime, async || {
            let session = Session::connect(server).await?;
            session.batch("SET default_transaction_read_only = on").await?;
            Ok(schema::is_current(&session, server).await?.then_some(session))
        });
        match opened {
            Ok(Some(session)) => Ok(Some(Self { session, runtime: Some(runtime) })),
            other => {
                runtime.shutdown_background();
                other.map(|_| None)
            }
        }
    }

    pub(in crate::store) fn read<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send,
        F: AsyncFnOnce(&Session) -> Result<T, StoreError> + Send,
    {
        let runtime = self.runtime.as_ref().ok_or(StoreError::Closed)?;
        blocking(runtime, async || work(&self.session).await)
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        // Nothing is left to wait for, and who drops it may be within another runtime.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// On a thread of its own: the caller's may belong to another runtime, which would not have it.
fn blocking<T, F>(runtime: &Runtime, work: F) -> Result<T, StoreError>
where
    T: Send,
    F: AsyncFnOnce() -> Result<T, StoreError> + Send,
{
    thread::scope(|scope| {
        let answer = scope.spawn(|| runtime.block_on(work())).join();
        answer.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}
