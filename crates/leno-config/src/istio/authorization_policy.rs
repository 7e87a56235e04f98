//! `AuthorizationPolicy`.
//!
//! A policy that Istio knows and Leno cannot enforce yet denies everything that it selects, and says so: it must never
//! let through what its author meant to keep out.

use leno_core::model::authz::{
    AuthorizationPolicy as Model, AuthzAction, AuthzCondition, AuthzOperation, AuthzRule, AuthzSource, Values,
};
use serde::{Deserialize, Serialize};

use super::common::{Findings, Selector};
use super::virtual_service::network;
use crate::diagnostic::Diagnostic;
use crate::k8s::ObjectMeta;
use crate::lower::Lowered;
use crate::object::{Object, Path};
use crate::typed;

/// The object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct AuthorizationPolicy {
    metadata: ObjectMeta,
    spec: Spec,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Spec {
    selector: Selector,
    action: String,
    rules: Vec<Rule>,
    provider: Option<Provider>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Provider {
    name: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Rule {
    from: Option<Vec<From>>,
    to: Option<Vec<To>>,
    when: Vec<Condition>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct From {
    source: Source,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Source {
    principals: Vec<String>,
    not_principals: Vec<String>,
    request_principals: Vec<String>,
    not_request_principals: Vec<String>,
    namespaces: Vec<String>,
    not_namespaces: Vec<String>,
    service_accounts: Vec<String>,
    not_service_accounts: Vec<String>,
    ip_blocks: Vec<String>,
    not_ip_blocks: Vec<String>,
    remote_ip_blocks: Vec<String>,
    not_remote_ip_blocks: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct To {
    operation: Operation,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Operation {
    hosts: Vec<String>,
    not_hosts: Vec<String>,
    ports: Vec<String>,
    not_ports: Vec<String>,
    methods: Vec<String>,
    not_methods: Vec<String>,
    paths: Vec<String>,
    not_paths: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Condition {
    key: String,
    values: Vec<String>,
    not_values: Vec<String>,
}

/// Lowers the object.
pub(crate) fn lower(object: &Object) -> Result<(Vec<Lowered>, Vec<Diagnostic>), Vec<Diagnostic>> {
    let (raw, unknown) = typed::<AuthorizationPolicy>(object).map_err(|e| vec![e])?;
    let mut walk = Walk { findings: Findings::new(object, unknown), unenforceable: Vec::new() };
    let spec = Path::root().key("spec");
    let action = match raw.spec.action.as_str() {
        "" | "ALLOW" => AuthzAction::Allow,
        "DENY" => AuthzAction::Deny,
        "AUDIT" => AuthzAction::Audit,
        "CUSTOM" => {
            walk.cannot(&spec.key("action"), "CUSTOM (an outside authorizer) is not honoured yet");
            AuthzAction::Deny
        }
        other => {
            walk.findings.error(&spec.key("action"), format!("`{other}` is none of ALLOW, DENY, AUDIT, CUSTOM"));
            AuthzAction::Deny
        }
    };
    if raw.spec.provider.is_some() && raw.spec.action != "CUSTOM" {
        walk.findings.error(&spec.key("provider"), "goes with the action CUSTOM only");
    }
    let rule = |(index, rule): (usize, &Rule)| walk.rule(rule, &spec.key("rules").index(index));
    let rules: Vec<AuthzRule> = raw.spec.rules.iter().enumerate().map(rule).collect();
    let Walk { mut findings, unenforceable } = walk;
    let mut model = Model { origin: object.origin(), selector: raw.spec.selector.match_labels, action, rules };
    // An AUDIT policy keeps nothing out, so that nothing is let through by leaving it.
    if !unenforceable.is_empty() && action != AuthzAction::Audit {
        (model.action, model.rules) = (AuthzAction::Deny, vec![AuthzRule::default()]);
    }
    for (path, why) in unenforceable {
        let consequence = match action {
            AuthzAction::Audit => "more is noted than meant",
            _ => "the whole policy denies everything it selects, so that nothing is let through by mistake",
        };
        findings.warning(&path, format!("{why}: {consequence}"));
    }
    findings.finish(vec![Lowered::AuthorizationPolicy(model)])
}

struct Walk<'o> {
    findings: Findings<'o>,
    unenforceable: Vec<(Path, String)>,
}

impl Walk<'_> {
    fn cannot(&mut self, path: &Path, why: impl Into<String>) {
        self.unenforceable.push((path.clone(), why.into()));
    }

    fn rule(&mut self, rule: &Rule, path: &Path) -> AuthzRule {
        // An empty list would match everything where its author may have meant nothing: Istio refuses it too.
        for (field, empty) in [
            ("from", rule.from.as_ref().is_some_and(Vec::is_empty)),
            ("to", rule.to.as_ref().is_some_and(Vec::is_empty)),
        ] {
            if empty {
                self.findings.error(&path.key(field), "must not be empty: leave it out to match everything");
            }
        }
        let mut out = AuthzRule::default();
        for (index, from) in rule.from.iter().flatten().enumerate() {
            out.from.push(self.source(&from.source, &path.key("from").index(index).key("source")));
        }
        for (index, to) in rule.to.iter().flatten().enumerate() {
            out.to.push(self.operation(&to.operation, &path.key("to").index(index).key("operation")));
        }
        for (index, condition) in rule.when.iter().enumerate() {
            out.when.push(self.condition(condition, &path.key("when").index(index)));
        }
        out
    }

    fn source(&mut self, source: &Source, path: &Path) -> AuthzSource {
        if *source == Source::default() {
            self.findings.error(path, "must not be empty: leave it out to match everything");
        }
        for (field, values) in [
            ("requestPrincipals", &source.request_principals),
            ("notRequestPrincipals", &source.not_request_principals),
            ("remoteIpBlocks", &source.remote_ip_blocks),
            ("notRemoteIpBlocks", &source.not_remote_ip_blocks),
        ] {
            if !values.is_empty() {
                self.cannot(&path.key(field), format!("{field} is not honoured yet"));
            }
        }
        let account =
            |text: &String, own: &str| if text.contains('/') { text.clone() } else { format!("{own}/{text}") };
        let own = self.findings.object.namespace().to_owned();
        let accounts = |texts: &[String]| texts.iter().map(|t| account(t, &own)).collect();
        let stripped = |texts: &[String]| -> Vec<String> {
            texts.iter().map(|t| t.strip_prefix("spiffe://").unwrap_or(t).to_owned()).collect()
        };
        AuthzSource {
            principals: Values { any: stripped(&source.principals), not: stripped(&source.not_principals) },
            namespaces: values(&source.namespaces, &source.not_namespaces),
            accounts: Values { any: accounts(&source.service_accounts), not: accounts(&source.not_service_accounts) },
            ip_blocks: self.networks(&source.ip_blocks, &path.key("ipBlocks")),
            not_ip_blocks: self.networks(&source.not_ip_blocks, &path.key("notIpBlocks")),
        }
    }

    fn networks(&mut self, texts: &[String], path: &Path) -> Vec<ipnet::IpNet> {
        let mut out = Vec::new();
        for (index, text) in texts.iter().enumerate() {
            match network(text) {
                Some(network) => out.push(network),
                None => self.findings.error(&path.index(index), format!("`{text}` is no address and no network")),
            }
        }
        out
    }

    fn operation(&mut self, operation: &Operation, path: &Path) -> AuthzOperation {
        if *operation == Operation::default() {
            self.findings.error(path, "must not be empty: leave it out to match everything");
        }
        for (field, ports) in [("ports", &operation.ports), ("notPorts", &operation.not_ports)] {
            for (index, port) in ports.iter().enumerate() {
                if !port.parse::<u16>().is_ok_and(|p| p > 0) {
                    self.findings.error(&path.key(field).index(index), format!("`{port}` is not a port"));
                }
            }
        }
        for (field, paths) in [("paths", &operation.paths), ("notPaths", &operation.not_paths)] {
            for (index, template) in paths.iter().enumerate().filter(|(_, p)| p.contains(['{', '}'])) {
                self.cannot(
                    &path.key(field).index(index),
                    format!("path templates (`{template}`) are not honoured yet"),
                );
            }
        }
        AuthzOperation {
            hosts: values(&operation.hosts, &operation.not_hosts),
            ports: values(&operation.ports, &operation.not_ports),
            methods: values(&operation.methods, &operation.not_methods),
            paths: values(&operation.paths, &operation.not_paths),
        }
    }

    fn condition(&mut self, condition: &Condition, path: &Path) -> AuthzCondition {
        let key = condition.key.as_str();
        if condition.values.is_empty() && condition.not_values.is_empty() {
            self.findings.error(path, "must have values or notValues");
        }
        let is_header = key.strip_prefix("request.headers[").is_some_and(|r| r.ends_with(']') && r.len() > 1);
        if is_header || HONOURED.contains(&key) {
            if matches!(key, "source.ip" | "destination.ip") {
                let texts: Vec<String> = condition.values.iter().chain(&condition.not_values).cloned().collect();
                self.networks(&texts, &path.key("values"));
            }
        } else if KNOWN_TO_ISTIO.iter().any(|known| key.starts_with(known)) {
            self.cannot(&path.key("key"), format!("the condition `{key}` is not honoured yet"));
        } else {
            self.findings.error(&path.key("key"), format!("`{key}` is no condition"));
        }
        AuthzCondition { key: condition.key.clone(), values: values(&condition.values, &condition.not_values) }
    }
}

const HONOURED: &[&str] = &[
    "source.ip",
    "source.namespace",
    "source.principal",
    "source.serviceAccount",
    "destination.ip",
    "destination.port",
    "connection.sni",
];

const KNOWN_TO_ISTIO: &[&str] = &["request.auth.", "remote.ip", "experimental."];

fn values(any: &[String], not: &[String]) -> Values {
    Values { any: any.to_vec(), not: not.to_vec() }
}
