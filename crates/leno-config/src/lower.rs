//! Objects in, pieces of the model out: the only place that lists the kinds.

mod kube;

use std::net::IpAddr;

use leno_core::id::ServiceId;
use leno_core::model::{
    AuthorizationPolicy, DestinationRule, Labels, MeshConfig, PeerAuthentication, RouteTable, ServiceKind, ServicePort,
    Telemetry,
};

use crate::diagnostic::Diagnostic;
use crate::gateway::{self, MeshRoute};
use crate::istio::{authorization_policy, destination_rule, peer_authentication, telemetry, virtual_service};
use crate::object::Object;
use crate::{mesh, smi};

/// What lowering needs to know of the mesh.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LowerContext {
    /// Namespace whose policies hold for the whole mesh, and where the mesh settings live (`istio-system`).
    pub root_namespace: String,
    /// SPIFFE trust domain (`cluster.local`).
    pub trust_domain: String,
    /// Namespace and name of the `ConfigMap` with the mesh's settings; `None`: `istio` in the root namespace.
    pub settings: Option<(String, String)>,
}

impl Default for LowerContext {
    fn default() -> Self {
        let mesh = MeshConfig::default();
        Self { root_namespace: mesh.root_namespace, trust_domain: mesh.trust_domain, settings: None }
    }
}

/// A piece of the model. `created` is seconds since the epoch, 0 where the object has no creation time.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "made once per change and taken apart at once")]
pub enum Lowered {
    /// A namespace.
    Namespace {
        /// Its name.
        name: String,
        /// Its labels.
        labels: Labels,
        /// Its annotations.
        annotations: Labels,
    },
    /// A Service.
    Service(ServiceSpec),
    /// An `EndpointSlice`.
    EndpointSlice(Slice),
    /// A Pod.
    Pod(PodFacts),
    /// Route tables, one for each host.
    Routes {
        /// Precedence among tables for one service: lower first (0 `VirtualService`, 1 `TrafficSplit`), then the oldest.
        rank: u8,
        /// Creation time.
        created: i64,
        /// Hosts and their tables.
        tables: Vec<(ServiceId, RouteTable)>,
    },
    /// A route of the Gateway API for services, to be joined with the others: see [`crate::gateway::tables`].
    MeshRoute(MeshRoute),
    /// A destination rule.
    DestinationRule {
        /// The services it is for.
        hosts: RuleHosts,
        /// Creation time: the oldest first.
        created: i64,
        /// The rule.
        rule: DestinationRule,
    },
    /// Mutual TLS modes.
    PeerAuthentication(PeerAuthentication),
    /// Authorization.
    AuthorizationPolicy(AuthorizationPolicy),
    /// What is reported.
    Telemetry(Telemetry),
    /// Settings of the mesh (`ConfigMap` `istio` in the root namespace).
    Mesh(MeshConfig),
}

/// What the host of a `DestinationRule` names.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RuleHosts {
    /// One service.
    Service(ServiceId),
    /// Every service whose whole host ends so: `*.shop.svc.cluster.local` without its `*`; empty for all.
    Suffix(String),
}

impl RuleHosts {
    /// Whether `service` is one of them.
    #[must_use]
    pub fn includes(&self, service: &ServiceId) -> bool {
        match self {
            Self::Service(own) => own == service,
            Self::Suffix(suffix) => service.host().ends_with(suffix.as_str()),
        }
    }
}

/// A Service as Kubernetes has it; endpoints are resolved by the control plane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceSpec {
    /// Who it is.
    pub id: ServiceId,
    /// How its address works.
    pub kind: ServiceKind,
    /// Cluster IPs; empty for headless, `ExternalName`, and services that have none assigned yet.
    pub vips: Vec<IpAddr>,
    /// Its ports and where they lead.
    pub ports: Vec<(ServicePort, TargetPort)>,
    /// Pods behind it; empty = endpoints are given by hand.
    pub selector: Labels,
    /// Labels of the service.
    pub labels: Labels,
    /// Annotations of the service.
    pub annotations: Labels,
    /// Pods that are not ready are published too.
    pub publish_not_ready: bool,
    /// Creation time.
    pub created: i64,
}

/// `targetPort`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TargetPort {
    /// A number.
    Number(u16),
    /// The name of a container port.
    Name(String),
}

/// An `EndpointSlice`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slice {
    /// Namespace and name of the slice.
    pub namespace: String,
    /// Name of the slice.
    pub name: String,
    /// The service (label `kubernetes.io/service-name`).
    pub service: ServiceId,
    /// `(service port name, port on the pod)`; `None` = all ports.
    pub ports: Vec<(String, Option<u16>)>,
    /// Its endpoints.
    pub endpoints: Vec<SliceEndpoint>,
}

/// One endpoint of a slice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SliceEndpoint {
    /// Addresses of the one endpoint.
    pub addresses: Vec<IpAddr>,
    /// Takes new connections.
    pub ready: bool,
    /// Would be ready if it were not terminating.
    pub serving: bool,
    /// Going away.
    pub terminating: bool,
    /// The pod in the slice's namespace, where `targetRef` names one.
    pub pod: Option<String>,
    /// Node.
    pub node: String,
}

/// What the control plane needs of a Pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodFacts {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// `metadata.uid`, may be empty.
    pub uid: String,
    /// `status.podIPs`; empty before it has one.
    pub ips: Vec<IpAddr>,
    /// Labels.
    pub labels: Labels,
    /// Annotations.
    pub annotations: Labels,
    /// Service account; `default` where it names none.
    pub account: String,
    /// Kind of the workload that owns it, lower case: `deployment`, `statefulset`, `job`, …, `pod` for none.
    pub owner_kind: String,
    /// Name of that workload.
    pub owner_name: String,
    /// Has a sidecar: a container `istio-proxy`, or the annotation `sidecar.istio.io/status`.
    pub meshed: bool,
    /// Node it runs on.
    pub node: String,
    /// Named container ports, UDP ones left out.
    pub ports: Vec<(String, u16)>,
    /// Shares the node's network.
    pub host_network: bool,
    /// `status.conditions` Ready.
    pub ready: bool,
    /// Has ended (`Succeeded` or `Failed`): its address is no longer its own.
    pub ended: bool,
    /// Is being deleted (`metadata.deletionTimestamp`).
    pub terminating: bool,
    /// Creation time.
    pub created: i64,
}

/// Lowers one object. Kinds that are not for the mesh (Deployments, Secrets …) and kinds of others give nothing.
///
/// # Errors
/// All errors and warnings of an object that is refused.
pub fn lower(object: &Object, context: &LowerContext) -> Result<(Vec<Lowered>, Vec<Diagnostic>), Vec<Diagnostic>> {
    match (object.group(), object.kind.as_str()) {
        ("", "Namespace") => kube::namespace(object),
        ("", "Service") => kube::service(object),
        ("", "Pod") => kube::pod(object),
        ("discovery.k8s.io", "EndpointSlice") => kube::endpoint_slice(object),
        ("", "ConfigMap") if mesh::is_mesh_config(object, context) => mesh::lower(object, context),
        ("networking.istio.io", "VirtualService") => virtual_service::lower(object),
        ("networking.istio.io", "DestinationRule") => destination_rule::lower(object),
        ("security.istio.io", "PeerAuthentication") => peer_authentication::lower(object),
        ("security.istio.io", "AuthorizationPolicy") => authorization_policy::lower(object),
        ("telemetry.istio.io", "Telemetry") => telemetry::lower(object),
        ("split.smi-spec.io", "TrafficSplit") => smi::lower(object),
        (gateway::GROUP, "HTTPRoute") => gateway::lower_http(object),
        (gateway::GROUP, "GRPCRoute") => gateway::lower_grpc(object),
        _ => Ok((Vec::new(), Vec::new())),
    }
}

/// Whether [`lower`] knows the kind, whatever the object says.
#[must_use]
pub fn is_lowered(object: &Object) -> bool {
    LOWERED.contains(&(object.group(), object.kind.as_str()))
}

const LOWERED: &[(&str, &str)] = &[
    ("", "Namespace"),
    ("", "Service"),
    ("", "Pod"),
    ("discovery.k8s.io", "EndpointSlice"),
    ("networking.istio.io", "VirtualService"),
    ("networking.istio.io", "DestinationRule"),
    ("security.istio.io", "PeerAuthentication"),
    ("security.istio.io", "AuthorizationPolicy"),
    ("telemetry.istio.io", "Telemetry"),
    ("split.smi-spec.io", "TrafficSplit"),
    (gateway::GROUP, "HTTPRoute"),
    (gateway::GROUP, "GRPCRoute"),
];
