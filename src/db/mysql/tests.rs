//! Connections to a MariaDB.

use mysql_async::Value;

use super::super::{Access, DbError, server_settings};
use super::{Database, Fault};
use crate::settings::{Secret, ServerSettings, TlsMode};
use crate::test_servers::{self as servers, MariaDb};

/// The one value that a statement answers.
async fn ask(database: &Database, sql: &str) -> Result<Value, DbError> {
    let mut tries = database.tries();
    loop {
        let mut session = tries.session().await?;
        let result = async {
            let rows = session.ask(sql, Vec::new()).await?;
            Ok::<_, Fault>(rows[0].as_ref(0).unwrap().clone())
        };
        let result = result.await;
        if let Some(settled) = tries.settle(session, result).await {
            return settled;
        }
    }
}

async fn text(database: &Database, sql: &str) -> String {
    match ask(database, sql).await.unwrap() {
        Value::Bytes(bytes) => String::from_utf8(bytes).unwrap(),
        other => panic!("{other:?}"),
    }
}

fn cipher(mariadb: &MariaDb, tls: TlsMode) -> Database {
    Database::new(ServerSettings { tls, ..server_settings(&mariadb.database()) }, Access::Full)
}

const CIPHER: &str =
    "SELECT variable_value FROM information_schema.session_status WHERE variable_name = 'SSL_CIPHER'";

#[tokio::test]
async fn tls_is_as_the_settings_say_on_mariadb() {
    let mariadb = servers::mariadb();
    let ca = || TlsMode::Verify { ca: Some(mariadb.ca().to_owned()) };
    assert_eq!(text(&cipher(mariadb, TlsMode::Off), CIPHER).await, "");
    assert_ne!(text(&cipher(mariadb, TlsMode::Unverified), CIPHER).await, "");
    assert_ne!(text(&cipher(mariadb, ca()), CIPHER).await, "");
    // The system does not trust the tests' CA, and no CA vouches for another name.
    let strange = ask(&cipher(mariadb, TlsMode::Verify { ca: None }), CIPHER).await.unwrap_err().to_string();
    assert!(strange.contains("TLS") || strange.contains("certificate"), "{strange}");
    let elsewhere =
        ServerSettings { host: "127.0.0.2".to_owned(), tls: ca(), ..server_settings(&mariadb.database()) };
    let refused = ask(&Database::new(elsewhere, Access::Full), CIPHER).await.unwrap_err();
    assert!(matches!(&refused, DbError::Connect { .. }), "{refused}");
    let missing = TlsMode::Verify { ca: Some("/nowhere/ca.pem".into()) };
    let missing = ask(&cipher(mariadb, missing), CIPHER).await.unwrap_err().to_string();
    assert!(missing.contains("could not read certificates from /nowhere/ca.pem"), "{missing}");
}

#[tokio::test]
async fn what_keeps_us_out_of_mariadb_is_said_without_the_password() {
    let url = servers::mariadb().database();
    let wrong =
        ServerSettings { password: Some(Secret::new("tops3cret".to_owned())), ..server_settings(&url) };
    let port = wrong.port;
    let database = Database::new(wrong, Access::Full);
    let error = ask(&database, "SELECT 1").await.unwrap_err();
    let message = error.to_string();
    assert!(message.contains("Access denied for user 'gulou'"), "{message}");
    assert!(message.contains(&format!("at 127.0.0.1:{port}")), "{message}");
    assert!(!message.contains("tops3cret") && !format!("{error:?} {database:?}").contains("tops3cret"));
    let nowhere = ServerSettings { database: "nowhere".to_owned(), ..server_settings(&url) };
    let message = ask(&Database::new(nowhere, Access::Full), "SELECT 1").await.unwrap_err().to_string();
    assert!(message.contains("nowhere"), "{message}");
}

#[tokio::test]
async fn a_session_of_mariadb_is_set_up() {
    let url = servers::mariadb().database();
    servers::mariadb().execute(&url, "create table t (a tinyint)");
    let database = Database::new(server_settings(&url), Access::Full);
    let set = "SELECT concat_ws(' ', @@time_zone, @@autocommit, @@character_set_client, @@tx_isolation)";
    assert_eq!(text(&database, set).await, "+00:00 ON utf8mb4 READ-COMMITTED");
    assert!(text(&database, "SELECT @@sql_mode").await.contains("STRICT_TRANS_TABLES"));
    let looking = Database::new(server_settings(&url), Access::ReadOnly);
    let message = ask(&looking, "INSERT INTO t VALUES (1)").await.unwrap_err().to_string();
    assert!(message.contains("READ ONLY"), "{message}");
}

#[tokio::test]
async fn a_connection_to_mariadb_that_was_lost_is_made_again() {
    let mut mariadb = MariaDb::start();
    let database = Database::new(server_settings(&mariadb.database()), Access::Full);
    let before = ask(&database, "SELECT connection_id()").await.unwrap();
    assert_eq!(ask(&database, "SELECT connection_id()").await.unwrap(), before, "the same one serves on");
    mariadb.terminate_connections();
    assert_ne!(ask(&database, "SELECT connection_id()").await.unwrap(), before);
    // In the middle of a statement: nobody knows what came of it.
    let busy = tokio::spawn({
        let database = database.another();
        async move { ask(&database, "SELECT sleep(3600) FROM (SELECT connection_id()) AS t").await }
    });
    let sleeping = "select count(*) from information_schema.processlist where info like 'SELECT sleep%'";
    while mariadb.execute(&mariadb.admin(), sleeping) == "0\n" {
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
    mariadb.terminate_connections();
    let message = busy.await.unwrap().unwrap_err().to_string();
    assert!(message.starts_with("database db_"), "{message}");
    mariadb.stop();
    let refused = ask(&database, "SELECT 1").await.unwrap_err();
    assert!(matches!(&refused, DbError::Connect { .. }), "{refused}");
    mariadb.restart();
    ask(&database, "SELECT 1").await.unwrap();
}
