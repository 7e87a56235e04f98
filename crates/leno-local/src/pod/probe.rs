//! Probes: asking a container how it is, from the node.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use hyper_util::rt::{TokioExecutor, TokioIo};
use leno_config::k8s::{Container, HttpGet, IntOrString, Probe};
use tokio::net::TcpStream;

use super::Pod;

/// What is asked.
#[derive(Clone, Debug)]
pub enum Check {
    /// 200 to 399 is well.
    Http {
        /// Where.
        address: SocketAddr,
        /// Path and query.
        path: String,
        /// `Host` and what the user adds.
        headers: Vec<(String, String)>,
    },
    /// A connection is well.
    Tcp(SocketAddr),
    /// `SERVING` is well.
    Grpc(SocketAddr, String),
    /// Exit code 0 is well.
    Exec(Vec<String>),
}

impl Check {
    /// What this probe asks.
    ///
    /// # Errors
    /// It names no port that exists, or asks nothing that is honoured.
    pub fn of(pod: &Pod, container: &Container, probe: &Probe) -> Result<Self, String> {
        if let Some(exec) = &probe.exec {
            return Ok(Self::Exec(exec.command.clone()));
        }
        if let Some(http) = &probe.http_get {
            return http_check(pod, container, http);
        }
        if let Some(tcp) = &probe.tcp_socket {
            let host = host(pod, &tcp.host)?;
            return Ok(Self::Tcp(SocketAddr::new(host, port(container, &tcp.port)?)));
        }
        match &probe.grpc {
            Some(grpc) => Ok(Self::Grpc(SocketAddr::new(pod.ip.into(), grpc.port), grpc.service.clone())),
            None => Err("it asks nothing (none of httpGet, tcpSocket, grpc, exec)".into()),
        }
    }
}

/// What an HTTP action of a probe or hook asks.
///
/// # Errors
/// It names no port that exists, or wants TLS.
pub fn http_check(pod: &Pod, container: &Container, http: &HttpGet) -> Result<Check, String> {
    let address = SocketAddr::new(host(pod, &http.host)?, port(container, &http.port)?);
    if http.scheme.eq_ignore_ascii_case("https") {
        // The certificate would not be verified anyway: Kubernetes skips that for probes.
        return Ok(Check::Tcp(address));
    }
    let path = if http.path.starts_with('/') { http.path.clone() } else { format!("/{}", http.path) };
    let mut headers: Vec<(String, String)> =
        http.http_headers.iter().map(|h| (h.name.clone(), h.value.clone())).collect();
    let set = |headers: &[(String, String)], name: &str| headers.iter().any(|(n, _)| n.eq_ignore_ascii_case(name));
    if !set(&headers, "host") {
        headers.push(("Host".into(), address.to_string()));
    }
    if !set(&headers, "user-agent") {
        headers.push(("User-Agent".into(), concat!("kube-probe/leno-", env!("CARGO_PKG_VERSION")).into()));
    }
    Ok(Check::Http { address, path, headers })
}

/// Asks once. `Check::Exec` is not asked here: it needs the container.
///
/// # Errors
/// Why it is not well.
pub async fn ask(check: &Check, limit: Duration) -> Result<(), String> {
    let asked = async {
        match check {
            Check::Http { address, path, headers } => http_get(*address, path, headers).await,
            Check::Tcp(address) => TcpStream::connect(address).await.map(drop).map_err(|e| e.to_string()),
            Check::Grpc(address, service) => grpc(*address, service).await,
            Check::Exec(_) => Err("a program cannot be run here".into()),
        }
    };
    tokio::time::timeout(limit, asked).await.unwrap_or_else(|_| Err(format!("no answer within {} s", limit.as_secs())))
}

async fn http_get(address: SocketAddr, path: &str, headers: &[(String, String)]) -> Result<(), String> {
    let stream = TcpStream::connect(address).await.map_err(|e| e.to_string())?;
    let io = TokioIo::new(stream);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.map_err(|e| e.to_string())?;
    let task = tokio::spawn(connection);
    let mut request = Request::get(path);
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let request = request.body(Full::<Bytes>::default()).map_err(|e| e.to_string())?;
    let response = sender.send_request(request).await.map_err(|e| e.to_string());
    task.abort();
    match response?.status() {
        status if (200..400).contains(&status.as_u16()) => Ok(()),
        status => Err(format!("HTTP status {}", status.as_u16())),
    }
}

/// `grpc.health.v1.Health/Check`. The two messages are small enough to be written by hand: a string in field 1, and an
/// enum in field 1 whose value 1 is SERVING.
async fn grpc(address: SocketAddr, service: &str) -> Result<(), String> {
    let stream = TcpStream::connect(address).await.map_err(|e| e.to_string())?;
    let io = TokioIo::new(stream);
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.map_err(|e| e.to_string())?;
    let task = tokio::spawn(connection);
    let length = u8::try_from(service.len()).ok().filter(|n| *n < 0x80).ok_or("the service's name is too long")?;
    let mut body = vec![0, 0, 0, 0, 0];
    if length > 0 {
        body[4] = length + 2;
        body.extend([0x0a, length]);
        body.extend(service.as_bytes());
    }
    let request = Request::post(format!("http://{address}/grpc.health.v1.Health/Check"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(Full::new(Bytes::from(body)))
        .map_err(|e| e.to_string())?;
    let answer = async {
        let response = sender.send_request(request).await.map_err(|e| e.to_string())?;
        let in_head = response.headers().get("grpc-status").cloned();
        let body = response.into_body().collect().await.map_err(|e| e.to_string())?;
        let status = body.trailers().and_then(|t| t.get("grpc-status")).cloned().or(in_head);
        match (status.as_ref().and_then(|s| s.to_str().ok()), body.to_bytes().get(5..)) {
            (Some("0"), Some([0x08, 1, ..])) => Ok(()),
            (Some("0"), _) => Err("not SERVING".to_owned()),
            (status, _) => Err(format!("gRPC status {}", status.unwrap_or("missing"))),
        }
    };
    let answer = answer.await;
    task.abort();
    answer
}

fn host(pod: &Pod, host: &str) -> Result<IpAddr, String> {
    if host.is_empty() {
        return Ok(pod.ip.into());
    }
    host.parse().map_err(|_| format!("host {host:?} is not an address"))
}

fn port(container: &Container, port: &IntOrString) -> Result<u16, String> {
    let name = match port {
        IntOrString::Int(number) => return u16::try_from(*number).map_err(|_| format!("port {number} does not exist")),
        IntOrString::Text(name) => name,
    };
    if let Ok(number) = name.parse() {
        return Ok(number);
    }
    let found = container.ports.iter().find(|p| p.name == *name);
    found.map(|p| p.container_port).ok_or_else(|| format!("the container has no port named {name:?}"))
}

/// Counts answers against a probe's thresholds.
#[derive(Clone, Debug)]
pub struct Counter {
    successes: u32,
    failures: u32,
    needs: u32,
    allows: u32,
}

impl Counter {
    /// With the probe's thresholds.
    #[must_use]
    pub fn new(probe: &Probe) -> Self {
        Self {
            successes: 0,
            failures: 0,
            needs: probe.success_threshold.max(1),
            allows: probe.failure_threshold.max(1),
        }
    }

    /// Notes an answer. `Some(true)`: it is well now. `Some(false)`: it is not. `None`: not clear yet.
    pub fn note(&mut self, well: bool) -> Option<bool> {
        if well {
            self.failures = 0;
            self.successes = (self.successes + 1).min(self.needs);
            (self.successes >= self.needs).then_some(true)
        } else {
            self.successes = 0;
            self.failures = (self.failures + 1).min(self.allows);
            (self.failures >= self.allows).then_some(false)
        }
    }
}

#[cfg(test)]
mod tests;
