//! The kinds that are followed.

use kube::core::ApiResource;
use leno_config::gateway::GROUP as GATEWAY;
use serde_json::Value;

/// A kind that the world is made of.
#[derive(Debug, PartialEq, Eq)]
pub struct Kind {
    /// API group, empty for the core group.
    pub group: &'static str,
    /// Kind.
    pub kind: &'static str,
    /// Its name in paths.
    pub plural: &'static str,
    /// Versions that can be read, the best first.
    pub versions: &'static [&'static str],
    /// Whether every cluster has it; the others come with a `CustomResourceDefinition`.
    pub built_in: bool,
}

/// All of them.
pub static KINDS: [Kind; 13] = [
    built_in("", "Namespace", "namespaces"),
    built_in("", "Service", "services"),
    built_in("", "Pod", "pods"),
    built_in("discovery.k8s.io", "EndpointSlice", "endpointslices"),
    built_in("", "ConfigMap", "configmaps"),
    defined("networking.istio.io", "VirtualService", "virtualservices", ISTIO),
    defined("networking.istio.io", "DestinationRule", "destinationrules", ISTIO),
    defined("security.istio.io", "PeerAuthentication", "peerauthentications", ISTIO),
    defined("security.istio.io", "AuthorizationPolicy", "authorizationpolicies", ISTIO),
    defined("telemetry.istio.io", "Telemetry", "telemetries", &["v1", "v1alpha1"]),
    defined("split.smi-spec.io", "TrafficSplit", "trafficsplits", &["v1alpha4", "v1alpha3", "v1alpha2", "v1alpha1"]),
    defined(GATEWAY, "HTTPRoute", "httproutes", &["v1", "v1beta1"]),
    defined(GATEWAY, "GRPCRoute", "grpcroutes", &["v1"]),
];

const ISTIO: &[&str] = &["v1", "v1beta1", "v1alpha3"];

const fn built_in(group: &'static str, kind: &'static str, plural: &'static str) -> Kind {
    Kind { group, kind, plural, versions: &["v1"], built_in: true }
}

const fn defined(
    group: &'static str,
    kind: &'static str,
    plural: &'static str,
    versions: &'static [&'static str],
) -> Kind {
    Kind { group, kind, plural, versions, built_in: false }
}

impl Kind {
    /// The kind in one of its versions, as the API's client takes it.
    #[must_use]
    pub fn resource(&self, version: &str) -> ApiResource {
        let api_version = if self.group.is_empty() { version.to_owned() } else { format!("{}/{version}", self.group) };
        ApiResource {
            group: self.group.to_owned(),
            version: version.to_owned(),
            api_version,
            kind: self.kind.to_owned(),
            plural: self.plural.to_owned(),
        }
    }

    /// Where it stands in [`KINDS`], by the name of its definition.
    #[must_use]
    pub fn by_definition(name: &str) -> Option<usize> {
        let (plural, group) = name.split_once('.')?;
        KINDS.iter().position(|k| !k.built_in && k.plural == plural && k.group == group)
    }

    /// The best version that a `CustomResourceDefinition` serves; `None` while it serves none that can be read.
    #[must_use]
    pub fn served(&self, definition: &Value) -> Option<&'static str> {
        let established = definition.pointer("/status/conditions").and_then(Value::as_array)?;
        let is_true = |c: &Value| c["type"] == "Established" && c["status"] == "True";
        if !established.iter().any(is_true) {
            return None;
        }
        let versions = definition.pointer("/spec/versions").and_then(Value::as_array)?;
        let serves = |name: &str| versions.iter().any(|v| v["name"] == name && v["served"] == true);
        self.versions.iter().find(|name| serves(name)).copied()
    }
}
