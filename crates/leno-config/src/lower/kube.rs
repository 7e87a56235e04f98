//! Kubernetes' own kinds.

use std::net::IpAddr;

use leno_core::decide::protocol::protocol_of_port;
use leno_core::id::ServiceId;
use leno_core::model::{ServiceKind, ServicePort};

use super::{Lowered, PodFacts, ServiceSpec, Slice, SliceEndpoint, TargetPort};
use crate::diagnostic::Diagnostic;
use crate::istio::common::Findings;
use crate::k8s::{self, IntOrString, validate};
use crate::object::{Object, Path};
use crate::quantity::unix_seconds;
use crate::typed;

type Outcome = Result<(Vec<Lowered>, Vec<Diagnostic>), Vec<Diagnostic>>;

pub(super) fn namespace(object: &Object) -> Outcome {
    let (raw, unknown) = typed::<k8s::Namespace>(object).map_err(|e| vec![e])?;
    let mut findings = Findings::new(object, unknown);
    validate::name(&mut findings);
    let (labels, annotations) = (raw.metadata.labels, raw.metadata.annotations);
    findings.finish(vec![Lowered::Namespace { name: object.name.clone(), labels, annotations }])
}

pub(super) fn service(object: &Object) -> Outcome {
    let (raw, unknown) = typed::<k8s::Service>(object).map_err(|e| vec![e])?;
    let mut findings = Findings::new(object, unknown);
    validate::service(&raw.spec, &mut findings);
    let kind = match (raw.spec.kind.as_str(), raw.spec.is_headless()) {
        ("ExternalName", _) => ServiceKind::ExternalName(raw.spec.external_name.clone()),
        (_, true) => ServiceKind::Headless,
        (_, false) => ServiceKind::ClusterIp,
    };
    let port = |p: &k8s::ServicePort| {
        let protocol = protocol_of_port(p.app_protocol.as_deref(), &p.name, p.port, p.is_udp());
        let target = match &p.target_port {
            Some(IntOrString::Text(name)) => TargetPort::Name(name.clone()),
            Some(IntOrString::Int(n)) => {
                TargetPort::Number(u16::try_from(*n).ok().filter(|n| *n > 0).unwrap_or(p.port))
            }
            None => TargetPort::Number(p.port),
        };
        (ServicePort { port: p.port, name: p.name.clone(), protocol }, target)
    };
    let spec = ServiceSpec {
        id: ServiceId::new(object.namespace(), object.name.clone()),
        vips: if kind == ServiceKind::ClusterIp { raw.spec.vips() } else { Vec::new() },
        kind,
        ports: raw.spec.ports.iter().map(port).collect(),
        selector: raw.spec.selector,
        labels: raw.metadata.labels,
        annotations: raw.metadata.annotations,
        publish_not_ready: raw.spec.publish_not_ready_addresses,
        created: unix_seconds(&raw.metadata.creation_timestamp),
    };
    findings.finish(vec![Lowered::Service(spec)])
}

/// Label of a slice that names its service.
const SERVICE_NAME: &str = "kubernetes.io/service-name";

pub(super) fn endpoint_slice(object: &Object) -> Outcome {
    let (raw, unknown) = typed::<k8s::EndpointSlice>(object).map_err(|e| vec![e])?;
    let mut findings = Findings::new(object, unknown);
    let Some(service) = raw.metadata.labels.get(SERVICE_NAME).filter(|s| !s.is_empty()) else {
        let at = Path::root().keys("metadata.labels");
        findings.warning(&at, format!("has no label {SERVICE_NAME}, so that it belongs to no service"));
        return findings.finish(Vec::new());
    };
    let mut endpoints = Vec::new();
    for (index, raw_endpoint) in raw.endpoints.iter().enumerate() {
        let at = Path::root().key("endpoints").index(index).key("addresses");
        let mut addresses: Vec<IpAddr> = Vec::new();
        for (index, text) in raw_endpoint.addresses.iter().enumerate() {
            match text.parse() {
                Ok(ip) => addresses.push(ip),
                Err(_) => findings.error(&at.index(index), format!("`{text}` is not an IP address")),
            }
        }
        let conditions = &raw_endpoint.conditions;
        let ready = conditions.ready.unwrap_or(true);
        let target = raw_endpoint.target_ref.as_ref().filter(|t| t.kind == "Pod");
        endpoints.push(SliceEndpoint {
            addresses,
            ready,
            serving: conditions.serving.unwrap_or(ready),
            terminating: conditions.terminating.unwrap_or(false),
            pod: target.map(|t| t.name.clone()),
            node: raw_endpoint.node_name.clone().unwrap_or_default(),
        });
    }
    let slice = Slice {
        namespace: object.namespace().to_owned(),
        name: object.name.clone(),
        service: ServiceId::new(object.namespace(), service.clone()),
        ports: raw.ports.iter().map(|p| (p.name.clone(), p.port)).collect(),
        endpoints,
    };
    findings.finish(vec![Lowered::EndpointSlice(slice)])
}

pub(super) fn pod(object: &Object) -> Outcome {
    let (raw, unknown) = typed::<k8s::Pod>(object).map_err(|e| vec![e])?;
    let mut findings = Findings::new(object, unknown);
    validate::name(&mut findings);
    validate::pod_spec(&raw.spec, &Path::root().key("spec"), &mut findings);
    let (owner_kind, owner_name) = owner(&raw.metadata);
    let ports =
        raw.spec.all_containers().flat_map(|c| &c.ports).filter(|p| p.protocol.is_empty() || p.protocol == "TCP");
    let facts = PodFacts {
        namespace: object.namespace().to_owned(),
        name: object.name.clone(),
        uid: raw.metadata.uid.clone(),
        ips: raw.status.ips(),
        account: raw.spec.account().to_owned(),
        owner_kind,
        owner_name,
        meshed: is_meshed(&raw),
        node: raw.spec.node_name.clone(),
        ports: ports.filter(|p| !p.name.is_empty()).map(|p| (p.name.clone(), p.container_port)).collect(),
        host_network: raw.spec.host_network,
        ready: raw.status.is_ready(),
        terminating: raw.metadata.deletion_timestamp.is_some(),
        ended: matches!(raw.status.phase.as_str(), "Succeeded" | "Failed"),
        created: unix_seconds(&raw.metadata.creation_timestamp),
        labels: raw.metadata.labels,
        annotations: raw.metadata.annotations,
    };
    findings.finish(vec![Lowered::Pod(facts)])
}

fn is_meshed(pod: &k8s::Pod) -> bool {
    pod.metadata.annotations.contains_key("sidecar.istio.io/status")
        || pod.spec.all_containers().any(|c| c.name == "istio-proxy")
}

/// The workload as metrics name it: a `ReplicaSet`'s pods belong to its Deployment, a `CronJob`'s Job's to the `CronJob`.
fn owner(metadata: &k8s::ObjectMeta) -> (String, String) {
    let owners = &metadata.owner_references;
    let Some(owner) = owners.iter().find(|o| o.controller).or_else(|| owners.first()) else {
        return ("pod".to_owned(), metadata.name.clone());
    };
    let whole = |kind: &str| (kind.to_ascii_lowercase(), owner.name.clone());
    match owner.kind.as_str() {
        "ReplicaSet" => {
            let hash = metadata.labels.get("pod-template-hash");
            let deployment = hash.and_then(|h| owner.name.strip_suffix(h.as_str())?.strip_suffix('-'));
            deployment.map_or_else(|| whole("ReplicaSet"), |name| ("deployment".to_owned(), name.to_owned()))
        }
        "Job" => match owner.name.rsplit_once('-') {
            // The scheduled time in minutes or seconds, which the controller appends.
            Some((name, time)) if (8..=10).contains(&time.len()) && time.bytes().all(|b| b.is_ascii_digit()) => {
                ("cronjob".to_owned(), name.to_owned())
            }
            _ => whole("Job"),
        },
        kind => whole(kind),
    }
}
