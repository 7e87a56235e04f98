//! `Mesh`.

use leno_core::model::MeshConfig;
use leno_core::model::mesh::{AccessLog, LogFormat};

use super::common::{At, DecodeError, Wire};
use crate::proto::leno as pb;

impl Wire for MeshConfig {
    type Proto = pb::Mesh;

    fn to_wire(&self) -> pb::Mesh {
        let access_log = match self.access_log {
            AccessLog::Errors => pb::mesh::AccessLog::Errors,
            AccessLog::Off => pb::mesh::AccessLog::Off,
            AccessLog::All => pb::mesh::AccessLog::All,
        };
        let format = match self.access_log_format {
            LogFormat::Text => pb::mesh::LogFormat::Text,
            LogFormat::Json => pb::mesh::LogFormat::Json,
        };
        pb::Mesh {
            trust_domain: self.trust_domain.clone(),
            root_namespace: self.root_namespace.clone(),
            registry_only: !self.allow_any,
            access_log: access_log.into(),
            access_log_format: format.into(),
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
            pb::mesh::LogFormat::Text => LogFormat::Text,
            pb::mesh::LogFormat::Json => LogFormat::Json,
        };
        Ok(Self {
            trust_domain: p.trust_domain,
            root_namespace: p.root_namespace,
            allow_any: !p.registry_only,
            access_log,
            access_log_format,
        })
    }
}
