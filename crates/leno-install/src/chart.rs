//! The generated files of the Helm chart, so that chart and command line have one source: the definitions, the defaults, the
//! profiles, and the schema that refuses settings that are not there. The templates are written by hand, and a test compares what they
//! render with what `leno install` prints.

use serde_json::{Map, Value, json};

use crate::manifests;
use crate::values::Values;
use crate::{crds, profiles};

/// `(path below the chart's folder, text)` of each.
#[must_use]
pub fn files() -> Vec<(String, String)> {
    let mut files: Vec<(String, String)> = crds::all()
        .iter()
        .map(|crd| (format!("crds/{}.yaml", crd["metadata"]["name"].as_str().unwrap_or_default()), yaml(crd)))
        .collect();
    let defaults = serde_json::to_value(Values::default()).unwrap_or_default();
    files.push(("files/defaults.yaml".into(), yaml(&defaults)));
    for (name, _) in profiles::PROFILES {
        files.push((format!("files/profile-{name}.yaml"), yaml(&profiles::overlay(name).unwrap_or_default())));
    }
    let kinds: Vec<Value> = manifests::validated()
        .into_iter()
        .map(|(group, resources)| json!({"group": group, "resources": resources}))
        .collect();
    files.push(("files/kinds.yaml".into(), yaml(&Value::Array(kinds))));
    let mut schema = schema(&defaults, "");
    schema["$schema"] = json!("http://json-schema.org/draft-07/schema#");
    // Helm's own.
    schema["properties"]["global"] = json!({"type": "object"});
    files.push(("values.schema.json".into(), serde_json::to_string_pretty(&schema).unwrap_or_default() + "\n"));
    files
}

fn yaml(value: &Value) -> String {
    format!(
        "# Generated: cargo run -p leno-install --example chart\n{}",
        serde_yaml_ng::to_string(value).unwrap_or_default()
    )
}

/// What a setting with this default may be.
fn schema(default: &Value, path: &str) -> Value {
    match default {
        Value::Bool(_) => json!({"type": "boolean"}),
        Value::Number(_) => json!({"type": "integer", "minimum": 0}),
        Value::String(_) if path == "proxy.nativeSidecar" => json!({"enum": ["auto", true, false]}),
        Value::String(_) if path == "tag" => json!({"type": ["string", "number"]}),
        Value::Array(_) => json!({"type": "array"}),
        Value::Object(map) if !crate::values::is_open(path) => {
            let properties: Map<String, Value> = map
                .iter()
                .map(|(key, value)| {
                    let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                    (key.clone(), schema(value, &path))
                })
                .collect();
            json!({"type": "object", "properties": properties, "additionalProperties": false})
        }
        Value::Object(_) => json!({"type": "object"}),
        _ => json!({"type": "string"}),
    }
}
