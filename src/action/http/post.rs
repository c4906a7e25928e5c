//! JSON that is posted to one server, for actions that know their requests themselves.

use std::time::Duration;

use bytes::Bytes;
use reqwest::Method;
use serde_json::Value;
use url::Url;

use super::clients::HttpClients;
use super::exchange::{self, Fault, Reply};
use super::request::{Header, HttpRequest};
use crate::settings::{HttpBody, HttpSettings, HttpSuccess, HttpUrl, Secret, TlsMode};

/// Such answers are short.
const MAX_RESPONSE: usize = 64 << 10;

/// How one server is asked.
#[derive(Clone, Debug)]
pub struct JsonPost {
    settings: HttpSettings,
    clients: HttpClients,
}

impl JsonPost {
    /// `timeout`: of a whole exchange.
    pub fn new(clients: &HttpClients, timeout: Duration) -> Self {
        let settings = HttpSettings {
            method: "POST".to_owned(),
            url: HttpUrl::Secret(Secret::new(String::new())),
            headers: Vec::new(),
            body: HttpBody::Empty,
            timeout,
            tls: TlsMode::Verify { ca: None },
            redirects: 0,
            max_response: MAX_RESPONSE,
            success: HttpSuccess::default(),
        };
        Self { settings, clients: clients.clone() }
    }

    /// The request to `url`, with `query` and `body`. What is among `secrets` is never shown. The reason, when `url` is
    /// none.
    pub fn request(
        url: &str,
        query: &[(&str, &str)],
        body: &Value,
        secrets: Vec<Secret>,
    ) -> Result<HttpRequest, String> {
        let url = if query.is_empty() { Url::parse(url) } else { Url::parse_with_params(url, query) };
        let url = url.map_err(|error| format!("this is not a URL: {error}"))?;
        Ok(HttpRequest {
            method: Method::POST,
            url,
            is_url_secret: false,
            is_of_one_server: true,
            headers: vec![Header::new("content-type", "application/json", false)?],
            body: Bytes::from(body.to_string()),
            secrets,
        })
    }

    /// Sends it, and hands back whatever was answered. A future that is dropped leaves it in doubt.
    pub async fn exchange(&self, request: &HttpRequest) -> Result<Reply, Fault> {
        exchange::exchange(&self.clients, &self.settings, request).await
    }
}
