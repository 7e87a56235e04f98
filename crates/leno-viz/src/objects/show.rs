//! One object in the form in which it is shown: YAML whose lines are known, without what is the server's or a secret.

use std::collections::BTreeMap;

use leno_analyze::{Finding, object_from_json};
use leno_config::Object;
use leno_config::object::Lines;
use serde_json::{Value, json};

use super::Key;

/// One object.
#[derive(Debug)]
pub struct Shown {
    /// API version.
    pub api_version: String,
    /// Where it was applied from, `file:line`, where that is known.
    pub source: String,
    /// The object.
    pub json: Value,
    /// As YAML.
    pub yaml: String,
    /// Line of each field, by path: `spec.http[0]`.
    pub lines: BTreeMap<String, u32>,
    /// What `leno analyze` says of it.
    pub findings: Vec<Finding>,
}

impl Shown {
    /// The line that a finding is about; 0 for the object as a whole.
    #[must_use]
    pub fn line(finding: &Finding) -> u32 {
        finding.reference.rsplit_once(':').and_then(|(_, line)| line.parse().ok()).unwrap_or(0)
    }
}

/// `None` for what has no kind or name. The third is what the checks look at.
pub(super) fn show(mut json: Value) -> Option<(Key, Shown, Object)> {
    let object = object_from_json(json.clone())?;
    let key = Key { kind: object.kind.clone(), namespace: object.namespace().to_owned(), name: object.name.clone() };
    let source = clean(&mut json);
    let yaml = serde_yaml_ng::to_string(&json).ok()?;
    let file = format!("{}/{}/{}", key.kind, key.namespace, key.name);
    let read = leno_config::read(&file, &yaml).objects.into_iter().next();
    let mut lines = BTreeMap::new();
    if let Some(read) = &read {
        collect(&read.json, &read.lines, String::new(), &mut lines);
    }
    // The checks must see what is masked, and a pod that runs is known by having no file.
    let looked_at = match read {
        Some(read) if key.kind != "Pod" => Object { json: without_server_fields(object.json), ..read },
        _ => object,
    };
    // A field that is gone would shift the lines of its neighbours: the lines are then those of the masked form.
    let shown = Shown { api_version: looked_at.api_version.clone(), source, json, yaml, lines, findings: Vec::new() };
    Some((key, shown, looked_at))
}

/// Takes away what the server wrote for itself, and what may be a secret; returns where the object was applied from.
fn clean(json: &mut Value) -> String {
    let mut source = String::new();
    if let Some(notes) = json.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut) {
        source = notes.remove(SOURCE).and_then(|s| s.as_str().map(str::to_owned)).unwrap_or_default();
    }
    *json = without_server_fields(json.take());
    for pod in ["/spec", "/spec/template/spec", "/spec/jobTemplate/spec/template/spec"] {
        for list in ["containers", "initContainers", "ephemeralContainers"] {
            let containers = json.pointer_mut(&format!("{pod}/{list}")).and_then(Value::as_array_mut);
            for variable in containers.into_iter().flatten().filter_map(|c| c.get_mut("env")?.as_array_mut()).flatten()
            {
                if let Some(value) = variable.get_mut("value") {
                    *value = json!(MASK);
                }
            }
        }
    }
    source
}

fn without_server_fields(mut json: Value) -> Value {
    if let Some(meta) = json.get_mut("metadata").and_then(Value::as_object_mut) {
        for field in ["managedFields", "uid", "resourceVersion", "selfLink"] {
            meta.remove(field);
        }
        if let Some(notes) = meta.get_mut("annotations").and_then(Value::as_object_mut) {
            notes.remove("kubectl.kubernetes.io/last-applied-configuration");
            notes.remove(SOURCE);
            if notes.is_empty() {
                meta.remove("annotations");
            }
        }
    }
    json
}

fn collect(json: &Value, lines: &Lines, path: String, out: &mut BTreeMap<String, u32>) {
    match json {
        Value::Object(map) => {
            for ((key, value), child) in map.iter().zip(&lines.children) {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                collect(value, child, path, out);
            }
        }
        Value::Array(items) => {
            for ((index, value), child) in items.iter().enumerate().zip(&lines.children) {
                collect(value, child, format!("{path}[{index}]"), out);
            }
        }
        _ => {}
    }
    if !path.is_empty() {
        out.insert(path, lines.line);
    }
}

/// Where the local runtime says from which file an object is.
const SOURCE: &str = "leno.io/applied-from";
/// Stands for what may be a secret.
const MASK: &str = "•••";
