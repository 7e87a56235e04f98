//! Authorization policies (Istio's `AuthorizationPolicy`).

use serde::Serialize;

use super::Labels;
use crate::id::Origin;

/// One `AuthorizationPolicy`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AuthorizationPolicy {
    /// The object.
    pub origin: Origin,
    /// Pods it selects; empty = the whole namespace (or mesh, in the root namespace).
    pub selector: Labels,
    /// What a match means.
    pub action: AuthzAction,
    /// Alternatives. No rules: an ALLOW policy that allows nothing.
    pub rules: Vec<AuthzRule>,
}

/// `action`; CUSTOM is refused where it is lowered, and lowers to a DENY of everything so that nothing fails open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum AuthzAction {
    /// Allow what matches; with at least one ALLOW policy, all else is denied.
    Allow,
    /// Deny what matches, before any ALLOW.
    Deny,
    /// Only note it.
    Audit,
}

/// A rule: some `from`, and some `to`, and all of `when`. Empty lists match all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct AuthzRule {
    /// Sources.
    pub from: Vec<AuthzSource>,
    /// Operations.
    pub to: Vec<AuthzOperation>,
    /// Conditions.
    pub when: Vec<AuthzCondition>,
}

/// A value list and its opposite. Values: exact, `prefix*`, `*suffix`, or `*` for present.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Values {
    /// One must match; empty = any.
    pub any: Vec<String>,
    /// None may match.
    pub not: Vec<String>,
}

/// `Source`: all lists must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct AuthzSource {
    /// Peer identities, without `spiffe://`.
    pub principals: Values,
    /// Peer namespaces.
    pub namespaces: Values,
    /// Peer service accounts, `NAMESPACE/ACCOUNT`.
    pub accounts: Values,
    /// Peer networks.
    pub ip_blocks: Vec<ipnet::IpNet>,
    /// Peer networks excluded.
    pub not_ip_blocks: Vec<ipnet::IpNet>,
}

/// `Operation`: all lists must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct AuthzOperation {
    /// Hosts (case-insensitive).
    pub hosts: Values,
    /// Destination ports.
    pub ports: Values,
    /// Methods.
    pub methods: Values,
    /// Paths, normalised.
    pub paths: Values,
}

impl AuthzOperation {
    /// Whether it speaks of anything but ports: such an operation never matches an opaque connection for ALLOW, and
    /// always does for DENY (Istio's rule).
    #[must_use]
    pub fn needs_http(&self) -> bool {
        [&self.hosts, &self.methods, &self.paths].iter().any(|v| !v.any.is_empty() || !v.not.is_empty())
    }
}

/// `Condition`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AuthzCondition {
    /// `request.headers[NAME]`, `source.ip`, `source.namespace`, `source.principal`, `source.serviceAccount`,
    /// `destination.ip`, `destination.port`, `connection.sni`.
    pub key: String,
    /// Its values.
    pub values: Values,
}
