//! The objects at hand, indexed once for all checks.

use std::collections::BTreeMap;

use leno_config::object::Path;
use leno_config::{Object, k8s};
use leno_core::id::ServiceId;
use leno_core::model::{Labels, selects};
use serde_json::Value;

use crate::Options;
use crate::json::{labels, list, text};

/// The objects; of one that is there twice, the last.
pub(crate) struct Set<'o> {
    pub(crate) options: &'o Options,
    objects: Vec<&'o Object>,
    services: Vec<Service<'o>>,
    workloads: Vec<Workload<'o>>,
}

/// A Service.
pub(crate) struct Service<'o> {
    pub(crate) object: &'o Object,
    pub(crate) id: ServiceId,
    pub(crate) spec: k8s::ServiceSpec,
}

/// A pod, or something that makes pods.
pub(crate) struct Workload<'o> {
    pub(crate) object: &'o Object,
    /// The pod or its template: `metadata` and `spec`.
    pub(crate) pod: &'o Value,
    /// Path of `pod` in the object.
    pub(crate) at: Path,
    pub(crate) labels: Labels,
    pub(crate) annotations: Labels,
    /// Made by another object of the set, about which everything is said.
    pub(crate) is_owned: bool,
}

/// A container and where it stands.
pub(crate) struct Container<'o> {
    pub(crate) json: &'o Value,
    pub(crate) at: Path,
    pub(crate) is_init: bool,
}

impl<'o> Set<'o> {
    pub(crate) fn new(objects: &'o [Object], options: &'o Options) -> Self {
        let mut last = BTreeMap::new();
        for (index, object) in objects.iter().enumerate() {
            last.insert((object.group(), object.kind.as_str(), object.namespace(), object.name.as_str()), index);
        }
        let mut indices: Vec<usize> = last.into_values().collect();
        indices.sort_unstable();
        let objects: Vec<&Object> = indices.into_iter().filter_map(|index| objects.get(index)).collect();
        let services = objects.iter().filter(|o| o.api_version == "v1" && o.kind == "Service").filter_map(|object| {
            let service: k8s::Service = serde_json::from_value(object.json.clone()).ok()?;
            let id = ServiceId::new(object.namespace(), object.name.clone());
            Some(Service { object, id, spec: service.spec })
        });
        let services = services.collect();
        let workloads = objects.iter().filter_map(|object| workload(object, &objects)).collect();
        Self { options, objects, services, workloads }
    }

    /// Objects of a kind, whatever their version.
    pub(crate) fn of(&self, group: &str, kind: &str) -> impl Iterator<Item = &'o Object> {
        self.objects.iter().copied().filter(move |o| o.kind == kind && o.group() == group)
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &'o Object> {
        self.objects.iter().copied()
    }

    pub(crate) fn has(&self, group: &str, kind: &str, namespace: &str, name: &str) -> bool {
        self.of(group, kind).any(|o| o.name == name && o.namespace() == namespace)
    }

    pub(crate) fn virtual_services(&self) -> impl Iterator<Item = &'o Object> {
        self.of("networking.istio.io", "VirtualService")
    }

    pub(crate) fn destination_rules(&self) -> impl Iterator<Item = &'o Object> {
        self.of("networking.istio.io", "DestinationRule")
    }

    pub(crate) fn splits(&self) -> impl Iterator<Item = &'o Object> {
        self.of("split.smi-spec.io", "TrafficSplit")
    }

    pub(crate) fn services(&self) -> &[Service<'o>] {
        &self.services
    }

    pub(crate) fn service(&self, id: &ServiceId) -> Option<&Service<'o>> {
        self.services.iter().find(|s| s.id == *id)
    }

    /// Pods and what makes pods.
    pub(crate) fn workloads(&self) -> &[Workload<'o>] {
        &self.workloads
    }

    /// As [`Self::workloads`], without those made by others of the set: each pod spec once.
    pub(crate) fn templates(&self) -> impl Iterator<Item = &Workload<'o>> {
        self.workloads.iter().filter(|w| !w.is_owned)
    }

    /// Workloads of a namespace with these labels.
    pub(crate) fn selected<'s>(
        &'s self,
        namespace: &'s str,
        selector: &'s Labels,
    ) -> impl Iterator<Item = &'s Workload<'o>> {
        self.workloads.iter().filter(move |w| w.namespace() == namespace && selects(selector, &w.labels))
    }

    /// Workloads behind a service; none where it has no selector.
    pub(crate) fn behind<'s>(&'s self, service: &'s Service<'o>) -> impl Iterator<Item = &'s Workload<'o>> {
        let any = !service.spec.selector.is_empty() && service.spec.kind != "ExternalName";
        self.selected(&service.id.namespace, &service.spec.selector).filter(move |_| any)
    }

    /// Services in front of a workload.
    pub(crate) fn in_front<'s>(&'s self, workload: &'s Workload<'o>) -> impl Iterator<Item = &'s Service<'o>> {
        self.services.iter().filter(move |s| {
            s.id.namespace == workload.namespace()
                && !s.spec.selector.is_empty()
                && s.spec.kind != "ExternalName"
                && selects(&s.spec.selector, &workload.labels)
        })
    }

    pub(crate) fn namespace(&self, name: &str) -> Option<&'o Object> {
        self.of("", "Namespace").find(|o| o.name == name)
    }

    /// Whether the set tells which namespaces exist.
    pub(crate) fn knows_namespaces(&self) -> bool {
        self.options.complete || self.of("", "Namespace").next().is_some()
    }

    /// Whether the set tells which pods there are in a namespace.
    pub(crate) fn knows_pods(&self, namespace: &str) -> bool {
        self.options.complete || self.workloads.iter().any(|w| w.namespace() == namespace)
    }

    pub(crate) fn is_root(&self, namespace: &str) -> bool {
        self.options.root_namespaces.iter().any(|n| n == namespace)
    }

    /// Whether a namespace is Kubernetes' own or the mesh's.
    pub(crate) fn is_system(&self, namespace: &str) -> bool {
        namespace.starts_with("kube-")
            || namespace == "local-path-storage"
            || namespace == self.options.install_namespace
            || self.is_root(namespace)
    }

    /// Hosts that `ServiceEntry`s add, with the entry.
    pub(crate) fn entry_of(&self, host: &str) -> Option<&'o Object> {
        self.of("networking.istio.io", "ServiceEntry").find(|entry| {
            crate::json::texts(&entry.json, "/spec/hosts").iter().any(|h| crate::mesh::host_covers(h, host))
        })
    }
}

impl<'o> Workload<'o> {
    pub(crate) fn namespace(&self) -> &'o str {
        self.object.namespace()
    }

    pub(crate) fn spec(&self, pointer: &str) -> Option<&'o Value> {
        self.pod.pointer("/spec").and_then(|s| s.pointer(pointer))
    }

    /// Whether it is a pod of a cluster, not one to be made from a file.
    pub(crate) fn is_live(&self) -> bool {
        self.object.kind == "Pod" && self.object.position.file.is_empty()
    }

    /// Whether it has ended.
    pub(crate) fn has_ended(&self) -> bool {
        matches!(text(&self.object.json, "/status/phase"), Some("Succeeded" | "Failed"))
    }

    /// Its containers, init containers first.
    pub(crate) fn containers(&self) -> Vec<Container<'o>> {
        let mut out = Vec::new();
        for (field, is_init) in [("initContainers", true), ("containers", false)] {
            for (index, json) in list(self.pod, &format!("/spec/{field}")).iter().enumerate() {
                let at = self.at.key("spec").key(field).index(index);
                out.push(Container { json, at, is_init });
            }
        }
        out
    }

    /// Containers that are neither the mesh's nor another mesh's.
    pub(crate) fn own_containers(&self) -> impl Iterator<Item = Container<'o>> {
        self.containers().into_iter().filter(|c| !PROXIES.contains(&c.name()))
    }

    /// Whether a sidecar is written into it.
    pub(crate) fn has_proxy(&self) -> bool {
        self.annotations.contains_key("sidecar.istio.io/status")
            || self.containers().iter().any(|c| c.name() == "istio-proxy")
    }

    /// Number of the container port `name`.
    pub(crate) fn port_named(&self, name: &str) -> Option<u16> {
        self.containers()
            .iter()
            .flat_map(|c| list(c.json, "/ports"))
            .find(|p| text(p, "/name") == Some(name))
            .and_then(|p| crate::json::port(p, "/containerPort"))
    }

    /// The port of the pod that a service's port leads to.
    pub(crate) fn target(&self, port: &k8s::ServicePort) -> Option<u16> {
        match &port.target_port {
            None => Some(port.port),
            Some(k8s::IntOrString::Int(0)) => Some(port.port),
            Some(k8s::IntOrString::Int(n)) => u16::try_from(*n).ok(),
            Some(k8s::IntOrString::Text(name)) => self.port_named(name),
        }
    }
}

impl<'o> Container<'o> {
    pub(crate) fn name(&self) -> &'o str {
        text(self.json, "/name").unwrap_or_default()
    }
}

/// Containers that meshes add.
const PROXIES: &[&str] = &["istio-proxy", "istio-init", "istio-validation", "linkerd-proxy", "linkerd-init"];

fn workload<'o>(object: &'o Object, all: &[&'o Object]) -> Option<Workload<'o>> {
    let (pointer, at) = match (object.group(), object.kind.as_str()) {
        ("", "Pod") => ("", Path::root()),
        ("apps", "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet") | ("batch", "Job") => {
            ("/spec/template", Path::root().keys("spec.template"))
        }
        ("batch", "CronJob") => {
            ("/spec/jobTemplate/spec/template", Path::root().keys("spec.jobTemplate.spec.template"))
        }
        _ => return None,
    };
    let pod = object.json.pointer(pointer)?;
    let owner = list(&object.json, "/metadata/ownerReferences").iter().find(|o| o["controller"] == true);
    let is_owned = owner.is_some_and(|owner| {
        let (kind, name) = (text(owner, "/kind").unwrap_or_default(), text(owner, "/name").unwrap_or_default());
        // ReplicaSets are not always gathered: their Deployment is what matters.
        let deployment = (kind == "ReplicaSet").then(|| name.rsplit_once('-').map_or(name, |(head, _)| head));
        all.iter().any(|o| {
            o.namespace() == object.namespace()
                && (o.kind == kind && o.name == name || o.kind == "Deployment" && Some(o.name.as_str()) == deployment)
        })
    });
    Some(Workload {
        object,
        pod,
        at,
        labels: labels(pod, "/metadata/labels"),
        annotations: labels(pod, "/metadata/annotations"),
        is_owned,
    })
}
