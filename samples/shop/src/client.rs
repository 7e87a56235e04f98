//! An HTTP client that keeps connections, and tells the kinds of failure apart.

use std::error::Error as _;
use std::io;
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Uri, Version, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::sync::Mutex;

use crate::report::Outcome;
use crate::units::{duration, text_field};

/// What is sent, the same each time.
#[derive(clap::Args, Clone)]
pub(crate) struct RequestArgs {
    /// Header, may be repeated.
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    headers: Vec<String>,
    /// Method [default: GET, POST with --data].
    #[arg(long, short = 'X')]
    method: Option<Method>,
    /// Body.
    #[arg(long, short)]
    data: Option<String>,
    /// HTTP/2 with prior knowledge: all requests as streams of one connection.
    #[arg(long)]
    h2: bool,
    /// A new connection for each request.
    #[arg(long, conflicts_with = "h2")]
    new_connection: bool,
    /// Longest time for connecting and the whole answer.
    #[arg(long, default_value = "15s", value_parser = duration)]
    timeout: Duration,
}

/// Where requests go: shared by all workers.
pub(crate) struct Target {
    address: (String, u16),
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    data: Bytes,
    options: RequestArgs,
    shared: Mutex<Option<http2::SendRequest<Full<Bytes>>>>,
}

impl Target {
    /// Reads a URL (`http://` may be left out) and the options for it.
    pub(crate) fn new(url: &str, options: &RequestArgs) -> anyhow::Result<Self> {
        let url = if url.contains("://") { url.to_owned() } else { format!("http://{url}") };
        let uri: Uri = url.parse().with_context(|| format!("URL {url}"))?;
        anyhow::ensure!(uri.scheme_str() == Some("http"), "URL {url}: only http:// is spoken here");
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let authority = uri.authority().map(ToString::to_string).unwrap_or_default();
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, authority.parse()?);
        headers.insert(header::USER_AGENT, header::HeaderValue::from_static("leno-shop"));
        for line in &options.headers {
            let (name, value) = line.split_once(':').with_context(|| format!("header `{line}`: no colon"))?;
            let name: header::HeaderName = name.trim().parse()?;
            let value = value.trim().parse()?;
            if name == header::HOST || name == header::USER_AGENT {
                headers.insert(name, value);
            } else {
                headers.append(name, value);
            }
        }
        let default = if options.data.is_some() { Method::POST } else { Method::GET };
        Ok(Self {
            address: (host, uri.port_u16().unwrap_or(80)),
            method: options.method.clone().unwrap_or(default),
            uri,
            headers,
            data: options.data.clone().unwrap_or_default().into(),
            options: options.clone(),
            shared: Mutex::default(),
        })
    }

    fn request(&self) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(self.data.clone()));
        *request.method_mut() = self.method.clone();
        *request.headers_mut() = self.headers.clone();
        if self.options.h2 {
            *request.version_mut() = Version::HTTP_2;
            let host = request.headers_mut().remove(header::HOST);
            let mut parts = self.uri.clone().into_parts();
            parts.authority = host.and_then(|h| h.to_str().ok()?.parse().ok()).or(parts.authority);
            *request.uri_mut() = Uri::from_parts(parts).unwrap_or_else(|_| self.uri.clone());
        } else if let Some(path) = self.uri.path_and_query() {
            *request.uri_mut() = Uri::from(path.clone());
        }
        request
    }
}

/// One worker's view of a target: its own HTTP/1 connection, or a share of the HTTP/2 one.
#[derive(Default)]
pub(crate) struct Client {
    own: Option<http1::SendRequest<Full<Bytes>>>,
}

/// A full answer.
pub(crate) struct Received {
    /// Its head.
    pub(crate) head: http::response::Parts,
    /// Its body.
    pub(crate) body: Bytes,
    /// Its trailers.
    pub(crate) trailers: HeaderMap,
}

impl Client {
    /// Sends one request and says what came of it.
    pub(crate) async fn send(&mut self, target: &Target) -> (Outcome, Option<Received>) {
        match tokio::time::timeout(target.options.timeout, self.exchange(target)).await {
            Ok(Ok(answer)) => (outcome(&answer), Some(answer)),
            Ok(Err(failure)) => {
                self.own = None;
                (Outcome::failed(failure.kind, failure.detail), None)
            }
            Err(_) => {
                self.own = None;
                let detail = format!("no full answer within {:?}", target.options.timeout);
                (Outcome::failed("timeout", detail), None)
            }
        }
    }

    async fn exchange(&mut self, target: &Target) -> Result<Received, Failure> {
        let answer = if target.options.h2 {
            let mut sender = shared(target).await?;
            sender.send_request(target.request()).await.map_err(|e| Failure::http(&e))?
        } else {
            if target.options.new_connection {
                self.own = None;
            }
            self.send_own(target).await?
        };
        let (head, mut body) = answer.into_parts();
        let mut bytes = Vec::new();
        let mut trailers = HeaderMap::new();
        while let Some(frame) = body.frame().await {
            match frame.map_err(|e| Failure::http(&e))?.into_data() {
                Ok(data) => bytes.extend_from_slice(&data[..data.len().min(KEPT.saturating_sub(bytes.len()))]),
                Err(frame) => trailers = frame.into_trailers().unwrap_or_default(),
            }
        }
        Ok(Received { head, body: bytes.into(), trailers })
    }

    /// On this worker's connection, or a new one where that was closed before the request was on its way.
    async fn send_own(&mut self, target: &Target) -> Result<http::Response<Incoming>, Failure> {
        let mut request = target.request();
        if let Some(mut sender) = self.own.take()
            && sender.ready().await.is_ok()
        {
            match sender.try_send_request(request).await {
                Ok(answer) => {
                    self.own = Some(sender);
                    return Ok(answer);
                }
                Err(mut error) => match error.take_message() {
                    Some(unsent) => request = unsent,
                    None => return Err(Failure::http(error.error())),
                },
            }
        }
        let stream = connect(target).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|e| Failure::http(&e))?;
        tokio::spawn(connection);
        let answer = sender.send_request(request).await.map_err(|e| Failure::http(&e))?;
        self.own = Some(sender);
        Ok(answer)
    }
}

async fn shared(target: &Target) -> Result<http2::SendRequest<Full<Bytes>>, Failure> {
    let mut shared = target.shared.lock().await;
    if let Some(sender) = shared.as_mut()
        && sender.ready().await.is_ok()
    {
        return Ok(sender.clone());
    }
    let stream = connect(target).await?;
    let (mut sender, connection) = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|e| Failure::http(&e))?;
    tokio::spawn(connection);
    sender.ready().await.map_err(|e| Failure::http(&e))?;
    Ok(shared.insert(sender).clone())
}

async fn connect(target: &Target) -> Result<TcpStream, Failure> {
    let (host, port) = &target.address;
    let addresses = tokio::net::lookup_host((host.as_str(), *port))
        .await
        .map_err(|error| Failure { kind: "dns", detail: format!("{host}: {error}") })?;
    let mut last = Failure { kind: "dns", detail: format!("{host}: no address") };
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => {
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Err(error) => last = Failure { kind: kind_of(&error), detail: format!("connect {address}: {error}") },
        }
    }
    Err(last)
}

/// Why there is no full answer.
struct Failure {
    kind: &'static str,
    detail: String,
}

impl Failure {
    fn http(error: &hyper::Error) -> Self {
        let mut detail = error.to_string();
        let mut source = error.source();
        let mut kind = if error.is_incomplete_message() || error.is_closed() { "closed" } else { "protocol" };
        while let Some(inner) = source {
            detail = format!("{detail}: {inner}");
            if let Some(io) = inner.downcast_ref::<io::Error>() {
                kind = kind_of(io);
            }
            if inner.to_string().contains("stream error received") {
                kind = "reset";
            }
            source = inner.source();
        }
        Self { kind, detail }
    }
}

/// A short name for a socket error.
pub(crate) fn kind_of(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "refused",
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionAborted => "reset",
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => "unreachable",
        io::ErrorKind::TimedOut => "timeout",
        io::ErrorKind::UnexpectedEof => "closed",
        _ => "io",
    }
}

fn outcome(answer: &Received) -> Outcome {
    let status = answer.head.status.as_u16();
    let grpc = answer.trailers.get("grpc-status").or_else(|| answer.head.headers.get("grpc-status"));
    let grpc = grpc.and_then(|value| value.to_str().ok()?.parse().ok());
    let good = status < 500 && grpc.is_none_or(|code| code == 0);
    let detail = if good { String::new() } else { String::from_utf8_lossy(&answer.body).chars().take(120).collect() };
    let field = |name| text_field(&answer.body, name).map(str::to_owned);
    let (version, pod) = (field("version"), field("pod"));
    Outcome { status: Some(status), grpc, good, error: None, detail, version, pod }
}

/// How much of a body is kept, bytes.
const KEPT: usize = 1024 * 1024;
