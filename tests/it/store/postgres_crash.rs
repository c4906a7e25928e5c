//! Lost connections, killed servers, a second owner.

use gulou::run::Outcome;
use gulou::settings::{Overlap, ServerSettings, StateSettings, TlsMode};
use gulou::store::runs::{Claim, Ended, RunId};
use gulou::store::{Store, StoreError};
use tokio_util::sync::CancellationToken;

use super::home::{Home, claim, open, request, started, states};
use crate::servers::{self, Postgres};
use crate::support::server_settings;

/// As the engine does it: the same request, for as long as the server is away.
async fn claim_until_answered(store: &Store, fire_time: i64) -> Claim {
    let asked = request(fire_time, Overlap::Allow);
    loop {
        match store.claim(vec![asked]).await {
            Ok(mut claims) => return claims.remove(0),
            Err(StoreError::Away(_)) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

fn end(run: RunId, at: i64) -> Ended {
    Ended { run, outcome: Outcome::succeeded(None), at }
}

/// Whatever a transaction was doing when its connection went, it is done once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn claims_go_on_over_connections_that_are_cut() {
    // A server of its own: all connections are cut.
    let server = Postgres::start();
    let home = Home::Database(server.database());
    let store = open(&home).await;
    let (told, mut done) = tokio::sync::mpsc::unbounded_channel();
    let enough = CancellationToken::new();
    let cut_enough = enough.clone();
    let claiming = tokio::spawn(async move {
        let mut fire_time = 0;
        while !cut_enough.is_cancelled() || fire_time < 40 {
            fire_time += 1;
            let run = started(claim_until_answered(&store, fire_time).await);
            assert_eq!(run, fire_time, "no number is given twice, and none is lost");
            while let Err(error) = store.finish(end(run, fire_time)).await {
                assert!(matches!(error, StoreError::Away(_)), "{error}");
            }
            // Whoever cuts may have stopped listening.
            let _ = told.send(());
        }
        usize::try_from(fire_time).unwrap()
    });
    for _ in 0..8 {
        // After a step forward, at whatever moment of the next one it happens to be.
        done.recv().await.unwrap();
        tokio::task::block_in_place(|| server.terminate_connections());
        while done.try_recv().is_ok() {}
    }
    enough.cancel();
    let claimed = claiming.await.unwrap();
    let states = states(&home);
    assert_eq!(states.len(), claimed);
    assert!(states.iter().all(|(_, state)| state == "succeeded"), "{states:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_server_keeps_what_was_answered_and_the_store_goes_on() {
    let mut server = Postgres::start();
    let home = Home::Database(server.database());
    let store = open(&home).await;
    let epoch = store.epoch();
    let first = started(claim(&store, 100, Overlap::Allow).await);
    server.kill();
    let claiming = store.clone();
    let second = tokio::spawn(async move { claim_until_answered(&claiming, 101).await });
    tokio::task::block_in_place(|| server.restart());
    let second = started(second.await.unwrap());
    store.finish(end(first, 1)).await.unwrap();
    drop(store);
    server.kill();
    tokio::task::block_in_place(|| server.restart());
    let store = home.reopen();
    assert_eq!(store.epoch(), epoch + 1);
    let left: Vec<_> = store.left_open().await.unwrap().into_iter().map(|run| run.id).collect();
    assert_eq!(left, [second]);
}

/// A claim whose answer was lost is asked for again, and must not be taken for somebody else's.
#[tokio::test]
async fn a_claim_that_held_is_answered_again() {
    let home = Home::postgres();
    let store = open(&home).await;
    let (one, other) = (request(100, Overlap::Queue(1)), request(101, Overlap::Queue(1)));
    let answers = store.claim(vec![one, other]).await.unwrap();
    assert_eq!(answers, [Claim::Started(1), Claim::Waiting(2)]);
    assert_eq!(store.claim(vec![one, other]).await.unwrap(), answers);
    let replaces = request(102, Overlap::Replace);
    let answer = store.claim(vec![replaces]).await.unwrap();
    assert_eq!(answer, [Claim::Replaces { run: 3, old: vec![1, 2] }]);
    // The one that waited is ended by now.
    let again = store.claim(vec![replaces]).await.unwrap();
    assert_eq!(again, [Claim::Replaces { run: 3, old: vec![1] }]);
    assert_eq!(claim(&store, 100, Overlap::Queue(1)).await, Claim::AlreadyClaimed);
}

/// As when its machine had been cut off, and somebody else went on.
#[tokio::test]
async fn an_owner_that_was_replaced_writes_nothing() {
    let server = Postgres::start();
    let url = server.database();
    let home = Home::Database(url.clone());
    let old = open(&home).await;
    let run = started(claim(&old, 100, Overlap::Allow).await);
    server.execute(&url, "update gulou.owner set epoch = epoch + 1, commits = 0");
    let stale = |error| matches!(error, StoreError::StaleEpoch { ours: 1, current: 2 });
    assert!(stale(old.claim(vec![request(101, Overlap::Allow)]).await.unwrap_err()));
    assert!(stale(old.finish(end(run, 1)).await.unwrap_err()));
    assert!(stale(old.prune(i64::MAX, 0, 10).await.unwrap_err()));
    // Nor does it come back.
    server.terminate_connections();
    assert!(stale(old.claim(vec![request(102, Overlap::Allow)]).await.unwrap_err()));
    assert_eq!(states(&home), [(100, "running".to_owned())]);
}

/// A lock that another session took meanwhile is not taken back, and whoever has it does not wait for us.
#[tokio::test]
async fn a_lock_that_was_lost_is_respected() {
    let server = Postgres::start();
    let home = Home::Database(server.database());
    let old = open(&home).await;
    // The backend goes; the store does not know it before it writes.
    server.terminate_connections();
    let new = home.reopen();
    let error = old.claim(vec![request(100, Overlap::Allow)]).await.unwrap_err();
    assert!(matches!(error, StoreError::StaleEpoch { ours: 1, current: 2 }), "{error}");
    assert!(matches!(claim(&new, 100, Overlap::Allow).await, Claim::Started(_)));
}

#[tokio::test]
async fn states_in_two_schemas_have_nothing_to_do_with_each_other() {
    let url = servers::postgres().database();
    let server = |schema: &str| gulou::store::Server::new(url.parse().unwrap(), schema);
    let one = gulou::store::Store::open_postgres(&server("one")).unwrap();
    let other = gulou::store::Store::open_postgres(&server("An \"other\"")).unwrap();
    assert_eq!((one.epoch(), other.epoch()), (1, 1));
}

#[tokio::test]
async fn a_server_that_is_not_there_is_said_at_once() {
    let config = "postgres://gulou:secret@127.0.0.1:1/db".parse().unwrap();
    let error = gulou::store::Store::open_postgres(&gulou::store::Server::new(config, "gulou")).unwrap_err();
    let said = error.to_string();
    assert!(said.starts_with("could not reach the state postgres://127.0.0.1:1/db?schema=gulou: "), "{said}");
}

/// The server proves who it is by a certificate of its own, and whoever does not trust it stays away.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_way_to_the_server_can_be_encrypted() {
    let server = servers::postgres();
    let url = server.database();
    let [.., database] = servers::parts(&url);
    let state = |tls| StateSettings::Postgres {
        server: ServerSettings { tls, ..server_settings(&url) },
        schema: "gulou".to_owned(),
    };
    let ours = state(TlsMode::Verify { ca: Some(server.ca().to_owned()) });
    let store = tokio::task::spawn_blocking(move || Store::take(&ours)).await.unwrap().unwrap();
    let encrypted = format!(
        "SELECT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
         WHERE datname = '{database}' AND application_name LIKE 'gulou (pid %'"
    );
    assert_eq!(server.execute(&server.admin(), &encrypted).trim(), "t");
    drop(store);

    let foreign = state(TlsMode::Verify { ca: None });
    let refused = tokio::task::spawn_blocking(move || Store::take(&foreign)).await.unwrap();
    assert!(matches!(refused, Err(StoreError::Unreachable { .. })), "{refused:?}");
}
