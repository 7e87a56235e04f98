//! What one proxy reports, out of all `Telemetry` objects: Istio's precedence of mesh, namespace and pod.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Viewer;
use crate::id::Direction;
use crate::model::telemetry::{CustomTag, Metric, Provider, ProviderKind, Telemetry, TracingRule};
use crate::model::{MeshConfig, Policies, selects};

/// What a proxy reports of both sides.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Reporting {
    /// Of outbound requests.
    pub client: Side,
    /// Of inbound ones.
    pub server: Side,
}

impl Reporting {
    /// One side.
    #[must_use]
    pub const fn side(&self, side: Direction) -> &Side {
        match side {
            Direction::Outbound => &self.client,
            Direction::Inbound => &self.server,
        }
    }
}

/// What a proxy reports of one side.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Side {
    /// Access logs; `None` = as the mesh's settings say (`accessLogFile`).
    pub logs: Option<Vec<LogTarget>>,
    /// Metrics.
    pub metrics: Metrics,
    /// Traces; `None` = none.
    pub tracing: Option<Tracing>,
}

/// One access log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LogTarget {
    /// Where to.
    pub provider: Provider,
    /// Which requests: an expression; `None` = all.
    pub filter: Option<String>,
}

/// What becomes of Istio's standard metrics.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Metrics {
    /// None at all are kept.
    pub off: bool,
    /// Changes by metric.
    pub changes: BTreeMap<Metric, MetricChange>,
}

/// A change of one metric.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct MetricChange {
    /// Left out.
    pub disabled: bool,
    /// Labels by name: an expression to set one to, `None` = removed.
    pub tags: BTreeMap<String, Option<String>>,
}

/// How traces are made.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Tracing {
    /// Where spans go.
    pub provider: Provider,
    /// Whether spans go there at all; contexts are passed on either way.
    pub reports: bool,
    /// Share of traces that begin here and are sampled, percent.
    pub sampling: f64,
    /// More attributes.
    pub tags: BTreeMap<String, CustomTag>,
}

/// What holds for `viewer`. Of each level only the oldest object counts, by name among equals: of the root namespace and of
/// the pod's own those without a selector, then of the pod's own the one that selects it.
#[must_use]
pub fn reporting(policies: &[&Policies], viewer: &Viewer, mesh: &MeshConfig) -> Reporting {
    let levels = levels(policies, viewer);
    let side = |side| Side {
        logs: logs(&levels, mesh, side),
        metrics: metrics(&levels, mesh, side),
        tracing: tracing(&levels, mesh, side),
    };
    Reporting { client: side(Direction::Outbound), server: side(Direction::Inbound) }
}

/// The objects that count, the widest first.
fn levels<'p>(policies: &[&'p Policies], viewer: &Viewer) -> Vec<&'p Telemetry> {
    let oldest = |namespace: &str, takes: &dyn Fn(&Telemetry) -> bool| {
        policies
            .iter()
            .filter(|p| p.namespace == namespace)
            .flat_map(|p| &p.telemetry)
            .filter(|t| takes(t))
            .min_by(|a, b| (a.created, &a.origin.name).cmp(&(b.created, &b.origin.name)))
    };
    let wide = |namespace: &str| oldest(namespace, &|t| t.selector.is_empty());
    let own = (viewer.namespace != viewer.root_namespace).then(|| wide(&viewer.namespace)).flatten();
    let pod = oldest(&viewer.namespace, &|t| !t.selector.is_empty() && selects(&t.selector, &viewer.labels));
    [wide(&viewer.root_namespace), own, pod].into_iter().flatten().collect()
}

/// A provider by name: those of the mesh's settings, then the built-in ones.
fn provider(mesh: &MeshConfig, name: &str) -> Option<Provider> {
    let built_in = || {
        let kind = match name.to_ascii_lowercase().as_str() {
            "envoy" => ProviderKind::FileLog { format: None },
            "prometheus" => ProviderKind::Prometheus,
            _ => return None,
        };
        Some(Provider { name: name.to_owned(), kind })
    };
    mesh.providers.iter().find(|p| p.name.eq_ignore_ascii_case(name)).cloned().or_else(built_in)
}

fn logs(levels: &[&Telemetry], mesh: &MeshConfig, side: Direction) -> Option<Vec<LogTarget>> {
    let levels: Vec<_> = levels.iter().filter(|t| !t.logging.is_empty()).collect();
    let defaults = &mesh.default_providers.logging;
    let mut kept: BTreeMap<&str, Option<&String>> = BTreeMap::new();
    if levels.is_empty() {
        if defaults.is_empty() {
            return None;
        }
        kept.extend(defaults.iter().map(|p| (p.as_str(), None)));
    }
    // The narrowest level that names providers decides which are looked at; a filter belongs to its provider.
    let mut scope: Vec<&str> = defaults.iter().map(String::as_str).collect();
    let mut filters: BTreeMap<&str, Option<&String>> = BTreeMap::new();
    for level in &levels {
        let mut named = Vec::new();
        for rule in &level.logging {
            for provider in &rule.providers {
                named.push(provider.as_str());
                filters.insert(provider, rule.filter.as_ref());
            }
        }
        if !named.is_empty() {
            scope = named;
        }
    }
    // A mesh that logs by its own settings has `envoy` as what a rule without providers changes.
    if scope.is_empty() {
        scope.push(BUILT_IN_LOG);
    }
    let mut inherited = if defaults.is_empty() { vec![BUILT_IN_LOG] } else { scope_of(defaults) };
    for rule in levels.iter().flat_map(|l| &l.logging) {
        if !rule.providers.is_empty() {
            inherited = scope_of(&rule.providers);
        }
        for provider in &inherited {
            if !scope.contains(provider) || !rule.mode.covers(side) {
                continue;
            }
            if rule.disabled {
                kept.remove(provider);
            } else {
                let filter = filters.get(provider).copied().flatten().or(rule.filter.as_ref());
                kept.insert(provider, filter);
            }
        }
    }
    let target = |(name, filter): (&str, Option<&String>)| {
        let provider = provider(mesh, name)?;
        let logs = matches!(provider.kind, ProviderKind::FileLog { .. } | ProviderKind::OtlpLog { .. });
        logs.then(|| LogTarget { provider, filter: filter.cloned() })
    };
    Some(kept.into_iter().filter_map(target).collect())
}

fn scope_of(names: &[String]) -> Vec<&str> {
    names.iter().map(String::as_str).collect()
}

fn metrics(levels: &[&Telemetry], mesh: &MeshConfig, side: Direction) -> Metrics {
    let built_in = [BUILT_IN_METRICS.to_owned()];
    let defaults = mesh.default_providers.metrics.as_deref().unwrap_or(&built_in);
    let is_prometheus = |name: &&str| provider(mesh, name).is_some_and(|p| matches!(p.kind, ProviderKind::Prometheus));
    let rules = || levels.iter().flat_map(|l| &l.metrics);
    let scope = rules().rfind(|r| !r.providers.is_empty()).map_or(defaults, |r| &r.providers);
    let Some(scope) = scope.iter().map(String::as_str).find(is_prometheus) else {
        return Metrics { off: true, changes: BTreeMap::new() };
    };
    let mut metrics = Metrics::default();
    let mut inherited = defaults;
    for rule in rules() {
        if !rule.providers.is_empty() {
            inherited = &rule.providers;
        }
        if !inherited.iter().any(|p| p == scope) {
            continue;
        }
        for change in &rule.overrides {
            if change.all && change.disabled == Some(true) {
                metrics.off = true;
                continue;
            }
            metrics.off = false;
            if !change.mode.covers(side) {
                continue;
            }
            for metric in change.metric.map_or(Metric::ALL.to_vec(), |m| vec![m]) {
                let merged = metrics.changes.entry(metric).or_default();
                merged.disabled = change.disabled.unwrap_or(merged.disabled);
                merged.tags.extend(change.tags.iter().map(|(k, v)| (k.clone(), v.clone())));
            }
        }
    }
    metrics.changes.retain(|_, change| *change != MetricChange::default());
    metrics
}

fn tracing(levels: &[&Telemetry], mesh: &MeshConfig, side: Direction) -> Option<Tracing> {
    let mut merged =
        TracingRule { provider: mesh.default_providers.tracing.first().cloned(), ..TracingRule::default() };
    for rule in levels.iter().flat_map(|l| &l.tracing).filter(|r| r.mode.covers(side)) {
        if rule.provider.is_some() {
            merged.provider.clone_from(&rule.provider);
        }
        merged.sampling = rule.sampling.or(merged.sampling);
        merged.disable_reporting = rule.disable_reporting.or(merged.disable_reporting);
        if !rule.tags.is_empty() {
            merged.tags.clone_from(&rule.tags);
        }
    }
    let provider = provider(mesh, merged.provider.as_deref()?)?;
    matches!(provider.kind, ProviderKind::OtlpTrace { .. }).then(|| Tracing {
        provider,
        reports: merged.disable_reporting != Some(true),
        sampling: merged.sampling.unwrap_or(mesh.trace_sampling),
        tags: merged.tags,
    })
}

/// Istio's built-in access log.
const BUILT_IN_LOG: &str = "envoy";
/// Istio's built-in metrics.
const BUILT_IN_METRICS: &str = "prometheus";

#[cfg(test)]
mod tests;
