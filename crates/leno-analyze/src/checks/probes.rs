//! Probes that a sidecar, or STRICT mutual TLS, would break.

use leno_config::object::Path;
use serde_json::Value;

use crate::code::{Code, Level};
use crate::finding::Report;
use crate::json::text;
use crate::mesh::Mode;
use crate::set::{Container, Set, Workload};

pub(super) const CODES: &[&Code] = &[&NOT_REWRITTEN, &PORT_UNKNOWN, &OTHER_HOST];

/// Probes are not rewritten, and the kubelet has no certificate.
static NOT_REWRITTEN: Code = Code {
    id: "LENO0100",
    name: "ProbeRefusedUnderStrict",
    level: Level::Warning,
    what: "The pod turns the rewriting of probes off and a policy demands mutual TLS (STRICT). The kubelet asks the \
           application's port in plaintext and is refused: the pod never becomes ready, or is restarted for ever.",
    mend: "Remove `sidecar.istio.io/rewriteAppHTTPProbers: \"false\"`, or make the probe's port PERMISSIVE with \
           `portLevelMtls`.",
};

/// A probe names a port that the container does not have.
static PORT_UNKNOWN: Code = Code {
    id: "LENO0101",
    name: "ProbePortNotFound",
    level: Level::Error,
    what: "A probe asks a port by a name that no port of its container has: it always fails.",
    mend: "Name the container's port so, or give the port's number.",
};

/// A probe asks another host than the pod.
static OTHER_HOST: Code = Code {
    id: "LENO0102",
    name: "ProbeAsksOtherHost",
    level: Level::Warning,
    what: "A probe sets `host`: the kubelet asks that host from the node, outside the mesh. The sidecar cannot answer it in \
           the pod's stead; if the host is a service that demands mutual TLS, the probe fails.",
    mend: "Leave `host` out (the pod is asked), and give a name for virtual hosts in `httpHeaders` as `Host`.",
};

const PROBES: [&str; 3] = ["livenessProbe", "readinessProbe", "startupProbe"];

pub(super) fn check(set: &Set<'_>, out: &mut Report) {
    for workload in set.templates().filter(|w| set.is_meshed(w)) {
        let rewritten = workload.annotations.get("sidecar.istio.io/rewriteAppHTTPProbers").map(String::as_str);
        for container in workload.own_containers() {
            for field in PROBES {
                if let Some(probe) = container.json.get(field) {
                    let path = container.at.key(field);
                    judge(set, out, workload, &container, (probe, &path), rewritten == Some("false"));
                }
            }
        }
    }
}

fn judge(
    set: &Set<'_>,
    out: &mut Report,
    workload: &Workload<'_>,
    container: &Container<'_>,
    (probe, path): (&Value, &Path),
    off: bool,
) {
    for way in ["httpGet", "tcpSocket", "grpc"] {
        let Some(action) = probe.get(way) else { continue };
        let at = path.key(way);
        let named = action.get("port").and_then(Value::as_str).filter(|p| p.parse::<u16>().is_err());
        let number = match named {
            Some(name) => workload.port_named(name),
            None => action.get("port").and_then(number),
        };
        if let (Some(name), None) = (named, number) {
            let message = format!("Container {:?} has no port named {name:?}.", container.name());
            out.add(&PORT_UNKNOWN, workload.object, &at.key("port"), message);
        }
        let own = ["", "localhost", "127.0.0.1", "::1"];
        if let Some(host) = text(action, "/host").filter(|h| !own.contains(h)) {
            let message = format!("The probe of container {:?} asks {host}, not the pod.", container.name());
            out.add(&OTHER_HOST, workload.object, &at.key("host"), message);
        } else if off && let (Mode::Strict, Some(policy)) = set.mode(workload, number) {
            let message = format!(
                "The probe of container {:?} is not rewritten and is refused: {} demands mutual TLS.",
                container.name(),
                policy.describe()
            );
            out.add(&NOT_REWRITTEN, workload.object, &at, message);
        }
    }
}

fn number(port: &Value) -> Option<u16> {
    port.as_u64().and_then(|n| u16::try_from(n).ok()).or_else(|| port.as_str()?.parse().ok())
}
