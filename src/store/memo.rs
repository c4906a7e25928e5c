//! What functions remember from one run to the next: texts with names. Knows nothing of what they mean.

use super::postgres::{self, Session};
use super::{Backend, Store, StoreError, sqlite};

/// One text of one function.
#[derive(Clone, Debug)]
pub struct Memo {
    store: Store,
    function: String,
    name: String,
}

impl Store {
    /// The text called `name` of `function`. Nothing is read yet.
    pub fn memo(&self, function: &str, name: &str) -> Memo {
        Memo { store: self.clone(), function: function.to_owned(), name: name.to_owned() }
    }
}

impl Memo {
    /// What was written last, in this life of the daemon or an earlier one.
    pub async fn read(&self) -> Result<Option<String>, StoreError> {
        let Self { store, function, name } = self.clone();
        match &store.0 {
            Backend::Sqlite(store) => {
                store.write(move |connection| sqlite::memo::read(connection, &function, &name)).await
            }
            Backend::Postgres(store) => {
                store
                    .write(1, async move |session: &Session| {
                        postgres::memo::read(session, &function, &name).await
                    })
                    .await
            }
        }
    }

    /// Durable when it answers. A NUL in `value` may come back as U+FFFD.
    pub async fn write(&self, value: String) -> Result<(), StoreError> {
        let Self { store, function, name } = self.clone();
        match &store.0 {
            Backend::Sqlite(store) => {
                store.write(move |connection| sqlite::memo::write(connection, &function, &name, &value)).await
            }
            Backend::Postgres(store) => {
                store
                    .write(1, async move |session: &Session| {
                        postgres::memo::write(session, &function, &name, &value).await
                    })
                    .await
            }
        }
    }
}
