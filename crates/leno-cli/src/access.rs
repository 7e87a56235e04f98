//! How the verbs reach a running mesh: by the local runtime, or through a cluster's API server.
//!
//! [`mod@local`] and [`mod@cluster`] are the two ways; [`exchange`] is one HTTP exchange on either's streams.

mod cluster;
mod exchange;
mod local;
mod relay;

use anyhow::{Context as _, anyhow, bail};
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

/// One of the mesh's own programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum System {
    /// `leno-control`.
    Control,
    /// `leno-viz`.
    Viz,
}

impl System {
    /// Name of the program, and of its Deployment.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Control => "leno-control",
            Self::Viz => "leno-viz",
        }
    }

    /// Where it answers questions.
    pub(crate) fn port(self) -> u16 {
        match self {
            Self::Control => leno_core::names::port::CONTROL_MONITORING,
            Self::Viz => 8084,
        }
    }
}

/// A question by HTTP.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ask<'a> {
    /// `GET`, `POST`.
    pub(crate) method: &'a str,
    /// Path and query.
    pub(crate) path: &'a str,
}

/// Which part of a log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Log<'a> {
    /// Container.
    pub(crate) container: &'a str,
    /// Go on as more is written.
    pub(crate) follow: bool,
    /// Only so many of the last lines.
    pub(crate) tail: Option<usize>,
}

/// A running mesh.
pub(crate) trait Access {
    /// All pods.
    fn pods(&self) -> anyhow::Result<Vec<Pod>>;

    /// All objects that the mesh is made of, as a cluster would show them.
    fn objects(&self) -> anyhow::Result<Vec<Value>>;

    /// All services.
    fn services(&self) -> anyhow::Result<Vec<Service>>;

    /// Asks a port on a pod's loopback; the body of a 2xx answer.
    fn ask_pod(&self, pod: &Pod, port: u16, ask: Ask<'_>) -> anyhow::Result<Vec<u8>>;

    /// Asks one of the mesh's own programs: one body per replica, at least one.
    fn ask_system(&self, system: System, path: &str) -> anyhow::Result<Vec<Vec<u8>>>;

    /// Leads connections to `listener` to one of the mesh's own programs, until the listener fails.
    fn forward(&self, system: System, listener: std::net::TcpListener) -> anyhow::Result<()>;

    /// Writes what a container printed to standard output, and goes on with `follow`.
    fn print_log(&self, pod: &Pod, log: Log<'_>) -> anyhow::Result<()>;

    /// The command that shows how this mesh is.
    fn hint(&self) -> &'static str;
}

/// The mesh that the global options name: a cluster where one is named; else the mesh that runs on this machine; else
/// the cluster of the environment.
///
/// # Errors
/// When none runs.
pub(crate) fn connect(globals: &Globals) -> anyhow::Result<Box<dyn Access>> {
    let named = &globals.cluster;
    if named.kubeconfig.is_none() && named.context.is_none() {
        match on_this_machine(globals) {
            Ok(mesh) => return Ok(mesh),
            Err(error) if globals.state.is_some() => return Err(error),
            Err(_) => {}
        }
        if !crate::cluster::is_named() {
            bail!(
                "no mesh runs on this machine (`leno local up PATH…` starts one), and no cluster is named (give --kubeconfig FILE, or set KUBECONFIG)"
            );
        }
    }
    Ok(Box::new(cluster::Remote::connect(globals)?))
}

/// The mesh that runs on this machine, whatever clusters there are.
///
/// # Errors
/// When none runs.
pub(crate) fn on_this_machine(globals: &Globals) -> anyhow::Result<Box<dyn Access>> {
    let state = StateDir::resolve(globals.state.as_deref())?;
    Ok(Box::new(local::Local(LocalMesh::connect(&state)?)))
}

/// GET of JSON from a pod.
///
/// # Errors
/// When there is no answer within seconds, another status than 2xx, or no JSON.
pub(crate) fn pod_json(mesh: &dyn Access, pod: &Pod, port: u16, path: &str) -> anyhow::Result<Value> {
    let body = mesh.ask_pod(pod, port, Ask { method: "GET", path })?;
    serde_json::from_slice(&body).with_context(|| format!("GET {path}: the answer is not JSON"))
}

/// GET of JSON from each replica of one of the mesh's own programs.
///
/// # Errors
/// As [`pod_json`], from any of them.
pub(crate) fn system_json(mesh: &dyn Access, system: System, path: &str) -> anyhow::Result<Vec<Value>> {
    let bodies = mesh
        .ask_system(system, path)
        .with_context(|| format!("{} does not answer (see `{}`)", system.name(), mesh.hint()))?;
    let json = |body: Vec<u8>| {
        serde_json::from_slice(&body)
            .with_context(|| format!("GET {path}: the answer of {} is not JSON", system.name()))
    };
    bodies.into_iter().map(json).collect()
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
                bail!("pod {}/{} has no sidecar (see `{}` for why)", pod.namespace, pod.name, mesh.hint());
            }
            return Ok(pod.clone());
        }
    }
    let there: Vec<_> = pods.iter().filter(|p| p.meshed).map(|p| format!("{}.{}", p.name, p.namespace)).collect();
    Err(anyhow!("no {kind} `{rest}` in namespace {namespace}; meshed pods are: {}", there.join(" ")))
}
