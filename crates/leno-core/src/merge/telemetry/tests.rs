//! Istio's precedence, level by level.

use super::*;
use crate::id::{Origin, ServiceId};
use crate::model::Labels;
use crate::model::telemetry::{
    Collector, DefaultProviders, LoggingRule, MetricsOverride, MetricsRule, Mode, Provider, ProviderKind,
};

const ROOT: &str = "istio-system";

fn object(namespace: &str, name: &str) -> Telemetry {
    let origin = Origin {
        kind: "Telemetry".to_owned(),
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        source: String::new(),
    };
    Telemetry {
        origin,
        selector: Labels::new(),
        created: 0,
        logging: Vec::new(),
        metrics: Vec::new(),
        tracing: Vec::new(),
    }
}

fn logging(providers: &[&str]) -> LoggingRule {
    LoggingRule { providers: providers.iter().map(|p| (*p).to_owned()).collect(), ..LoggingRule::default() }
}

fn mesh() -> MeshConfig {
    let collector =
        || Collector { service: ServiceId::new("otel", "collector"), port: 4317, http_path: None, headers: Vec::new() };
    let kinds = [
        (
            "otel-log",
            ProviderKind::OtlpLog {
                collector: collector(),
                log_name: "otel_envoy_accesslog".to_owned(),
                text: None,
                labels: Vec::new(),
            },
        ),
        ("otel", ProviderKind::OtlpTrace { collector: collector(), max_path: 256 }),
        ("datadog", ProviderKind::Unsupported { field: "datadog".to_owned() }),
    ];
    let providers = kinds.into_iter().map(|(name, kind)| Provider { name: name.to_owned(), kind }).collect();
    MeshConfig { providers, ..MeshConfig::default() }
}

#[expect(clippy::needless_pass_by_value, reason = "tests make them where they pass them")]
fn merge(objects: Vec<Telemetry>, mesh: &MeshConfig) -> Reporting {
    let in_namespace = |namespace: &str| Policies {
        namespace: namespace.to_owned(),
        telemetry: objects.iter().filter(|t| t.origin.namespace == namespace).cloned().collect(),
        ..Policies::default()
    };
    let (own, root) = (in_namespace("shop"), in_namespace(ROOT));
    let labels = Labels::from([("app".to_owned(), "web".to_owned())]);
    let viewer = Viewer { namespace: "shop".to_owned(), labels, root_namespace: ROOT.to_owned() };
    reporting(&[&own, &root], &viewer, mesh)
}

fn names(logs: Option<&Vec<LogTarget>>) -> Option<Vec<&str>> {
    logs.map(|l| l.iter().map(|t| t.provider.name.as_str()).collect())
}

#[test]
fn without_objects_the_meshs_settings_hold() {
    let reporting = merge(Vec::new(), &mesh());
    assert_eq!(reporting, Reporting::default());
}

#[test]
fn a_narrower_level_replaces_the_providers_and_disables_by_side() {
    let wide = Telemetry { logging: vec![logging(&["envoy", "otel-log"])], ..object(ROOT, "mesh") };
    let reporting = merge(vec![wide.clone()], &mesh());
    assert_eq!(names(reporting.client.logs.as_ref()), Some(vec!["envoy", "otel-log"]));
    let quiet = LoggingRule { mode: Mode::Client, disabled: true, ..logging(&["envoy"]) };
    let own = Telemetry { logging: vec![quiet], ..object("shop", "quiet") };
    let reporting = merge(vec![wide, own], &mesh());
    assert_eq!(names(reporting.client.logs.as_ref()), Some(vec![]), "otel-log is out of scope, envoy disabled");
    assert_eq!(names(reporting.server.logs.as_ref()), Some(vec!["envoy"]));
}

#[test]
fn a_rule_without_providers_changes_the_built_in_log() {
    let filter = Some("response.code >= 500".to_owned());
    let rule = LoggingRule { filter: filter.clone(), ..LoggingRule::default() };
    let reporting = merge(vec![Telemetry { logging: vec![rule], ..object("shop", "a") }], &mesh());
    let logs = reporting.server.logs.unwrap();
    assert_eq!((logs[0].provider.name.as_str(), &logs[0].filter), ("envoy", &filter));
    let off = LoggingRule { disabled: true, ..LoggingRule::default() };
    let reporting = merge(vec![Telemetry { logging: vec![off], ..object("shop", "a") }], &mesh());
    assert_eq!(names(reporting.server.logs.as_ref()), Some(vec![]), "off, not the mesh's setting");
}

#[test]
fn only_the_oldest_of_a_level_counts_and_only_where_it_selects() {
    let older = Telemetry { created: 1, logging: vec![logging(&["envoy"])], ..object("shop", "z") };
    let younger = Telemetry { created: 2, logging: vec![logging(&["otel-log"])], ..object("shop", "a") };
    let reporting = merge(vec![younger, older], &mesh());
    assert_eq!(names(reporting.client.logs.as_ref()), Some(vec!["envoy"]));
    let selector = Labels::from([("app".to_owned(), "other".to_owned())]);
    let other = Telemetry { selector, logging: vec![logging(&["envoy"])], ..object("shop", "other") };
    assert_eq!(merge(vec![other], &mesh()).client.logs, None);
}

#[test]
fn metrics_are_changed_by_side_and_turned_off_and_on() {
    let change = |metric, mode, disabled| MetricsOverride { metric, mode, disabled, ..MetricsOverride::default() };
    let mut tagged = change(Some(Metric::RequestCount), Mode::Client, None);
    tagged.tags.insert("request_host".to_owned(), Some("request.host".to_owned()));
    let rule = MetricsRule {
        overrides: vec![change(Some(Metric::RequestSize), Mode::ClientAndServer, Some(true)), tagged],
        ..MetricsRule::default()
    };
    let reporting = merge(vec![Telemetry { metrics: vec![rule], ..object(ROOT, "mesh") }], &mesh());
    assert!(reporting.server.metrics.changes[&Metric::RequestSize].disabled);
    assert!(!reporting.server.metrics.changes.contains_key(&Metric::RequestCount));
    assert_eq!(reporting.client.metrics.changes[&Metric::RequestCount].tags.len(), 1);

    let all_off = MetricsRule {
        overrides: vec![MetricsOverride { all: true, disabled: Some(true), ..MetricsOverride::default() }],
        ..MetricsRule::default()
    };
    let off = Telemetry { metrics: vec![all_off], ..object(ROOT, "mesh") };
    assert!(merge(vec![off.clone()], &mesh()).client.metrics.off);
    let on = MetricsRule {
        overrides: vec![change(Some(Metric::RequestCount), Mode::ClientAndServer, Some(false))],
        ..MetricsRule::default()
    };
    let on = Telemetry { metrics: vec![on], ..object("shop", "own") };
    assert!(!merge(vec![off, on], &mesh()).client.metrics.off);
}

#[test]
fn tracing_needs_a_provider_and_inherits_what_is_not_said() {
    let rule = |sampling| TracingRule { sampling, ..TracingRule::default() };
    let only_rate = Telemetry { tracing: vec![rule(Some(50.0))], ..object("shop", "rate") };
    assert_eq!(merge(vec![only_rate.clone()], &mesh()).client.tracing, None, "there is nobody to report to");
    let default = DefaultProviders { tracing: vec!["OTEL".to_owned()], ..DefaultProviders::default() };
    let mesh_with = MeshConfig { default_providers: default, ..mesh() };
    let traced = merge(Vec::new(), &mesh_with).server.tracing.unwrap();
    assert_eq!((traced.provider.name.as_str(), traced.sampling, traced.reports), ("otel", 1.0, true));
    let silent = TracingRule { disable_reporting: Some(true), mode: Mode::Server, ..TracingRule::default() };
    let pod = Telemetry {
        selector: Labels::from([("app".to_owned(), "web".to_owned())]),
        tracing: vec![silent],
        ..object("shop", "pod")
    };
    let both = merge(vec![only_rate, pod], &mesh_with);
    let (client, server) = (both.client.tracing.unwrap(), both.server.tracing.unwrap());
    assert_eq!((client.sampling, client.reports), (50.0, true));
    assert_eq!((server.sampling, server.reports), (50.0, false));
    let unsupported = TracingRule { provider: Some("datadog".to_owned()), ..TracingRule::default() };
    let object = Telemetry { tracing: vec![unsupported], ..object("shop", "dd") };
    assert_eq!(merge(vec![object], &mesh_with).client.tracing, None);
}
