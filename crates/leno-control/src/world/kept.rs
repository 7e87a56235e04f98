//! What the world keeps, and under which key.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use leno_core::model::{AuthorizationPolicy, DestinationRule, PeerAuthentication, RouteTable, Telemetry};

/// An object by its place in Kubernetes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectKey {
    /// API group; empty for the core group.
    pub group: String,
    /// Kind.
    pub kind: String,
    /// Namespace; empty for cluster-scoped kinds.
    pub namespace: String,
    /// Name.
    pub name: String,
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.namespace.as_str() {
            "" => write!(f, "{} {}", self.kind, self.name),
            namespace => write!(f, "{} {namespace}/{}", self.kind, self.name),
        }
    }
}

/// A route table with its place among the tables for one service.
#[derive(Clone, Debug)]
pub struct RankedTable {
    pub(super) rank: u8,
    pub(super) created: i64,
    /// The table.
    pub table: Arc<RouteTable>,
}

/// A destination rule with its place among the rules for one service.
#[derive(Clone, Debug)]
pub struct RankedRule {
    pub(super) created: i64,
    /// The rule.
    pub rule: Arc<DestinationRule>,
}

/// Policies of one namespace, by object.
#[derive(Clone, Debug, Default)]
pub struct NamespacePolicies {
    /// Mutual TLS modes.
    pub authn: BTreeMap<ObjectKey, PeerAuthentication>,
    /// Authorization.
    pub authz: BTreeMap<ObjectKey, AuthorizationPolicy>,
    /// What is reported.
    pub telemetry: BTreeMap<ObjectKey, Telemetry>,
}
