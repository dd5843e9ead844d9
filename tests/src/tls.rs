//! TLS on both sides, from PEM: what the stand-in kubelet serves with and what the clients present.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use gatelet_certs::Pair;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientCertVerifierBuilder, WebPkiClientVerifier};
use rustls::{ClientConfig, RootCertStore, ServerConfig};

/// A certificate chain and its private key, both PEM.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The certificate, then the intermediates.
    pub certificate: Vec<u8>,
    /// The private key.
    pub key: Vec<u8>,
}

impl Identity {
    /// Reads both files.
    ///
    /// # Errors
    /// When one of them can't be read; the error names it.
    pub fn read(certificate: &Path, key: &Path) -> anyhow::Result<Self> {
        Ok(Self { certificate: read(certificate)?, key: read(key)? })
    }

    fn parse(&self) -> anyhow::Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)> {
        let key = PrivateKeyDer::from_pem_slice(&self.key).context("private key")?;
        Ok((certificates(&self.certificate)?, key))
    }
}

impl From<Pair> for Identity {
    fn from(pair: Pair) -> Self {
        Self { certificate: pair.certificate.into_bytes(), key: pair.key.into_bytes() }
    }
}

/// Reads a file, naming it when that fails.
///
/// # Errors
/// When the file can't be read.
pub fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    std::fs::read(path).with_context(|| path.display().to_string())
}

/// A server that demands a client certificate of `client_ca` (PEM).
///
/// It offers no ALPN, like a kubelet of Kubernetes 1.36: every request is HTTP/1.1.
///
/// # Errors
/// When a certificate or key is unreadable.
pub fn server(identity: &Identity, client_ca: &[u8]) -> anyhow::Result<Arc<ServerConfig>> {
    serving(identity, client_ca, |verifier| verifier)
}

/// A server that also talks to clients without a certificate, like an API server: they have a token.
///
/// # Errors
/// When a certificate or key is unreadable.
pub fn lenient_server(identity: &Identity, client_ca: &[u8]) -> anyhow::Result<Arc<ServerConfig>> {
    serving(identity, client_ca, ClientCertVerifierBuilder::allow_unauthenticated)
}

fn serving(
    identity: &Identity,
    client_ca: &[u8],
    demand: fn(ClientCertVerifierBuilder) -> ClientCertVerifierBuilder,
) -> anyhow::Result<Arc<ServerConfig>> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = demand(WebPkiClientVerifier::builder_with_provider(
        Arc::new(roots(client_ca).context("the clients' CA")?),
        Arc::clone(&provider),
    ))
    .build()?;
    let (chain, key) = identity.parse().context("the serving pair")?;
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)?;
    Ok(Arc::new(config))
}

/// A client that trusts `ca` (PEM), with a certificate or without one.
///
/// # Errors
/// When a certificate or key is unreadable.
pub fn client(identity: Option<&Identity>, ca: &[u8]) -> anyhow::Result<Arc<ClientConfig>> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots(ca).context("the servers' CA")?);
    let config = match identity {
        Some(identity) => {
            let (chain, key) = identity.parse().context("the client's pair")?;
            builder.with_client_auth_cert(chain, key)?
        }
        None => builder.with_no_client_auth(),
    };
    Ok(Arc::new(config))
}

fn roots(pem: &[u8]) -> anyhow::Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(pem)? {
        roots.add(certificate)?;
    }
    Ok(roots)
}

fn certificates(pem: &[u8]) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let certificates: Vec<_> =
        CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().context("certificate")?;
    anyhow::ensure!(!certificates.is_empty(), "no certificate in the PEM");
    Ok(certificates)
}
