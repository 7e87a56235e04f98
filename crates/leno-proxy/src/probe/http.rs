//! A probe by HTTP or HTTPS, by the kubelet's rules.

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use http::header::{ACCEPT, CONNECTION, HOST, LOCATION, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode, Uri};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use leno_identity::tls::Unverified;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use serde::Deserialize;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;

use super::{Origin, Verdict, agent_or_own, connect};
use leno_core::names::port;

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Get {
    tls: bool,
    path: String,
    headers: HeaderMap,
}

/// `httpGet`, as it stood in the pod.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[derive(Default)]
pub(super) struct Raw {
    path: Option<String>,
    scheme: Option<String>,
    http_headers: Option<Vec<RawHeader>>,
}

#[derive(Deserialize)]
struct RawHeader {
    name: String,
    #[serde(default)]
    value: String,
}

impl Raw {
    pub(super) fn get(self) -> Result<Get, String> {
        let path = self.path.unwrap_or_default();
        let path = escaped(&if path.starts_with('/') { path } else { format!("/{path}") });
        path.parse::<Uri>().map_err(|e| format!("path {path:?}: {e}"))?;
        let mut headers = HeaderMap::new();
        for header in self.http_headers.unwrap_or_default() {
            let name = HeaderName::try_from(&header.name).map_err(|e| format!("header {:?}: {e}", header.name))?;
            let value = HeaderValue::try_from(&header.value).map_err(|e| format!("header {name}: {e}"))?;
            headers.append(name, value);
        }
        Ok(Get { tls: self.scheme.is_some_and(|s| s.eq_ignore_ascii_case("https")), path, headers })
    }
}

/// With what may not stand in a request's line written as `%XX`.
fn escaped(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

/// Where the next request of a probe goes.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Target {
    tls: bool,
    address: SocketAddr,
    path: String,
}

impl Get {
    /// Asks, and follows redirects that stay with the pod. One that leads elsewhere counts as success.
    pub(super) async fn ask(&self, address: SocketAddr, from: Origin, agent: Option<&HeaderValue>) -> Verdict {
        let mut target = Target { tls: self.tls, address, path: self.path.clone() };
        for _ in 0..REDIRECTS {
            let (status, location) = match self.once(&target, from.mark, agent).await {
                Ok(answer) => answer,
                Err(why) => return Verdict::unwell(why),
            };
            if !status.is_redirection() {
                let well = status.is_success();
                let why = if well { String::new() } else { "the application says so".to_owned() };
                return Verdict { status, why };
            }
            match location.and_then(|l| next(&target, &l)) {
                Some(next) if OWN.contains(&next.address.port()) => {
                    return Verdict::unwell("the application sends its probe to the proxy");
                }
                Some(next) => target = next,
                None => return Verdict::well(),
            }
        }
        Verdict::unwell(format!("stopped after {REDIRECTS} redirects"))
    }

    async fn once(
        &self,
        target: &Target,
        mark: Option<u32>,
        agent: Option<&HeaderValue>,
    ) -> Result<(StatusCode, Option<String>), String> {
        let stream = connect(target.address, mark).await?;
        if !target.tls {
            return self.exchange(stream, target, agent).await;
        }
        let name = ServerName::from(target.address.ip());
        let stream = TlsConnector::from(Arc::new(trusting()?)).connect(name, stream).await;
        self.exchange(stream.map_err(|e| format!("TLS with {}: {e}", target.address))?, target, agent).await
    }

    async fn exchange(
        &self,
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        target: &Target,
        agent: Option<&HeaderValue>,
    ) -> Result<(StatusCode, Option<String>), String> {
        let handshake = http1::handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = handshake.map_err(|e| e.to_string())?;
        let task = Aborting(tokio::spawn(async move {
            let _ = connection.await;
        }));
        let mut request = Request::new(Empty::<Bytes>::new());
        *request.uri_mut() = escaped(&target.path).parse().map_err(|e| format!("{:?}: {e}", target.path))?;
        let headers = request.headers_mut();
        headers.clone_from(&self.headers);
        let host = HeaderValue::try_from(target.address.to_string()).map_err(|e| e.to_string())?;
        headers.entry(HOST).or_insert(host);
        headers.entry(USER_AGENT).or_insert_with(|| agent_or_own(agent));
        headers.entry(ACCEPT).or_insert(HeaderValue::from_static("*/*"));
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
        let response = sender.send_request(request).await.map_err(|e| format!("no answer: {e}"))?;
        let status = response.status();
        let location = response.headers().get(LOCATION).and_then(|l| l.to_str().ok()).map(str::to_owned);
        // Read as the kubelet does, so that the application does not see its answer broken off; not looked at.
        let _ = Limited::new(response.into_body(), BODY).collect().await;
        drop(task);
        Ok((status, location))
    }
}

/// Where a redirect leads, if to the same host.
fn next(from: &Target, location: &str) -> Option<Target> {
    let location = location.split('#').next().unwrap_or_default();
    let (scheme, rest) = match location.split_once("://") {
        Some((scheme, rest)) => (scheme, Some(rest)),
        None => (if from.tls { "https" } else { "http" }, location.strip_prefix("//")),
    };
    let Some(rest) = rest else {
        let path = if location.starts_with('/') {
            location.to_owned()
        } else if location.starts_with('?') || location.is_empty() {
            format!("{}{location}", from.path.split('?').next().unwrap_or_default())
        } else {
            let base = from.path.split('?').next().unwrap_or_default();
            let folder = base.rfind('/').map_or("/", |at| &base[..=at]);
            format!("{folder}{location}")
        };
        return Some(Target { path, ..from.clone() });
    };
    let tls = scheme.eq_ignore_ascii_case("https");
    if !tls && !scheme.eq_ignore_ascii_case("http") {
        return None;
    }
    let (authority, path) = match rest.find(['/', '?']) {
        Some(at) if rest[at..].starts_with('/') => (&rest[..at], rest[at..].to_owned()),
        Some(at) => (&rest[..at], format!("/{}", &rest[at..])),
        None => (rest, "/".to_owned()),
    };
    let default = if tls { 443 } else { 80 };
    let address = authority.parse::<SocketAddr>().ok().or_else(|| {
        let ip = authority.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().ok()?;
        Some(SocketAddr::new(ip, default))
    })?;
    (address.ip().to_canonical() == from.address.ip().to_canonical()).then_some(Target { tls, address, path })
}

/// TLS that takes any certificate: the probe goes to the pod itself, and Kubernetes does not look at it either.
fn trusting() -> Result<ClientConfig, String> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(|e| e.to_string())?;
    Ok(builder.dangerous().with_custom_certificate_verifier(Arc::new(Unverified)).with_no_client_auth())
}

/// Ends the connection's task with the probe, whose time may be up.
pub(super) struct Aborting(pub(super) tokio::task::JoinHandle<()>);

impl Drop for Aborting {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The kubelet's.
const REDIRECTS: usize = 10;
/// What the kubelet reads of a body.
const BODY: usize = 10 * 1024;
/// A probe must not go round in circles.
const OWN: &[u16] = &[port::ADMIN, port::OUTBOUND, port::INBOUND, port::STATUS, port::HEALTH, port::METRICS];

#[cfg(test)]
mod tests {
    use super::{Target, next};

    #[test]
    fn a_redirect_is_followed_within_the_pod_only() {
        let from =
            Target { tls: false, address: "10.0.0.7:8080".parse().expect("an address"), path: "/a/b?c=1".into() };
        let path = |location: &str| next(&from, location).map(|t| (t.tls, t.address.to_string(), t.path));
        let here = |p: &str| Some((false, "10.0.0.7:8080".to_owned(), p.to_owned()));
        assert_eq!(path("/x"), here("/x"));
        assert_eq!(path("x?y"), here("/a/x?y"));
        assert_eq!(path("?z"), here("/a/b?z"));
        assert_eq!(path("http://10.0.0.7:8080/x#top"), here("/x"));
        assert_eq!(path("https://10.0.0.7/x"), Some((true, "10.0.0.7:443".into(), "/x".into())));
        assert_eq!(path("//10.0.0.7?q"), Some((false, "10.0.0.7:80".into(), "/?q".into())));
        assert_eq!(path("https://login.example.com/x"), None);
        assert_eq!(path("http://10.0.0.8:8080/x"), None);
        assert_eq!(path("ftp://10.0.0.7/x"), None);
    }
}
