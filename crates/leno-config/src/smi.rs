//! SMI: Linkerd's way to split traffic.

use leno_core::model::route::{Backend, HttpRoute, RouteAction, RouteTable, TcpRoute, WeightedBackend};
use serde::{Deserialize, Serialize};

use crate::diagnostic::Diagnostic;
use crate::istio::common::{Findings, service_of};
use crate::k8s::{IntOrString, ObjectMeta};
use crate::lower::Lowered;
use crate::object::{Object, Path};
use crate::quantity::{milli_quantity, unix_seconds};
use crate::typed;

/// `split.smi-spec.io TrafficSplit`, v1alpha1 to v1alpha4.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct TrafficSplit {
    metadata: ObjectMeta,
    pub(crate) spec: Spec,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Spec {
    pub(crate) service: String,
    pub(crate) backends: Vec<RawBackend>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct RawBackend {
    pub(crate) service: String,
    weight: Option<IntOrString>,
}

/// See [`Lowered::Routes`]: a `VirtualService` for the same host goes first.
const RANK: u8 = 1;

/// Lowers the object: one rule for requests and one for opaque connections, for everything sent to the apex service.
pub(crate) fn lower(object: &Object) -> Result<(Vec<Lowered>, Vec<Diagnostic>), Vec<Diagnostic>> {
    let (raw, unknown) = typed::<TrafficSplit>(object).map_err(|e| vec![e])?;
    let mut findings = Findings::new(object, unknown);
    let spec = Path::root().key("spec");
    let apex = service_of(&raw.spec.service, &spec.key("service"), &mut findings);
    let backends = backends(&raw.spec.backends, &spec.key("backends"), &mut findings);
    let Some(apex) = apex else { return findings.finish(Vec::new()) };
    let http = HttpRoute {
        line: findings.object.line_of(&spec),
        action: RouteAction::Forward(backends.clone()),
        ..HttpRoute::default()
    };
    let tcp = TcpRoute { matches: Vec::new(), backends };
    let table = RouteTable { origin: object.origin(), http: vec![http], tcp: vec![tcp], ..RouteTable::default() };
    let created = unix_seconds(&raw.metadata.creation_timestamp);
    findings.finish(vec![Lowered::Routes { rank: RANK, created, tables: vec![(apex, table)] }])
}

fn backends(raw: &[RawBackend], path: &Path, findings: &mut Findings<'_>) -> Vec<WeightedBackend> {
    if raw.is_empty() {
        findings.error(path, "is missing");
        return Vec::new();
    }
    let mut weights = Vec::new();
    for (index, backend) in raw.iter().enumerate() {
        let at = path.index(index).key("weight");
        let milli = match &backend.weight {
            None => Ok(0),
            Some(weight) => milli_quantity(&weight.to_string()).map_err(|why| why.to_string()),
        };
        weights.push(milli.unwrap_or_else(|why| {
            findings.error(&at, why);
            1000
        }));
    }
    if weights.iter().all(|w| *w == 0) {
        findings.error(path, "the weights add up to 0: give at least one backend a weight");
    }
    // Whole numbers stay as they were written; fractions become thousandths.
    let unit = if weights.iter().all(|w| w % 1000 == 0) { 1000 } else { 1 };
    if weights.iter().fold(0_u64, |sum, w| sum.saturating_add(w / unit)) > u64::from(u32::MAX) {
        findings.error(path, "the weights are too large to add up");
    }
    let mut out = Vec::new();
    for (index, (backend, weight)) in raw.iter().zip(weights).enumerate() {
        let service = service_of(&backend.service, &path.index(index).key("service"), findings);
        out.extend(service.map(|service| WeightedBackend {
            backend: Backend { service, subset: None, port: None },
            weight: u32::try_from(weight / unit).unwrap_or(u32::MAX),
            headers: Default::default(),
            invalid: false,
        }));
    }
    out
}
