//! Asks the cluster.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Request;
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use kube::client::Body;
use leno_core::names::port;
use serde_json::{Value, json};

use super::state::{ClusterState, list, name, text};
use super::{Args, control};
use crate::cluster::{Cluster, ClusterOptions, Kind};
use crate::cmd::analyze::gather::objects;

/// Everything that is to be judged.
///
/// # Errors
/// When no cluster is named or none answers.
pub(crate) async fn gather(options: &ClusterOptions, args: &Args) -> anyhow::Result<ClusterState> {
    let cluster = Cluster::connect(options).await?;
    let version = cluster.version();
    let (server_time, now) = times(&cluster).await;
    let (mut objects, mut unreadable) = objects(&cluster).await;
    for kind in extra() {
        match cluster.list(&kind, None, None).await {
            Ok(found) => objects.extend(found),
            Err(error) => unreadable.push(format!("{}: {error:#}", kind.plural)),
        }
    }
    let map = Kind::namespaced("", "v1", "ConfigMap");
    if let Ok(Some(mut settings)) = cluster.get(&map, Some("kube-system"), "cilium-config").await {
        settings["kind"] = "ConfigMap".into();
        objects.push(settings);
    }
    let mut state = ClusterState {
        now,
        server_time,
        version: (version.major, version.minor, version.text.clone()),
        url: cluster.url().to_owned(),
        install_namespace: args.install_namespace.clone(),
        namespace: args.namespace.clone(),
        objects,
        unreadable,
        own_version: env!("CARGO_PKG_VERSION").to_owned(),
        ..ClusterState::default()
    };
    if args.pre {
        state.refused = refused(&cluster, &args.install_namespace).await?;
        return Ok(state);
    }
    state.bundles = bundles(&cluster).await;
    state.authority = authority(&cluster, &args.install_namespace).await;
    if !control::deployments(&state).is_empty() {
        state.proxies = Some(proxies(&cluster, &state).await.map_err(|error| format!("{error:#}")));
    }
    Ok(state)
}

/// Kinds that only these checks look at.
fn extra() -> Vec<Kind> {
    vec![
        Kind::cluster("", "v1", "Node"),
        Kind::cluster("apiextensions.k8s.io", "v1", "CustomResourceDefinition"),
        Kind::namespaced("discovery.k8s.io", "v1", "EndpointSlice"),
        Kind::namespaced("coordination.k8s.io", "v1", "Lease"),
        Kind::cluster("crd.projectcalico.org", "v1", "FelixConfiguration"),
    ]
}

/// The API server's time and this machine's at the same moment.
async fn times(cluster: &Cluster) -> (Option<i64>, i64) {
    let seconds =
        |time: SystemTime| time.duration_since(UNIX_EPOCH).map_or(0, |d| i64::try_from(d.as_secs()).unwrap_or(0));
    let request = Request::get("/version").body(Body::empty());
    let Ok(request) = request else { return (None, seconds(SystemTime::now())) };
    let answer = cluster.client().send(request).await.ok();
    let date = answer.as_ref().and_then(|a| a.headers().get("date")?.to_str().ok()).and_then(http_date);
    (date, seconds(SystemTime::now()))
}

/// Seconds since the epoch of `Sun, 06 Nov 1994 08:49:37 GMT`.
pub(crate) fn http_date(text: &str) -> Option<i64> {
    let mut parts = text.split_once(", ")?.1.split(' ');
    let (day, month, year, time) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let month = MONTHS.iter().position(|m| *m == month)? + 1;
    let seconds = leno_config::quantity::unix_seconds(&format!("{year}-{month:02}-{day:0>2}T{time}Z"));
    (seconds > 0).then_some(seconds)
}

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// `(group, resource, in the install namespace)` that an installation makes.
const NEEDED: &[(&str, &str, bool)] = &[
    ("", "namespaces", false),
    ("apiextensions.k8s.io", "customresourcedefinitions", false),
    ("rbac.authorization.k8s.io", "clusterroles", false),
    ("rbac.authorization.k8s.io", "clusterrolebindings", false),
    ("admissionregistration.k8s.io", "mutatingwebhookconfigurations", false),
    ("admissionregistration.k8s.io", "validatingwebhookconfigurations", false),
    ("", "serviceaccounts", true),
    ("", "services", true),
    ("", "configmaps", true),
    ("", "secrets", true),
    ("apps", "deployments", true),
    ("policy", "poddisruptionbudgets", true),
    ("rbac.authorization.k8s.io", "roles", true),
    ("rbac.authorization.k8s.io", "rolebindings", true),
    ("coordination.k8s.io", "leases", true),
];

/// What this user may not do of what an installation does.
async fn refused(cluster: &Cluster, namespace: &str) -> anyhow::Result<Vec<String>> {
    let mut refused = Vec::new();
    for (group, resource, inside) in NEEDED {
        for verb in ["create", "patch"] {
            let mut attributes = json!({ "verb": verb, "group": group, "resource": resource });
            if *inside {
                attributes["namespace"] = namespace.into();
            }
            let review = json!({
                "apiVersion": "authorization.k8s.io/v1",
                "kind": "SelfSubjectAccessReview",
                "spec": { "resourceAttributes": attributes },
            });
            let request = Request::post("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews")
                .header("content-type", "application/json")
                .body(review.to_string().into_bytes())?;
            let answer: Value = cluster.client().request(request).await.context("asking what this user may do")?;
            if answer["status"]["allowed"] != true {
                let dot = if group.is_empty() { "" } else { "." };
                let place = if *inside { format!(" in namespace {namespace}") } else { String::new() };
                refused.push(format!("may not {verb} {resource}{dot}{group}{place}"));
            }
        }
    }
    Ok(refused)
}

/// `istio-ca-root-cert` of every namespace that has one.
async fn bundles(cluster: &Cluster) -> BTreeMap<String, String> {
    let map = Kind::namespaced("", "v1", "ConfigMap");
    let mut bundles = BTreeMap::new();
    let namespaces = cluster.list(&Kind::cluster("", "v1", "Namespace"), None, None).await.unwrap_or_default();
    for namespace in namespaces.iter().map(name) {
        if let Ok(Some(found)) = cluster.get(&map, Some(&namespace), "istio-ca-root-cert").await {
            bundles.insert(namespace, text(&found["data"]["root-cert.pem"]).to_owned());
        }
    }
    bundles
}

/// The root of the authority's Secret. Its key is not looked at.
async fn authority(cluster: &Cluster, namespace: &str) -> Option<String> {
    let secret = Kind::namespaced("", "v1", "Secret");
    for name in ["cacerts", "leno-ca-secret"] {
        if let Ok(Some(found)) = cluster.get(&secret, Some(namespace), name).await {
            let bytes = STANDARD.decode(text(&found["data"]["root-cert.pem"])).ok()?;
            return String::from_utf8(bytes).ok().filter(|pem| !pem.is_empty());
        }
    }
    None
}

/// Longest wait for a replica.
const LIMIT: Duration = Duration::from_secs(10);

/// What the replicas of the control plane say of the sidecars that are connected to each.
async fn proxies(cluster: &Cluster, state: &ClusterState) -> anyhow::Result<Vec<crate::cmd::proxy_status::Proxy>> {
    let replicas = state.of("Pod").filter(|p| {
        let ready = list(&p["status"]["conditions"]).iter().any(|c| c["type"] == "Ready" && c["status"] == "True");
        ready
            && p["metadata"]["namespace"] == state.install_namespace.as_str()
            && text(&p["metadata"]["name"]).starts_with("leno-control")
    });
    let mut all = Vec::new();
    let mut any = false;
    for replica in replicas {
        let pod = text(&replica["metadata"]["name"]);
        let asked = tokio::time::timeout(LIMIT, ask(cluster, &state.install_namespace, pod)).await;
        let answer = asked.context("no answer within 10s").and_then(|answer| answer);
        all.extend(answer.with_context(|| format!("pod {pod} of the control plane"))?);
        any = true;
    }
    anyhow::ensure!(any, "no pod of the control plane is ready");
    Ok(all)
}

async fn ask(cluster: &Cluster, namespace: &str, pod: &str) -> anyhow::Result<Vec<crate::cmd::proxy_status::Proxy>> {
    let stream = cluster.port_forward(namespace, pod, port::CONTROL_MONITORING).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let request = Request::get("/leno/v1/proxies").header("host", "localhost").body(Empty::<Bytes>::new())?;
    let body = sender.send_request(request).await?.into_body().collect().await?.to_bytes();
    drop(sender);
    connection.abort();
    serde_json::from_slice(&body).context("its answer")
}
