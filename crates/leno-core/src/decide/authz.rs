//! Who may do what (Istio's `AuthorizationPolicy`). Nothing fails open: what cannot be judged does not allow, and denies.

mod path;
mod values;

use std::cell::OnceCell;
use std::net::IpAddr;

use super::route::HeaderLookup;
use crate::id::{Origin, SpiffeId};
use crate::model::authz::{AuthzCondition, AuthzOperation, AuthzRule, AuthzSource};
use crate::model::{AuthorizationPolicy, AuthzAction, Labels, Policies, selects};

use path::PathForms;
pub use path::{BadPath, normalize_path};
use values::{Reading, wildcard};

/// What is known of a request or connection at the server's side.
#[derive(Clone, Copy)]
pub struct AuthzFacts<'a> {
    /// The client's verified identity; `None` in plaintext.
    pub peer: Option<&'a SpiffeId>,
    /// The client's address.
    pub source_ip: IpAddr,
    /// The address it dialled.
    pub destination_ip: IpAddr,
    /// The pod's port it dialled.
    pub destination_port: u16,
    /// Server name of the TLS connection.
    pub sni: Option<&'a str>,
    /// The request; `None` for an opaque connection.
    pub http: Option<HttpFacts<'a>>,
}

/// What is known of a request.
#[derive(Clone, Copy)]
pub struct HttpFacts<'a> {
    /// Method.
    pub method: &'a str,
    /// Path as it came, with or without query.
    pub path: &'a str,
    /// `Host` or `:authority`.
    pub host: &'a str,
    /// Headers.
    pub headers: &'a dyn HeaderLookup,
}

/// The judgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthzVerdict<'p> {
    /// It may pass.
    Allow {
        /// The policy that allows it; `None`: no ALLOW policy holds here.
        by: Option<&'p Origin>,
    },
    /// It may not: [`crate::Reason::PolicyDenied`].
    Deny {
        /// The policy that denies it, or the only ALLOW policy where none of its rules matched.
        by: Option<&'p Origin>,
        /// The rule of a DENY policy that matched, from 0.
        rule: Option<usize>,
        /// Why.
        why: DenyReason,
    },
}

/// Why it may not pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DenyReason {
    /// A DENY policy matches.
    Denied,
    /// ALLOW policies hold here and none matches.
    NotAllowed,
}

impl DenyReason {
    /// In words, to follow the policy's name.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::Denied => "a DENY policy matches the request",
            Self::NotAllowed => "ALLOW policies hold for the workload and none matches the request",
        }
    }
}

/// The policies that hold for a pod: those of its namespace and of the root namespace that select its labels. Collect
/// them once per change, then judge with [`authorize`].
pub fn applicable<'p>(
    policies: &[&'p Policies],
    namespace: &str,
    labels: &Labels,
    root_namespace: &str,
) -> impl Iterator<Item = &'p AuthorizationPolicy> {
    policies
        .iter()
        .filter(move |p| p.namespace == namespace || p.namespace == root_namespace)
        .flat_map(|p| &p.authorization)
        .filter(move |a| selects(&a.selector, labels))
}

/// Judges by Istio's order: any DENY that matches denies; else, where there is no ALLOW policy, it passes; else one of
/// them must match. AUDIT decides nothing (see [`audited`]).
#[must_use]
pub fn authorize<'p, I>(policies: I, facts: &AuthzFacts<'_>) -> AuthzVerdict<'p>
where
    I: IntoIterator<Item = &'p AuthorizationPolicy>,
{
    let request = Request::new(facts);
    let mut allowing = 0usize;
    let mut last_allowing = None;
    let mut allowed = None;
    for policy in policies {
        match policy.action {
            AuthzAction::Audit => {}
            AuthzAction::Deny => {
                if let Some(rule) = request.matching_rule(policy, Reading::Guard) {
                    return AuthzVerdict::Deny { by: Some(&policy.origin), rule: Some(rule), why: DenyReason::Denied };
                }
            }
            AuthzAction::Allow => {
                allowing += 1;
                last_allowing = Some(&policy.origin);
                if allowed.is_none() && request.matching_rule(policy, Reading::Grant).is_some() {
                    allowed = Some(&policy.origin);
                }
            }
        }
    }
    match allowed {
        None if allowing > 0 => {
            AuthzVerdict::Deny { by: last_allowing.filter(|_| allowing == 1), rule: None, why: DenyReason::NotAllowed }
        }
        by => AuthzVerdict::Allow { by },
    }
}

/// What one policy says of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyVerdict<'p> {
    /// The policy.
    pub policy: &'p AuthorizationPolicy,
    /// Its first rule that matches, from 0; `None`: none does.
    pub matched: Option<usize>,
    /// Where none matches: for each rule the part of it that does not hold.
    pub misses: Vec<RuleMiss>,
}

/// The part of a rule that does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuleMiss {
    /// No source of `from` matches.
    From,
    /// No operation of `to` matches.
    To,
    /// This condition of `when`, from 0, does not hold.
    When(usize),
}

/// What each policy says by itself, read as [`authorize`] reads it.
#[must_use]
pub fn each<'p>(
    policies: impl IntoIterator<Item = &'p AuthorizationPolicy>,
    facts: &AuthzFacts<'_>,
) -> Vec<PolicyVerdict<'p>> {
    let request = Request::new(facts);
    let verdict = |policy: &'p AuthorizationPolicy| {
        let reading = if policy.action == AuthzAction::Allow { Reading::Grant } else { Reading::Guard };
        let miss = |rule| request.rule_miss(rule, &policy.origin.namespace, reading);
        match request.matching_rule(policy, reading) {
            Some(rule) => PolicyVerdict { policy, matched: Some(rule), misses: Vec::new() },
            None => PolicyVerdict { policy, matched: None, misses: policy.rules.iter().filter_map(miss).collect() },
        }
    };
    policies.into_iter().map(verdict).collect()
}

/// The AUDIT policies that match.
pub fn audited<'p>(
    policies: impl IntoIterator<Item = &'p AuthorizationPolicy>,
    facts: &AuthzFacts<'_>,
) -> Vec<&'p Origin> {
    let request = Request::new(facts);
    policies
        .into_iter()
        .filter(|p| p.action == AuthzAction::Audit && request.matching_rule(p, Reading::Guard).is_some())
        .map(|p| &p.origin)
        .collect()
}

/// The facts, with what is worked out of them only where some rule asks.
struct Request<'f, 'a> {
    facts: &'f AuthzFacts<'a>,
    principal: OnceCell<Option<String>>,
    path: OnceCell<Option<PathForms>>,
}

impl<'f, 'a> Request<'f, 'a> {
    fn new(facts: &'f AuthzFacts<'a>) -> Self {
        Self { facts, principal: OnceCell::new(), path: OnceCell::new() }
    }

    fn matching_rule(&self, policy: &AuthorizationPolicy, reading: Reading) -> Option<usize> {
        policy.rules.iter().position(|rule| self.rule_miss(rule, &policy.origin.namespace, reading).is_none())
    }

    fn rule_miss(&self, rule: &AuthzRule, namespace: &str, reading: Reading) -> Option<RuleMiss> {
        if !rule.from.is_empty() && !rule.from.iter().any(|s| self.source(s, namespace, reading)) {
            return Some(RuleMiss::From);
        }
        if !rule.to.is_empty() && !rule.to.iter().any(|o| self.operation(o, reading)) {
            return Some(RuleMiss::To);
        }
        rule.when.iter().position(|c| !self.condition(c, namespace, reading)).map(RuleMiss::When)
    }

    fn source(&self, source: &AuthzSource, namespace: &str, reading: Reading) -> bool {
        let ip = self.facts.source_ip;
        reading.holds(&source.principals, |v, _| self.principal(v))
            && reading.holds(&source.namespaces, |v, _| self.namespace(v))
            && reading.holds(&source.accounts, |v, _| self.account(v, namespace))
            && (source.ip_blocks.is_empty() || source.ip_blocks.iter().any(|n| n.contains(&ip)))
            && !source.not_ip_blocks.iter().any(|n| n.contains(&ip))
    }

    fn operation(&self, operation: &AuthzOperation, reading: Reading) -> bool {
        if !reading.holds(&operation.ports, |v, _| v.parse() == Ok(self.facts.destination_port)) {
            return false;
        }
        let Some(http) = &self.facts.http else {
            // Istio's rule: conditions that only a request can meet never allow an opaque connection, and never save
            // one from a DENY.
            return !operation.needs_http() || reading == Reading::Guard;
        };
        reading.holds(&operation.methods, |v, _| wildcard(v, http.method))
            && reading.holds(&operation.hosts, |v, _| values::host(v, http.host))
            && reading.holds(&operation.paths, |v, certainty| {
                let forms = self.path.get_or_init(|| PathForms::new(http.path).ok());
                certainty.judge(forms.as_ref().map(|f| f.judge(v)))
            })
    }

    fn condition(&self, condition: &AuthzCondition, namespace: &str, reading: Reading) -> bool {
        let values = &condition.values;
        let facts = self.facts;
        match condition.key.as_str() {
            "source.ip" | "remote.ip" => reading.holds(values, |v, _| values::network(v, facts.source_ip)),
            "source.namespace" => reading.holds(values, |v, _| self.namespace(v)),
            "source.principal" => reading.holds(values, |v, _| self.principal(v)),
            "source.serviceAccount" => reading.holds(values, |v, _| self.account(v, namespace)),
            "destination.ip" => reading.holds(values, |v, _| values::network(v, facts.destination_ip)),
            "destination.port" => reading.holds(values, |v, _| v.parse() == Ok(facts.destination_port)),
            "connection.sni" => reading.holds(values, |v, _| facts.sni.is_some_and(|sni| wildcard(v, sni))),
            key => match (values::header_name(key), &facts.http) {
                (Some(name), Some(http)) => {
                    let value = http.headers.get(&name);
                    reading.holds(values, |v, _| value.as_deref().is_some_and(|h| wildcard(v, h)))
                }
                // An unknown condition, or one that only a request can meet.
                _ => reading == Reading::Guard,
            },
        }
    }

    fn principal(&self, value: &str) -> bool {
        let principal = self.principal.get_or_init(|| self.facts.peer.map(SpiffeId::principal));
        principal.as_deref().is_some_and(|p| wildcard(value, p))
    }

    fn namespace(&self, value: &str) -> bool {
        self.facts.peer.is_some_and(|p| wildcard(value, &p.namespace))
    }

    /// `NAMESPACE/ACCOUNT`, or an account in the policy's own namespace.
    fn account(&self, value: &str, policy_namespace: &str) -> bool {
        let (namespace, account) = value.split_once('/').unwrap_or((policy_namespace, value));
        self.facts.peer.is_some_and(|p| p.namespace == namespace && p.account == account)
    }
}

#[cfg(test)]
mod tests;
