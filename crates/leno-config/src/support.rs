//! Every field: honoured, harmless, ignored with a warning, or refused.
//!
//! Honoured fields are those of the structs (found by [`table`], not listed by hand); everything else is in the tables
//! below, and what is in neither is warned of as not honoured, or refused where ignoring it would let more through than
//! its author meant.

mod trace;

use crate::{gateway, istio, k8s, smi};

/// What becomes of a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Support {
    /// Does what it says.
    Honoured,
    /// Has no meaning here, and nothing is lost by that.
    Harmless,
    /// Ignored, with this warning.
    Warned(String),
    /// Makes the object refused, with this reason.
    Refused(String),
}

/// A line of the compatibility table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Kind; `Pod` stands for every pod template too.
    pub kind: &'static str,
    /// Field, such as `spec.http[].timeout`.
    pub field: String,
    /// What becomes of it.
    pub support: Support,
}

/// What becomes of a field of `kind` that its struct does not have. `shape` is a path without numbers,
/// `spec.http[].route[]`.
#[must_use]
pub(crate) fn of_field(kind: &str, shape: &str) -> Support {
    let (scope, field) = scope_of(kind, shape);
    let rules = ANY.iter().chain(tables(scope));
    // The last match is the most specific one.
    if let Some(rule) = rules.filter(|rule| is_under(&field, rule.0)).last() {
        return match rule.1 {
            "" => Support::Harmless,
            note => match note.strip_prefix('!') {
                Some(note) => Support::Refused(note.to_owned()),
                None => Support::Warned(note.to_owned()),
            },
        };
    }
    match scope {
        "PeerAuthentication" | "AuthorizationPolicy" => Support::Refused(
            "is unknown or not honoured yet, and ignoring it could let more through than meant".to_owned(),
        ),
        "VirtualService" | "DestinationRule" | "Telemetry" | "TrafficSplit" | "HTTPRoute" | "GRPCRoute" => {
            Support::Warned("is not honoured yet".to_owned())
        }
        _ => Support::Warned("is not honoured".to_owned()),
    }
}

/// The whole table: honoured fields by struct, the others by rule.
#[must_use]
pub fn table() -> Vec<Row> {
    let mut rows = Vec::new();
    for (kind, fields) in honoured() {
        let is_own = |field: &String| kind == "Pod" || !field.contains("template.spec");
        rows.extend(fields.into_iter().filter(is_own).map(|field| Row { kind, field, support: Support::Honoured }));
        rows.extend(tables(kind).map(|rule| Row { kind, field: rule.0.to_owned(), support: of_field(kind, rule.0) }));
    }
    rows.extend(CONTAINER.iter().map(|rule| {
        let field = format!("spec.containers[].{}", rule.0);
        Row { kind: "Pod", support: of_field("Pod", &field), field }
    }));
    rows
}

fn honoured() -> Vec<(&'static str, Vec<String>)> {
    fn of<T: serde::de::DeserializeOwned>() -> Vec<String> {
        trace::fields_of::<T>().into_iter().collect()
    }
    vec![
        ("Namespace", of::<k8s::Namespace>()),
        ("ServiceAccount", of::<k8s::ServiceAccount>()),
        ("ConfigMap", of::<k8s::ConfigMap>()),
        ("Secret", of::<k8s::Secret>()),
        ("Deployment", of::<k8s::Deployment>()),
        ("StatefulSet", of::<k8s::StatefulSet>()),
        ("Job", of::<k8s::Job>()),
        ("Pod", of::<k8s::Pod>()),
        ("Service", of::<k8s::Service>()),
        ("EndpointSlice", of::<k8s::EndpointSlice>()),
        ("VirtualService", of::<istio::virtual_service::VirtualService>()),
        ("DestinationRule", of::<istio::destination_rule::DestinationRule>()),
        ("PeerAuthentication", of::<istio::peer_authentication::PeerAuthentication>()),
        ("AuthorizationPolicy", of::<istio::authorization_policy::AuthorizationPolicy>()),
        ("Telemetry", of::<istio::telemetry::Telemetry>()),
        ("MeshConfig", of::<crate::mesh::RawMesh>()),
        ("TrafficSplit", of::<smi::TrafficSplit>()),
        ("HTTPRoute", of::<gateway::HttpRoute>()),
        ("GRPCRoute", of::<gateway::GrpcRoute>()),
    ]
}

/// Pods are judged alike wherever they stand: a template's fields become those of a Pod, a container's its own.
fn scope_of<'k>(kind: &'k str, shape: &str) -> (&'k str, String) {
    let (kind, shape) = match shape.strip_prefix("spec.template.") {
        Some(rest) if matches!(kind, "Deployment" | "StatefulSet" | "Job") => ("Pod", rest),
        _ => (kind, shape),
    };
    if kind == "Pod" {
        for list in ["spec.containers[].", "spec.initContainers[]."] {
            if let Some(rest) = shape.strip_prefix(list) {
                return ("Container", rest.to_owned());
            }
        }
    }
    (kind, shape.to_owned())
}

fn is_under(field: &str, rule: &str) -> bool {
    field.strip_prefix(rule).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

/// `(field, note)`: an empty note is harmless, a leading `!` refuses, anything else is the warning.
type Rule = (&'static str, &'static str);

fn tables(scope: &str) -> impl Iterator<Item = &'static Rule> + use<> {
    let table: &'static [Rule] = match scope {
        "ServiceAccount" => SERVICE_ACCOUNT,
        "Namespace" => NAMESPACE,
        "ConfigMap" | "Secret" => DATA,
        "Container" => CONTAINER,
        "Pod" => POD,
        "Deployment" => DEPLOYMENT,
        "StatefulSet" => STATEFUL_SET,
        "Job" => JOB,
        "Service" => SERVICE,
        "EndpointSlice" => ENDPOINT_SLICE,
        "VirtualService" => VIRTUAL_SERVICE,
        "DestinationRule" => DESTINATION_RULE,
        "AuthorizationPolicy" => AUTHORIZATION_POLICY,
        "Telemetry" => TELEMETRY,
        "MeshConfig" => MESH_CONFIG,
        "TrafficSplit" => TRAFFIC_SPLIT,
        "HTTPRoute" | "GRPCRoute" => MESH_ROUTE,
        _ => &[],
    };
    table.iter()
}

/// What a server writes into every object.
const ANY: &[Rule] = &[
    ("status", ""),
    ("metadata.resourceVersion", ""),
    ("metadata.generation", ""),
    ("metadata.managedFields", ""),
    ("metadata.selfLink", ""),
    ("metadata.finalizers", ""),
    ("metadata.generateName", ""),
    ("metadata.deletionGracePeriodSeconds", ""),
    ("metadata.ownerReferences[].blockOwnerDeletion", ""),
];

const NAMESPACE: &[Rule] = &[("spec", "")];

const SERVICE_ACCOUNT: &[Rule] = &[("secrets", ""), ("imagePullSecrets", ""), ("automountServiceAccountToken", "")];

const DATA: &[Rule] = &[("immutable", "")];

const POD: &[Rule] = &[
    ("spec.activeDeadlineSeconds", "is not honoured: the pod may run for longer"),
    ("spec.affinity", ""),
    ("spec.automountServiceAccountToken", ""),
    ("spec.dnsConfig", "is not honoured: pods resolve by the mesh's own DNS"),
    ("spec.dnsPolicy", ""),
    ("spec.enableServiceLinks", ""),
    ("spec.ephemeralContainers", "is not honoured"),
    ("spec.hostAliases", "is not honoured: the names resolve only by DNS"),
    ("spec.hostIPC", "is not honoured"),
    ("spec.hostPID", "is not honoured"),
    ("spec.hostUsers", ""),
    ("spec.imagePullSecrets", ""),
    ("spec.nodeSelector", ""),
    ("spec.os", ""),
    ("spec.overhead", ""),
    ("spec.preemptionPolicy", ""),
    ("spec.priority", ""),
    ("spec.priorityClassName", ""),
    ("spec.readinessGates", "is not honoured: the pod is ready without it"),
    ("spec.resources", ""),
    ("spec.runtimeClassName", ""),
    ("spec.schedulerName", ""),
    ("spec.securityContext.appArmorProfile", ""),
    ("spec.securityContext.fsGroupChangePolicy", ""),
    ("spec.securityContext.runAsNonRoot", ""),
    ("spec.securityContext.seLinuxOptions", ""),
    ("spec.securityContext.seccompProfile", ""),
    ("spec.shareProcessNamespace", "is not honoured"),
    ("spec.tolerations", ""),
    ("spec.topologySpreadConstraints", ""),
    ("spec.volumes[].emptyDir.sizeLimit", ""),
    ("spec.volumes[].persistentVolumeClaim", "is not honoured: use emptyDir or hostPath"),
    ("spec.volumes[].downwardAPI.items[].resourceFieldRef", "is not honoured: resources are not limited"),
    (
        "spec.volumes[].projected.sources[].downwardAPI.items[].resourceFieldRef",
        "is not honoured: resources are not limited",
    ),
];

const CONTAINER: &[Rule] = &[
    ("env[].valueFrom.resourceFieldRef", "is not honoured: resources are not limited"),
    ("imagePullPolicy", ""),
    ("lifecycle.preStop.tcpSocket", "does nothing, in Kubernetes neither"),
    ("lifecycle.postStart.tcpSocket", "does nothing, in Kubernetes neither"),
    ("lifecycle.stopSignal", "is not honoured: containers are ended by SIGTERM"),
    ("ports[].hostIP", "is not honoured"),
    ("ports[].hostPort", "is not honoured: use `leno local port-forward`"),
    ("resizePolicy", ""),
    ("resources", ""),
    ("securityContext.allowPrivilegeEscalation", ""),
    ("securityContext.appArmorProfile", ""),
    ("securityContext.privileged", "is not honoured: give the capabilities it needs"),
    ("securityContext.procMount", ""),
    ("securityContext.readOnlyRootFilesystem", ""),
    ("securityContext.runAsNonRoot", ""),
    ("securityContext.seLinuxOptions", ""),
    ("securityContext.seccompProfile", ""),
    ("stdin", ""),
    ("stdinOnce", ""),
    ("terminationMessagePath", ""),
    ("terminationMessagePolicy", ""),
    ("tty", ""),
    ("volumeMounts[].mountPropagation", "is not honoured"),
    ("volumeMounts[].recursiveReadOnly", ""),
    ("volumeMounts[].subPathExpr", "is not honoured: use subPath"),
];

const DEPLOYMENT: &[Rule] = &[
    ("spec.paused", "is not honoured: the Deployment runs"),
    ("spec.progressDeadlineSeconds", ""),
    ("spec.revisionHistoryLimit", ""),
];

const STATEFUL_SET: &[Rule] = &[
    ("spec.persistentVolumeClaimRetentionPolicy", ""),
    ("spec.revisionHistoryLimit", ""),
    ("spec.updateStrategy", ""),
    ("spec.ordinals", "is not honoured: pods are numbered from 0"),
    ("spec.volumeClaimTemplates", "is not honoured: give the pod an emptyDir of the same name"),
];

const JOB: &[Rule] = &[
    ("spec.completionMode", "is not honoured: pods have no completion index"),
    ("spec.manualSelector", ""),
    ("spec.selector", ""),
    ("spec.suspend", "is not honoured: the Job runs"),
    ("spec.podReplacementPolicy", ""),
];

const SERVICE: &[Rule] = &[
    ("spec.allocateLoadBalancerNodePorts", ""),
    ("spec.externalIPs", "is not honoured"),
    ("spec.externalTrafficPolicy", ""),
    ("spec.healthCheckNodePort", ""),
    ("spec.internalTrafficPolicy", ""),
    ("spec.ipFamilies", ""),
    ("spec.ipFamilyPolicy", ""),
    ("spec.loadBalancerClass", ""),
    ("spec.loadBalancerIP", "is not honoured"),
    ("spec.loadBalancerSourceRanges", "is not honoured"),
    ("spec.ports[].nodePort", ""),
    ("spec.sessionAffinityConfig", ""),
    ("spec.trafficDistribution", ""),
];

const ENDPOINT_SLICE: &[Rule] = &[
    ("endpoints[].hints", ""),
    ("endpoints[].zone", ""),
    ("endpoints[].deprecatedTopology", ""),
    ("endpoints[].targetRef.apiVersion", ""),
    ("endpoints[].targetRef.resourceVersion", ""),
    ("endpoints[].targetRef.fieldPath", ""),
];

const VIRTUAL_SERVICE: &[Rule] = &[
    ("spec.http[].delegate", "!is not honoured: write the delegate's rules into this VirtualService"),
    ("spec.http[].match[].statPrefix", ""),
    ("spec.http[].match[].stat_prefix", ""),
    ("spec.http[].match[].headers[].suffix", "!is no kind of match: use regex"),
    ("spec.http[].fault.delay.exponentialDelay", "is not honoured, in Istio neither"),
    ("spec.http[].fault.abort.http2Error", "is not honoured, in Istio neither"),
    ("spec.http[].retries.retryIgnorePreviousHosts", ""),
    ("spec.http[].retries.retryRemoteLocalities", ""),
    ("spec.http[].corsPolicy.unmatchedPreflights", "is not honoured yet: such preflights are forwarded"),
    ("spec.http[].directResponse.body.bytes", "is not honoured yet: use string"),
    ("spec.http[].websocketUpgrade", ""),
    ("spec.http[].websocket_upgrade", ""),
];

const DESTINATION_RULE: &[Rule] = &[
    ("spec.trafficPolicy.proxyProtocol", "is not honoured yet"),
    ("spec.trafficPolicy.tunnel", "is not honoured yet: connections are not tunnelled"),
    ("spec.trafficPolicy.loadBalancer.warmup", "is not honoured yet: new endpoints take their full share at once"),
    (
        "spec.trafficPolicy.loadBalancer.warmupDurationSecs",
        "is not honoured yet: new endpoints take their full share at once",
    ),
    (
        "spec.trafficPolicy.loadBalancer.localityLbSetting",
        "is not honoured yet: endpoints are chosen without regard to locality",
    ),
];

const AUTHORIZATION_POLICY: &[Rule] = &[
    ("spec.targetRefs", "!attaches to gateways and waypoints, which are not there yet: use selector"),
    ("spec.targetRef", "!attaches to gateways and waypoints, which are not there yet: use selector"),
];

const TELEMETRY: &[Rule] = &[
    ("spec.targetRef", "!attaches to gateways and waypoints, which are not there yet: use selector"),
    ("spec.targetRefs", "!attaches to gateways and waypoints, which are not there yet: use selector"),
    ("spec.metrics[].reportingInterval", "is not honoured: metrics are scraped, at the scraper's interval"),
    ("spec.metrics[].overrides[].match.customMetric", "!is not honoured: there are Istio's standard metrics only"),
    ("spec.tracing[].useRequestIdForTraceSampling", "is not honoured: the parent or chance decides"),
    ("spec.tracing[].enableIstioTags", "is not honoured: spans have Istio's attributes"),
    ("spec.tracing[].customTags.*.formatter", "is not honoured: use literal, environment or header"),
];

/// Of the mesh's settings.
const MESH_CONFIG: &[Rule] = &[
    (
        "extensionProviders[].opentelemetry.resourceDetectors",
        "is not honoured: spans name service, namespace, pod and node",
    ),
    ("extensionProviders[].opentelemetry.dynatraceSampler", "is not honoured: the parent or chance decides"),
    ("extensionProviders[].opentelemetry.http.timeout", "is not honoured: it is 5 s"),
    ("extensionProviders[].zipkin", "is not honoured: use opentelemetry, which Zipkin's collectors take too"),
    ("defaultConfig.tracing.zipkin", "is not honoured: name a provider of extensionProviders"),
    ("defaultConfig.tracing.customTags", "is not honoured: write them into a Telemetry"),
];

const TRAFFIC_SPLIT: &[Rule] = &[(
    "spec.matches",
    "!is not honoured yet, and without it all traffic would be split: use a VirtualService with match",
)];

/// Routes of the Gateway API, for Services.
const MESH_ROUTE: &[Rule] = &[
    ("spec.hostnames", "has no meaning for routes of Services (GEP-1294): match the header Host"),
    ("spec.useDefaultGateways", ""),
    ("spec.rules[].filters[].extensionRef", ""),
    ("spec.rules[].filters[].externalAuth", "!is not honoured yet, and without it more is let through than meant"),
    ("spec.rules[].sessionPersistence", "is not honoured yet: use a DestinationRule with consistentHash"),
];

#[cfg(test)]
mod tests;
