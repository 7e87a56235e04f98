//! The application's own health checks and hooks over the network.
//!
//! The node sends them in plaintext and without an identity, so a STRICT sidecar would refuse them. So each is turned into
//! a question to the proxy (port 15020, `/app-health/CONTAINER/livez|readyz|startupz`, and
//! `/app-lifecycle/CONTAINER/poststartz|prestopz` for hooks); the proxy is told the original by the environment variable
//! [`ENV`] and does it from inside of the pod. Nothing of the application is opened to anybody else by that: the answer is
//! a status without a body. What runs a command inside the container does not cross the sidecar and stays.

use serde_json::{Map, Value, json};

use leno_core::names::port;

/// Istio's name: JSON, path -> `{"httpGet"|"tcpSocket"|"grpc": the original, "port": its number, "timeoutSeconds"}`.
pub const ENV: &str = "ISTIO_KUBE_APP_PROBERS";

/// Turns the probes and hooks of all containers to the proxy; the originals, by path.
pub fn rewrite(pod: &mut Value) -> Map<String, Value> {
    let mut originals = Map::new();
    each_action(pod, &mut |container, ports, place, action| {
        let Some(original) = original(action, ports) else { return };
        let path = format!("/{}/{container}/{}", place.prefix, place.word);
        let Some(fields) = action.as_object_mut() else { return };
        for kind in KINDS {
            fields.remove(*kind);
        }
        fields.insert("httpGet".into(), json!({"path": path, "port": port::STATUS}));
        originals.insert(path, original);
    });
    originals
}

/// Undoes [`rewrite`].
pub fn restore(pod: &mut Value, originals: &Map<String, Value>) {
    each_action(pod, &mut |container, _, place, action| {
        let path = format!("/{}/{container}/{}", place.prefix, place.word);
        let ours = action.pointer("/httpGet/path").and_then(Value::as_str) == Some(path.as_str());
        let Some(original) = originals.get(&path).and_then(Value::as_object).filter(|_| ours) else { return };
        let Some(fields) = action.as_object_mut() else { return };
        fields.remove("httpGet");
        for kind in KINDS {
            if let Some(handler) = original.get(*kind) {
                fields.insert((*kind).to_owned(), handler.clone());
            }
        }
    });
}

/// What is asked of whom, if it crosses the network to the pod itself.
fn original(action: &Value, ports: &Value) -> Option<Value> {
    let (kind, handler) = KINDS.iter().find_map(|kind| Some((*kind, action.get(*kind).filter(|h| h.is_object())?)))?;
    // With a host of its own it asks something else, from the node, and the sidecar is not in the way.
    if handler["host"].as_str().is_some_and(|host| !host.is_empty()) {
        return None;
    }
    let number = number(&handler["port"], ports)?;
    if OWN.contains(&number) {
        return None;
    }
    let limit = action["timeoutSeconds"].as_u64().filter(|s| *s > 0);
    let mut original = json!({kind: handler, "port": number});
    if let Some(limit) = limit {
        original["timeoutSeconds"] = json!(limit);
    }
    Some(original)
}

struct Place {
    keys: &'static [&'static str],
    prefix: &'static str,
    word: &'static str,
}

/// Calls `visit` with the container's name, its ports, and each probe or hook.
fn each_action(pod: &mut Value, visit: &mut dyn FnMut(&str, &Value, &Place, &mut Value)) {
    for list in ["initContainers", "containers"] {
        let containers = pod.get_mut("spec").and_then(|s| s.get_mut(list)).and_then(Value::as_array_mut);
        let Some(containers) = containers else { continue };
        for container in containers {
            let name = container["name"].as_str().unwrap_or_default().to_owned();
            if name == super::PROXY_CONTAINER || name.is_empty() || !container.is_object() {
                continue;
            }
            let ports = container["ports"].clone();
            for place in PLACES {
                let mut at = Some(&mut *container);
                for key in place.keys {
                    at = at.and_then(|v| v.get_mut(key));
                }
                if let Some(action) = at.filter(|a| a.is_object()) {
                    visit(&name, &ports, place, action);
                }
            }
        }
    }
}

/// Probes as the proxy admits them from the node where they are not rewritten: `[{"container", "port", "path"}]`, `path`
/// for HTTP only and without its query. A probe without a port that exists is left out.
#[must_use]
pub fn declared(pod: &mut Value) -> Value {
    let mut out: Vec<Value> = Vec::new();
    each_action(pod, &mut |container, ports, place, action| {
        let Some(original) = original(action, ports).filter(|_| place.prefix == HEALTH) else { return };
        let mut probe = json!({"container": container, "port": original["port"]});
        if let Some(http) = original.get("httpGet") {
            let path = http["path"].as_str().unwrap_or("/");
            let path = path.split(['?', '#']).next().unwrap_or(path).trim_start_matches('/');
            probe["path"] = json!(format!("/{path}"));
        }
        if !out.contains(&probe) {
            out.push(probe);
        }
    });
    Value::Array(out)
}

fn number(port: &Value, ports: &Value) -> Option<u16> {
    let valid = |n: u64| u16::try_from(n).ok().filter(|p| *p > 0);
    if let Some(number) = port.as_u64() {
        return valid(number);
    }
    let name = port.as_str()?;
    if let Ok(number) = name.parse::<u64>() {
        return valid(number);
    }
    let found = ports.as_array()?.iter().find(|p| p["name"].as_str() == Some(name))?;
    found["containerPort"].as_u64().and_then(valid)
}

const HEALTH: &str = "app-health";
const HOOK: &str = "app-lifecycle";
const PLACES: &[Place] = &[
    Place { keys: &["startupProbe"], prefix: HEALTH, word: "startupz" },
    Place { keys: &["readinessProbe"], prefix: HEALTH, word: "readyz" },
    Place { keys: &["livenessProbe"], prefix: HEALTH, word: "livez" },
    Place { keys: &["lifecycle", "postStart"], prefix: HOOK, word: "poststartz" },
    Place { keys: &["lifecycle", "preStop"], prefix: HOOK, word: "prestopz" },
];
const KINDS: &[&str] = &["httpGet", "tcpSocket", "grpc"];
/// Already a question to the proxy.
const OWN: &[u16] = &[port::STATUS, port::HEALTH, port::METRICS];
