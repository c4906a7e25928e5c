//! How connections to servers are encrypted, and whom they trust: databases and HTTP alike.

use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ConfigBuilder, DigitallySignedStruct, Error, RootCertStore, SignatureScheme, WantsVerifier,
};

use crate::settings::TlsMode;

/// The client's side of TLS; none when it is off. The reason, when certificates cannot be read.
pub(crate) fn client(mode: &TlsMode) -> Result<Option<ClientConfig>, String> {
    let config = match mode {
        TlsMode::Off => return Ok(None),
        TlsMode::Verify { ca } => builder()?.with_root_certificates(match ca {
            Some(file) => of_file(file)?,
            None => of_the_system()?,
        }),
        TlsMode::Unverified => {
            let anybody = Anybody(Arc::new(ring::default_provider()));
            builder()?.dangerous().with_custom_certificate_verifier(Arc::new(anybody))
        }
    };
    Ok(Some(config.with_no_client_auth()))
}

/// The client's side of connections that are never encrypted, for a library that wants one all the same: it trusts
/// nobody, and needs no certificates of the system.
pub(crate) fn nobody() -> Result<ClientConfig, String> {
    Ok(builder()?.with_root_certificates(RootCertStore::empty()).with_no_client_auth())
}

fn builder() -> Result<ConfigBuilder<ClientConfig, WantsVerifier>, String> {
    ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())
}

fn of_file(file: &Path) -> Result<RootCertStore, String> {
    let fault = |problem: String| format!("could not read certificates from {}: {problem}", file.display());
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(file).map_err(|error| fault(error.to_string()))? {
        let certificate = certificate.map_err(|error| fault(error.to_string()))?;
        roots.add(certificate).map_err(|error| fault(error.to_string()))?;
    }
    if roots.is_empty() { Err(fault("there are none in it".to_owned())) } else { Ok(roots) }
}

fn of_the_system() -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(system()?);
    Ok(roots)
}

/// The certificates that the system trusts. It may have some that are too old to be read; the others serve.
pub(crate) fn system() -> Result<Vec<CertificateDer<'static>>, String> {
    let found = rustls_native_certs::load_native_certs().certs;
    let is_readable =
        |certificate: &CertificateDer<'static>| RootCertStore::empty().add(certificate.clone()).is_ok();
    let readable: Vec<_> = found.into_iter().filter(is_readable).collect();
    if readable.is_empty() {
        return Err(
            "this system trusts no certificates; install ca-certificates, or name a file in \"tls_ca\""
                .to_owned(),
        );
    }
    Ok(readable)
}

/// Takes whoever answers, but nobody who does not hold the key of the certificate that is shown.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_trusted_is_said() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("ca.pem");
        let ca = TlsMode::Verify { ca: Some(file.clone()) };
        assert!(client(&ca).unwrap_err().contains("could not read certificates from"));
        std::fs::write(&file, "no certificate").unwrap();
        assert!(client(&ca).unwrap_err().contains("there are none in it"));
        assert!(client(&TlsMode::Off).unwrap().is_none());
        assert!(client(&TlsMode::Unverified).unwrap().is_some());
    }
}
