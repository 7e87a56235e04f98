//! `PeerAuthentication`.

use std::collections::BTreeMap;

use leno_core::model::{MtlsMode, PeerAuthentication as Model};
use serde::{Deserialize, Serialize};

use super::common::{Findings, Selector};
use crate::diagnostic::Diagnostic;
use crate::k8s::ObjectMeta;
use crate::lower::Lowered;
use crate::object::{Object, Path};
use crate::quantity::unix_seconds;
use crate::typed;

/// The object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct PeerAuthentication {
    metadata: ObjectMeta,
    spec: Spec,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Spec {
    selector: Selector,
    mtls: Mtls,
    port_level_mtls: BTreeMap<String, Mtls>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Mtls {
    mode: String,
}

/// Lowers the object.
pub(crate) fn lower(object: &Object) -> Result<(Vec<Lowered>, Vec<Diagnostic>), Vec<Diagnostic>> {
    let (raw, unknown) = typed::<PeerAuthentication>(object).map_err(|e| vec![e])?;
    let mut findings = Findings::new(object, unknown);
    let spec = Path::root().key("spec");
    let mode = mode(&raw.spec.mtls.mode, &spec.keys("mtls.mode"), &mut findings);
    let at = spec.key("portLevelMtls");
    let mut ports = Vec::new();
    for (port, mtls) in &raw.spec.port_level_mtls {
        let at = at.key(port);
        let port_mode = self::mode(&mtls.mode, &at.key("mode"), &mut findings);
        match port.parse::<u16>() {
            Ok(port) if port > 0 => ports.push((port, port_mode)),
            _ => findings.error(&at, "must be a port from 1 to 65535"),
        }
    }
    if !ports.is_empty() && raw.spec.selector.match_labels.is_empty() {
        findings.error(&at, "needs a selector: modes by port hold for selected pods only, as in Istio");
    }
    let model = Model {
        origin: object.origin(),
        selector: raw.spec.selector.match_labels,
        mode,
        ports,
        created: unix_seconds(&raw.metadata.creation_timestamp),
    };
    findings.finish(vec![Lowered::PeerAuthentication(model)])
}

fn mode(text: &str, path: &Path, findings: &mut Findings<'_>) -> MtlsMode {
    match text {
        "" | "UNSET" => MtlsMode::Unset,
        "DISABLE" => MtlsMode::Disable,
        "PERMISSIVE" => MtlsMode::Permissive,
        "STRICT" => MtlsMode::Strict,
        other => {
            findings.error(path, format!("`{other}` is none of STRICT, PERMISSIVE, DISABLE, UNSET"));
            MtlsMode::Strict
        }
    }
}
