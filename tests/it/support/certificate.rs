//! Certificates for servers in tests, each by a CA of its own.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tempfile::TempDir;

/// Who a server proves to be.
pub(crate) struct Identity {
    /// The server's side.
    pub(crate) config: Arc<ServerConfig>,
    folder: TempDir,
}

impl Identity {
    /// With a certificate for `names`.
    pub(crate) fn of(names: &[&str]) -> Self {
        Self::new(names, false)
    }

    /// The same, no longer valid.
    pub(crate) fn expired(names: &[&str]) -> Self {
        Self::new(names, true)
    }

    fn new(names: &[&str], expired: bool) -> Self {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let mut authority = CertificateParams::new(Vec::new()).unwrap();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // Whom a certificate is by is told by the name.
        let name = format!("CA {}", MADE.fetch_add(1, Ordering::Relaxed));
        authority.distinguished_name.push(DnType::CommonName, name);
        let ca_key = KeyPair::generate().unwrap();
        let ca = authority.self_signed(&ca_key).unwrap();
        let issuer = Issuer::new(authority, ca_key);
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        if expired {
            params.not_before = date_time_ymd(2020, 1, 1);
            params.not_after = date_time_ymd(2020, 2, 1);
        }
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &issuer).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), ca.pem()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
            );
        Self { config: Arc::new(config.unwrap()), folder }
    }

    /// The CA's certificate, a PEM file that goes with this value.
    pub(crate) fn ca(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }
}
