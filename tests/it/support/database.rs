//! The settings of a test server's database.

use gulou::settings::{Secret, ServerSettings, TlsMode};

use crate::servers::parts;

/// Of the database that a URL of `servers` names.
pub(crate) fn server_settings(url: &str) -> ServerSettings {
    let [user, password, host, port, database] = parts(url).map(str::to_owned);
    let password = Some(Secret::new(password));
    ServerSettings { host, port: port.parse().unwrap(), user, password, database, tls: TlsMode::Off }
}
