//! Connections to HTTP servers, kept for the next request: one client for each way of trusting servers.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::Client;
use reqwest::redirect::Policy;
use url::{Host, Url};

use crate::settings::TlsMode;
use crate::tls;

/// For the name, the connection and TLS together; beside the timeout of the request.
const CONNECT: Duration = Duration::from_secs(10);
/// Servers close connections that are idle. One that is used in that moment leaves a request in doubt, so they are not
/// kept for as long as servers commonly do.
const IDLE: Duration = Duration::from_secs(15);

/// All clients of a process. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct HttpClients(Arc<Mutex<Vec<(Way, Client)>>>);

/// What makes connections differ.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Way {
    /// None: `http://`.
    tls: Option<TlsMode>,
    /// Past the proxy that the environment names (`HTTPS_PROXY` and so on), if it does.
    direct: bool,
}

impl HttpClients {
    /// The client for `url`, made when it is first asked for. The reason, when certificates cannot be read.
    pub(super) fn client(&self, url: &Url, tls: &TlsMode) -> Result<Client, String> {
        let way = Way { tls: (url.scheme() == "https").then(|| tls.clone()), direct: is_this_machine(url) };
        let mut clients = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, client)) = clients.iter().find(|(known, _)| *known == way) {
            return Ok(client.clone());
        }
        let client = build(&way)?;
        clients.push((way, client.clone()));
        Ok(client)
    }
}

fn build(way: &Way) -> Result<Client, String> {
    let encryption = match &way.tls {
        Some(mode) => tls::client(mode)?.ok_or("`https://` needs TLS")?,
        None => tls::nobody()?,
    };
    let mut builder = Client::builder()
        .tls_backend_preconfigured(encryption)
        .user_agent(concat!("gulou/", env!("CARGO_PKG_VERSION")))
        .redirect(Policy::none())
        .connect_timeout(CONNECT)
        .pool_idle_timeout(IDLE);
    if way.direct {
        builder = builder.no_proxy();
    }
    builder.build().map_err(|error| error.to_string())
}

/// No proxy reaches what this machine alone can reach.
fn is_this_machine(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}
