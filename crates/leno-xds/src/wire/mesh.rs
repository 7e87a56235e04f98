//! `Mesh`.

use leno_core::model::MeshConfig;
use leno_core::model::mesh::AccessLog;
use leno_core::model::telemetry::{DefaultProviders, LogFormat};

use super::common::{At, DecodeError, Wire, list, percent, to_list};
use super::telemetry::{labels, to_labels};
use crate::proto::leno as pb;

impl Wire for MeshConfig {
    type Proto = pb::Mesh;

    fn to_wire(&self) -> pb::Mesh {
        let access_log = match self.access_log {
            AccessLog::Errors => pb::mesh::AccessLog::Errors,
            AccessLog::Off => pb::mesh::AccessLog::Off,
            AccessLog::All => pb::mesh::AccessLog::All,
        };
        let (format, text, keys) = match &self.access_log_format {
            LogFormat::Text(text) => (pb::mesh::LogFormat::Text, text.clone(), None),
            LogFormat::Json(keys) => (pb::mesh::LogFormat::Json, None, keys.as_deref().map(to_labels)),
        };
        let defaults = &self.default_providers;
        pb::Mesh {
            trust_domain: self.trust_domain.clone(),
            root_namespace: self.root_namespace.clone(),
            registry_only: !self.allow_any,
            access_log: access_log.into(),
            access_log_format: format.into(),
            access_log_text: text,
            access_log_labels: keys,
            providers: to_list(&self.providers),
            default_logging: defaults.logging.clone(),
            default_metrics: defaults.metrics.clone().map(|names| pb::ProviderNames { names }),
            default_tracing: defaults.tracing.clone(),
            trace_sampling: self.trace_sampling,
        }
    }

    fn from_wire(p: pb::Mesh) -> Result<Self, DecodeError> {
        if p.trust_domain.is_empty() {
            return Err(DecodeError::missing()).at("trust_domain");
        }
        if p.root_namespace.is_empty() {
            return Err(DecodeError::missing()).at("root_namespace");
        }
        // How much is logged is no reason to refuse the rest: an unknown value is the default.
        let access_log = match p.access_log() {
            pb::mesh::AccessLog::Errors => AccessLog::Errors,
            pb::mesh::AccessLog::Off => AccessLog::Off,
            pb::mesh::AccessLog::All => AccessLog::All,
        };
        let access_log_format = match p.access_log_format() {
            pb::mesh::LogFormat::Text => LogFormat::Text(p.access_log_text),
            pb::mesh::LogFormat::Json => LogFormat::Json(p.access_log_labels.map(labels)),
        };
        let default_providers = DefaultProviders {
            logging: p.default_logging,
            metrics: p.default_metrics.map(|m| m.names),
            tracing: p.default_tracing,
        };
        Ok(Self {
            trust_domain: p.trust_domain,
            root_namespace: p.root_namespace,
            allow_any: !p.registry_only,
            access_log,
            access_log_format,
            providers: list(p.providers, "providers")?,
            default_providers,
            trace_sampling: percent(p.trace_sampling, "trace_sampling")?,
        })
    }
}
