//! `kill -9` in the middle of a mailing, again and again: who got mail, what the table says and what
//! the ledger holds must agree on every row afterwards.
//!
//! `GULOU_TORTURE_ROWS`, `GULOU_TORTURE_KILLS` and `GULOU_TORTURE_SEED` make it as large as one likes;
//! `scripts/torture.sh` sets them. The seed picks the moments of the kills.

use std::fs;
use std::path::PathBuf;

use mail_parser::MessageParser;
use serde_json::json;

use crate::support::mailing::Mailing;
use crate::support::ordeal::{Random, WINDOW, from_env};
use crate::support::promise::{Account, Event, judge};
use crate::support::{Delivered, SmtpSink, eventually};

#[test]
fn killed_mailing_that_holds_doubtful_rows_repeats_none() {
    let size = Size::from_env();
    let sink = SmtpSink::start();
    let mailing = Mailing::new(&sink, size.rows, &settings("hold"));
    let post = Post::Smtp(sink);
    let (Account { held, .. }, mut history) = survive(&mailing, &post, size, "hold");

    // An operator who would rather send twice than not at all has the last word.
    let resend = ["batch", "--config", "config.json", "resend", "mailing", "--all"];
    let answer = mailing.project().gulou(&resend).expect_code(0);
    assert!(answer.stdout.starts_with(&format!("{held} row")), "{}", answer.stdout);
    go_through(&mailing);
    history.push(Event::Blow { what: "an operator resends".to_owned(), doubt: held });
    catch_up(&mut history, &post.delivered());
    let account = judge(&mailing.testimony(history), true).unwrap();
    assert_eq!((account.sent, account.held), (size.rows, 0));
}

#[test]
fn killed_mailing_that_resends_doubtful_rows_leaves_none_out() {
    let size = Size::from_env();
    let sink = SmtpSink::start();
    let mailing = Mailing::new(&sink, size.rows, &settings("resend"));
    survive(&mailing, &Post::Smtp(sink), size, "resend");
}

/// The state in PostgreSQL: the same promise.
#[test]
fn killed_mailing_with_its_state_in_postgres_repeats_none() {
    let size = Size::from_env();
    let sink = SmtpSink::start();
    let mailing = Mailing::on_postgres(&sink, size.rows, &settings("hold"));
    survive(&mailing, &Post::Smtp(sink), size, "hold");
}

#[test]
fn killed_mailing_into_a_maildir_repeats_none() {
    // Every mail is synced to the disk, so a large table takes long without finding more.
    let size = Size::from_env();
    let size = Size { rows: size.rows.min(10_000), ..size };
    let mailing = Mailing::to("maildir:outbox", size.rows, &settings("hold"));
    let maildir = mailing.project().path("outbox/new");
    survive(&mailing, &Post::Maildir(maildir), size, "hold");
}

fn settings(on_uncertain: &str) -> serde_json::Value {
    json!({ "window": WINDOW, "on_uncertain": on_uncertain })
}

/// Kills a mailing as often as `size` says, lets it end, and answers the account and what happened if nothing is amiss.
fn survive(mailing: &Mailing, post: &Post, size: Size, on_uncertain: &str) -> (Account, Vec<Event>) {
    let Size { rows, kills, seed } = size;
    println!("{on_uncertain}: {rows} rows, {kills} kills, seed {seed}");
    assert!(rows > (kills + 1) * 4 * WINDOW, "too few rows for {kills} kills");
    let mut random = Random::new(seed);
    let share = rows / (kills + 1);
    let (mut in_the_middle, mut history) = (0, Vec::new());
    for kill in 0..kills {
        let moment = (share * kill + 1 + random.below(share)) as usize;
        let daemon = mailing.project().serve("config.json");
        eventually("the mails before the kill", || (post.mails_so_far() >= moment).then_some(()));
        daemon.kill();
        catch_up(&mut history, &post.delivered());
        history.push(Event::Blow { what: "kill".to_owned(), doubt: WINDOW });
        let open = mailing.open_rows();
        println!("kill {}: after {} mails, {open} rows unmarked", kill + 1, post.mails_so_far());
        in_the_middle += u32::from(open > 0);
    }
    assert!(in_the_middle > 0, "no kill came before the end: nothing was tested");

    go_through(mailing);
    catch_up(&mut history, &post.delivered());
    match judge(&mailing.testimony(history.clone()), on_uncertain == "resend") {
        Ok(account) => {
            println!("{on_uncertain}: {account:?}");
            assert_eq!(account.sent + account.held, rows);
            (account, history)
        }
        Err(breaches) => panic!(
            "seed {seed}: {} breaches of the promise, the first of them:\n{}",
            breaches.len(),
            breaches.iter().take(20).cloned().collect::<Vec<_>>().join("\n")
        ),
    }
}

/// Adds the mails that came since.
fn catch_up(history: &mut Vec<Event>, delivered: &Delivered) {
    let known = history.iter().filter(|event| matches!(event, Event::Delivered { .. })).count();
    history.extend(delivered.events(known));
}

/// Serves until every row is settled, and stops.
fn go_through(mailing: &Mailing) {
    let daemon = mailing.project().serve("config.json");
    mailing.wait_until_through();
    let (code, log) = daemon.stop();
    assert_eq!(code, Some(0), "the drain failed:\n{log}");
}

/// Where the mails arrive.
enum Post {
    Smtp(SmtpSink),
    /// Its folder `new`.
    Maildir(PathBuf),
}

impl Post {
    fn mails_so_far(&self) -> usize {
        match self {
            Self::Smtp(sink) => sink.mails_so_far(),
            Self::Maildir(new) => fs::read_dir(new).map_or(0, Iterator::count),
        }
    }

    fn delivered(&self) -> Delivered {
        let new = match self {
            Self::Smtp(sink) => return sink.delivered(),
            Self::Maildir(new) => new,
        };
        let mut files: Vec<_> = fs::read_dir(new).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort_by_key(|file| fs::metadata(file).unwrap().modified().unwrap());
        let mails = files.iter().map(|file| {
            let bytes = fs::read(file).unwrap();
            let mail = MessageParser::default().parse(&bytes).unwrap();
            let to = mail.to().unwrap().first().unwrap().address().unwrap().to_owned();
            (to, mail.message_id().unwrap().to_owned())
        });
        Delivered { mails: mails.collect() }
    }
}

/// How hard it is made.
#[derive(Clone, Copy)]
struct Size {
    rows: u32,
    kills: u32,
    seed: u32,
}

impl Size {
    fn from_env() -> Self {
        Self { rows: from_env("ROWS", 2_000), kills: from_env("KILLS", 2), seed: from_env("SEED", 1) }
    }
}
