//! `extensionProviders` and the access log's format.

use std::collections::BTreeMap;

use leno_core::id::ServiceId;
use leno_core::log_format::Format;
use leno_core::model::telemetry::{Collector, LogFormat, Provider, ProviderKind};
use serde::{Deserialize, Serialize};

use crate::istio::common::Findings;
use crate::object::Path;

/// One of `extensionProviders`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct RawProvider {
    name: String,
    envoy_file_access_log: Option<FileLog>,
    envoy_otel_als: Option<OtelLog>,
    opentelemetry: Option<Otel>,
    prometheus: Option<Prometheus>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct FileLog {
    path: String,
    log_format: Option<RawFormat>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct RawFormat {
    text: Option<String>,
    labels: Option<BTreeMap<String, String>>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct OtelLog {
    service: String,
    port: u32,
    log_name: String,
    log_format: Option<RawFormat>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Otel {
    service: String,
    port: u32,
    max_tag_length: Option<u32>,
    http: Option<Http>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Http {
    path: String,
    headers: Vec<Header>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Header {
    name: String,
    value: String,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Prometheus {}

/// Lowers the list. One that is not honoured is kept by name, so that rules that name it report nothing to it; its field
/// has been warned of already.
pub(super) fn lower(raw: &[RawProvider], at: &Path, findings: &mut Findings<'_>) -> Vec<Provider> {
    let mut providers: Vec<Provider> = Vec::new();
    for (index, provider) in raw.iter().enumerate() {
        let at = at.index(index);
        if provider.name.is_empty() {
            findings.error(&at.key("name"), "is missing");
            continue;
        }
        if providers.iter().any(|p| p.name.eq_ignore_ascii_case(&provider.name)) {
            findings.error(&at.key("name"), format!("`{}` is there twice", provider.name));
            continue;
        }
        if let Some(kind) = kind(provider, &at, findings) {
            providers.push(Provider { name: provider.name.clone(), kind });
        }
    }
    providers
}

fn kind(raw: &RawProvider, at: &Path, findings: &mut Findings<'_>) -> Option<ProviderKind> {
    match (&raw.envoy_file_access_log, &raw.envoy_otel_als, &raw.opentelemetry, &raw.prometheus) {
        (Some(log), None, None, None) => {
            let at = at.key("envoyFileAccessLog");
            if !matches!(log.path.as_str(), "" | "/dev/stdout") {
                findings.warning(&at.key("path"), "is not honoured: the log goes to standard output");
            }
            let at = at.key("logFormat");
            let format = match &log.log_format {
                // Istio's built-in `envoy` follows the mesh's own format, others its default text.
                None if raw.name.eq_ignore_ascii_case("envoy") => None,
                None => Some(LogFormat::Text(None)),
                Some(format) => Some(lower_format(format, &at, findings)),
            };
            Some(ProviderKind::FileLog { format })
        }
        (None, Some(log), None, None) => {
            let at = at.key("envoyOtelAls");
            let format = log.log_format.as_ref();
            if let Some(text) = format.and_then(|f| f.text.as_ref()) {
                check_format(text, &at.keys("logFormat.text"), findings);
            }
            let labels: Vec<_> = format.and_then(|f| f.labels.clone()).unwrap_or_default().into_iter().collect();
            for (key, text) in &labels {
                check_format(text, &at.keys("logFormat.labels").key(key), findings);
            }
            Some(ProviderKind::OtlpLog {
                collector: collector(&log.service, log.port, &at, findings)?,
                log_name: if log.log_name.is_empty() {
                    "otel_envoy_accesslog".to_owned()
                } else {
                    log.log_name.clone()
                },
                text: format.and_then(|f| f.text.clone()),
                labels,
            })
        }
        (None, None, Some(otel), None) => {
            let at = at.key("opentelemetry");
            let mut collector = collector(&otel.service, otel.port, &at, findings)?;
            if let Some(http) = &otel.http {
                if !http.path.starts_with('/') {
                    findings.error(&at.keys("http.path"), "must begin with `/`");
                }
                collector.http_path = Some(http.path.clone());
                collector.headers = http.headers.iter().map(|h| (h.name.clone(), h.value.clone())).collect();
            }
            Some(ProviderKind::OtlpTrace { collector, max_path: otel.max_tag_length.unwrap_or(MAX_PATH) })
        }
        (None, None, None, Some(Prometheus {})) => Some(ProviderKind::Prometheus),
        (None, None, None, None) => {
            // Some other kind.
            Some(ProviderKind::Unsupported { field: String::new() })
        }
        _ => {
            findings.error(at, "must have only one kind of provider");
            None
        }
    }
}

/// Istio's service names: `name.namespace.svc.cluster.local`, with the namespace in front or not.
fn collector(service: &str, port: u32, at: &Path, findings: &mut Findings<'_>) -> Option<Collector> {
    let host = service.rsplit_once('/').map_or(service, |(_, host)| host);
    let id = ServiceId::from_host(host, "").filter(|id| !id.namespace.is_empty());
    if id.is_none() {
        let how = format!("`{service}` is no service of the mesh: write NAME.NAMESPACE.svc.cluster.local");
        findings.error(&at.key("service"), how);
    }
    let port = u16::try_from(port).ok().filter(|p| *p != 0);
    if port.is_none() {
        findings.error(&at.key("port"), "must be a port from 1 to 65535");
    }
    Some(Collector { service: id?, port: port?, http_path: None, headers: Vec::new() })
}

fn lower_format(raw: &RawFormat, at: &Path, findings: &mut Findings<'_>) -> LogFormat {
    match (&raw.text, &raw.labels) {
        (Some(_), Some(_)) => {
            findings.error(at, "must have only one of text and labels");
            LogFormat::default()
        }
        (Some(text), None) => text_format(text, &at.key("text"), findings),
        (None, Some(labels)) => json_format(labels, &at.key("labels"), findings),
        (None, None) => LogFormat::default(),
    }
}

/// A text with operators; empty is Istio's default.
pub(super) fn text_format(text: &str, at: &Path, findings: &mut Findings<'_>) -> LogFormat {
    check_format(text, at, findings);
    LogFormat::Text((!text.is_empty()).then(|| text.to_owned()))
}

/// Keys and what they hold; none are Istio's default.
fn json_format(labels: &BTreeMap<String, String>, at: &Path, findings: &mut Findings<'_>) -> LogFormat {
    for (key, text) in labels {
        check_format(text, &at.key(key), findings);
    }
    LogFormat::Json((!labels.is_empty()).then(|| labels.clone().into_iter().collect()))
}

/// `accessLogFormat` of a mesh that logs JSON: an object of texts, as a text.
pub(super) fn json_text(text: &str, at: &Path, findings: &mut Findings<'_>) -> LogFormat {
    if text.is_empty() {
        return LogFormat::Json(None);
    }
    match serde_json::from_str::<BTreeMap<String, String>>(text) {
        Ok(labels) => json_format(&labels, at, findings),
        Err(e) => {
            findings.error(at, format!("is no JSON object of texts, as accessLogEncoding JSON needs: {e}"));
            LogFormat::Json(None)
        }
    }
}

fn check_format(text: &str, at: &Path, findings: &mut Findings<'_>) {
    match Format::parse(text) {
        Ok(format) if format.has_nothing() => {
            findings.warning(at, "has operators that mean nothing here: `-` stands in their place");
        }
        Ok(_) => {}
        Err(why) => findings.error(at, why.to_string()),
    }
}

/// Istio's default of `maxTagLength`.
const MAX_PATH: u32 = 256;
