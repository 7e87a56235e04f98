//! Destinations.

use leno_core::id::ServiceId;
use leno_core::model::route::{Backend, HeaderOps, WeightedBackend};
use serde::{Deserialize, Serialize};

use super::filter::{HeaderFilter, HeaderFilters};
use super::route::{Problem, ProblemReason};
use crate::istio::common::Findings;
use crate::object::Path;

/// `HTTPBackendRef` and `GRPCBackendRef`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct BackendRef {
    group: Option<String>,
    kind: Option<String>,
    namespace: Option<String>,
    name: String,
    port: Option<u16>,
    weight: Option<u32>,
    filters: Vec<BackendFilter>,
}

/// What may be done for one destination alone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct BackendFilter {
    r#type: String,
    request_header_modifier: Option<HeaderFilter>,
    response_header_modifier: Option<HeaderFilter>,
}

/// `BackendObjectReference`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct ObjectRef {
    group: Option<String>,
    kind: Option<String>,
    namespace: Option<String>,
    name: String,
    port: Option<u16>,
}

/// The destinations of a rule. One that cannot be used takes its share, which is answered 500; without any, or where all
/// weights are 0, all requests are.
pub(super) fn backends(
    refs: &[BackendRef],
    path: &Path,
    findings: &mut Findings<'_>,
    problems: &mut Vec<Problem>,
) -> Vec<WeightedBackend> {
    let mut out = Vec::new();
    for (index, raw) in refs.iter().enumerate() {
        let at = path.index(index);
        let headers = raw.headers(&at.key("filters"), findings);
        let (backend, invalid) = match raw.object().lower(&at, findings) {
            Ok(backend) => (backend, false),
            Err((backend, problem)) => {
                problems.push(problem);
                (backend, true)
            }
        };
        let weight = raw.weight.unwrap_or(1);
        if weight > 0 {
            out.push(WeightedBackend { backend, weight, headers, invalid });
        }
    }
    if out.iter().map(|b| u64::from(b.weight)).sum::<u64>() > u64::from(u32::MAX) {
        findings.error(path, "the weights add up to more than 4294967295");
    }
    if out.is_empty() {
        findings.warning(path, "no destination takes any request: all are answered 500");
        out.push(nowhere(findings.object.namespace()));
    }
    out
}

/// A destination whose requests are answered 500.
pub(super) fn nowhere(namespace: &str) -> WeightedBackend {
    let backend = Backend { service: ServiceId::new(namespace, "none"), subset: None, port: None };
    WeightedBackend { backend, weight: 1, headers: HeaderOps::default(), invalid: true }
}

impl BackendRef {
    fn object(&self) -> ObjectRef {
        ObjectRef {
            group: self.group.clone(),
            kind: self.kind.clone(),
            namespace: self.namespace.clone(),
            name: self.name.clone(),
            port: self.port,
        }
    }

    fn headers(&self, path: &Path, findings: &mut Findings<'_>) -> HeaderOps {
        let mut filters = HeaderFilters::default();
        for (index, filter) in self.filters.iter().enumerate() {
            let at = path.index(index);
            match filter.r#type.as_str() {
                "RequestHeaderModifier" => filters.request(filter.request_header_modifier.as_ref(), &at, findings),
                "ResponseHeaderModifier" => filters.response(filter.response_header_modifier.as_ref(), &at, findings),
                other => {
                    let message = format!("`{other}` is not supported for one destination alone: use it in the rule");
                    findings.error(&at.key("type"), message);
                }
            }
        }
        filters.ops
    }
}

impl ObjectRef {
    /// What it names; with the problem where no Service could make it usable.
    pub(super) fn lower(&self, path: &Path, findings: &Findings<'_>) -> Result<Backend, (Backend, Problem)> {
        let own = findings.object.namespace();
        let namespace = self.namespace.as_deref().filter(|n| !n.is_empty()).unwrap_or(own);
        let name = if self.name.is_empty() { "none" } else { &self.name };
        let backend = Backend { service: ServiceId::new(namespace, name), subset: None, port: self.port };
        let (group, kind) = (self.group.as_deref().unwrap_or_default(), self.kind.as_deref().unwrap_or("Service"));
        let problem = |message: String| Problem { reason: ProblemReason::InvalidKind, message };
        if kind != "Service" || !(group.is_empty() || group == "core") {
            let group = if group.is_empty() { "the core group" } else { group };
            return Err((backend, problem(format!("{path}: {kind} of {group} is no Service"))));
        }
        if self.name.is_empty() {
            return Err((backend, problem(format!("{}: is missing", path.key("name")))));
        }
        if self.port.is_none_or(|port| port == 0) {
            return Err((backend, problem(format!("{}: is missing: a Service needs one", path.key("port")))));
        }
        Ok(backend)
    }
}
