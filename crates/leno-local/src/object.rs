//! Objects as the local mesh stores them.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What names an object. The API group is part of it: two groups have a kind `Service` (Knative's).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ObjectKey {
    /// API group, empty for the core group.
    pub group: String,
    /// Kind.
    pub kind: String,
    /// Namespace, empty for cluster-scoped kinds.
    pub namespace: String,
    /// Name.
    pub name: String,
}

impl ObjectKey {
    /// A key of the core group.
    pub fn core(kind: &str, namespace: &str, name: &str) -> Self {
        Self { group: String::new(), kind: kind.into(), namespace: namespace.into(), name: name.into() }
    }

    /// The key of an object that was read.
    #[must_use]
    pub fn of(object: &leno_config::Object) -> Self {
        Self {
            group: object.group().to_owned(),
            kind: object.kind.clone(),
            namespace: object.namespace().to_owned(),
            name: object.name.clone(),
        }
    }

    /// A file name that no other key has.
    #[must_use]
    pub fn file_name(&self) -> String {
        let group = if self.group.is_empty() { "core" } else { &self.group };
        format!("{}.{group}.{}.{}.json", self.kind, self.namespace, self.name)
    }
}

impl std::fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = self.kind.to_lowercase();
        match self.namespace.as_str() {
            "" => write!(f, "{kind}/{}", self.name),
            namespace => write!(f, "{kind}/{} in {namespace}", self.name),
        }
    }
}

/// An object on its way to the mesh: what was read, with the defaults of the command line filled in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Submitted {
    /// Its name.
    pub key: ObjectKey,
    /// `file:line`.
    pub source: String,
    /// The whole object.
    pub json: Value,
}

impl Submitted {
    /// Fills in the namespace and gives the object its form for the wire.
    #[must_use]
    pub fn new(object: &leno_config::Object) -> Self {
        let key = ObjectKey::of(object);
        let mut json = object.json.clone();
        if !key.namespace.is_empty()
            && let Some(meta) = json.get_mut("metadata").and_then(Value::as_object_mut)
        {
            meta.insert("namespace".into(), Value::String(key.namespace.clone()));
        }
        Self { key, source: object.position.to_string(), json }
    }
}

/// Kind by what people type: `deploy`, `svc`, `po` …
#[must_use]
pub fn kind_of_word(word: &str) -> Option<&'static str> {
    let word = word.to_ascii_lowercase();
    KINDS.iter().find(|(_, words)| words.contains(&word.as_str())).map(|(kind, _)| *kind)
}

const KINDS: &[(&str, &[&str])] = &[
    ("Pod", &["pod", "pods", "po"]),
    ("Deployment", &["deployment", "deployments", "deploy"]),
    ("StatefulSet", &["statefulset", "statefulsets", "sts"]),
    ("Job", &["job", "jobs"]),
    ("Service", &["service", "services", "svc"]),
    ("EndpointSlice", &["endpointslice", "endpointslices", "endpoints", "ep"]),
    ("Namespace", &["namespace", "namespaces", "ns"]),
    ("ServiceAccount", &["serviceaccount", "serviceaccounts", "sa"]),
    ("ConfigMap", &["configmap", "configmaps", "cm"]),
    ("Secret", &["secret", "secrets"]),
    ("VirtualService", &["virtualservice", "virtualservices", "vs"]),
    ("DestinationRule", &["destinationrule", "destinationrules", "dr"]),
    ("PeerAuthentication", &["peerauthentication", "peerauthentications", "pa"]),
    ("AuthorizationPolicy", &["authorizationpolicy", "authorizationpolicies", "ap"]),
    ("Telemetry", &["telemetry", "telemetries"]),
    ("TrafficSplit", &["trafficsplit", "trafficsplits", "ts"]),
    ("HTTPRoute", &["httproute", "httproutes"]),
    ("GRPCRoute", &["grpcroute", "grpcroutes"]),
];
