//! kube-rs as a client of anything that speaks TLS.

use std::net::SocketAddr;

use gatelet_tests::tls::Identity;
use kube::{Client, Config};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

/// A client of the server at `address`, which has to prove `server_name` to `ca` (PEM).
pub(crate) fn client(
    address: SocketAddr,
    server_name: &str,
    ca: &[u8],
    identity: &Identity,
) -> anyhow::Result<Client> {
    // kube-rs takes certificates from files, and has read them when the client exists.
    let files = tempfile::tempdir()?;
    let (certificate, key) = (files.path().join("client.crt"), files.path().join("client.key"));
    std::fs::write(&certificate, &identity.certificate)?;
    std::fs::write(&key, &identity.key)?;

    let mut config = Config::new(format!("https://{address}").parse()?);
    config.tls_server_name = Some(server_name.to_owned());
    let roots = CertificateDer::pem_slice_iter(ca).map(|root| Ok(root?.to_vec()));
    config.root_cert = Some(roots.collect::<anyhow::Result<_>>()?);
    config.auth_info.client_certificate = Some(certificate.display().to_string());
    config.auth_info.client_key = Some(key.display().to_string());
    Ok(Client::try_from(config)?)
}
