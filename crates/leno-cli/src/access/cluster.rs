//! The mesh of a cluster, through its API server: lists of objects, and forwarded ports.

use std::collections::HashSet;
use std::io::Write as _;
use std::net::TcpListener;

use anyhow::{Context as _, bail};
use futures::AsyncReadExt as _;
use kube::Api;
use kube::api::LogParams;
use serde_json::Value;
use tokio::runtime::Runtime;

use super::exchange::exchange;
use super::relay::relay;
use super::{Access, Ask, Log, Pod, Service, System};
use crate::cluster::{Cluster, Kind, error};
use crate::cmd::Globals;

/// By its API server.
pub(super) struct Remote {
    cluster: Cluster,
    runtime: Runtime,
}

impl Remote {
    /// Finds the cluster.
    ///
    /// # Errors
    /// When it does not answer.
    pub(super) fn connect(globals: &Globals) -> anyhow::Result<Self> {
        let runtime = crate::cluster::runtime()?;
        let cluster = runtime.block_on(Cluster::connect(&globals.cluster))?;
        Ok(Self { cluster, runtime })
    }

    fn list(&self, kind: &Kind, selector: Option<&str>) -> anyhow::Result<Vec<Value>> {
        self.runtime.block_on(self.cluster.list(kind, None, selector))
    }

    /// Ready pods of one of the mesh's own programs, at least one.
    fn replicas(&self, system: System) -> anyhow::Result<Vec<Pod>> {
        let selector = format!("app={}", system.name());
        let found = self.list(&Kind::namespaced("", "v1", "Pod"), Some(&selector))?;
        let ready: Vec<Pod> = found.iter().map(pod).filter(|p| p.ready && !p.ended).collect();
        if ready.is_empty() {
            let install = if system == System::Viz { "leno viz install" } else { "leno install" };
            match found.len() {
                0 => bail!("no pod with label {selector} in this cluster: install it with `{install}`"),
                some => bail!("{some} pods with label {selector}, none of them ready"),
            }
        }
        Ok(ready)
    }

    fn ask(&self, namespace: &str, pod: &str, port: u16, ask: Ask<'_>) -> anyhow::Result<Vec<u8>> {
        self.runtime.block_on(async {
            let stream = self.cluster.port_forward(namespace, pod, port).await?;
            exchange(stream, ask).await
        })
    }
}

impl Access for Remote {
    fn pods(&self) -> anyhow::Result<Vec<Pod>> {
        Ok(self.list(&Kind::namespaced("", "v1", "Pod"), None)?.iter().map(pod).collect())
    }

    fn objects(&self) -> anyhow::Result<Vec<Value>> {
        self.runtime.block_on(async {
            let (mut objects, missing) = crate::cmd::analyze::gather::objects(&self.cluster).await;
            for why in &missing {
                eprintln!("Warning: {why}: what is not seen is not judged");
            }
            let slices = Kind::namespaced("discovery.k8s.io", "v1", "EndpointSlice");
            objects.extend(self.cluster.list(&slices, None, None).await?);
            Ok(objects)
        })
    }

    fn services(&self) -> anyhow::Result<Vec<Service>> {
        let meshed: HashSet<(String, String)> =
            self.pods()?.into_iter().filter(|p| p.meshed).map(|p| (p.namespace, p.name)).collect();
        let slices = self.list(&Kind::namespaced("discovery.k8s.io", "v1", "EndpointSlice"), None)?;
        let services = self.list(&Kind::namespaced("", "v1", "Service"), None)?;
        Ok(services.iter().map(|s| service(s, &slices, &meshed)).collect())
    }

    fn ask_pod(&self, pod: &Pod, port: u16, ask: Ask<'_>) -> anyhow::Result<Vec<u8>> {
        self.ask(&pod.namespace, &pod.name, port, ask)
            .with_context(|| format!("port {port} of pod {}/{}", pod.namespace, pod.name))
    }

    fn ask_system(&self, system: System, path: &str) -> anyhow::Result<Vec<Vec<u8>>> {
        let ready = self.replicas(system)?;
        let ask = |p: &Pod| self.ask(&p.namespace, &p.name, system.port(), Ask { method: "GET", path });
        match system {
            // Each replica knows the sidecars that are connected to it.
            System::Control => ready.iter().map(ask).collect(),
            System::Viz => Ok(vec![ask(&ready[0])?]),
        }
    }

    fn forward(&self, system: System, listener: TcpListener) -> anyhow::Result<()> {
        // Asked anew for each connection: the pod may be another one by then.
        let dial = || {
            let (cluster, selector) = (self.cluster.clone(), format!("app={}", system.name()));
            async move {
                let found = cluster.list(&Kind::namespaced("", "v1", "Pod"), None, Some(&selector)).await?;
                let pod = found.iter().map(pod).find(|p| p.ready && !p.ended);
                let pod = pod.with_context(|| format!("no pod with label {selector} is ready"))?;
                cluster.port_forward(&pod.namespace, &pod.name, system.port()).await
            }
        };
        self.runtime.block_on(relay(listener, dial))
    }

    fn print_log(&self, pod: &Pod, log: Log<'_>) -> anyhow::Result<()> {
        let pods: Api<k8s_openapi::api::core::v1::Pod> = Api::namespaced(self.cluster.client(), &pod.namespace);
        let params = LogParams {
            container: Some(log.container.to_owned()),
            follow: log.follow,
            tail_lines: log.tail.map(|n| i64::try_from(n).unwrap_or(i64::MAX)),
            ..LogParams::default()
        };
        self.runtime.block_on(async {
            let stream = pods.log_stream(&pod.name, &params).await.map_err(|e| error::plain(&e))?;
            let (mut stream, mut buffer) = (std::pin::pin!(stream), vec![0; 16 * 1024]);
            loop {
                let read = stream.read(&mut buffer).await?;
                if read == 0 {
                    return Ok(());
                }
                let mut out = std::io::stdout();
                out.write_all(&buffer[..read])?;
                out.flush()?;
            }
        })
    }

    fn hint(&self) -> &'static str {
        "leno check"
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn pod(object: &Value) -> Pod {
    let (meta, spec, status) = (&object["metadata"], &object["spec"], &object["status"]);
    let sidecar = |c: &Value| c["name"] == leno_install::inject::PROXY_CONTAINER;
    Pod {
        namespace: text(&meta["namespace"]),
        name: text(&meta["name"]),
        owner: owner(meta),
        meshed: items(&spec["containers"]).chain(items(&spec["initContainers"])).any(sidecar),
        ready: items(&status["conditions"]).any(|c| c["type"] == "Ready" && c["status"] == "True"),
        ended: matches!(status["phase"].as_str(), Some("Succeeded" | "Failed")),
    }
}

/// A Deployment's pods belong to a ReplicaSet whose name is the Deployment's and the hash of the pod's template.
fn owner(meta: &Value) -> String {
    let Some(owner) = items(&meta["ownerReferences"]).find(|o| o["controller"] == true) else { return String::new() };
    let (kind, name) = (text(&owner["kind"]), text(&owner["name"]));
    let hash = meta["labels"]["pod-template-hash"].as_str().unwrap_or_default();
    match name.strip_suffix(hash).and_then(|n| n.strip_suffix('-')) {
        Some(deployment) if kind == "ReplicaSet" && !hash.is_empty() => format!("Deployment/{deployment}"),
        _ => format!("{kind}/{name}"),
    }
}

fn service(object: &Value, slices: &[Value], meshed: &HashSet<(String, String)>) -> Service {
    let (namespace, name) = (text(&object["metadata"]["namespace"]), text(&object["metadata"]["name"]));
    let ours = |slice: &&Value| {
        let meta = &slice["metadata"];
        meta["namespace"] == namespace.as_str() && meta["labels"]["kubernetes.io/service-name"] == name.as_str()
    };
    // A pod of two address families is in two slices.
    let ready: HashSet<String> = slices
        .iter()
        .filter(ours)
        .flat_map(|slice| items(&slice["endpoints"]))
        .filter(|e| e["conditions"]["ready"] != false)
        .map(|e| e["targetRef"]["name"].as_str().map_or_else(|| text(&e["addresses"][0]), str::to_owned))
        .collect();
    let meshed = ready.iter().filter(|pod| meshed.contains(&(namespace.clone(), (*pod).clone()))).count() as u64;
    Service { ready: ready.len() as u64, meshed, namespace, name }
}

#[cfg(test)]
mod tests {
    use super::{owner, pod, service};
    use serde_json::json;
    use std::collections::HashSet;

    #[test]
    fn a_pod_of_a_deployment() {
        let found = pod(&json!({
            "metadata": {"namespace": "a", "name": "web-5d4-x", "labels": {"pod-template-hash": "5d4"},
                "ownerReferences": [{"kind": "ReplicaSet", "name": "web-5d4", "controller": true}]},
            "spec": {"initContainers": [{"name": "istio-proxy"}], "containers": [{"name": "web"}]},
            "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
        }));
        assert_eq!(
            (found.owner.as_str(), found.meshed, found.ready, found.ended),
            ("Deployment/web", true, true, false)
        );
    }

    #[test]
    fn owners_that_are_no_deployment() {
        let job = json!({"ownerReferences": [{"kind": "Job", "name": "seed", "controller": true}]});
        assert_eq!(owner(&job), "Job/seed");
        let bare = json!({"ownerReferences": [{"kind": "ReplicaSet", "name": "rs", "controller": true}]});
        assert_eq!(owner(&bare), "ReplicaSet/rs");
        assert_eq!(owner(&json!({})), "");
    }

    #[test]
    fn a_service_counts_its_pods_once() {
        let slice = |family: &str, ip: &str| {
            json!({"metadata": {"namespace": "a", "labels": {"kubernetes.io/service-name": "web"}}, "addressType": family,
            "endpoints": [
                {"addresses": [ip], "targetRef": {"name": "web-1"}, "conditions": {"ready": true}},
                {"addresses": ["x"], "targetRef": {"name": "web-2"}, "conditions": {"ready": false}},
            ]})
        };
        let meshed = HashSet::from([("a".to_owned(), "web-1".to_owned())]);
        let object = json!({"metadata": {"namespace": "a", "name": "web"}});
        let found = service(&object, &[slice("IPv4", "10.0.0.1"), slice("IPv6", "fd00::1")], &meshed);
        assert_eq!((found.ready, found.meshed), (1, 1));
    }
}
