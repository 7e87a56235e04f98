//! Calls from one service of the shop to another.

use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use serde_json::Value;

/// An HTTP client that passes on the headers by which a trace is put together.
#[derive(Clone)]
pub(crate) struct Upstream {
    client: legacy::Client<HttpConnector, Full<Bytes>>,
}

impl Upstream {
    /// A client with a pool of connections.
    pub(crate) fn new() -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(Duration::from_secs(5)));
        let client = legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_secs(30))
            .build(connector);
        Self { client }
    }

    /// GET that expects JSON.
    pub(crate) async fn get(&self, url: &str, from: &HeaderMap) -> anyhow::Result<Value> {
        self.send(Method::GET, url, from, Bytes::new()).await
    }

    /// A request that expects JSON and a status of success.
    pub(crate) async fn send(&self, method: Method, url: &str, from: &HeaderMap, body: Bytes) -> anyhow::Result<Value> {
        let (status, bytes) = self.raw(method, url, from, body).await.with_context(|| url.to_owned())?;
        anyhow::ensure!(status.is_success(), "{url}: {status}: {}", String::from_utf8_lossy(&bytes).trim());
        serde_json::from_slice(&bytes).with_context(|| format!("{url}: not JSON"))
    }

    /// A request; status and body of the answer.
    pub(crate) async fn raw(
        &self,
        method: Method,
        url: &str,
        from: &HeaderMap,
        body: Bytes,
    ) -> anyhow::Result<(StatusCode, Bytes)> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = url.parse::<Uri>()?;
        request.headers_mut().insert(header::USER_AGENT, header::HeaderValue::from_static("leno-shop"));
        for name in PASSED_ON {
            if let Some(value) = from.get(*name) {
                request.headers_mut().insert(*name, value.clone());
            }
        }
        let exchange = async {
            let (head, body) = self.client.request(request).await?.into_parts();
            let body = Limited::new(body, LONGEST).collect().await.map_err(|e| anyhow::anyhow!(e))?;
            anyhow::Ok((head.status, body.to_bytes()))
        };
        tokio::time::timeout(LIMIT, exchange).await.context("no answer within 10s")?
    }
}

/// Another service's address: `NAME` in the environment, else where the samples' YAML has it.
pub(crate) fn address(name: &str, default: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| default.to_owned())
}

/// Headers that a service must copy so that a mesh can tell which calls belong together.
const PASSED_ON: &[&str] = &[
    "x-request-id",
    "traceparent",
    "tracestate",
    "b3",
    "x-b3-traceid",
    "x-b3-spanid",
    "x-b3-parentspanid",
    "x-b3-sampled",
    "x-b3-flags",
    "x-user",
];

/// Longest answer, bytes.
const LONGEST: usize = 1024 * 1024;

/// Longest wait for an answer: more than any timeout that the samples' routes set.
const LIMIT: Duration = Duration::from_secs(10);
