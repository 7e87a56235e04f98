//! `GRPCRoute`: a gRPC method is a path, `/SERVICE/METHOD`.

use leno_core::model::HttpRoute as Model;
use leno_core::model::StringMatch;
use leno_core::model::route::{HttpMatch, RouteAction};
use serde::{Deserialize, Serialize};

use super::backend::{BackendRef, backends, nowhere};
use super::filter::{Filter, Filters, HeaderFilter, MirrorFilter};
use super::http_route::is_for_services;
use super::matching::{NamedMatch, escaped, headers, unsupported};
use super::parent::{ParentRef, services};
use super::precedence::Precedence;
use super::route::{MeshRoute, MeshRule, RouteKind};
use crate::diagnostic::Diagnostic;
use crate::istio::common::Findings;
use crate::k8s::ObjectMeta;
use crate::lower::Lowered;
use crate::object::{Object, Path};
use crate::quantity::unix_seconds;
use crate::typed;

/// The object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct GrpcRoute {
    metadata: ObjectMeta,
    spec: Spec,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Spec {
    parent_refs: Vec<ParentRef>,
    rules: Vec<Rule>,
}

/// `GRPCRouteRule`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Rule {
    name: String,
    matches: Vec<Match>,
    filters: Vec<GrpcFilter>,
    backend_refs: Vec<BackendRef>,
}

/// `GRPCRouteMatch`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Match {
    method: Option<MethodMatch>,
    headers: Vec<NamedMatch>,
}

/// `GRPCMethodMatch`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct MethodMatch {
    r#type: Option<String>,
    service: Option<String>,
    method: Option<String>,
}

/// `GRPCRouteFilter`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct GrpcFilter {
    r#type: String,
    request_header_modifier: Option<HeaderFilter>,
    response_header_modifier: Option<HeaderFilter>,
    request_mirror: Option<MirrorFilter>,
}

/// Lowers the object. One whose parents are all gateways is none of the mesh's, whatever it says.
pub(crate) fn lower(object: &Object) -> Result<(Vec<Lowered>, Vec<Diagnostic>), Vec<Diagnostic>> {
    if !is_for_services(object) {
        return Ok((Vec::new(), Vec::new()));
    }
    let (raw, unknown) = typed::<GrpcRoute>(object).map_err(|e| vec![e])?;
    let mut findings = Findings::new(object, unknown);
    let spec = Path::root().key("spec");
    let parents = services(&raw.spec.parent_refs, &spec.key("parentRefs"), &mut findings);
    let mut rules = Vec::new();
    for (index, rule) in raw.spec.rules.iter().enumerate() {
        rules.push(rule.lower(&spec.key("rules").index(index), &mut findings));
    }
    let created = unix_seconds(&raw.metadata.creation_timestamp);
    let route = MeshRoute { kind: RouteKind::Grpc, origin: object.origin(), created, parents, rules };
    findings.finish(vec![Lowered::MeshRoute(route)])
}

impl Rule {
    fn lower(&self, path: &Path, findings: &mut Findings<'_>) -> MeshRule {
        let mut problems = Vec::new();
        let mut filters = Filters::default();
        for (index, filter) in self.filters.iter().enumerate() {
            let at = path.key("filters").index(index);
            if let kind @ ("RequestRedirect" | "URLRewrite" | "CORS") = filter.r#type.as_str() {
                findings.error(&at.key("type"), format!("`{kind}` is a filter of HTTPRoute"));
                continue;
            }
            filters.take(&filter.widened(), &at, findings, &mut problems);
        }
        let destinations = if filters.unknown {
            vec![nowhere(findings.object.namespace())]
        } else {
            backends(&self.backend_refs, &path.key("backendRefs"), findings, &mut problems)
        };
        let route = Model {
            name: self.name.clone(),
            line: findings.object.line_of(path),
            action: RouteAction::Forward(destinations),
            mirrors: filters.mirrors,
            headers: filters.headers.ops,
            ..Model::default()
        };
        let mut matches = Vec::new();
        for (index, m) in self.matches.iter().enumerate() {
            matches.push(m.lower(&path.key("matches").index(index), findings));
        }
        if matches.is_empty() {
            matches.push(Match::default().lower(path, findings));
        }
        MeshRule { route, matches, problems }
    }
}

impl Match {
    fn lower(&self, path: &Path, findings: &mut Findings<'_>) -> (Precedence, HttpMatch) {
        let (uri, lengths) = match &self.method {
            Some(method) => method.lower(&path.key("method"), findings),
            None => (None, (0, 0)),
        };
        let headers = headers(&self.headers, &path.key("headers"), findings);
        let precedence = Precedence::of_grpc(lengths.0, lengths.1, headers.len());
        (precedence, HttpMatch { uri, headers, ..HttpMatch::default() })
    }
}

impl MethodMatch {
    /// The path, and the characters of service and method.
    fn lower(&self, path: &Path, findings: &mut Findings<'_>) -> (Option<StringMatch>, (usize, usize)) {
        let service = self.service.as_deref().filter(|s| !s.is_empty());
        let method = self.method.as_deref().filter(|m| !m.is_empty());
        let lengths = (service.map_or(0, str::len), method.map_or(0, str::len));
        let is_regex = match self.r#type.as_deref().unwrap_or("Exact") {
            "Exact" => false,
            "RegularExpression" => true,
            other => {
                findings.error(&path.key("type"), unsupported(other, "Exact and RegularExpression"));
                return (None, lengths);
            }
        };
        let uri = match (service, method) {
            (None, None) => {
                findings.error(path, "must have at least one of service and method");
                None
            }
            (Some(service), Some(method)) if !is_regex => Some(StringMatch::Exact(format!("/{service}/{method}"))),
            (Some(service), None) if !is_regex => Some(StringMatch::Prefix(format!("/{service}/"))),
            (service, method) => {
                let part = |text: Option<&str>| match text {
                    Some(text) if is_regex => format!("(?:{text})"),
                    Some(text) => escaped(text),
                    None => "[^/]+".to_owned(),
                };
                // Each by itself, so that neither can reach into the other.
                for (field, text) in [("service", service), ("method", method)] {
                    let text = text.filter(|_| is_regex);
                    text.and_then(|text| findings.pattern(&path.key(field), text));
                }
                findings.pattern(path, &format!("/{}/{}", part(service), part(method))).map(StringMatch::Regex)
            }
        };
        (uri, lengths)
    }
}

impl GrpcFilter {
    fn widened(&self) -> Filter {
        Filter {
            r#type: self.r#type.clone(),
            request_header_modifier: self.request_header_modifier.clone(),
            response_header_modifier: self.response_header_modifier.clone(),
            request_mirror: self.request_mirror.clone(),
            ..Filter::default()
        }
    }
}
