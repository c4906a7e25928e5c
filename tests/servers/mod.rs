//! PostgreSQL, MariaDB and Postfix for tests: private servers on free ports, with their data in a temporary folder.
//!
//! The integration tests and the library's unit tests include this module by its path. It uses the standard library
//! alone, so that both can. A test that shares a server takes [`postgres`] or [`mariadb`] and makes a database of its
//! own; a test that stops or kills a server starts one of its own. Either way nothing outlives the test process.
//!
//! A test that needs a server has `postgres`, `mariadb` or `postfix` in its name, or in that of its module:
//! `./scripts/test.sh --quick` goes by it.
#![allow(dead_code, reason = "each of the two test binaries uses a part of it")]

mod client;
mod instance;
mod mariadb;
pub(crate) mod postfix;
mod postgres;

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

pub(crate) use mariadb::MariaDb;
pub(crate) use postgres::Postgres;

/// The one PostgreSQL of this test process.
pub(crate) fn postgres() -> &'static Postgres {
    // Never dropped: the end of the process ends the server.
    static SHARED: OnceLock<Postgres> = OnceLock::new();
    SHARED.get_or_init(Postgres::start)
}

/// The one MariaDB of this test process.
pub(crate) fn mariadb() -> &'static MariaDb {
    static SHARED: OnceLock<MariaDb> = OnceLock::new();
    SHARED.get_or_init(MariaDb::start)
}

/// A name that no other database of this process has.
fn fresh_name() -> String {
    static MADE: AtomicU32 = AtomicU32::new(0);
    format!("db_{}", MADE.fetch_add(1, Ordering::Relaxed) + 1)
}

/// User, password, host, port and database of a URL that this module made.
pub(crate) fn parts(url: &str) -> [&str; 5] {
    let parts: Option<[&str; 5]> = (|| {
        let (login, address) = url.split_once("://")?.1.split_once('@')?;
        let (user, password) = login.split_once(':')?;
        let (host, rest) = address.split_once(':')?;
        let (port, database) = rest.split_once('/')?;
        Some([user, password, host, port, database])
    })();
    parts.unwrap_or_else(|| panic!("`{url}` is no URL of these servers"))
}
