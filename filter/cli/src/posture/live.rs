//! A running kubelet: what it says of its settings, and what it does.

use std::{
    fmt::Debug,
    fs,
    io::ErrorKind,
    net::{SocketAddr, TcpStream, ToSocketAddrs},
    path::Path,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, bail};
use gatelet_core::posture::{self, Found, Reading, Settings};
use serde_json::json;
use ureq::{
    Agent,
    http::Uri,
    tls::{
        Certificate, ClientCert, PemItem, PrivateKey, RootCerts, TlsConfig, TlsProvider, parse_pem,
    },
    unversioned::{
        resolver::{ResolvedSocketAddrs, Resolver},
        transport::{DefaultConnector, NextTimeout},
    },
};

use super::command_line::CommandLine;

/// A kubelet that is asked with the gate's certificate, and without any.
pub(super) struct Kubelet {
    address: SocketAddr,
    base: String,
    with_certificate: Agent,
    without: Agent,
}

/// For each question.
const PATIENCE: Duration = Duration::from_secs(10);

/// Of an answer.
const LONGEST: u64 = 1 << 20;

const READ_ONLY_PORT: u16 = 10255;

impl Kubelet {
    /// Reads the certificates and resolves the host.
    ///
    /// # Errors
    /// When one of them can't be.
    pub(super) fn new(
        url: &str,
        cert: &Path,
        key: &Path,
        ca: &Path,
        server_name: Option<&str>,
    ) -> anyhow::Result<Self> {
        let uri: Uri = url.parse().with_context(|| format!("`{url}` is no URL"))?;
        let host = uri.host().with_context(|| format!("`{url}` has no host"))?;
        let port = uri.port_u16().unwrap_or(10250);
        if uri.scheme_str() != Some("https") || !matches!(uri.path(), "" | "/") {
            bail!("`{url}` is not as https://127.0.0.1:10250");
        }
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let address = (bare, port)
            .to_socket_addrs()
            .with_context(|| format!("resolving {host}"))?
            .next()
            .with_context(|| format!("{host} has no address"))?;
        let base = format!("https://{}:{port}", server_name.unwrap_or(host));
        let roots = certificates(ca)?;
        let pair = ClientCert::new_with_certs(&certificates(cert)?, private_key(key)?);
        Ok(Self {
            address,
            base,
            with_certificate: agent(address, &roots, Some(pair)),
            without: agent(address, &roots, None),
        })
    }

    /// What it says and does.
    ///
    /// # Errors
    /// When it doesn't say what its settings are.
    pub(super) fn settings(&self) -> anyhow::Result<(Settings, Vec<String>)> {
        let (status, body) = self.ask(&self.with_certificate, "/configz")?;
        if status != 200 {
            bail!(
                "the kubelet answers {status} to /configz\nhelp: is the certificate one that it lets in?"
            );
        }
        let mut settings = posture::settings_of_configz(&body)
            .map_err(anyhow::Error::msg)
            .context("the kubelet's /configz")?;
        // Kubelets before 1.36 have none.
        if let Ok((200, body)) = self.ask(&self.with_certificate, "/flagz") {
            CommandLine::of_flagz(&String::from_utf8_lossy(&body), "/flagz")
                .add_what_is_in_no_file(&mut settings);
        }
        let anonymous = match self.ask(&self.without, "/configz") {
            Ok((status, _)) => Reading::Value(json!(status)),
            Err(error) => Reading::Unreadable(format!("{error:#}")),
        };
        for (name, reading) in
            [("answer to an anonymous request", anonymous), ("port 10255", self.read_only_port())]
        {
            settings.insert(name.to_owned(), Found { reading, from: "probe".to_owned() });
        }
        Ok((settings, Vec::new()))
    }

    fn ask(&self, agent: &Agent, path: &str) -> anyhow::Result<(u16, Vec<u8>)> {
        let mut answer = agent
            .get(format!("{}{path}", self.base))
            .header("accept", "application/json, text/plain")
            .call()
            .with_context(|| format!("asking {} for {path}", self.address))?;
        let status = answer.status().as_u16();
        let body = answer.body_mut().with_config().limit(LONGEST).read_to_vec();
        Ok((status, body.with_context(|| format!("reading {path}"))?))
    }

    fn read_only_port(&self) -> Reading {
        let address = SocketAddr::new(self.address.ip(), READ_ONLY_PORT);
        match TcpStream::connect_timeout(&address, PATIENCE) {
            Ok(_) => Reading::Value(json!("open")),
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
                Reading::Value(json!("closed"))
            }
            Err(error) => Reading::Unreadable(error.to_string()),
        }
    }
}

/// The address that was resolved, whatever name the certificate has to be for.
#[derive(Debug)]
struct Fixed(SocketAddr);

impl Resolver for Fixed {
    fn resolve(
        &self,
        _uri: &Uri,
        _config: &ureq::config::Config,
        _timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let mut addresses = self.empty();
        addresses.push(self.0);
        Ok(addresses)
    }
}

fn agent(address: SocketAddr, roots: &[Certificate<'static>], pair: Option<ClientCert>) -> Agent {
    let tls = TlsConfig::builder()
        .provider(TlsProvider::Rustls)
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .root_certs(RootCerts::new_with_certs(roots))
        .client_cert(pair)
        .build();
    let config = Agent::config_builder()
        .tls_config(tls)
        .https_only(true)
        // The environment's proxy would be asked for localhost.
        .proxy(None)
        .max_redirects(0)
        .http_status_as_error(false)
        .timeout_global(Some(PATIENCE))
        .build();
    Agent::with_parts(config, DefaultConnector::default(), Fixed(address))
}

fn certificates(file: &Path) -> anyhow::Result<Vec<Certificate<'static>>> {
    let certificate =
        |item| if let PemItem::Certificate(found) = item { Some(found) } else { None };
    let found: Vec<_> = pem(file)?.into_iter().filter_map(certificate).collect();
    if found.is_empty() {
        bail!("{} has no certificate", file.display());
    }
    Ok(found)
}

fn private_key(file: &Path) -> anyhow::Result<PrivateKey<'static>> {
    let key = |item| if let PemItem::PrivateKey(found) = item { Some(found) } else { None };
    pem(file)?.into_iter().find_map(key).with_context(|| format!("{} has no key", file.display()))
}

fn pem(file: &Path) -> anyhow::Result<Vec<PemItem<'static>>> {
    let name = || format!("cannot read {}", file.display());
    let text = fs::read(file).with_context(name)?;
    parse_pem(&text).collect::<Result<_, _>>().with_context(name)
}
