//! Sets of settings with a name.

use serde_json::{Value, json};

/// `(name, what it is for)` of every profile.
pub const PROFILES: &[(&str, &str)] = &[
    ("default", "one replica of the control plane"),
    ("demo", "to look at: leno-viz is there, every request is logged"),
    ("minimal", "the least that works"),
    ("ha", "three replicas of the control plane, spread over nodes and zones"),
];

/// What a profile changes of the defaults.
///
/// # Errors
/// When there is none of that name.
pub fn overlay(name: &str) -> Result<Value, String> {
    Ok(match name {
        "default" => json!({}),
        "demo" => json!({
            "viz": {"enabled": true},
            "mesh": {"accessLogFile": "/dev/stdout"},
        }),
        "minimal" => json!({
            "control": {"resources": {"requests": {"cpu": "10m", "memory": "32Mi"}}},
            "proxy": {"prometheusAnnotations": false},
        }),
        "ha" => json!({
            "control": {
                "replicas": 3,
                "resources": {"requests": {"cpu": "200m", "memory": "128Mi"}},
                "priorityClassName": "system-cluster-critical",
            },
        }),
        other => {
            let all: Vec<&str> = PROFILES.iter().map(|p| p.0).collect();
            let hint = match other {
                "ambient" | "remote" | "external" | "empty" | "preview" | "openshift" => {
                    " (one of Istio's that Leno does not have)"
                }
                _ => "",
            };
            return Err(format!("there is no profile `{other}`{hint}: {}", all.join(", ")));
        }
    })
}
