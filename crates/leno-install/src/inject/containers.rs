//! The two containers and the volumes that injection adds.

use leno_core::names::{PROXY_UID, TOKEN_AUDIENCE, port};
use serde_json::{Value, json};

use super::sidecar::Sidecar;
use super::traffic::Traffic;
use super::{INIT_CONTAINER, InjectSettings, PROXY_CONTAINER, ROOT_CONFIG_MAP, probes};

/// How the proxy learns of the application's probes.
#[derive(Clone, Debug, PartialEq)]
pub enum AppProbes {
    /// It does them itself; the originals by path.
    Rewritten(serde_json::Map<String, Value>),
    /// It lets them pass from the node.
    Admitted(Value),
}

/// The init container that redirects the pod's traffic, as root with `NET_ADMIN`, and ends.
#[must_use]
pub fn init(settings: &InjectSettings, sidecar: &Sidecar, traffic: &Traffic) -> Value {
    let mut command = vec![settings.program.clone(), "init".into()];
    match settings.socket_mark {
        Some(mark) => command.extend(["--mark".into(), mark.to_string()]),
        None => command.extend(["--uid".into(), PROXY_UID.to_string()]),
    }
    let mut flag = |name: &str, values: &[String]| {
        if !values.is_empty() {
            command.extend([format!("--{name}"), values.join(",")]);
        }
    };
    // An include list that is empty means "nothing", which the flag spells as the empty text.
    let include = |list: &Option<Vec<String>>| list.as_ref().map(|l| vec![l.join(",")]).unwrap_or_default();
    flag("include-inbound-ports", &include(&traffic.include_inbound_ports));
    flag("exclude-inbound-ports", &traffic.exclude_inbound_ports);
    flag("include-outbound-ports", &traffic.include_outbound_ports);
    flag("exclude-outbound-ports", &traffic.exclude_outbound_ports);
    flag("include-outbound-ip-ranges", &include(&traffic.include_outbound_ranges));
    flag("exclude-outbound-ip-ranges", &traffic.exclude_outbound_ranges);
    let mut container = json!({
        "name": INIT_CONTAINER,
        "image": sidecar.image,
        "command": command,
        "securityContext": {
            "runAsUser": 0, "runAsGroup": 0, "runAsNonRoot": false, "privileged": false,
            "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true,
            "capabilities": {"drop": ["ALL"], "add": settings.init_capabilities},
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    });
    common(&mut container, sidecar);
    container
}

/// The sidecar. A native one is an init container that stays: up before the application and gone after it. Else it is a
/// container, which holds the application back by its hook if that is asked for.
#[must_use]
pub fn proxy(settings: &InjectSettings, sidecar: &Sidecar, probes: &AppProbes) -> Value {
    let ready = json!({"path": "/healthz/ready", "port": port::HEALTH});
    let mut container = json!({
        "name": PROXY_CONTAINER,
        "image": sidecar.image,
        "command": [settings.program, "run"],
        "env": environment(settings, sidecar, probes),
        "ports": [{"name": "http-envoy-prom", "containerPort": port::METRICS, "protocol": "TCP"}],
        "securityContext": security(settings),
        "startupProbe": {"httpGet": ready, "periodSeconds": 1, "timeoutSeconds": 3, "failureThreshold": 600},
        "readinessProbe": {"httpGet": ready, "periodSeconds": 15, "timeoutSeconds": 3, "failureThreshold": 4},
        "volumeMounts": [
            {"name": TOKEN_VOLUME, "mountPath": "/var/run/secrets/tokens"},
            {"name": ROOT_VOLUME, "mountPath": "/var/run/secrets/istio"},
        ],
    });
    if sidecar.native {
        container["restartPolicy"] = json!("Always");
    } else if sidecar.hold {
        // The node starts the next container after this hook's end.
        container["lifecycle"] = json!({"postStart": {"exec": {"command": [settings.program, "wait"]}}});
    }
    common(&mut container, sidecar);
    container
}

/// Requests, limits and the way to get the image.
fn common(container: &mut Value, sidecar: &Sidecar) {
    if let Some(policy) = &sidecar.pull_policy {
        container["imagePullPolicy"] = json!(policy);
    }
    let mut resources = json!({});
    for (key, map) in [("requests", &sidecar.resources.requests), ("limits", &sidecar.resources.limits)] {
        if !map.is_empty() {
            resources[key] = json!(map);
        }
    }
    if resources.as_object().is_some_and(|r| !r.is_empty()) {
        container["resources"] = resources;
    }
}

/// The token for the control plane and the mesh's root certificate.
#[must_use]
pub fn volumes() -> Vec<Value> {
    vec![
        json!({
            "name": TOKEN_VOLUME,
            "projected": {"sources": [{"serviceAccountToken": {
                "audience": TOKEN_AUDIENCE, "expirationSeconds": 43200, "path": "istio-token",
            }}]},
        }),
        json!({"name": ROOT_VOLUME, "configMap": {"name": ROOT_CONFIG_MAP}}),
    ]
}

/// Linkerd's series beside Istio's.
const LINKERD_METRICS: &str = "LENO_LINKERD_METRICS";

fn environment(settings: &InjectSettings, sidecar: &Sidecar, probes: &AppProbes) -> Vec<Value> {
    let field = |name: &str, path: &str| json!({"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}});
    // Kubernetes expands `$(NAME)` in values, and takes `$$` for `$`.
    let plain = |name: &str, value: &str| json!({"name": name, "value": value.replace('$', "$$")});
    let mut env = vec![
        field("POD_NAME", "metadata.name"),
        field("POD_NAMESPACE", "metadata.namespace"),
        field("INSTANCE_IP", "status.podIPs"),
        field("SERVICE_ACCOUNT", "spec.serviceAccountName"),
        plain("TRUST_DOMAIN", &settings.trust_domain),
        plain("LENO_CONTROL_ADDRESS", &settings.control_address),
        plain("LENO_TOKEN_FILE", "/var/run/secrets/tokens/istio-token"),
        plain("LENO_ROOT_CERT_FILE", "/var/run/secrets/istio/root-cert.pem"),
        plain("LENO_CERT_TTL", &sidecar.cert_ttl),
        plain("LENO_LOG", &sidecar.log_level),
        plain("LENO_LOG_FORMAT", &sidecar.log_format),
        plain("LENO_DRAIN", &sidecar.drain),
    ];
    if let Some(workers) = sidecar.workers {
        env.push(plain("LENO_WORKERS", &workers.to_string()));
    }
    if !sidecar.opaque_ports.is_empty() {
        env.push(plain("LENO_OPAQUE_PORTS", &sidecar.opaque_ports.join(",")));
    }
    match probes {
        AppProbes::Rewritten(originals) if originals.is_empty() => {}
        AppProbes::Rewritten(originals) => {
            env.push(plain(probes::ENV, &Value::Object(originals.clone()).to_string()));
        }
        AppProbes::Admitted(declared) => {
            env.push(field("HOST_IP", "status.hostIP"));
            env.push(plain("LENO_PROBES", &declared.to_string()));
        }
    }
    if let Some(mark) = settings.socket_mark {
        env.push(plain("LENO_SOCKET_MARK", &mark.to_string()));
    }
    env.extend(settings.env.iter().map(|(name, value)| plain(name, value)));
    if let Some(on) = sidecar.linkerd_metrics {
        // The pod goes before the installation.
        env.retain(|e| e["name"] != LINKERD_METRICS);
        env.push(plain(LINKERD_METRICS, if on { "true" } else { "false" }));
    }
    env
}

/// By uid: an ordinary user. By mark: root of its namespace with the one capability that marking sockets needs.
fn security(settings: &InjectSettings) -> Value {
    if settings.socket_mark.is_some() {
        return json!({
            "runAsUser": 0, "runAsGroup": 0, "allowPrivilegeEscalation": false,
            "capabilities": {"drop": ["ALL"], "add": ["NET_ADMIN"]},
        });
    }
    json!({
        "runAsUser": PROXY_UID, "runAsGroup": PROXY_UID, "runAsNonRoot": true, "privileged": false,
        "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    })
}

const TOKEN_VOLUME: &str = "istio-token";
const ROOT_VOLUME: &str = "istiod-ca-cert";
