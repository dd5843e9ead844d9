//! Who calls a proxy: one request, by HTTP/1.1 or HTTP/2.

use std::convert::Infallible;
use std::future::ready;

use anyhow::Context as _;
use bytes::Bytes;
use gatelet_tests::client::Dialer;
use gatelet_tests::deadline::within;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Empty, Full};
use hyper::client::conn::{http1, http2};
use hyper::header::HeaderMap;
use hyper::{Method, Request, Uri, Version};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

/// What is sent; its body has the trailers behind it.
#[derive(Clone, Debug)]
pub(crate) struct Asking<'a> {
    pub(crate) version: Version,
    pub(crate) method: Method,
    pub(crate) target: &'a str,
    pub(crate) headers: &'a [(&'static str, &'a str)],
    pub(crate) body: &'static str,
    pub(crate) trailers: &'a [(&'static str, &'a str)],
}

/// What came back.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) trailers: HeaderMap,
}

impl<'a> Asking<'a> {
    /// A GET by HTTP/2, as between sidecars.
    pub(crate) fn get(target: &'a str) -> Self {
        Self {
            version: Version::HTTP_2,
            method: Method::GET,
            target,
            headers: &[],
            body: "",
            trailers: &[],
        }
    }

    /// Sends it on a connection of its own.
    ///
    /// # Errors
    /// When there is no connection, or no whole answer.
    pub(crate) async fn to(&self, dialer: &Dialer) -> anyhow::Result<Answer> {
        within("an answer", self.exchange(dialer)).await?
    }

    async fn exchange(&self, dialer: &Dialer) -> anyhow::Result<Answer> {
        let by_2 = self.version == Version::HTTP_2;
        let stream = dialer.offering(&[if by_2 { "h2" } else { "http/1.1" }]).connect().await?;
        let stream = TokioIo::new(stream);
        let mut request = Request::builder().method(&self.method).version(self.version);
        let uri: Uri = if by_2 {
            format!("https://catalogue.shop:8080{}", self.target).parse()?
        } else {
            request = request.header("host", "catalogue.shop:8080");
            self.target.parse()?
        };
        let mut request = request.uri(uri).body(self.body()?)?;
        request.headers_mut().extend(headers(self.headers)?);
        let response = if by_2 {
            let (mut sender, connection) = http2::handshake(TokioExecutor::new(), stream).await?;
            tokio::spawn(connection);
            sender.send_request(request).await?
        } else {
            let (mut sender, connection) = http1::handshake(stream).await?;
            tokio::spawn(connection);
            sender.send_request(request).await?
        };
        let (head, body) = response.into_parts();
        let body = body.collect().await?;
        Ok(Answer {
            status: head.status.as_u16(),
            headers: head.headers,
            trailers: body.trailers().cloned().unwrap_or_default(),
            body: body.to_bytes(),
        })
    }
}

impl Asking<'_> {
    fn body(&self) -> anyhow::Result<BoxBody<Bytes, Infallible>> {
        if self.body.is_empty() {
            // The headers are the end of the request, and nothing of length 0 comes behind them.
            return Ok(Empty::new().boxed());
        }
        let trailers = Some(Ok(headers(self.trailers)?));
        Ok(Full::from(self.body).with_trailers(ready(trailers)).boxed())
    }
}

fn headers(lines: &[(&'static str, &str)]) -> anyhow::Result<HeaderMap> {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers.append(*name, value.parse()?);
    }
    Ok(headers)
}

/// Asks for a URL in plain text by HTTP/1.1, and returns the status of the answer.
///
/// # Errors
/// When there is no connection, or no answer.
pub(crate) async fn plain(url: &str) -> anyhow::Result<u16> {
    let url: Uri = url.parse()?;
    let stream = TcpStream::connect(url.authority().context("no host")?.as_str()).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let target = url.path_and_query().context("no path")?.as_str();
    let request = Request::builder().uri(target).header("host", "catalogue.shop:8080");
    let request = request.body(Empty::<Bytes>::new())?;
    Ok(within("an answer", sender.send_request(request)).await??.status().as_u16())
}
