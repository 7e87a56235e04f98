//! What routes are attached to.

use leno_core::id::ServiceId;
use leno_core::model::{Protocol, ServiceKind};
use serde::{Deserialize, Serialize};

use crate::istio::common::Findings;
use crate::lower::ServiceSpec;
use crate::object::Path;

/// `ParentReference`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct ParentRef {
    group: Option<String>,
    kind: Option<String>,
    namespace: Option<String>,
    name: String,
    section_name: Option<String>,
    port: Option<u16>,
}

/// A Service that a route is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parent {
    /// The service.
    pub service: ServiceId,
    /// The port it is for; `None` = every port, unless `section` says one.
    pub port: Option<u16>,
    /// The name of that port.
    pub section: Option<String>,
    /// Its place in `spec.parentRefs`.
    pub index: usize,
}

/// Those of the parents that are Services: the others are for gateways.
pub(super) fn services(refs: &[ParentRef], path: &Path, findings: &mut Findings<'_>) -> Vec<Parent> {
    let own = findings.object.namespace().to_owned();
    let mut out = Vec::new();
    for (index, parent) in refs.iter().enumerate() {
        if !parent.is_service() {
            let at = path.index(index).key("kind");
            findings.info(&at, "only parents of kind Service are honoured: gateways are none of the mesh's");
            continue;
        }
        if parent.name.is_empty() {
            findings.error(&path.index(index).key("name"), "is missing");
        }
        if parent.port == Some(0) {
            findings.error(&path.index(index).key("port"), "must be a port from 1 to 65535");
        }
        let namespace = parent.namespace.clone().filter(|n| !n.is_empty()).unwrap_or_else(|| own.clone());
        let section = parent.section_name.clone().filter(|s| !s.is_empty());
        out.push(Parent { service: ServiceId::new(namespace, parent.name.clone()), port: parent.port, section, index });
    }
    out
}

impl ParentRef {
    /// A Service has to be named with its group, `""`: without one a Gateway is meant.
    pub(super) fn is_service(&self) -> bool {
        self.kind.as_deref() == Some("Service") && self.group.as_deref().is_some_and(|g| g.is_empty() || g == "core")
    }
}

impl Parent {
    /// The ports of `service` that it is for.
    ///
    /// # Errors
    /// Where it is for none: the reason in words.
    pub(super) fn ports(&self, service: Option<&ServiceSpec>) -> Result<Vec<u16>, String> {
        let Some(service) = service else { return Err(format!("there is no Service {}", self.service)) };
        match service.kind {
            ServiceKind::ClusterIp => {}
            ServiceKind::Headless => {
                return Err(format!("Service {} is headless: it has no address that could be routed", self.service));
            }
            ServiceKind::ExternalName(_) => {
                return Err(format!("Service {} is of type ExternalName, which is an alias of a host", self.service));
            }
        }
        let all = service.ports.iter().map(|(port, _)| port).filter(|p| p.protocol != Protocol::Udp);
        let meant = all.filter(|p| {
            self.port.is_none_or(|port| port == p.port) && self.section.as_deref().is_none_or(|name| name == p.name)
        });
        let ports: Vec<u16> = meant.map(|p| p.port).collect();
        if ports.is_empty() { Err(format!("Service {} has no such port", self.service)) } else { Ok(ports) }
    }
}
