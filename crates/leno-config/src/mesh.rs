//! Settings of the whole mesh: the key `mesh` of the `ConfigMap` `istio` in the root namespace.

mod providers;

use std::sync::Arc;

use leno_core::model::MeshConfig;
use leno_core::model::mesh::AccessLog;
use leno_core::model::telemetry::{DefaultProviders, LogFormat};
use serde::{Deserialize, Serialize};

use crate::diagnostic::{Diagnostic, Position};
use crate::istio::common::Findings;
use crate::k8s::ConfigMap;
use crate::lower::{LowerContext, Lowered};
use crate::object::{Object, Path};
use crate::{read, typed};

/// Name of the `ConfigMap`.
const NAME: &str = "istio";
/// Its key.
const KEY: &str = "mesh";

/// Istio's `MeshConfig`, the part that is honoured.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct RawMesh {
    trust_domain: Option<String>,
    root_namespace: Option<String>,
    outbound_traffic_policy: OutboundTrafficPolicy,
    access_log_file: Option<String>,
    access_log_encoding: Option<String>,
    access_log_format: String,
    extension_providers: Vec<providers::RawProvider>,
    default_providers: RawDefaults,
    enable_tracing: bool,
    default_config: ProxyConfig,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct RawDefaults {
    access_logging: Vec<String>,
    metrics: Option<Vec<String>>,
    tracing: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ProxyConfig {
    tracing: ProxyTracing,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ProxyTracing {
    sampling: Option<f64>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct OutboundTrafficPolicy {
    mode: String,
}

/// Whether `object` holds the mesh's settings.
pub(crate) fn is_mesh_config(object: &Object, context: &LowerContext) -> bool {
    let (namespace, name) =
        context.settings.as_ref().map_or((context.root_namespace.as_str(), NAME), |(ns, name)| (ns, name));
    object.kind == "ConfigMap" && object.name == name && object.namespace() == namespace
}

/// Lowers the settings.
pub(crate) fn lower(
    object: &Object,
    context: &LowerContext,
) -> Result<(Vec<Lowered>, Vec<Diagnostic>), Vec<Diagnostic>> {
    let (map, unknown) = typed::<ConfigMap>(object).map_err(|e| vec![e])?;
    let at = Path::root().key("data").key(KEY);
    let Some(text) = map.data.get(KEY) else { return Ok((Vec::new(), unknown)) };
    let inner = inner_object(object, text, &at)?;
    let (raw, unknown_inside) = typed::<RawMesh>(&inner).map_err(|e| vec![e])?;
    let mut findings = Findings::new(&inner, unknown.into_iter().chain(unknown_inside).collect());
    let default = MeshConfig {
        trust_domain: context.trust_domain.clone(),
        root_namespace: context.root_namespace.clone(),
        ..MeshConfig::default()
    };
    let root = Path::root();
    if raw.root_namespace.as_ref().is_some_and(|n| *n != context.root_namespace) {
        let how = format!("is not honoured: the root namespace is `{}`, where this object is", context.root_namespace);
        findings.warning(&root.key("rootNamespace"), how);
    }
    if raw.trust_domain.as_ref().is_some_and(|t| *t != context.trust_domain) {
        let how = format!("is not honoured: the control plane was started with `{}`", context.trust_domain);
        findings.warning(&root.key("trustDomain"), how);
    }
    let allow_any = match raw.outbound_traffic_policy.mode.as_str() {
        "" | "ALLOW_ANY" => true,
        "REGISTRY_ONLY" => false,
        other => {
            let at = root.keys("outboundTrafficPolicy.mode");
            findings.error(&at, format!("`{other}` is none of ALLOW_ANY, REGISTRY_ONLY"));
            false
        }
    };
    let access_log = match raw.access_log_file.as_deref() {
        None => default.access_log,
        Some("") => AccessLog::Off,
        Some("/dev/stdout") => AccessLog::All,
        Some(_) => {
            findings.warning(&root.key("accessLogFile"), "is not honoured: the log goes to standard output");
            AccessLog::All
        }
    };
    let at = root.key("accessLogFormat");
    let access_log_format = match raw.access_log_encoding.as_deref() {
        None | Some("TEXT") => providers::text_format(&raw.access_log_format, &at, &mut findings),
        Some("JSON") => providers::json_text(&raw.access_log_format, &at, &mut findings),
        Some(other) => {
            findings.error(&root.key("accessLogEncoding"), format!("`{other}` is none of TEXT, JSON"));
            LogFormat::default()
        }
    };
    let providers = providers::lower(&raw.extension_providers, &root.key("extensionProviders"), &mut findings);
    let trace_sampling = sampling(&raw, &root, &mut findings).unwrap_or(default.trace_sampling);
    let default_providers = defaults(raw.default_providers, &providers, &root, &mut findings);
    findings.finish(vec![Lowered::Mesh(MeshConfig {
        allow_any,
        access_log,
        access_log_format,
        providers,
        default_providers,
        trace_sampling,
        ..default
    })])
}

fn sampling(raw: &RawMesh, root: &Path, findings: &mut Findings<'_>) -> Option<f64> {
    if raw.enable_tracing && raw.default_providers.tracing.is_empty() {
        let how = "traces nothing by itself: name a provider with `opentelemetry` in defaultProviders.tracing, or in a \
                   Telemetry";
        findings.warning(&root.key("enableTracing"), how);
    }
    let share = raw.default_config.tracing.sampling?;
    if !(0.0..=100.0).contains(&share) {
        findings.error(&root.keys("defaultConfig.tracing.sampling"), format!("is {share}, not a percentage"));
        return None;
    }
    Some(share)
}

fn defaults(
    raw: RawDefaults,
    providers: &[leno_core::model::telemetry::Provider],
    root: &Path,
    findings: &mut Findings<'_>,
) -> DefaultProviders {
    let lists = [
        ("accessLogging", raw.access_logging.as_slice()),
        ("metrics", raw.metrics.as_deref().unwrap_or_default()),
        ("tracing", raw.tracing.as_slice()),
    ];
    for (list, names) in lists {
        for (index, name) in names.iter().enumerate() {
            let built_in = ["envoy", "prometheus"].iter().any(|b| b.eq_ignore_ascii_case(name));
            if !built_in && !providers.iter().any(|p| p.name.eq_ignore_ascii_case(name)) {
                let at = root.key("defaultProviders").key(list).index(index);
                findings.error(&at, format!("`{name}` is none of extensionProviders"));
            }
        }
    }
    DefaultProviders { logging: raw.access_logging, metrics: raw.metrics, tracing: raw.tracing }
}

/// The YAML inside as an object of its own, whose lines are those of the file where the text is a block (`mesh: |-`).
fn inner_object(object: &Object, text: &str, at: &Path) -> Result<Object, Vec<Diagnostic>> {
    let first = object.line_of(at);
    let node = read::value(text).map_err(|(line, message)| {
        let position = Position { file: Arc::clone(&object.position.file), line: first + line, column: 0 };
        let diagnostic = object.diagnostic(crate::Severity::Error, at, message);
        vec![Diagnostic { position: Some(position), ..diagnostic }]
    })?;
    let (json, mut lines) = node;
    read::shift(&mut lines, first);
    Ok(Object { kind: "MeshConfig".to_owned(), json, lines, ..object.clone() })
}
