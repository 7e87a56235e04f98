//! `Telemetry`.

use std::collections::BTreeMap;

use leno_core::cel::Program;
use leno_core::model::telemetry::{
    CustomTag, LoggingRule, Metric, MetricsOverride, MetricsRule, Mode, Telemetry as Model, TracingRule,
};
use serde::{Deserialize, Serialize};

use super::common::{Findings, Selector};
use crate::diagnostic::Diagnostic;
use crate::k8s::ObjectMeta;
use crate::lower::Lowered;
use crate::object::{Object, Path};
use crate::quantity::unix_seconds;
use crate::typed;

/// The object.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Telemetry {
    metadata: ObjectMeta,
    spec: Spec,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Spec {
    selector: Selector,
    access_logging: Vec<Logging>,
    metrics: Vec<Metrics>,
    tracing: Vec<Tracing>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ProviderName {
    name: String,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Match {
    mode: String,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Logging {
    #[serde(rename = "match")]
    matches: Match,
    providers: Vec<ProviderName>,
    disabled: bool,
    filter: Filter,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Filter {
    expression: String,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Metrics {
    providers: Vec<ProviderName>,
    overrides: Vec<Override>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Override {
    #[serde(rename = "match")]
    matches: MetricMatch,
    disabled: Option<bool>,
    tag_overrides: BTreeMap<String, TagOverride>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct MetricMatch {
    metric: String,
    mode: String,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct TagOverride {
    operation: String,
    value: String,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Tracing {
    #[serde(rename = "match")]
    matches: Match,
    providers: Vec<ProviderName>,
    random_sampling_percentage: Option<f64>,
    disable_span_reporting: Option<bool>,
    custom_tags: BTreeMap<String, Tag>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Tag {
    literal: Option<Literal>,
    environment: Option<Named>,
    header: Option<Named>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Literal {
    value: String,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Named {
    name: String,
    default_value: String,
}

/// Lowers the object.
pub(crate) fn lower(object: &Object) -> Result<(Vec<Lowered>, Vec<Diagnostic>), Vec<Diagnostic>> {
    let (raw, unknown) = typed::<Telemetry>(object).map_err(|e| vec![e])?;
    let mut findings = Findings::new(object, unknown);
    let spec = Path::root().key("spec");
    let at = |list: &str, index: usize| spec.key(list).index(index);
    let logging = raw.spec.access_logging.iter().enumerate();
    let logging = logging.map(|(i, l)| lower_logging(l, &at("accessLogging", i), &mut findings)).collect();
    let metrics = raw.spec.metrics.iter().enumerate();
    let metrics = metrics.map(|(i, m)| lower_metrics(m, &at("metrics", i), &mut findings)).collect();
    let tracing = raw.spec.tracing.iter().enumerate();
    let tracing = tracing.map(|(i, t)| lower_tracing(t, &at("tracing", i), &mut findings)).collect();
    let model = Model {
        origin: object.origin(),
        selector: raw.spec.selector.match_labels,
        created: unix_seconds(&raw.metadata.creation_timestamp),
        logging,
        metrics,
        tracing,
    };
    findings.finish(vec![Lowered::Telemetry(model)])
}

fn lower_logging(raw: &Logging, at: &Path, findings: &mut Findings<'_>) -> LoggingRule {
    let filter = (!raw.filter.expression.is_empty()).then(|| raw.filter.expression.clone());
    if let Some(text) = &filter {
        expression(text, &at.keys("filter.expression"), findings);
    }
    LoggingRule {
        mode: mode(&raw.matches.mode, &at.keys("match.mode"), findings),
        providers: providers(&raw.providers, &at.key("providers"), findings),
        disabled: raw.disabled,
        filter,
    }
}

fn lower_metrics(raw: &Metrics, at: &Path, findings: &mut Findings<'_>) -> MetricsRule {
    let mut overrides = Vec::new();
    for (index, change) in raw.overrides.iter().enumerate() {
        let at = at.key("overrides").index(index);
        let name = change.matches.metric.as_str();
        let all = name == "ALL_METRICS";
        let metric = if name.is_empty() || all { None } else { Metric::named(name) };
        if metric.is_none() && !name.is_empty() && !all {
            let names: Vec<_> = Metric::ALL.iter().map(|m| m.as_str()).collect();
            findings.error(&at.keys("match.metric"), format!("`{name}` is none of ALL_METRICS, {}", names.join(", ")));
        }
        let tags = change.tag_overrides.iter();
        let tags = tags.filter_map(|(name, tag)| lower_tag(name, tag, &at.key("tagOverrides").key(name), findings));
        overrides.push(MetricsOverride {
            metric,
            all,
            mode: Mode::default(),
            disabled: change.disabled,
            tags: tags.collect(),
        });
        if let Some(last) = overrides.last_mut() {
            last.mode = mode(&change.matches.mode, &at.keys("match.mode"), findings);
        }
    }
    MetricsRule { providers: providers(&raw.providers, &at.key("providers"), findings), overrides }
}

fn lower_tag(
    name: &str,
    tag: &TagOverride,
    at: &Path,
    findings: &mut Findings<'_>,
) -> Option<(String, Option<String>)> {
    let is_label = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if name.is_empty() || !is_label || name.starts_with(|c: char| c.is_ascii_digit()) {
        findings.error(at, "is no name of a label: letters, digits and `_`");
        return None;
    }
    match tag.operation.as_str() {
        "" | "UPSERT" if tag.value.is_empty() => {
            findings.error(&at.key("value"), "is missing: UPSERT needs an expression");
            None
        }
        "" | "UPSERT" => {
            expression(&tag.value, &at.key("value"), findings);
            Some((name.to_owned(), Some(tag.value.clone())))
        }
        "REMOVE" => Some((name.to_owned(), None)),
        other => {
            findings.error(&at.key("operation"), format!("`{other}` is none of UPSERT, REMOVE"));
            None
        }
    }
}

fn lower_tracing(raw: &Tracing, at: &Path, findings: &mut Findings<'_>) -> TracingRule {
    if let Some(share) = raw.random_sampling_percentage
        && !(0.0..=100.0).contains(&share)
    {
        findings.error(&at.key("randomSamplingPercentage"), format!("is {share}, not a percentage"));
    }
    let names = providers(&raw.providers, &at.key("providers"), findings);
    if names.len() > 1 {
        findings.warning(&at.key("providers"), "has more than one: only the first counts, as in Istio");
    }
    let mut tags = BTreeMap::new();
    for (name, tag) in &raw.custom_tags {
        let at = at.key("customTags").key(name);
        let lower = |named: &Named| (named.name.to_ascii_lowercase(), named.default_value.clone());
        let tag = match (&tag.literal, &tag.environment, &tag.header) {
            (Some(literal), None, None) => CustomTag::Literal(literal.value.clone()),
            (None, Some(named), None) => {
                CustomTag::Environment { name: named.name.clone(), default: named.default_value.clone() }
            }
            (None, None, Some(named)) => {
                let (name, default) = lower(named);
                CustomTag::Header { name, default }
            }
            // One that is not honoured (`formatter`) has been named already.
            (None, None, None) => continue,
            _ => {
                findings.error(&at, "must have only one of literal, environment and header");
                continue;
            }
        };
        if matches!(&tag, CustomTag::Environment { name, .. } | CustomTag::Header { name, .. } if name.is_empty()) {
            findings.error(&at, "has no name");
        }
        tags.insert(name.clone(), tag);
    }
    TracingRule {
        mode: mode(&raw.matches.mode, &at.keys("match.mode"), findings),
        provider: names.first().cloned(),
        sampling: raw.random_sampling_percentage,
        disable_reporting: raw.disable_span_reporting,
        tags,
    }
}

fn providers(raw: &[ProviderName], at: &Path, findings: &mut Findings<'_>) -> Vec<String> {
    for (index, provider) in raw.iter().enumerate() {
        if provider.name.is_empty() {
            findings.error(&at.index(index).key("name"), "is missing");
        }
    }
    raw.iter().map(|p| p.name.clone()).collect()
}

fn mode(text: &str, at: &Path, findings: &mut Findings<'_>) -> Mode {
    match text {
        "" | "CLIENT_AND_SERVER" => Mode::ClientAndServer,
        "CLIENT" => Mode::Client,
        "SERVER" => Mode::Server,
        other => {
            findings.error(at, format!("`{other}` is none of CLIENT_AND_SERVER, CLIENT, SERVER"));
            Mode::ClientAndServer
        }
    }
}

/// What is not honoured in an expression refuses the object: a filter that keeps too much or too little helps nobody.
fn expression(text: &str, at: &Path, findings: &mut Findings<'_>) {
    if let Err(why) = Program::parse(text) {
        findings.error(at, format!("`{text}` {why}"));
    }
}
