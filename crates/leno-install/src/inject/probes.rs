//! The application's own health checks.
//!
//! The node sends them in plaintext and without an identity, so a STRICT sidecar would refuse them. The proxy is told
//! which they are (environment variable `LENO_PROBES`) and lets exactly these through when they come from the node
//! (`HOST_IP`). Checks that run a command inside the container do not cross the sidecar and are not listed.

use serde_json::{Value, json};

/// Probes of all containers as JSON for `LENO_PROBES`: `[{"container", "kind": "http"|"tcp"|"grpc", "port", "path"}]`,
/// `path` for `http` only and without its query. Named ports are resolved; a probe without a port that exists is left out.
#[must_use]
pub fn of(pod: &Value) -> Value {
    let spec = &pod["spec"];
    let lists = [&spec["initContainers"], &spec["containers"]];
    let mut out: Vec<Value> = Vec::new();
    for container in lists.iter().filter_map(|l| l.as_array()).flatten() {
        for kind in ["startupProbe", "readinessProbe", "livenessProbe"] {
            if let Some(probe) = one(container, &container[kind])
                && !out.contains(&probe)
            {
                out.push(probe);
            }
        }
    }
    Value::Array(out)
}

fn one(container: &Value, probe: &Value) -> Option<Value> {
    let name = container["name"].as_str().unwrap_or_default();
    if let Some(http) = probe.get("httpGet") {
        let path = http["path"].as_str().unwrap_or("/");
        let path = path.split(['?', '#']).next().unwrap_or(path);
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        return Some(json!({"container": name, "kind": "http", "port": port(container, &http["port"])?, "path": path}));
    }
    if let Some(tcp) = probe.get("tcpSocket") {
        return Some(json!({"container": name, "kind": "tcp", "port": port(container, &tcp["port"])?}));
    }
    let grpc = probe.get("grpc")?;
    Some(json!({"container": name, "kind": "grpc", "port": port(container, &grpc["port"])?}))
}

fn port(container: &Value, port: &Value) -> Option<u16> {
    if let Some(number) = port.as_u64() {
        return u16::try_from(number).ok();
    }
    let name = port.as_str()?;
    if let Ok(number) = name.parse() {
        return Some(number);
    }
    let ports = container["ports"].as_array()?;
    let found = ports.iter().find(|p| p["name"].as_str() == Some(name))?;
    found["containerPort"].as_u64().and_then(|n| u16::try_from(n).ok())
}
