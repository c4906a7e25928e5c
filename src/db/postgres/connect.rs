//! A connection, encrypted as the settings say.

use tokio_postgres::config::SslMode;
use tokio_postgres::{Client, Config, Connection, Error, NoTls, Socket, tls};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::settings::TlsMode;
use crate::tls as encryption;

/// Why there is no connection.
#[derive(Debug)]
pub(crate) enum Unconnected {
    /// Certificates could not be read; the reason.
    Certificates(String),
    /// The server cannot be reached, or does not let us in.
    Server(Error),
}

impl From<Error> for Unconnected {
    fn from(error: Error) -> Self {
        Self::Server(error)
    }
}

/// To be called within a runtime, which drives the connection from then on.
pub(crate) async fn connect(config: &mut Config, mode: &TlsMode) -> Result<Client, Unconnected> {
    match encryption::client(mode).map_err(Unconnected::Certificates)? {
        None => {
            let (client, connection) = config.ssl_mode(SslMode::Disable).connect(NoTls).await?;
            drive(connection);
            Ok(client)
        }
        Some(tls) => {
            let connecting = config.ssl_mode(SslMode::Require).connect(MakeRustlsConnect::new(tls));
            let (client, connection) = connecting.await?;
            drive(connection);
            Ok(client)
        }
    }
}

/// The connection works on its own; its end, good or bad, is seen by whoever uses the client.
fn drive<T>(connection: Connection<Socket, T>)
where
    T: tls::TlsStream + Unpin + Send + 'static,
{
    tokio::spawn(connection);
}
