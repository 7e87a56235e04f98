//! The two containers and the volumes that injection adds.

use leno_core::names::{PROXY_UID, TOKEN_AUDIENCE, port};
use serde_json::{Value, json};

use super::traffic::Traffic;
use super::{INIT_CONTAINER, InjectSettings, PROXY_CONTAINER, ROOT_CONFIG_MAP};

/// The init container that redirects the pod's traffic, as root with `NET_ADMIN`, and ends.
#[must_use]
pub fn init(settings: &InjectSettings, traffic: &Traffic) -> Value {
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
    json!({
        "name": INIT_CONTAINER,
        "image": settings.image,
        "command": command,
        "securityContext": {
            "runAsUser": 0, "runAsGroup": 0, "runAsNonRoot": false,
            "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": false,
            "capabilities": {"drop": ["ALL"], "add": ["NET_ADMIN", "NET_RAW"]},
        },
    })
}

/// The sidecar: a native one (init container that stays), so that it is up before the app and goes after it.
#[must_use]
pub fn proxy(settings: &InjectSettings, traffic: &Traffic, probes: &Value) -> Value {
    let ready = json!({"path": "/healthz/ready", "port": port::HEALTH});
    json!({
        "name": PROXY_CONTAINER,
        "image": settings.image,
        "command": [settings.program, "run"],
        "restartPolicy": "Always",
        "env": environment(settings, traffic, probes),
        "ports": [{"name": "http-envoy-prom", "containerPort": port::METRICS, "protocol": "TCP"}],
        "securityContext": security(settings),
        "startupProbe": {"httpGet": ready, "periodSeconds": 1, "timeoutSeconds": 3, "failureThreshold": 600},
        "readinessProbe": {"httpGet": ready, "periodSeconds": 15, "timeoutSeconds": 3, "failureThreshold": 4},
        "volumeMounts": [
            {"name": TOKEN_VOLUME, "mountPath": "/var/run/secrets/tokens"},
            {"name": ROOT_VOLUME, "mountPath": "/var/run/secrets/istio"},
        ],
    })
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

fn environment(settings: &InjectSettings, traffic: &Traffic, probes: &Value) -> Vec<Value> {
    let field = |name: &str, path: &str| json!({"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}});
    let plain = |name: &str, value: &str| json!({"name": name, "value": value});
    let mut env = vec![
        field("POD_NAME", "metadata.name"),
        field("POD_NAMESPACE", "metadata.namespace"),
        field("INSTANCE_IP", "status.podIP"),
        field("HOST_IP", "status.hostIP"),
        field("SERVICE_ACCOUNT", "spec.serviceAccountName"),
        plain("TRUST_DOMAIN", &settings.trust_domain),
        plain("LENO_CONTROL_ADDRESS", &settings.control_address),
        plain("LENO_TOKEN_FILE", "/var/run/secrets/tokens/istio-token"),
        plain("LENO_ROOT_CERT_FILE", "/var/run/secrets/istio/root-cert.pem"),
        plain("LENO_CERT_TTL", traffic.cert_ttl.as_deref().unwrap_or(&settings.cert_ttl)),
        plain("LENO_LOG", traffic.log_level.as_deref().unwrap_or(&settings.log_level)),
        plain("LENO_PROBES", &probes.to_string()),
    ];
    if let Some(mark) = settings.socket_mark {
        env.push(plain("LENO_SOCKET_MARK", &mark.to_string()));
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
        "runAsUser": PROXY_UID, "runAsGroup": PROXY_UID, "runAsNonRoot": true,
        "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]},
    })
}

const TOKEN_VOLUME: &str = "istio-token";
const ROOT_VOLUME: &str = "istiod-ca-cert";
