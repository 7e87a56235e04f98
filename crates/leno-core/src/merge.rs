//! What applies to one proxy, out of what everyone gets. Runs once per change, never per request.

pub mod telemetry;

use crate::model::traffic::{DestinationRule, Subset};
use crate::model::{Labels, RouteTable, Routes, Service, TrafficPolicy, selects};

/// Who asks: the proxy's own pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Viewer {
    /// Its namespace.
    pub namespace: String,
    /// Its labels.
    pub labels: Labels,
    /// The mesh's root namespace.
    pub root_namespace: String,
}

/// The route table that `viewer` sees for a service: its own namespace's first, then those exported to it, in order.
#[must_use]
pub fn route_table<'r>(routes: &'r Routes, viewer: &Viewer) -> Option<&'r RouteTable> {
    let visible = || routes.tables.iter().filter(|t| t.export_to.includes(&viewer.namespace));
    visible().find(|t| t.origin.namespace == viewer.namespace).or_else(|| visible().next())
}

/// The destination rule that holds for `viewer`: of the client's namespace, then of the service's, then of the root
/// namespace (Istio's lookup path). Within one namespace a rule that selects the calling pod wins.
#[must_use]
pub fn destination_rule<'s>(service: &'s Service, viewer: &Viewer) -> Option<&'s DestinationRule> {
    let in_namespace = |ns: &str| {
        let candidates = || {
            service.destination_rules.iter().filter(move |r| {
                r.origin.namespace == ns
                    && r.export_to.includes(&viewer.namespace)
                    && selects(&r.workload_selector, &viewer.labels)
            })
        };
        candidates().find(|r| !r.workload_selector.is_empty()).or_else(|| candidates().next())
    };
    in_namespace(&viewer.namespace)
        .or_else(|| in_namespace(&service.id.namespace))
        .or_else(|| in_namespace(&viewer.root_namespace))
}

/// The traffic policy for one port and subset: subset's port, subset, rule's port, rule; block by block.
#[must_use]
pub fn traffic_policy(rule: Option<&DestinationRule>, subset: Option<&Subset>, port: u16) -> TrafficPolicy {
    let of_port = |ports: &[(u16, TrafficPolicy)]| {
        ports.iter().find(|(p, _)| *p == port).map(|(_, t)| t.clone()).unwrap_or_default()
    };
    let Some(rule) = rule else { return TrafficPolicy::default() };
    let wide = of_port(&rule.ports).or(&rule.policy);
    match subset {
        Some(subset) => of_port(&subset.ports).or(&subset.policy).or(&wide),
        None => wide,
    }
}

#[cfg(test)]
mod tests;
