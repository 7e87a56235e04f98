//! What a Kubernetes API server would refuse, as far as it matters here.

mod pod;

use leno_core::model::Labels;

pub(crate) use pod::pod_spec;

use super::config::{ConfigMap, Secret};
use super::meta::{IntOrString, LabelSelector};
use super::pod::PodTemplate;
use super::service::ServiceSpec;
use super::workload::{Deployment, Job, StatefulSet};
use crate::istio::common::Findings;
use crate::object::{Object, Path};

/// Whether `text` is an RFC 1123 label: lower-case letters, digits and inner `-`, at most 63.
#[must_use]
pub fn is_dns_label(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    !text.is_empty() && text.len() <= 63 && text.bytes().all(inner) && !text.starts_with('-') && !text.ends_with('-')
}

/// Whether `text` is an RFC 1123 subdomain: labels joined by dots, at most 253.
#[must_use]
pub fn is_dns_subdomain(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(|label| is_dns_label(label) || is_long_label(label))
}

/// Parts of a subdomain may be longer than 63, as Kubernetes has it.
fn is_long_label(text: &str) -> bool {
    let word = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    text.len() > 63 && text.bytes().all(word) && !text.starts_with('-') && !text.ends_with('-')
}

/// `metadata`: name, namespace and labels of any object.
pub(crate) fn name(findings: &mut Findings<'_>) {
    let object: &Object = findings.object;
    let at = Path::root().keys("metadata.name");
    let (ok, form) = match object.kind.as_str() {
        "Service" => (
            is_dns_label(&object.name) && !object.name.starts_with(|c: char| c.is_ascii_digit()),
            "at most 63 of lower-case letters, digits and `-`, beginning with a letter",
        ),
        "Namespace" => (is_dns_label(&object.name), "at most 63 of lower-case letters, digits and `-`"),
        _ => (is_dns_subdomain(&object.name), "lower-case letters, digits, `-` and `.`"),
    };
    if !ok {
        findings.error(&at, format!("`{}` is not a name: {form}", object.name));
    }
    if let Some(namespace) = object.namespace.as_ref().filter(|n| !is_dns_label(n)) {
        findings.error(&Path::root().keys("metadata.namespace"), format!("`{namespace}` is not a namespace's name"));
    }
    let labels: Option<Labels> =
        object.json.pointer("/metadata/labels").and_then(|l| serde_json::from_value(l.clone()).ok());
    self::labels(&labels.unwrap_or_default(), &Path::root().keys("metadata.labels"), findings);
}

/// Labels: keys with an optional `prefix/`, values of at most 63.
pub(crate) fn labels(labels: &Labels, path: &Path, findings: &mut Findings<'_>) {
    for (key, value) in labels {
        let (prefix, name) = match key.split_once('/') {
            Some((prefix, name)) => (Some(prefix), name),
            None => (None, key.as_str()),
        };
        if !is_label_word(name) || prefix.is_some_and(|p| !is_dns_subdomain(p)) {
            findings.error(&path.key(key), format!("`{key}` is not a label's name"));
        }
        if !value.is_empty() && !is_label_word(value) {
            findings.error(
                &path.key(key),
                format!("`{value}` is not a label's value: at most 63 of letters, digits, `-`, `_` and `.`"),
            );
        }
    }
}

fn is_label_word(text: &str) -> bool {
    let ends = |c: char| c.is_ascii_alphanumeric();
    text.len() <= 63
        && text.starts_with(ends)
        && text.ends_with(ends)
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

/// A Service.
pub(crate) fn service(spec: &ServiceSpec, findings: &mut Findings<'_>) {
    name(findings);
    let at = Path::root().key("spec");
    match spec.kind.as_str() {
        "ClusterIP" => {}
        "ExternalName" if spec.external_name.is_empty() => findings.error(&at.key("externalName"), "is missing"),
        "ExternalName" => {}
        kind @ ("NodePort" | "LoadBalancer") => {
            findings.warning(&at.key("type"), format!("{kind} is taken as ClusterIP: nothing outside can reach it"));
        }
        other => {
            let known = "ClusterIP, ExternalName, NodePort, LoadBalancer";
            findings.error(&at.key("type"), format!("`{other}` is none of {known}"));
        }
    }
    let cluster_ips = std::iter::once((at.key("clusterIP"), &spec.cluster_ip))
        .chain(spec.cluster_ips.iter().enumerate().map(|(i, ip)| (at.key("clusterIPs").index(i), ip)));
    for (at, ip) in cluster_ips {
        if !ip.is_empty() && ip != "None" && ip.parse::<std::net::IpAddr>().is_err() {
            findings.error(&at, format!("`{ip}` is neither an IP address nor None"));
        }
    }
    if spec.session_affinity != "None" && !spec.session_affinity.is_empty() {
        findings.warning(&at.key("sessionAffinity"), "is not honoured: use a DestinationRule with consistentHash");
    }
    service_ports(spec, &at.key("ports"), findings);
    labels(&spec.selector, &at.key("selector"), findings);
}

fn service_ports(spec: &ServiceSpec, path: &Path, findings: &mut Findings<'_>) {
    if spec.ports.is_empty() && spec.kind != "ExternalName" && !spec.is_headless() {
        findings.error(path, "is missing: a Service needs a port");
    }
    for (index, port) in spec.ports.iter().enumerate() {
        let at = path.index(index);
        if port.port == 0 {
            findings.error(&at.key("port"), "must be a port from 1 to 65535");
        }
        if port.name.is_empty() && spec.ports.len() > 1 {
            findings.error(&at.key("name"), "is missing: several ports need names");
        } else if !port.name.is_empty() && !is_dns_label(&port.name) {
            findings.error(&at.key("name"), format!("`{}` is not a port's name", port.name));
        }
        protocol(&port.protocol, &at, findings);
        match &port.target_port {
            Some(IntOrString::Int(n)) if !(1..=65535).contains(n) => {
                findings.error(&at.key("targetPort"), "must be a port from 1 to 65535 or a port's name");
            }
            Some(IntOrString::Text(name)) if !is_port_name(name) => {
                let hint =
                    if name.bytes().all(|b| b.is_ascii_digit()) { ": write the number without quotes" } else { "" };
                findings.error(&at.key("targetPort"), format!("`{name}` is not a port's name{hint}"));
            }
            _ => {}
        }
        let earlier = &spec.ports[..index];
        if !port.name.is_empty() && earlier.iter().any(|p| p.name == port.name) {
            findings.error(&at.key("name"), format!("`{}` is there twice", port.name));
        }
        if earlier.iter().any(|p| p.port == port.port && p.is_udp() == port.is_udp()) {
            findings.error(&at.key("port"), format!("{} is there twice", port.port));
        }
    }
}

/// TCP, UDP or SCTP, and TCP where it says nothing.
fn protocol(protocol: &str, path: &Path, findings: &mut Findings<'_>) {
    if !matches!(protocol, "" | "TCP" | "UDP" | "SCTP") {
        findings.error(&path.key("protocol"), format!("`{protocol}` is none of TCP, UDP, SCTP"));
    }
}

/// An IANA service name: at most 15 of lower-case letters, digits and single inner `-`, with a letter.
fn is_port_name(name: &str) -> bool {
    name.len() <= 15 && is_dns_label(name) && name.bytes().any(|b| b.is_ascii_lowercase()) && !name.contains("--")
}

/// A Deployment.
pub(crate) fn deployment(deployment: &Deployment, findings: &mut Findings<'_>) {
    name(findings);
    let at = Path::root().key("spec");
    let strategy = deployment.spec.strategy.kind.as_str();
    if !matches!(strategy, "" | "RollingUpdate" | "Recreate") {
        findings.error(&at.keys("strategy.type"), format!("`{strategy}` is none of RollingUpdate, Recreate"));
    }
    let bounds = &deployment.spec.strategy.rolling_update;
    for (field, bound) in [("maxSurge", &bounds.max_surge), ("maxUnavailable", &bounds.max_unavailable)] {
        let fits = match bound {
            IntOrString::Int(n) => *n >= 0,
            IntOrString::Text(text) => text.strip_suffix('%').is_some_and(|n| n.parse::<u32>().is_ok()),
        };
        if !fits {
            let at = at.keys("strategy.rollingUpdate").key(field);
            findings.error(&at, format!("`{bound}` is neither a number nor a percentage such as 25%"));
        }
    }
    selected(&deployment.spec.selector, &deployment.spec.template, &at, findings);
    always(&deployment.spec.template, &at, findings);
    template(&deployment.spec.template, &at, findings);
}

/// A `StatefulSet`.
pub(crate) fn stateful_set(set: &StatefulSet, findings: &mut Findings<'_>) {
    name(findings);
    let at = Path::root().key("spec");
    let policy = set.spec.pod_management_policy.as_str();
    if !matches!(policy, "" | "OrderedReady" | "Parallel") {
        findings.error(&at.key("podManagementPolicy"), format!("`{policy}` is none of OrderedReady, Parallel"));
    }
    selected(&set.spec.selector, &set.spec.template, &at, findings);
    always(&set.spec.template, &at, findings);
    template(&set.spec.template, &at, findings);
}

/// A Job.
pub(crate) fn job(job: &Job, findings: &mut Findings<'_>) {
    name(findings);
    let at = Path::root().key("spec");
    let policy = job.spec.template.spec.restart_policy.as_str();
    if !matches!(policy, "OnFailure" | "Never") {
        let at = at.keys("template.spec.restartPolicy");
        findings.error(&at, "must be OnFailure or Never: the pods of a Job end");
    }
    template(&job.spec.template, &at, findings);
}

fn selected(selector: &LabelSelector, template: &PodTemplate, spec: &Path, findings: &mut Findings<'_>) {
    let at = spec.key("selector");
    if *selector == LabelSelector::default() {
        findings.error(&at, "is missing: it must select the labels of the template");
    } else if !selector.matches(&template.metadata.labels) {
        findings.error(&at, "does not select the labels of the template (spec.template.metadata.labels)");
    }
    for (index, expression) in selector.match_expressions.iter().enumerate() {
        if !matches!(expression.operator.as_str(), "In" | "NotIn" | "Exists" | "DoesNotExist") {
            let at = at.key("matchExpressions").index(index).key("operator");
            findings.error(&at, format!("`{}` is none of In, NotIn, Exists, DoesNotExist", expression.operator));
        }
    }
}

fn always(template: &PodTemplate, spec: &Path, findings: &mut Findings<'_>) {
    if template.spec.restart_policy != "Always" {
        findings.error(&spec.keys("template.spec.restartPolicy"), "must be Always: only the pods of a Job end");
    }
}

fn template(template: &PodTemplate, spec: &Path, findings: &mut Findings<'_>) {
    labels(&template.metadata.labels, &spec.keys("template.metadata.labels"), findings);
    pod_spec(&template.spec, &spec.keys("template.spec"), findings);
}

/// A `ConfigMap`.
pub(crate) fn config_map(map: &ConfigMap, findings: &mut Findings<'_>) {
    name(findings);
    keys(&map.data, "data", findings);
    keys(&map.binary_data, "binaryData", findings);
    if let Err(why) = map.bytes() {
        findings.error(&Path::root().key("binaryData").key(&why.key), why.to_string());
    }
}

/// A Secret.
pub(crate) fn secret(secret: &Secret, findings: &mut Findings<'_>) {
    name(findings);
    keys(&secret.data, "data", findings);
    keys(&secret.string_data, "stringData", findings);
    if let Err(why) = secret.bytes() {
        let diagnostic = findings.object.diagnostic(
            crate::Severity::Error,
            &Path::root().key("data").key(&why.key),
            why.to_string(),
        );
        findings.push(diagnostic.with_hint("plain text goes into stringData"));
    }
}

/// Keys become file names.
fn keys(map: &Labels, field: &str, findings: &mut Findings<'_>) {
    for key in map.keys() {
        let word = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
        if key.is_empty() || key.len() > 253 || !key.bytes().all(word) || key.starts_with("..") || key == "." {
            findings.error(&Path::root().key(field).key(key), "is not a key: letters, digits, `-`, `_` and `.`");
        }
    }
}

#[cfg(test)]
mod tests;
