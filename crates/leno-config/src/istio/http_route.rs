//! HTTP rules of a `VirtualService`.

use std::collections::BTreeMap;

use leno_core::model::route::{
    Abort, Cors, Fault, HttpMatch, HttpRoute as Model, Mirror, Redirect, Rewrite, RouteAction, WeightedBackend,
};
use leno_core::model::{Labels, StringMatch};
use serde::{Deserialize, Serialize};

use super::common::{Destination, Findings, RawHeaders, RawMatch, check_header_name};
use super::retry::Retries;
use super::virtual_service::{Weighted, backends, is_for_sidecars};
use crate::object::Path;

/// `HTTPRoute`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct HttpRoute {
    pub(super) name: String,
    pub(super) r#match: Vec<RawHttpMatch>,
    pub(crate) route: Vec<Weighted>,
    redirect: Option<RawRedirect>,
    #[serde(alias = "direct_response")]
    direct_response: Option<DirectResponse>,
    rewrite: Option<RawRewrite>,
    timeout: Option<String>,
    retries: Option<Retries>,
    fault: Option<RawFault>,
    pub(crate) mirror: Option<Destination>,
    pub(crate) mirrors: Vec<RawMirror>,
    #[serde(alias = "mirror_percent")]
    mirror_percent: Option<u32>,
    #[serde(alias = "mirror_percentage")]
    mirror_percentage: Option<Percent>,
    #[serde(alias = "cors_policy")]
    cors_policy: Option<RawCors>,
    headers: RawHeaders,
}

/// `HTTPMatchRequest`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct RawHttpMatch {
    name: String,
    uri: Option<RawMatch>,
    scheme: Option<RawMatch>,
    method: Option<RawMatch>,
    authority: Option<RawMatch>,
    headers: BTreeMap<String, RawMatch>,
    #[serde(alias = "without_headers")]
    without_headers: BTreeMap<String, RawMatch>,
    #[serde(alias = "query_params")]
    query_params: BTreeMap<String, RawMatch>,
    #[serde(alias = "ignore_uri_case")]
    ignore_uri_case: bool,
    port: Option<u16>,
    #[serde(alias = "source_labels")]
    source_labels: Labels,
    #[serde(alias = "source_namespace")]
    source_namespace: Option<String>,
    gateways: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct RawRedirect {
    uri: Option<String>,
    authority: Option<String>,
    scheme: Option<String>,
    port: Option<u16>,
    #[serde(alias = "derive_port")]
    derive_port: Option<String>,
    #[serde(alias = "redirect_code")]
    redirect_code: u16,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct DirectResponse {
    status: u16,
    body: DirectBody,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct DirectBody {
    string: String,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct RawRewrite {
    uri: Option<String>,
    authority: Option<String>,
    #[serde(alias = "uri_regex_rewrite")]
    uri_regex_rewrite: Option<RegexRewrite>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct RegexRewrite {
    r#match: String,
    rewrite: String,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct RawFault {
    delay: Option<Delay>,
    abort: Option<RawAbort>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Delay {
    percentage: Option<Percent>,
    percent: Option<u32>,
    #[serde(alias = "fixed_delay")]
    fixed_delay: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct RawAbort {
    percentage: Option<Percent>,
    percent: Option<u32>,
    #[serde(alias = "http_status")]
    http_status: Option<u16>,
    #[serde(alias = "grpc_status")]
    grpc_status: Option<String>,
}

/// `Percent`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Percent {
    value: f64,
}

/// `HTTPMirrorPolicy`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct RawMirror {
    pub(crate) destination: Destination,
    percentage: Option<Percent>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct RawCors {
    #[serde(alias = "allow_origins")]
    allow_origins: Vec<RawMatch>,
    #[serde(alias = "allow_origin")]
    allow_origin: Vec<String>,
    #[serde(alias = "allow_methods")]
    allow_methods: Vec<String>,
    #[serde(alias = "allow_headers")]
    allow_headers: Vec<String>,
    #[serde(alias = "expose_headers")]
    expose_headers: Vec<String>,
    #[serde(alias = "max_age")]
    max_age: Option<String>,
    #[serde(alias = "allow_credentials")]
    allow_credentials: Option<bool>,
}

impl HttpRoute {
    /// Whether it takes every request, so that no rule after it is reached.
    pub(crate) fn matches_all(&self) -> bool {
        self.r#match.is_empty()
            || self.r#match.iter().any(|m| RawHttpMatch { name: String::new(), ..m.clone() } == RawHttpMatch::default())
    }

    /// `None` where the rule holds for gateways alone.
    pub(super) fn lower(&self, path: &Path, findings: &mut Findings<'_>) -> Option<Model> {
        let mut matches = Vec::new();
        for (index, m) in self.r#match.iter().enumerate() {
            let lowered = m.lower(&path.key("match").index(index), findings);
            if is_for_sidecars(&m.gateways) {
                matches.push(lowered);
            }
        }
        let timeout = findings.duration(&path.key("timeout"), self.timeout.as_ref());
        let model = Model {
            name: self.name.clone(),
            line: findings.object.line_of(path),
            action: self.action(path, findings),
            rewrite: self.rewrite.as_ref().map(|r| r.lower(&path.key("rewrite"), findings)),
            // As in Istio, 0s is no limit.
            timeout: timeout.filter(|t| !t.is_zero()),
            retry: self.retries.as_ref().map(|r| r.lower(&path.key("retries"), findings)),
            fault: self.fault.as_ref().map(|f| f.lower(&path.key("fault"), findings)),
            mirrors: self.mirrors(path, findings),
            headers: self.headers.lower(&path.key("headers"), findings),
            cors: self.cors_policy.as_ref().map(|c| c.lower(&path.key("corsPolicy"), findings)),
            matches,
            ..Model::default()
        };
        (self.r#match.is_empty() || !model.matches.is_empty()).then_some(model)
    }

    fn action(&self, path: &Path, findings: &mut Findings<'_>) -> RouteAction {
        match (&self.redirect, &self.direct_response, self.route.as_slice()) {
            (None, None, [_, ..]) => RouteAction::Forward(self.forward(path, findings)),
            (Some(redirect), None, []) => RouteAction::Redirect(redirect.lower(&path.key("redirect"), findings)),
            (None, Some(response), []) => {
                let at = path.keys("directResponse.status");
                if !(200..=599).contains(&response.status) {
                    findings.error(&at, "must be an HTTP status from 200 to 599");
                }
                RouteAction::Respond { status: response.status, body: response.body.string.clone() }
            }
            // Refused already, by name.
            (None, None, []) if findings.object.value_at(&path.key("delegate")).is_some() => RouteAction::default(),
            (None, None, []) => {
                findings.error(path, "must have one of route, redirect and directResponse");
                RouteAction::default()
            }
            _ => {
                findings.error(path, "must have only one of route, redirect and directResponse");
                RouteAction::default()
            }
        }
    }

    fn forward(&self, path: &Path, findings: &mut Findings<'_>) -> Vec<WeightedBackend> {
        let routes: Vec<_> = self.route.iter().map(|w| (&w.destination, w.weight, &w.headers)).collect();
        backends(&routes, &path.key("route"), findings)
    }

    fn mirrors(&self, path: &Path, findings: &mut Findings<'_>) -> Vec<Mirror> {
        let mut out = Vec::new();
        if let Some(mirror) = &self.mirror {
            if !self.mirrors.is_empty() {
                findings.error(&path.key("mirrors"), "cannot be combined with mirror");
            }
            let percent = match (&self.mirror_percentage, self.mirror_percent) {
                (Some(p), _) => percent(p.value, &path.keys("mirrorPercentage.value"), findings),
                (None, Some(p)) => percent(f64::from(p), &path.key("mirrorPercent"), findings),
                (None, None) => 100.0,
            };
            let backend = mirror.lower(&path.key("mirror"), findings);
            out.extend(backend.map(|backend| Mirror { backend, percent }));
        }
        for (index, mirror) in self.mirrors.iter().enumerate() {
            let at = path.key("mirrors").index(index);
            let share = mirror.percentage.as_ref().map(|p| percent(p.value, &at.keys("percentage.value"), findings));
            let backend = mirror.destination.lower(&at.key("destination"), findings);
            out.extend(backend.map(|backend| Mirror { backend, percent: share.unwrap_or(100.0) }));
        }
        out
    }
}

impl RawHttpMatch {
    fn lower(&self, path: &Path, findings: &mut Findings<'_>) -> HttpMatch {
        if self.port == Some(0) {
            findings.error(&path.key("port"), "must be a port from 1 to 65535");
        }
        let mut one = |field: &str, raw: &Option<RawMatch>| {
            raw.as_ref().and_then(|m| m.lower(&path.key(field), findings)).filter(|m| *m != StringMatch::Present)
        };
        let (uri, scheme) = (one("uri", &self.uri), one("scheme", &self.scheme));
        let (method, authority) = (one("method", &self.method), one("authority", &self.authority));
        let mut headers = |field: &str, map: &BTreeMap<String, RawMatch>| -> Vec<(String, StringMatch)> {
            let mut out = Vec::new();
            for (name, raw) in map {
                let at = path.key(field).key(name);
                // Istio lets rules match pseudo-headers by their HTTP/2 names.
                if !matches!(name.as_str(), ":method" | ":path" | ":scheme" | ":authority") {
                    check_header_name(name, &at, findings);
                }
                out.extend(raw.lower(&at, findings).map(|m| (name.to_ascii_lowercase(), m)));
            }
            out
        };
        let (with, without) = (headers("headers", &self.headers), headers("withoutHeaders", &self.without_headers));
        let mut query = Vec::new();
        for (name, raw) in &self.query_params {
            let at = path.key("queryParams").key(name);
            query.extend(raw.lower(&at, findings).map(|m| (name.clone(), m)));
        }
        HttpMatch {
            name: self.name.clone(),
            uri,
            ignore_uri_case: self.ignore_uri_case,
            scheme,
            method,
            authority,
            headers: with,
            without_headers: without,
            query,
            port: self.port,
            source_labels: self.source_labels.clone(),
            source_namespace: self.source_namespace.clone().filter(|n| !n.is_empty()),
            uri_by_element: false,
        }
    }
}

impl RawRedirect {
    fn lower(&self, path: &Path, findings: &mut Findings<'_>) -> Redirect {
        let status = match self.redirect_code {
            0 => 301,
            code @ (301 | 302 | 303 | 307 | 308) => code,
            _ => {
                findings.error(&path.key("redirectCode"), "must be one of 301, 302, 303, 307, 308");
                301
            }
        };
        let port = match (self.port, self.derive_port.as_deref(), self.scheme.as_deref()) {
            (None, Some("FROM_PROTOCOL_DEFAULT"), Some("https")) => Some(443),
            (None, Some("FROM_PROTOCOL_DEFAULT"), Some("http")) => Some(80),
            (port, None, _) => port,
            (port, Some(_), _) => {
                findings.warning(&path.key("derivePort"), "is not honoured yet: the port of the request's host stays");
                port
            }
        };
        Redirect {
            uri: self.uri.clone(),
            authority: self.authority.clone(),
            scheme: self.scheme.clone(),
            port,
            status,
            ..Redirect::default()
        }
    }
}

impl RawRewrite {
    fn lower(&self, path: &Path, findings: &mut Findings<'_>) -> Rewrite {
        if self.uri.is_some() && self.uri_regex_rewrite.is_some() {
            findings.error(path, "must have only one of uri and uriRegexRewrite");
        }
        let uri_regex = self.uri_regex_rewrite.as_ref().and_then(|r| {
            let pattern = findings.pattern(&path.keys("uriRegexRewrite.match"), &r.r#match)?;
            Some((pattern, r.rewrite.clone()))
        });
        Rewrite { uri: self.uri.clone(), uri_regex, authority: self.authority.clone(), path: None }
    }
}

impl RawFault {
    fn lower(&self, path: &Path, findings: &mut Findings<'_>) -> Fault {
        let delay = self.delay.as_ref().and_then(|d| {
            let at = path.key("delay");
            let share = share(d.percentage.as_ref(), d.percent, &at, findings);
            if d.fixed_delay.is_none() {
                findings.error(&at.key("fixedDelay"), "is missing");
            }
            Some((share, findings.duration(&at.key("fixedDelay"), d.fixed_delay.as_ref())?))
        });
        let abort = self.abort.as_ref().and_then(|a| {
            let at = path.key("abort");
            let share = share(a.percentage.as_ref(), a.percent, &at, findings);
            Some((share, a.what(&at, findings)?))
        });
        Fault { delay, abort }
    }
}

impl RawAbort {
    fn what(&self, path: &Path, findings: &mut Findings<'_>) -> Option<Abort> {
        match (self.http_status, self.grpc_status.as_deref()) {
            (Some(status @ 200..=599), None) => Some(Abort::Http(status)),
            (Some(_), None) => {
                findings.error(&path.key("httpStatus"), "must be an HTTP status from 200 to 599");
                None
            }
            (None, Some(name)) => {
                let code = GRPC.iter().position(|g| *g == name).and_then(|at| u32::try_from(at).ok());
                let code = code.or_else(|| name.parse().ok().filter(|code| *code <= 16));
                if code.is_none() {
                    findings
                        .error(&path.key("grpcStatus"), format!("`{name}` is not a gRPC status such as UNAVAILABLE"));
                }
                code.map(Abort::Grpc)
            }
            _ => {
                findings.error(path, "must have one of httpStatus and grpcStatus");
                None
            }
        }
    }
}

/// gRPC status names by number.
const GRPC: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// `percentage.value`, or the old whole `percent`; neither means none, as in Istio.
fn share(new: Option<&Percent>, old: Option<u32>, path: &Path, findings: &mut Findings<'_>) -> f64 {
    match (new, old) {
        (Some(p), _) => percent(p.value, &path.keys("percentage.value"), findings),
        (None, Some(p)) => percent(f64::from(p), &path.key("percent"), findings),
        (None, None) => {
            findings.warning(path, "has no percentage, so that no request is affected");
            0.0
        }
    }
}

fn percent(value: f64, path: &Path, findings: &mut Findings<'_>) -> f64 {
    if !(0.0..=100.0).contains(&value) {
        findings.error(path, "must be a percentage from 0 to 100");
    }
    value.clamp(0.0, 100.0)
}

impl RawCors {
    fn lower(&self, path: &Path, findings: &mut Findings<'_>) -> Cors {
        let mut allow_origins = Vec::new();
        for (index, raw) in self.allow_origins.iter().enumerate() {
            allow_origins.extend(raw.lower(&path.key("allowOrigins").index(index), findings));
        }
        allow_origins.extend(self.allow_origin.iter().cloned().map(StringMatch::Exact));
        for origin in &mut allow_origins {
            if matches!(origin, StringMatch::Exact(any) if any == "*") {
                *origin = StringMatch::Present;
            }
        }
        Cors {
            allow_origins,
            allow_methods: self.allow_methods.clone(),
            allow_headers: self.allow_headers.clone(),
            expose_headers: self.expose_headers.clone(),
            max_age: findings.duration(&path.key("maxAge"), self.max_age.as_ref()),
            allow_credentials: self.allow_credentials,
            answers_others: false,
        }
    }
}
