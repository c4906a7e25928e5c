//! How a connection is made, and what marks and keys rely on in its session.

use std::time::Duration;

use mysql_async::prelude::Queryable as _;
use mysql_async::{Conn, Opts, OptsBuilder, SslOpts};

use super::super::Access;
use super::fault::said;
use crate::settings::{Secret, ServerSettings, TlsMode};
use crate::tls;

/// How long a server may take until it has let us in.
const CONNECT: Duration = Duration::from_secs(10);
/// When a server that says nothing is asked whether it is there.
const SILENT: Duration = Duration::from_secs(30);
/// A source has about a dozen statements, some of them in three sizes.
const STATEMENTS: usize = 64;

/// A connection whose session is set up; the reason, when there is none.
pub(super) async fn connect(settings: &ServerSettings, access: Access) -> Result<Conn, String> {
    let options = options(settings)?;
    let connecting = async {
        let mut connection = Conn::new(options).await?;
        set_up(&mut connection, access).await?;
        Ok::<_, mysql_async::Error>(connection)
    };
    match tokio::time::timeout(CONNECT, connecting).await {
        Ok(connected) => connected.map_err(|error| said(&error)),
        Err(_) => Err("it does not answer".to_owned()),
    }
}

fn options(settings: &ServerSettings) -> Result<Opts, String> {
    let builder = OptsBuilder::default()
        .ip_or_hostname(&settings.host)
        .tcp_port(settings.port)
        .user(Some(&settings.user))
        .pass(settings.password.as_ref().map(Secret::reveal))
        .db_name(Some(&settings.database))
        .tcp_keepalive(Some(SILENT))
        // The address that was asked for, not a socket that the server names.
        .prefer_socket(false)
        // A mark that changes nothing has found its row all the same.
        .client_found_rows(true)
        .stmt_cache_size(STATEMENTS);
    let is_socket = settings.host.starts_with('/');
    let builder = if is_socket { builder.socket(Some(&settings.host)) } else { builder };
    Ok(builder.ssl_opts(encryption(&settings.tls)?).into())
}

fn encryption(mode: &TlsMode) -> Result<Option<SslOpts>, String> {
    let roots = match mode {
        TlsMode::Off => return Ok(None),
        // The library makes a verifier all the same, which wants certificates: those it has itself.
        TlsMode::Unverified => return Ok(Some(SslOpts::default().with_danger_accept_invalid_certs(true))),
        TlsMode::Verify { ca: Some(file) } => {
            let certificates = std::fs::read(file)
                .map_err(|error| format!("could not read certificates from {}: {error}", file.display()))?;
            vec![certificates.into()]
        }
        TlsMode::Verify { ca: None } => {
            let found = tls::system()?;
            found.into_iter().map(|certificate| certificate.as_ref().to_vec().into()).collect()
        }
    };
    Ok(Some(SslOpts::default().with_disable_built_in_roots(true).with_root_certs(roots)))
}

async fn set_up(connection: &mut Conn, access: Access) -> mysql_async::Result<()> {
    // What does not fit a column is refused, never cut. What else the server's `sql_mode` says is kept: the user's
    // statements are written for it.
    connection
        .query_drop(
            "SET SESSION time_zone = '+00:00', autocommit = 1, \
             sql_mode = concat_ws(',', nullif(@@sql_mode, ''), 'STRICT_TRANS_TABLES')",
        )
        .await?;
    connection.query_drop("SET NAMES utf8mb4").await?;
    // A mark looks again at what it has changed, and must not see the past; nor are gaps between keys locked.
    let looks = if access == Access::ReadOnly { ", READ ONLY" } else { "" };
    connection.query_drop(format!("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED{looks}")).await
}
