//! What Istio's objects share.

use std::collections::BTreeMap;
use std::time::Duration;

use leno_core::id::ServiceId;
use leno_core::model::route::{Backend, ExportTo, HeaderEdit, HeaderOps};
use leno_core::model::{Labels, Pattern, StringMatch};
use serde::{Deserialize, Serialize};

use crate::diagnostic::{Diagnostic, Severity};
use crate::object::{Object, Path};
use crate::quantity;

/// What is found while an object is lowered.
pub(crate) struct Findings<'o> {
    pub(crate) object: &'o Object,
    all: Vec<Diagnostic>,
}

impl<'o> Findings<'o> {
    pub(crate) const fn new(object: &'o Object, all: Vec<Diagnostic>) -> Self {
        Self { object, all }
    }

    pub(crate) fn error(&mut self, path: &Path, message: impl Into<String>) {
        self.add(Severity::Error, path, message);
    }

    pub(crate) fn warning(&mut self, path: &Path, message: impl Into<String>) {
        self.add(Severity::Warning, path, message);
    }

    pub(crate) fn info(&mut self, path: &Path, message: impl Into<String>) {
        self.add(Severity::Info, path, message);
    }

    pub(crate) fn push(&mut self, diagnostic: Diagnostic) {
        self.all.push(diagnostic);
    }

    fn add(&mut self, severity: Severity, path: &Path, message: impl Into<String>) {
        self.all.push(self.object.diagnostic(severity, path, message));
    }

    pub(crate) fn into_all(self) -> Vec<Diagnostic> {
        self.all
    }

    /// `value` with the warnings, or all findings where there is an error among them.
    pub(crate) fn finish<T>(self, value: T) -> Result<(T, Vec<Diagnostic>), Vec<Diagnostic>> {
        if self.all.iter().any(Diagnostic::is_error) { Err(self.all) } else { Ok((value, self.all)) }
    }

    /// A duration of at least 1 ms, or zero.
    pub(crate) fn duration(&mut self, path: &Path, text: Option<&String>) -> Option<Duration> {
        match quantity::millis_duration(text?) {
            Ok(duration) => Some(duration),
            Err(why) => {
                self.error(path, why.to_string());
                None
            }
        }
    }

    /// A regular expression in RE2's syntax.
    pub(crate) fn pattern(&mut self, path: &Path, source: &str) -> Option<Pattern> {
        match Pattern::new(source) {
            Ok(pattern) => Some(pattern),
            Err(why) => {
                let why = why.to_string();
                let last = why.lines().last().unwrap_or_default().trim_start_matches("error: ");
                self.error(path, format!("`{source}` is not a regular expression: {last}"));
                None
            }
        }
    }
}

/// `StringMatch`: one of the three, or none for "is there".
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct RawMatch {
    pub(crate) exact: Option<String>,
    pub(crate) prefix: Option<String>,
    pub(crate) regex: Option<String>,
}

impl RawMatch {
    pub(crate) fn lower(&self, path: &Path, findings: &mut Findings<'_>) -> Option<StringMatch> {
        match (&self.exact, &self.prefix, &self.regex) {
            (Some(text), None, None) => Some(StringMatch::Exact(text.clone())),
            (None, Some(text), None) => Some(StringMatch::Prefix(text.clone())),
            (None, None, Some(text)) => findings.pattern(&path.key("regex"), text).map(StringMatch::Regex),
            (None, None, None) => Some(StringMatch::Present),
            _ => {
                findings.error(path, "must have only one of exact, prefix and regex");
                None
            }
        }
    }
}

/// `Destination`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Destination {
    pub(crate) host: String,
    pub(crate) subset: Option<String>,
    pub(crate) port: Option<PortSelector>,
}

/// `PortSelector`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct PortSelector {
    pub(crate) number: u16,
}

impl Destination {
    pub(crate) fn lower(&self, path: &Path, findings: &mut Findings<'_>) -> Option<Backend> {
        let port = match &self.port {
            Some(PortSelector { number: 0 }) => {
                findings.error(&path.keys("port.number"), "must be a port from 1 to 65535");
                return None;
            }
            port => port.as_ref().map(|p| p.number),
        };
        let service = service_of(&self.host, &path.key("host"), findings)?;
        Some(Backend { service, subset: self.subset.clone().filter(|s| !s.is_empty()), port })
    }
}

/// The service that `host` names, or an error.
pub(crate) fn service_of(host: &str, path: &Path, findings: &mut Findings<'_>) -> Option<ServiceId> {
    if host.is_empty() {
        findings.error(path, "is missing");
        return None;
    }
    let service = ServiceId::from_host(host, findings.object.namespace());
    if service.is_none() {
        findings.error(path, format!("`{host}` is no service of the cluster, and outside hosts are not carried yet"));
    }
    service
}

/// `exportTo`.
pub(crate) fn export_to(namespaces: &[String], own: &str) -> ExportTo {
    if namespaces.is_empty() || namespaces.iter().any(|n| n == "*") {
        return ExportTo::All;
    }
    let resolve = |n: &String| match n.as_str() {
        "." => Some(own.to_owned()),
        "~" => None,
        other => Some(other.to_owned()),
    };
    ExportTo::Namespaces(namespaces.iter().filter_map(resolve).collect())
}

/// `WorkloadSelector`, of traffic and security objects alike.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Selector {
    pub(crate) match_labels: Labels,
}

/// `Headers`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct RawHeaders {
    pub(crate) request: RawEdit,
    pub(crate) response: RawEdit,
}

/// `HeaderOperations`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct RawEdit {
    pub(crate) set: BTreeMap<String, String>,
    pub(crate) add: BTreeMap<String, String>,
    pub(crate) remove: Vec<String>,
}

impl RawHeaders {
    pub(crate) fn lower(&self, path: &Path, findings: &mut Findings<'_>) -> HeaderOps {
        HeaderOps {
            request: self.request.lower(&path.key("request"), findings),
            response: self.response.lower(&path.key("response"), findings),
        }
    }
}

impl RawEdit {
    fn lower(&self, path: &Path, findings: &mut Findings<'_>) -> HeaderEdit {
        let mut pairs = |field: &str, map: &BTreeMap<String, String>| -> Vec<(String, String)> {
            map.iter()
                .map(|(name, value)| {
                    let at = path.key(field).key(name);
                    check_header_name(name, &at, findings);
                    if value.bytes().any(|b| b < 0x20 && b != b'\t' || b == 0x7f) {
                        findings.error(&at, "a header value has no control characters");
                    }
                    (name.to_ascii_lowercase(), value.clone())
                })
                .collect()
        };
        let (set, add) = (pairs("set", &self.set), pairs("add", &self.add));
        for (index, name) in self.remove.iter().enumerate() {
            check_header_name(name, &path.key("remove").index(index), findings);
        }
        HeaderEdit { set, add, remove: self.remove.iter().map(|n| n.to_ascii_lowercase()).collect() }
    }
}

/// Names are tokens (RFC 9110), or the pseudo-header `:authority`, which Istio lets rules set.
pub(crate) fn check_header_name(name: &str, path: &Path, findings: &mut Findings<'_>) {
    let is_token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    let rest = if name == ":authority" { "authority" } else { name };
    if rest.is_empty() || !rest.bytes().all(is_token) {
        findings.error(path, format!("`{name}` is not a header name"));
    }
}
