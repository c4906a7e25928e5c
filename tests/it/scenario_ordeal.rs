//! Mailings during which the daemon, the database and the receiver are killed, frozen and cut off: who got mail, what the
//! table says, what the ledger holds and what the runs account for must agree on every row afterwards.
//!
//! `GULOU_TORTURE_ROWS`, `GULOU_TORTURE_KILLS`, `GULOU_TORTURE_PAUSE_MS` and `GULOU_TORTURE_SEED` make it as large as one
//! likes; `scripts/torture.sh` sets them.

use std::path::Path;

use serde_json::json;

use crate::support::home::Home;
use crate::support::mailing::Mailing;
use crate::support::ordeal::{Life, Size, WINDOW};
use crate::support::receiver::Receiver;

#[test]
fn sqlite_hold() {
    hold(Home::sqlite);
}

#[test]
fn sqlite_resend() {
    resend(Home::sqlite);
}

#[test]
fn postgres_hold() {
    hold(Home::postgres);
}

#[test]
fn postgres_resend() {
    resend(Home::postgres);
}

#[test]
fn mariadb_hold() {
    hold(Home::mariadb);
}

#[test]
fn mariadb_resend() {
    resend(Home::mariadb);
}

/// Doubtful rows are held: nobody gets a mail twice, until an operator says so.
fn hold(home: impl FnOnce(&Path) -> Home) {
    let mut life = begin(home, "hold");
    life.suffer();
    life.finish();
    let account = life.judge(false);
    println!("hold: {account:?}");

    if account.held > 0 {
        life.resend(account.held);
        life.finish();
    }
    let account = life.judge(true);
    println!("resent by an operator: {account:?}");
    assert_eq!((account.held, account.retrying), (0, 0));
}

/// Doubtful rows are resent: everybody gets a mail, some of them twice.
fn resend(home: impl FnOnce(&Path) -> Home) {
    let mut life = begin(home, "resend");
    life.suffer();
    life.finish();
    let account = life.judge(true);
    println!("resend: {account:?}");
    assert_eq!((account.held, account.retrying), (0, 0));
}

fn begin(home: impl FnOnce(&Path) -> Home, on_uncertain: &str) -> Life {
    let size = Size::from_env();
    println!("{on_uncertain}: {size:?}");
    let receiver = Receiver::start();
    let settings = json!({ "window": WINDOW, "on_uncertain": on_uncertain });
    let mailing = Mailing::at(home, &receiver.url(), size.rows, &settings);
    Life::new(mailing, receiver, size)
}
