//! `Policies`. What a reader does not understand denies: refusing the resource would keep an older policy, or none.

use leno_core::model::authz::{AuthzCondition, AuthzOperation, AuthzRule, AuthzSource, Values};
use leno_core::model::{AuthorizationPolicy, AuthzAction, MtlsMode, PeerAuthentication, Policies, Telemetry};

use super::common::{DecodeError, Wire, each, list, or_default, port, required, to_list, unless_default};
use crate::proto::leno as pb;

/// The level of `AuthorizationPolicy` that this program understands whole.
pub(super) const LEVEL: u32 = 1;

impl Wire for Policies {
    type Proto = pb::Policies;

    fn to_wire(&self) -> pb::Policies {
        pb::Policies {
            namespace: self.namespace.clone(),
            peer_authentications: to_list(&self.peer_authentications),
            authorization: to_list(&self.authorization),
            telemetry: to_list(&self.telemetry),
        }
    }

    fn from_wire(p: pb::Policies) -> Result<Self, DecodeError> {
        Ok(Self {
            namespace: p.namespace,
            peer_authentications: list(p.peer_authentications, "peer_authentications")?,
            authorization: list(p.authorization, "authorization")?,
            // What is reported is no reason to keep older policies: an object that cannot be read is left out.
            telemetry: p.telemetry.into_iter().filter_map(|t| Telemetry::from_wire(t).ok()).collect(),
        })
    }
}

impl Wire for PeerAuthentication {
    type Proto = pb::PeerAuthentication;

    fn to_wire(&self) -> pb::PeerAuthentication {
        pb::PeerAuthentication {
            origin: Some(self.origin.to_wire()),
            selector: self.selector.clone(),
            mode: mtls_mode(self.mode),
            ports: self.ports.iter().map(|(p, m)| pb::PortMtls { port: (*p).into(), mode: mtls_mode(*m) }).collect(),
            created: self.created,
        }
    }

    fn from_wire(p: pb::PeerAuthentication) -> Result<Self, DecodeError> {
        Ok(Self {
            origin: required(p.origin, "origin")?,
            selector: p.selector,
            mode: from_mtls_mode(p.mode),
            ports: each(p.ports, "ports", |p| Ok((port(p.port, "port")?, from_mtls_mode(p.mode))))?,
            created: p.created,
        })
    }
}

fn mtls_mode(mode: MtlsMode) -> i32 {
    let mode = match mode {
        MtlsMode::Unset => pb::MtlsMode::Unset,
        MtlsMode::Disable => pb::MtlsMode::Disable,
        MtlsMode::Permissive => pb::MtlsMode::Permissive,
        MtlsMode::Strict => pb::MtlsMode::Strict,
    };
    mode.into()
}

fn from_mtls_mode(mode: i32) -> MtlsMode {
    match pb::MtlsMode::try_from(mode) {
        Ok(pb::MtlsMode::Unset) => MtlsMode::Unset,
        Ok(pb::MtlsMode::Disable) => MtlsMode::Disable,
        Ok(pb::MtlsMode::Permissive) => MtlsMode::Permissive,
        Ok(pb::MtlsMode::Strict) | Err(_) => MtlsMode::Strict,
    }
}

impl Wire for AuthorizationPolicy {
    type Proto = pb::AuthorizationPolicy;

    fn to_wire(&self) -> pb::AuthorizationPolicy {
        use pb::authorization_policy::Action;
        let action = match self.action {
            AuthzAction::Allow => Action::Allow,
            AuthzAction::Deny => Action::Deny,
            AuthzAction::Audit => Action::Audit,
        };
        pb::AuthorizationPolicy {
            origin: Some(self.origin.to_wire()),
            selector: self.selector.clone(),
            action: action.into(),
            rules: to_list(&self.rules),
            level: LEVEL,
        }
    }

    fn from_wire(p: pb::AuthorizationPolicy) -> Result<Self, DecodeError> {
        use pb::authorization_policy::Action;
        let action = match Action::try_from(p.action) {
            Ok(Action::Allow) => Some(AuthzAction::Allow),
            Ok(Action::Deny) => Some(AuthzAction::Deny),
            Ok(Action::Audit) => Some(AuthzAction::Audit),
            Ok(Action::Unspecified) | Err(_) => None,
        };
        let origin = required(p.origin, "origin")?;
        let understood = action.filter(|_| (1..=LEVEL).contains(&p.level));
        let Some(action) = understood else {
            // A rule without conditions matches everything.
            let rules = vec![AuthzRule::default()];
            return Ok(Self { origin, selector: p.selector, action: AuthzAction::Deny, rules });
        };
        Ok(Self { origin, selector: p.selector, action, rules: list(p.rules, "rules")? })
    }
}

impl Wire for AuthzRule {
    type Proto = pb::AuthzRule;

    fn to_wire(&self) -> pb::AuthzRule {
        pb::AuthzRule { from: to_list(&self.from), to: to_list(&self.to), when: to_list(&self.when) }
    }

    fn from_wire(p: pb::AuthzRule) -> Result<Self, DecodeError> {
        Ok(Self { from: list(p.from, "from")?, to: list(p.to, "to")?, when: list(p.when, "when")? })
    }
}

impl Wire for Values {
    type Proto = pb::Values;

    fn to_wire(&self) -> pb::Values {
        pb::Values { any: self.any.clone(), not: self.not.clone() }
    }

    fn from_wire(p: pb::Values) -> Result<Self, DecodeError> {
        Ok(Self { any: p.any, not: p.not })
    }
}

impl Wire for AuthzSource {
    type Proto = pb::AuthzSource;

    fn to_wire(&self) -> pb::AuthzSource {
        pb::AuthzSource {
            principals: unless_default(&self.principals),
            namespaces: unless_default(&self.namespaces),
            accounts: unless_default(&self.accounts),
            ip_blocks: to_list(&self.ip_blocks),
            not_ip_blocks: to_list(&self.not_ip_blocks),
        }
    }

    fn from_wire(p: pb::AuthzSource) -> Result<Self, DecodeError> {
        Ok(Self {
            principals: or_default(p.principals, "principals")?,
            namespaces: or_default(p.namespaces, "namespaces")?,
            accounts: or_default(p.accounts, "accounts")?,
            ip_blocks: list(p.ip_blocks, "ip_blocks")?,
            not_ip_blocks: list(p.not_ip_blocks, "not_ip_blocks")?,
        })
    }
}

impl Wire for AuthzOperation {
    type Proto = pb::AuthzOperation;

    fn to_wire(&self) -> pb::AuthzOperation {
        pb::AuthzOperation {
            hosts: unless_default(&self.hosts),
            ports: unless_default(&self.ports),
            methods: unless_default(&self.methods),
            paths: unless_default(&self.paths),
        }
    }

    fn from_wire(p: pb::AuthzOperation) -> Result<Self, DecodeError> {
        Ok(Self {
            hosts: or_default(p.hosts, "hosts")?,
            ports: or_default(p.ports, "ports")?,
            methods: or_default(p.methods, "methods")?,
            paths: or_default(p.paths, "paths")?,
        })
    }
}

impl Wire for AuthzCondition {
    type Proto = pb::AuthzCondition;

    fn to_wire(&self) -> pb::AuthzCondition {
        pb::AuthzCondition { key: self.key.clone(), values: unless_default(&self.values) }
    }

    fn from_wire(p: pb::AuthzCondition) -> Result<Self, DecodeError> {
        Ok(Self { key: p.key, values: or_default(p.values, "values")? })
    }
}
