//! The application's probes and hooks, done from inside of the pod.
//!
//! The node asks the proxy (15020, `/app-health/...`, `/app-lifecycle/...`), and the proxy asks the application what the pod
//! declared there, as the kubelet would: the same path, headers, limit and rules of success. So a STRICT pod has probes of
//! every kind, and nobody passes by its policies: whoever asks gets a status and nothing of the application.

mod grpc;
mod http;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use ::http::{HeaderValue, StatusCode};
use leno_kit::sock;
use serde::Deserialize;
use tokio::net::TcpStream;

/// The probes that the pod declares, by the path at which the node asks for them.
#[derive(Clone, Debug, Default)]
pub struct Probes(BTreeMap<String, Probe>);

/// One probe or hook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    action: Action,
    port: u16,
    limit: Duration,
}

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Action {
    /// 200 to 399 is well.
    Http(http::Get),
    /// A connection is well.
    Tcp,
    /// `SERVING` is well.
    Grpc {
        /// Which service's health.
        service: String,
    },
    /// Never well, for this reason: it cannot be asked.
    Impossible(String),
}

/// How it went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// What the application answered, or what stands for it.
    pub status: StatusCode,
    /// Why it is not well, in our own words.
    pub why: String,
}

impl Verdict {
    const fn well() -> Self {
        Self { status: StatusCode::OK, why: String::new() }
    }

    fn unwell(why: impl Into<String>) -> Self {
        Self { status: StatusCode::SERVICE_UNAVAILABLE, why: why.into() }
    }
}

/// From where a probe goes out.
#[derive(Clone, Copy, Debug)]
pub struct Origin {
    /// The pod's address: probes go to the application as from the node, so that it listens there is part of the probe.
    pub pod: IpAddr,
    /// Mark of the proxy's own sockets.
    pub mark: Option<u32>,
}

impl Probes {
    /// Reads what the injector wrote (`ISTIO_KUBE_APP_PROBERS`).
    ///
    /// # Errors
    /// It is not of that form.
    pub fn read(text: &str) -> Result<Self, String> {
        let raw: BTreeMap<String, Raw> = serde_json::from_str(text).map_err(|e| e.to_string())?;
        Ok(Self(raw.into_iter().map(|(path, raw)| (path.clone(), raw.probe(&path))).collect()))
    }

    /// The probe for which the node asks at this path.
    #[must_use]
    pub fn at(&self, path: &str) -> Option<&Probe> {
        self.0.get(path)
    }
}

/// Whether the path is one of those of probes and hooks.
#[must_use]
pub fn is_path(path: &str) -> bool {
    path.starts_with(HEALTH) || path.starts_with(HOOK)
}

impl Probe {
    /// Asks the application. `agent` is how the node called itself.
    pub async fn ask(&self, from: Origin, agent: Option<&HeaderValue>) -> Verdict {
        let address = SocketAddr::new(from.pod, self.port);
        let asked = async {
            match &self.action {
                Action::Tcp => match connect(address, from.mark).await {
                    Ok(_) => Verdict::well(),
                    Err(why) => Verdict::unwell(why),
                },
                Action::Http(get) => get.ask(address, from, agent).await,
                Action::Grpc { service } => grpc::ask(address, from, service, agent).await,
                Action::Impossible(why) => Verdict::unwell(why.as_str()),
            }
        };
        tokio::time::timeout(self.limit, asked).await.unwrap_or_else(|_| Verdict {
            status: StatusCode::GATEWAY_TIMEOUT,
            why: format!("the application did not answer within {} s", self.limit.as_secs()),
        })
    }
}

async fn connect(address: SocketAddr, mark: Option<u32>) -> Result<TcpStream, String> {
    sock::connect(address, mark).await.map_err(|e| format!("connecting to {address}: {e}"))
}

/// As the kubelet's, with its own version where the node does not say.
fn agent_or_own(agent: Option<&HeaderValue>) -> HeaderValue {
    let of_kubelet = agent.filter(|a| a.as_bytes().starts_with(b"kube-"));
    of_kubelet.cloned().unwrap_or(HeaderValue::from_static(concat!("kube-probe/leno-", env!("CARGO_PKG_VERSION"))))
}

/// As the injector writes it: the handler as it stood in the pod, and the number of its port.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    port: u16,
    #[serde(default)]
    timeout_seconds: Option<u64>,
    #[serde(default)]
    http_get: Option<http::Raw>,
    #[serde(default)]
    tcp_socket: Option<serde::de::IgnoredAny>,
    #[serde(default)]
    grpc: Option<RawGrpc>,
}

#[derive(Deserialize)]
struct RawGrpc {
    #[serde(default)]
    service: Option<String>,
}

impl Raw {
    fn probe(self, path: &str) -> Probe {
        let action = match (self.http_get, self.tcp_socket, self.grpc) {
            (Some(http), _, _) => http.get().map_or_else(Action::Impossible, Action::Http),
            (None, Some(_), _) => Action::Tcp,
            (None, None, Some(grpc)) => Action::Grpc { service: grpc.service.unwrap_or_default() },
            (None, None, None) => Action::Impossible("the probe asks nothing".to_owned()),
        };
        let default = if path.starts_with(HOOK) { HOOK_LIMIT } else { DEFAULT_LIMIT };
        let limit = self.timeout_seconds.map_or(default, Duration::from_secs).min(LONGEST);
        Probe { action, port: self.port, limit }
    }
}

const HEALTH: &str = "/app-health/";
const HOOK: &str = "/app-lifecycle/";
/// Kubernetes' `timeoutSeconds` where it is not set.
const DEFAULT_LIMIT: Duration = Duration::from_secs(1);
/// A hook has no limit but the pod's grace.
const HOOK_LIMIT: Duration = Duration::from_secs(30);
const LONGEST: Duration = Duration::from_secs(600);

#[cfg(test)]
mod tests;
