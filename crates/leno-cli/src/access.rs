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
    /// Has a sidecar.
    pub(crate) meshed: bool,
    /// Is ready.
    pub(crate) ready: bool,
}

/// A running mesh.
pub(crate) trait Access {
    /// All pods.
    fn pods(&self) -> anyhow::Result<Vec<Pod>>;

    /// All objects.
    fn objects(&self) -> anyhow::Result<Vec<Value>>;

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
            meshed: p.meshed,
            ready: p.ready,
        };
        Ok(self.0.pods()?.into_iter().map(pod).collect())
    }

    fn objects(&self) -> anyhow::Result<Vec<Value>> {
        self.0.objects()
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
    let pods = mesh.pods()?;
    // A pod's name may contain dots itself: the longest name that exists wins.
    let candidates =
        std::iter::once((rest, namespace)).chain(rest.match_indices('.').map(|(at, _)| (&rest[..at], &rest[at + 1..])));
    for (name, namespace) in candidates {
        let found = match kind {
            "pod" | "pods" | "po" => pods.iter().find(|p| p.name == name && p.namespace == namespace).cloned(),
            _ => of_workload(mesh, &pods, kind, name, namespace)?,
        };
        if let Some(pod) = found {
            if !pod.meshed {
                bail!("pod {}/{} has no sidecar (see `leno local status` for why)", pod.namespace, pod.name);
            }
            return Ok(pod);
        }
    }
    let there: Vec<_> = pods.iter().filter(|p| p.meshed).map(|p| format!("{}.{}", p.name, p.namespace)).collect();
    Err(anyhow!("no {kind} `{rest}` in namespace {namespace}; meshed pods are: {}", there.join(" ")))
}

/// A pod, ready if there is one, that a workload's selector matches.
fn of_workload(
    mesh: &dyn Access,
    pods: &[Pod],
    kind: &str,
    name: &str,
    namespace: &str,
) -> anyhow::Result<Option<Pod>> {
    let kind = match kind {
        "deploy" | "deployment" | "deployments" => "Deployment",
        "sts" | "statefulset" | "statefulsets" => "StatefulSet",
        "job" | "jobs" => "Job",
        other => bail!("`{other}/`: give a pod, or deploy/NAME, sts/NAME or job/NAME"),
    };
    let objects = mesh.objects()?;
    let is = |o: &Value, kind: &str, name: &str| {
        o["kind"] == kind && o["metadata"]["name"] == name && o["metadata"]["namespace"] == namespace
    };
    let Some(workload) = objects.iter().find(|o| is(o, kind, name)) else { return Ok(None) };
    let labels = [&workload["spec"]["selector"]["matchLabels"], &workload["spec"]["template"]["metadata"]["labels"]];
    let Some(wanted) = labels.iter().find_map(|l| l.as_object()) else { return Ok(None) };
    let matches = |pod: &&Pod| {
        pod.namespace == namespace
            && objects.iter().any(|o| {
                is(o, "Pod", &pod.name) && wanted.iter().all(|(k, v)| o["metadata"]["labels"].get(k) == Some(v))
            })
    };
    let mut found: Vec<&Pod> = pods.iter().filter(matches).collect();
    found.sort_by_key(|pod| !pod.ready);
    Ok(found.first().copied().cloned())
}

/// Longest wait for an answer.
const LIMIT: Duration = Duration::from_secs(5);
