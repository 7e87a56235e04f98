//! Pods and their containers.

use std::collections::BTreeSet;

use super::{is_dns_label, is_port_name, protocol};
use crate::istio::common::Findings;
use crate::k8s::container::{Container, EnvFrom, EnvVar, FieldRef, Handler, HttpGet, Probe};
use crate::k8s::meta::IntOrString;
use crate::k8s::pod::PodSpec;
use crate::k8s::volume::{DownwardApi, Volume};
use crate::object::Path;

/// `spec` of a pod or of a template.
pub(crate) fn pod_spec(spec: &PodSpec, path: &Path, findings: &mut Findings<'_>) {
    if spec.containers.is_empty() {
        findings.error(&path.key("containers"), "is missing: a pod needs a container");
    }
    if !matches!(spec.restart_policy.as_str(), "Always" | "OnFailure" | "Never") {
        let at = path.key("restartPolicy");
        findings.error(&at, format!("`{}` is none of Always, OnFailure, Never", spec.restart_policy));
    }
    if spec.host_network {
        let at = path.key("hostNetwork");
        findings.warning(&at, "pods on the node's network take no part in the mesh; `leno local` gives them their own");
    }
    for (field, name) in [("hostname", &spec.hostname), ("subdomain", &spec.subdomain)] {
        if !name.is_empty() && !is_dns_label(name) {
            findings.error(&path.key(field), format!("`{name}` is not a name: lower-case letters, digits and `-`"));
        }
    }
    let volumes = volumes(&spec.volumes, &path.key("volumes"), findings);
    let mut names = BTreeSet::new();
    for (field, containers) in [("initContainers", &spec.init_containers), ("containers", &spec.containers)] {
        for (index, container) in containers.iter().enumerate() {
            let at = path.key(field).index(index);
            if !names.insert(container.name.as_str()) {
                findings.error(&at.key("name"), format!("`{}` is there twice", container.name));
            }
            self::container(container, field == "initContainers", &volumes, &at, findings);
        }
    }
}

fn volumes<'p>(volumes: &'p [Volume], path: &Path, findings: &mut Findings<'_>) -> BTreeSet<&'p str> {
    let mut names = BTreeSet::new();
    for (index, volume) in volumes.iter().enumerate() {
        let at = path.index(index);
        if !is_dns_label(&volume.name) {
            findings.error(&at.key("name"), format!("`{}` is not a volume's name", volume.name));
        }
        if !names.insert(volume.name.as_str()) {
            findings.error(&at.key("name"), format!("`{}` is there twice", volume.name));
        }
        let sources = [
            volume.config_map.is_some(),
            volume.secret.is_some(),
            volume.empty_dir.is_some(),
            volume.projected.is_some(),
            volume.downward_api.is_some(),
            volume.host_path.is_some(),
        ];
        match sources.iter().filter(|there| **there).count() {
            1 => {}
            0 => findings.error(
                &at,
                "has no source that is honoured: configMap, secret, emptyDir, projected, downwardAPI or hostPath",
            ),
            _ => findings.error(&at, "must have only one source"),
        }
        if volume.host_path.as_ref().is_some_and(|h| !h.path.starts_with('/')) {
            findings.error(&at.keys("hostPath.path"), "must be an absolute path");
        }
        if volume.secret.as_ref().is_some_and(|s| s.secret_name.is_empty()) {
            findings.error(&at.keys("secret.secretName"), "is missing");
        }
        if volume.config_map.as_ref().is_some_and(|c| c.name.is_empty()) {
            findings.error(&at.keys("configMap.name"), "is missing");
        }
        if let Some(downward) = &volume.downward_api {
            downward_api(downward, &at.key("downwardAPI"), findings);
        }
        for (index, source) in volume.projected.iter().flat_map(|p| &p.sources).enumerate() {
            let at = at.keys("projected.sources").index(index);
            if let Some(downward) = &source.downward_api {
                downward_api(downward, &at.key("downwardAPI"), findings);
            }
            if source.service_account_token.as_ref().is_some_and(|t| t.path.is_empty()) {
                findings.error(&at.keys("serviceAccountToken.path"), "is missing");
            }
        }
    }
    names
}

fn downward_api(downward: &DownwardApi, path: &Path, findings: &mut Findings<'_>) {
    for (index, item) in downward.items.iter().enumerate() {
        if let Some(field) = &item.field_ref {
            field_ref(field, true, &path.key("items").index(index).key("fieldRef"), findings);
        }
    }
}

fn container(container: &Container, is_init: bool, volumes: &BTreeSet<&str>, path: &Path, findings: &mut Findings<'_>) {
    if !is_dns_label(&container.name) {
        findings.error(&path.key("name"), format!("`{}` is not a container's name", container.name));
    }
    let stays = container.restart_policy.as_deref() == Some("Always");
    match container.restart_policy.as_deref() {
        None => {}
        Some("Always") if is_init => {}
        Some(_) if is_init => findings.error(&path.key("restartPolicy"), "of an init container can only be Always"),
        Some(_) => findings.error(&path.key("restartPolicy"), "is for init containers only"),
    }
    ports(container, path, findings);
    for (index, env) in container.env.iter().enumerate() {
        self::env(env, &path.key("env").index(index), findings);
    }
    for (index, from) in container.env_from.iter().enumerate() {
        env_from(from, &path.key("envFrom").index(index), findings);
    }
    let mut mounted = BTreeSet::new();
    for (index, mount) in container.volume_mounts.iter().enumerate() {
        let at = path.key("volumeMounts").index(index);
        if !volumes.contains(mount.name.as_str()) {
            findings.error(&at.key("name"), format!("no volume of the pod is named `{}`", mount.name));
        }
        if mount.mount_path.is_empty() {
            findings.error(&at.key("mountPath"), "is missing");
        } else if !mounted.insert(mount.mount_path.as_str()) {
            findings.error(&at.key("mountPath"), format!("`{}` is mounted twice", mount.mount_path));
        }
        if mount.sub_path.starts_with('/') || mount.sub_path.split('/').any(|part| part == "..") {
            findings.error(&at.key("subPath"), "must be a relative path without `..`");
        }
    }
    let probes = [
        ("livenessProbe", &container.liveness_probe),
        ("readinessProbe", &container.readiness_probe),
        ("startupProbe", &container.startup_probe),
    ];
    for (field, probe) in probes {
        let Some(probe) = probe else { continue };
        let at = path.key(field);
        if is_init && !stays {
            findings.error(&at, "is not for init containers that end");
        }
        self::probe(probe, field, container, &at, findings);
    }
    if let Some(lifecycle) = &container.lifecycle {
        if is_init && !stays {
            findings.error(&path.key("lifecycle"), "is not for init containers that end");
        }
        for (field, hook) in [("postStart", &lifecycle.post_start), ("preStop", &lifecycle.pre_stop)] {
            if let Some(hook) = hook {
                handler(hook, container, &path.key("lifecycle").key(field), findings);
            }
        }
    }
}

fn ports(container: &Container, path: &Path, findings: &mut Findings<'_>) {
    let mut names = BTreeSet::new();
    for (index, port) in container.ports.iter().enumerate() {
        let at = path.key("ports").index(index);
        if port.container_port == 0 {
            findings.error(&at.key("containerPort"), "must be a port from 1 to 65535");
        }
        protocol(&port.protocol, &at, findings);
        if !port.name.is_empty() && !is_port_name(&port.name) {
            let form = "at most 15 of lower-case letters, digits and `-`";
            findings.error(&at.key("name"), format!("`{}` is not a port's name: {form}", port.name));
        }
        if !port.name.is_empty() && !names.insert(port.name.as_str()) {
            findings.error(&at.key("name"), format!("`{}` is there twice", port.name));
        }
    }
}

fn env(env: &EnvVar, path: &Path, findings: &mut Findings<'_>) {
    let printable = |b: u8| (0x20..0x7f).contains(&b) && b != b'=';
    if env.name.is_empty() || !env.name.bytes().all(printable) {
        findings.error(&path.key("name"), format!("`{}` is not a variable's name", env.name));
    }
    let Some(from) = &env.value_from else { return };
    let at = path.key("valueFrom");
    if env.value.as_ref().is_some_and(|v| !v.is_empty()) {
        findings.error(&at, "cannot be combined with value");
    }
    let sources = [from.field_ref.is_some(), from.config_map_key_ref.is_some(), from.secret_key_ref.is_some()];
    if sources.iter().filter(|there| **there).count() > 1 {
        findings.error(&at, "must have only one source");
    }
    if let Some(field) = &from.field_ref {
        field_ref(field, false, &at.key("fieldRef"), findings);
    }
    for (field, key) in [("configMapKeyRef", &from.config_map_key_ref), ("secretKeyRef", &from.secret_key_ref)] {
        let Some(key) = key else { continue };
        for (part, text) in [("name", &key.name), ("key", &key.key)] {
            if text.is_empty() {
                findings.error(&at.key(field).key(part), "is missing");
            }
        }
    }
}

fn env_from(from: &EnvFrom, path: &Path, findings: &mut Findings<'_>) {
    match (&from.config_map_ref, &from.secret_ref) {
        (Some(one), None) | (None, Some(one)) if !one.name.is_empty() => {}
        (Some(_), Some(_)) | (None, None) => findings.error(path, "must have one of configMapRef and secretRef"),
        _ => findings.error(path, "names no object"),
    }
}

/// Fields that Kubernetes gives to environments; volumes have no `status` and `spec`, but all labels at once.
fn field_ref(field: &FieldRef, in_volume: bool, path: &Path, findings: &mut Findings<'_>) {
    let at = path.key("fieldPath");
    let text = field.field_path.as_str();
    let subscript = ["metadata.labels['", "metadata.annotations['"]
        .iter()
        .any(|head| text.strip_prefix(head).is_some_and(|rest| rest.len() > 2 && rest.ends_with("']")));
    let known = match text {
        "metadata.name" | "metadata.namespace" | "metadata.uid" => true,
        "metadata.labels" | "metadata.annotations" => in_volume,
        "spec.nodeName"
        | "spec.serviceAccountName"
        | "status.hostIP"
        | "status.hostIPs"
        | "status.podIP"
        | "status.podIPs" => !in_volume,
        _ => subscript,
    };
    if !known {
        findings.error(&at, format!("`{text}` is no field that can be read here"));
    }
}

fn probe(probe: &Probe, kind: &str, container: &Container, path: &Path, findings: &mut Findings<'_>) {
    let handlers = [probe.exec.is_some(), probe.http_get.is_some(), probe.tcp_socket.is_some(), probe.grpc.is_some()];
    if handlers.iter().filter(|there| **there).count() != 1 {
        findings.error(path, "must have exactly one of exec, httpGet, tcpSocket and grpc");
    }
    if kind != "readinessProbe" && probe.success_threshold != 1 {
        findings.error(&path.key("successThreshold"), "must be 1");
    }
    if probe.exec.as_ref().is_some_and(|e| e.command.is_empty()) {
        findings.error(&path.keys("exec.command"), "is missing");
    }
    if let Some(get) = &probe.http_get {
        http_get(get, container, &path.key("httpGet"), findings);
    }
    if let Some(tcp) = &probe.tcp_socket {
        port(&tcp.port, container, &path.keys("tcpSocket.port"), findings);
    }
    if probe.grpc.as_ref().is_some_and(|g| g.port == 0) {
        findings.error(&path.keys("grpc.port"), "must be a port from 1 to 65535");
    }
}

fn handler(handler: &Handler, container: &Container, path: &Path, findings: &mut Findings<'_>) {
    let actions = [handler.exec.is_some(), handler.http_get.is_some(), handler.sleep.is_some()];
    if actions.iter().filter(|there| **there).count() != 1 {
        findings.error(path, "must have exactly one of exec, httpGet and sleep");
    }
    if handler.exec.as_ref().is_some_and(|e| e.command.is_empty()) {
        findings.error(&path.keys("exec.command"), "is missing");
    }
    if let Some(get) = &handler.http_get {
        http_get(get, container, &path.key("httpGet"), findings);
    }
}

fn http_get(get: &HttpGet, container: &Container, path: &Path, findings: &mut Findings<'_>) {
    port(&get.port, container, &path.key("port"), findings);
    if !matches!(get.scheme.as_str(), "" | "HTTP" | "HTTPS") {
        findings.error(&path.key("scheme"), format!("`{}` is none of HTTP, HTTPS", get.scheme));
    }
}

fn port(port: &IntOrString, container: &Container, path: &Path, findings: &mut Findings<'_>) {
    match port {
        IntOrString::Int(1..=65535) => {}
        IntOrString::Text(name) if container.ports.iter().any(|p| p.name == *name) => {}
        IntOrString::Text(name) => findings.error(path, format!("no port of the container is named `{name}`")),
        IntOrString::Int(_) => findings.error(path, "must be a port from 1 to 65535 or a port's name"),
    }
}
