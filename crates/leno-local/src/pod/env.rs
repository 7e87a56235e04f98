//! The environment of a container.

use std::collections::BTreeMap;
use std::sync::Arc;

use leno_config::k8s::{self, ConfigMap, Container, EnvVarSource, Secret, expand};
use serde_json::Value;

use super::{Pod, SharedObjects};
use crate::net::NODE_IP;
use crate::object::ObjectKey;

/// Name of the one node.
pub const NODE_NAME: &str = "local";

/// The container's environment, in order. Later ones of the same name replace earlier ones.
///
/// # Errors
/// A `ConfigMap`, Secret or key that is referred to does not exist: the container cannot start before it does.
pub fn environment(pod: &Pod, container: &Container) -> Result<Vec<(String, String)>, String> {
    let mut env: Vec<(String, String)> = Vec::new();
    let mut set = |name: &str, value: String| {
        env.retain(|(n, _)| n != name);
        env.push((name.to_owned(), value));
    };
    set("PATH", pod.machine.path.clone());
    set("HOME", pod.machine.home.clone());
    set("HOSTNAME", hostname(pod));
    for from in &container.env_from {
        let values = if let Some(map) = &from.config_map_ref {
            object(&pod.machine.store, "ConfigMap", &pod.namespace, &map.name, map.optional)?
        } else if let Some(secret) = &from.secret_ref {
            object(&pod.machine.store, "Secret", &pod.namespace, &secret.name, secret.optional)?
        } else {
            None
        };
        for (key, value) in values.into_iter().flatten() {
            set(&format!("{}{key}", from.prefix), String::from_utf8_lossy(&value).into_owned());
        }
    }
    for var in &container.env {
        let value = match (&var.value, &var.value_from) {
            (_, Some(source)) => match from_source(pod, source)? {
                Some(value) => value,
                None => continue,
            },
            (Some(value), None) => {
                let so_far = env.clone();
                let value = expand(value, |name| lookup(&so_far, name));
                env.retain(|(n, _)| *n != var.name);
                env.push((var.name.clone(), value));
                continue;
            }
            (None, None) => String::new(),
        };
        env.retain(|(n, _)| *n != var.name);
        env.push((var.name.clone(), value));
    }
    Ok(env)
}

/// Command and arguments with `$(NAME)` replaced. Empty: the container names no program.
#[must_use]
pub fn command(container: &Container, env: &[(String, String)]) -> Vec<String> {
    let words = container.command.iter().chain(&container.args);
    words.map(|word| expand(word, |name| lookup(env, name))).collect()
}

/// The pod's host name.
#[must_use]
pub fn hostname(pod: &Pod) -> String {
    if pod.spec.hostname.is_empty() { pod.name.clone() } else { pod.spec.hostname.clone() }
}

/// A field of the pod by its path, as `fieldRef` names it.
///
/// # Errors
/// There is no such field.
pub fn field(pod: &Pod, path: &str) -> Result<String, String> {
    let keyed = |map: &BTreeMap<String, String>, rest: &str| {
        let key = rest.strip_prefix("['").and_then(|r| r.strip_suffix("']"))?;
        Some(map.get(key).cloned().unwrap_or_default())
    };
    let all =
        |map: &BTreeMap<String, String>| map.iter().map(|(k, v)| format!("{k}={v:?}")).collect::<Vec<_>>().join("\n");
    let value = match path {
        "metadata.name" => Some(pod.name.clone()),
        "metadata.namespace" => Some(pod.namespace.clone()),
        "metadata.uid" => Some(pod.uid.clone()),
        "metadata.labels" => Some(all(&pod.labels)),
        "metadata.annotations" => Some(all(&pod.annotations)),
        "spec.nodeName" => Some(NODE_NAME.into()),
        "spec.serviceAccountName" => Some(pod.spec.account().to_owned()),
        "status.hostIP" | "status.hostIPs" => Some(NODE_IP.to_string()),
        "status.podIP" | "status.podIPs" => Some(pod.ip.to_string()),
        _ => path
            .strip_prefix("metadata.labels")
            .and_then(|rest| keyed(&pod.labels, rest))
            .or_else(|| path.strip_prefix("metadata.annotations").and_then(|rest| keyed(&pod.annotations, rest))),
    };
    value.ok_or_else(|| format!("there is no field {path}"))
}

/// The entries of a `ConfigMap` or Secret. `None`: it does not exist and need not.
///
/// # Errors
/// It does not exist and must, or is broken.
pub fn object(
    store: &SharedObjects,
    kind: &str,
    namespace: &str,
    name: &str,
    optional: bool,
) -> Result<Option<BTreeMap<String, Vec<u8>>>, String> {
    let Some(found) = store.get(&ObjectKey::core(kind, namespace, name)) else {
        if optional {
            return Ok(None);
        }
        return Err(format!("{} {name:?} does not exist", kind.to_lowercase()));
    };
    let bytes = if kind == "Secret" {
        parse::<Secret>(&found)?.bytes().map_err(|e| e.to_string())
    } else {
        parse::<ConfigMap>(&found)?.bytes().map_err(|e| e.to_string())
    };
    bytes.map(Some).map_err(|why| format!("{} {name:?}: {why}", kind.to_lowercase()))
}

fn parse<T: serde::de::DeserializeOwned>(object: &Arc<Value>) -> Result<T, String> {
    serde_json::from_value(Value::clone(object)).map_err(|e| e.to_string())
}

fn from_source(pod: &Pod, source: &EnvVarSource) -> Result<Option<String>, String> {
    if let Some(field_ref) = &source.field_ref {
        return field(pod, &field_ref.field_path).map(Some);
    }
    let key = |kind: &str, r: &k8s::KeyRef| -> Result<Option<String>, String> {
        let Some(values) = object(&pod.machine.store, kind, &pod.namespace, &r.name, r.optional)? else {
            return Ok(None);
        };
        match values.get(&r.key) {
            Some(value) => Ok(Some(String::from_utf8_lossy(value).into_owned())),
            None if r.optional => Ok(None),
            None => Err(format!("{} {:?} has no key {:?}", kind.to_lowercase(), r.name, r.key)),
        }
    };
    match (&source.config_map_key_ref, &source.secret_key_ref) {
        (Some(r), _) => key("ConfigMap", r),
        (None, Some(r)) => key("Secret", r),
        (None, None) => Ok(None),
    }
}

fn lookup(env: &[(String, String)], name: &str) -> Option<String> {
    env.iter().find(|(n, _)| n == name).map(|(_, v)| v.clone())
}
