//! Settings of the whole mesh.

use serde::Serialize;

/// Settings of the whole mesh (Istio's `MeshConfig`, the part that is honoured).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MeshConfig {
    /// SPIFFE trust domain; `cluster.local`.
    pub trust_domain: String,
    /// Namespace whose policies hold for the whole mesh; `istio-system`.
    pub root_namespace: String,
    /// Unknown destinations are passed through (`ALLOW_ANY`, the default) or refused (`REGISTRY_ONLY`).
    pub allow_any: bool,
    /// Access log of the sidecars; failures only by default.
    pub access_log: AccessLog,
    /// Format of the access log.
    pub access_log_format: LogFormat,
}

/// Which requests the access log holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum AccessLog {
    /// None.
    Off,
    /// Those that failed in the mesh or with a 5xx.
    #[default]
    Errors,
    /// All.
    All,
}

/// Form of a log line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Istio's default text format, with Leno's reason appended.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

impl Default for MeshConfig {
    fn default() -> Self {
        Self {
            trust_domain: "cluster.local".to_owned(),
            root_namespace: "istio-system".to_owned(),
            allow_any: true,
            access_log: AccessLog::default(),
            access_log_format: LogFormat::default(),
        }
    }
}
