//! How the verbs reach a running mesh: by its local runtime now, by Kubernetes later.

use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use http::Request;
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use leno_local::{LocalMesh, StateDir};
use serde_json::Value;

use crate::cmd::Globals;

/// A pod as far as the verbs need it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pod {
    /// Namespace.
    pub(crate) namespace: String,
    /// Name.
    pub(crate) name: String,
    /// `Deployment/NAME`, where something owns it.
    pub(crate) owner: String,
    /// Has a sidecar.
    pub(crate) meshed: bool,
    /// Is ready.
    pub(crate) ready: bool,
    /// Has ended: its sidecar is gone with it.
    pub(crate) ended: bool,
}

/// A service and the pods behind it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Service {
    /// Namespace.
    pub(crate) namespace: String,
    /// Name.
    pub(crate) name: String,
    /// Ready pods with a sidecar.
    pub(crate) meshed: u64,
    /// Ready pods.
    pub(crate) ready: u64,
}

/// A running mesh.
pub(crate) trait Access {
    /// All pods.
    fn pods(&self) -> anyhow::Result<Vec<Pod>>;

    /// All services.
    fn services(&self) -> anyhow::Result<Vec<Service>>;

    /// A connection to a port on a pod's loopback.
    fn dial_pod(&self, namespace: &str, pod: &str, port: u16) -> anyhow::Result<TcpStream>;

    /// A connection to a port of one of the mesh's own programs.
    fn dial_system(&self, port: u16) -> anyhow::Result<TcpStream>;
}

/// The mesh that the global options name.
///
/// # Errors
/// When none runs.
pub(crate) fn connect(globals: &Globals) -> anyhow::Result<Box<dyn Access>> {
    let state = StateDir::resolve(globals.state.as_deref())?;
    Ok(Box::new(Local(LocalMesh::connect(&state)?)))
}

struct Local(LocalMesh);

impl Access for Local {
    fn pods(&self) -> anyhow::Result<Vec<Pod>> {
        let pod = |p: leno_local::protocol::PodStatus| Pod {
            namespace: p.namespace,
            name: p.name,
            owner: p.owner,
            meshed: p.meshed,
            ready: p.ready,
            ended: matches!(p.status.as_str(), "Succeeded" | "Failed" | "Completed" | "Error"),
        };
        Ok(self.0.pods()?.into_iter().map(pod).collect())
    }

    fn services(&self) -> anyhow::Result<Vec<Service>> {
        let status = self.0.status()?;
        let meshed = |ip: &&String| status.pods.iter().any(|p| p.meshed && p.ip == **ip);
        let service = |s: &leno_local::protocol::ServiceStatus| Service {
            namespace: s.namespace.clone(),
            name: s.name.clone(),
            meshed: s.endpoints.iter().filter(meshed).count() as u64,
            ready: s.endpoints.len() as u64,
        };
        Ok(status.services.iter().map(service).collect())
    }

    fn dial_pod(&self, namespace: &str, pod: &str, port: u16) -> anyhow::Result<TcpStream> {
        self.0.dial_pod(namespace, pod, port)
    }

    fn dial_system(&self, port: u16) -> anyhow::Result<TcpStream> {
        self.0.dial_node(([127, 0, 0, 1], port).into())
    }
}

/// One HTTP exchange on a fresh connection; the body of a 2xx answer.
///
/// # Errors
/// When there is no answer within [`LIMIT`], or another status.
pub(crate) fn request(stream: TcpStream, method: &str, path: &str) -> anyhow::Result<Vec<u8>> {
    stream.set_nonblocking(true)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        tokio::time::timeout(LIMIT, exchange(stream, method, path)).await.context("no answer within 5s")?
    })
}

async fn exchange(stream: TcpStream, method: &str, path: &str) -> anyhow::Result<Vec<u8>> {
    let stream = tokio::net::TcpStream::from_std(stream)?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let request =
        Request::builder().method(method).uri(path).header("host", "localhost").body(Full::<&[u8]>::default());
    let answer = sender.send_request(request?).await?;
    let status = answer.status();
    let body = answer.into_body().collect().await?.to_bytes();
    drop(sender);
    let _ = connection.await;
    if !status.is_success() {
        bail!("{method} {path}: {status}: {}", String::from_utf8_lossy(&body).trim());
    }
    Ok(body.to_vec())
}

/// GET of JSON.
///
/// # Errors
/// As [`request`], and when the answer is not JSON.
pub(crate) fn get_json(stream: TcpStream, path: &str) -> anyhow::Result<Value> {
    let body = request(stream, "GET", path)?;
    serde_json::from_slice(&body).with_context(|| format!("GET {path}: the answer is not JSON"))
}

/// The meshed pod that is meant by `POD[.NS]`, `POD -n NS`, or `deploy/NAME[.NS]`.
///
/// # Errors
/// When there is none, or it has no sidecar.
pub(crate) fn find_pod(mesh: &dyn Access, text: &str, namespace: &str) -> anyhow::Result<Pod> {
    let (kind, rest) = text.split_once('/').unwrap_or(("pod", text));
    let owner = match kind {
        "pod" | "pods" | "po" => None,
        "deploy" | "deployment" | "deployments" => Some("Deployment"),
        "sts" | "statefulset" | "statefulsets" => Some("StatefulSet"),
        "job" | "jobs" => Some("Job"),
        other => bail!("`{other}/`: give a pod, or deploy/NAME, sts/NAME or job/NAME"),
    };
    let mut pods = mesh.pods()?;
    pods.sort_by_key(|pod| (!pod.meshed, !pod.ready));
    // A name may contain dots itself: the longest one that exists wins.
    let dots: Vec<_> = rest.match_indices('.').map(|(at, _)| (&rest[..at], &rest[at + 1..])).collect();
    for (name, namespace) in std::iter::once((rest, namespace)).chain(dots.into_iter().rev()) {
        let is = |pod: &&Pod| {
            let named = owner.map_or_else(|| pod.name == name, |kind| pod.owner == format!("{kind}/{name}"));
            named && pod.namespace == namespace
        };
        if let Some(pod) = pods.iter().find(is) {
            if pod.ended {
                bail!("pod {}/{} has ended, and its sidecar with it", pod.namespace, pod.name);
            }
            if !pod.meshed {
                bail!("pod {}/{} has no sidecar (see `leno local status` for why)", pod.namespace, pod.name);
            }
            return Ok(pod.clone());
        }
    }
    let there: Vec<_> = pods.iter().filter(|p| p.meshed).map(|p| format!("{}.{}", p.name, p.namespace)).collect();
    Err(anyhow!("no {kind} `{rest}` in namespace {namespace}; meshed pods are: {}", there.join(" ")))
}

/// Longest wait for an answer.
const LIMIT: Duration = Duration::from_secs(5);
