//! `HTTPRoute`.

use leno_core::model::HttpRoute as Model;
use leno_core::model::route::RouteAction;
use serde::{Deserialize, Serialize};

use super::backend::{BackendRef, backends, nowhere};
use super::filter::{Filter, Filters};
use super::matching::HttpMatch;
use super::parent::{ParentRef, services};
use super::precedence::Precedence;
use super::retry::{Retry, Timeouts};
use super::route::{MeshRoute, MeshRule, RouteKind};
use crate::diagnostic::Diagnostic;
use crate::istio::common::Findings;
use crate::k8s::ObjectMeta;
use crate::lower::Lowered;
use crate::object::{Object, Path};
use crate::quantity::unix_seconds;
use crate::typed;

/// The object, v1 and v1beta1.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct HttpRoute {
    metadata: ObjectMeta,
    spec: Spec,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Spec {
    parent_refs: Vec<ParentRef>,
    rules: Vec<Rule>,
}

/// `HTTPRouteRule`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Rule {
    name: String,
    matches: Vec<HttpMatch>,
    filters: Vec<Filter>,
    backend_refs: Vec<BackendRef>,
    timeouts: Option<Timeouts>,
    retry: Option<Retry>,
}

/// Lowers the object. One whose parents are all gateways is none of the mesh's, whatever it says.
pub(crate) fn lower(object: &Object) -> Result<(Vec<Lowered>, Vec<Diagnostic>), Vec<Diagnostic>> {
    if !is_for_services(object) {
        return Ok((Vec::new(), Vec::new()));
    }
    let (mut raw, unknown) = typed::<HttpRoute>(object).map_err(|e| vec![e])?;
    let mut findings = Findings::new(object, unknown);
    let spec = Path::root().key("spec");
    let parents = services(&raw.spec.parent_refs, &spec.key("parentRefs"), &mut findings);
    if raw.spec.rules.is_empty() {
        // As the definition of the kind has it.
        raw.spec.rules.push(Rule::default());
    }
    let mut rules = Vec::new();
    for (index, rule) in raw.spec.rules.iter().enumerate() {
        rules.push(rule.lower(&spec.key("rules").index(index), &mut findings));
    }
    let created = unix_seconds(&raw.metadata.creation_timestamp);
    let route = MeshRoute { kind: RouteKind::Http, origin: object.origin(), created, parents, rules };
    findings.finish(vec![Lowered::MeshRoute(route)])
}

/// Whether any parent is a Service, as far as can be told before the object is read as a whole.
pub(super) fn is_for_services(object: &Object) -> bool {
    let refs = object.json.pointer("/spec/parentRefs").and_then(serde_json::Value::as_array);
    let is_service = |parent: &serde_json::Value| {
        parent["kind"] == "Service" && matches!(parent["group"].as_str(), Some("" | "core"))
    };
    refs.is_some_and(|refs| refs.iter().any(is_service))
}

impl Rule {
    fn lower(&self, path: &Path, findings: &mut Findings<'_>) -> MeshRule {
        let mut problems = Vec::new();
        let mut filters = Filters::default();
        for (index, filter) in self.filters.iter().enumerate() {
            filters.take(filter, &path.key("filters").index(index), findings, &mut problems);
        }
        if filters.by_prefix && !self.matches.iter().all(HttpMatch::is_by_prefix) {
            findings.error(&path.key("filters"), "ReplacePrefixMatch needs matches of type PathPrefix alone");
        }
        let (timeout, try_timeout) =
            self.timeouts.as_ref().map(|t| t.lower(&path.key("timeouts"), findings)).unwrap_or_default();
        let at = path.key("backendRefs");
        let action = match filters.redirect.take() {
            Some(_) if !self.backend_refs.is_empty() => {
                findings.error(&at, "cannot be combined with the filter RequestRedirect");
                RouteAction::default()
            }
            _ if filters.unknown => RouteAction::Forward(vec![nowhere(findings.object.namespace())]),
            Some(redirect) => RouteAction::Redirect(redirect),
            None => RouteAction::Forward(backends(&self.backend_refs, &at, findings, &mut problems)),
        };
        let route = Model {
            name: self.name.clone(),
            line: findings.object.line_of(path),
            action,
            rewrite: filters.rewrite,
            timeout,
            try_timeout,
            retry: self.retry.as_ref().map(|r| r.lower(&path.key("retry"), findings)),
            mirrors: filters.mirrors,
            headers: filters.headers.ops,
            cors: filters.cors,
            ..Model::default()
        };
        let mut matches = Vec::new();
        for (index, m) in self.matches.iter().enumerate() {
            let m = m.lower(&path.key("matches").index(index), findings);
            matches.push((Precedence::of_http(&m), m));
        }
        if matches.is_empty() {
            let all = HttpMatch::default().lower(path, findings);
            matches.push((Precedence::of_http(&all), all));
        }
        MeshRule { route, matches, problems }
    }
}
