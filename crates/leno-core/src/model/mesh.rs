//! Settings of the whole mesh.

use serde::Serialize;

use super::telemetry::{DefaultProviders, LogFormat, Provider};

/// Settings of the whole mesh (Istio's `MeshConfig`, the part that is honoured).
#[derive(Clone, Debug, PartialEq, Serialize)]
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
    /// Where logs, metrics and traces can go, beside the built-in `envoy` (the access log) and `prometheus`.
    pub providers: Vec<Provider>,
    /// Which of them count where no `Telemetry` names any.
    pub default_providers: DefaultProviders,
    /// Share of traces that begin here and are sampled where no `Telemetry` says, percent; Istio's 1.
    pub trace_sampling: f64,
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

impl Default for MeshConfig {
    fn default() -> Self {
        Self {
            trust_domain: "cluster.local".to_owned(),
            root_namespace: "istio-system".to_owned(),
            allow_any: true,
            access_log: AccessLog::default(),
            access_log_format: LogFormat::default(),
            providers: Vec::new(),
            default_providers: DefaultProviders::default(),
            trace_sampling: 1.0,
        }
    }
}
