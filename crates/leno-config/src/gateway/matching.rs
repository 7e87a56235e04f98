//! Conditions: paths, headers, query parameters, methods.

use leno_core::model::StringMatch;
use leno_core::model::route::HttpMatch as Model;
use serde::{Deserialize, Serialize};

use crate::istio::common::{Findings, check_header_name};
use crate::object::Path;

/// `HTTPRouteMatch`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct HttpMatch {
    path: Option<ValueMatch>,
    headers: Vec<NamedMatch>,
    query_params: Vec<NamedMatch>,
    method: Option<String>,
}

/// `HTTPPathMatch`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ValueMatch {
    r#type: Option<String>,
    value: Option<String>,
}

/// `HTTPHeaderMatch`, `GRPCHeaderMatch` and `HTTPQueryParamMatch`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct NamedMatch {
    r#type: Option<String>,
    name: String,
    value: String,
}

const METHODS: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];

impl HttpMatch {
    pub(super) fn lower(&self, path: &Path, findings: &mut Findings<'_>) -> Model {
        let uri = match &self.path {
            Some(condition) => condition.lower(&path.key("path"), findings),
            None => Some(StringMatch::Prefix(String::new())),
        };
        if let Some(method) = self.method.as_deref().filter(|m| !METHODS.contains(m)) {
            findings.error(&path.key("method"), format!("`{method}` is not a method, such as GET"));
        }
        Model {
            uri,
            uri_by_element: true,
            method: self.method.clone().map(StringMatch::Exact),
            headers: headers(&self.headers, &path.key("headers"), findings),
            query: query(&self.query_params, &path.key("queryParams"), findings),
            ..Model::default()
        }
    }

    /// Whether it takes the path by its prefix, as every match does that says nothing else.
    pub(super) fn is_by_prefix(&self) -> bool {
        self.path.as_ref().is_none_or(|p| p.r#type.as_deref().is_none_or(|t| t == "PathPrefix"))
    }
}

impl ValueMatch {
    fn lower(&self, path: &Path, findings: &mut Findings<'_>) -> Option<StringMatch> {
        let value = self.value.as_deref().unwrap_or("/");
        let at = path.key("value");
        match self.r#type.as_deref().unwrap_or("PathPrefix") {
            "RegularExpression" => findings.pattern(&at, value).map(StringMatch::Regex),
            kind @ ("Exact" | "PathPrefix") => {
                if !value.starts_with('/') || value.contains("//") {
                    findings.error(&at, format!("`{value}` is not a path: it begins with `/` and has no `//` in it"));
                }
                // A `/` at a prefix's end says nothing.
                let prefix = || StringMatch::Prefix(value.strip_suffix('/').unwrap_or(value).to_owned());
                Some(if kind == "Exact" { StringMatch::Exact(value.to_owned()) } else { prefix() })
            }
            other => {
                findings.error(&path.key("type"), unsupported(other, "Exact, PathPrefix and RegularExpression"));
                None
            }
        }
    }
}

impl NamedMatch {
    fn lower(&self, path: &Path, findings: &mut Findings<'_>) -> Option<StringMatch> {
        match self.r#type.as_deref().unwrap_or("Exact") {
            "Exact" => Some(StringMatch::Exact(self.value.clone())),
            "RegularExpression" => findings.pattern(&path.key("value"), &self.value).map(StringMatch::Regex),
            other => {
                findings.error(&path.key("type"), unsupported(other, "Exact and RegularExpression"));
                None
            }
        }
    }
}

/// Conditions on headers; of several for one name the first counts.
pub(super) fn headers(all: &[NamedMatch], path: &Path, findings: &mut Findings<'_>) -> Vec<(String, StringMatch)> {
    let mut out: Vec<(String, StringMatch)> = Vec::new();
    for (index, one) in all.iter().enumerate() {
        let at = path.index(index);
        check_header_name(&one.name, &at.key("name"), findings);
        let name = one.name.to_ascii_lowercase();
        if out.iter().any(|(n, _)| *n == name) {
            findings.warning(&at.key("name"), "is there twice: only the first counts");
            continue;
        }
        out.extend(one.lower(&at, findings).map(|condition| (name, condition)));
    }
    out
}

fn query(all: &[NamedMatch], path: &Path, findings: &mut Findings<'_>) -> Vec<(String, StringMatch)> {
    let mut out: Vec<(String, StringMatch)> = Vec::new();
    for (index, one) in all.iter().enumerate() {
        let at = path.index(index);
        if out.iter().any(|(n, _)| *n == one.name) {
            findings.warning(&at.key("name"), "is there twice: only the first counts");
            continue;
        }
        out.extend(one.lower(&at, findings).map(|condition| (one.name.clone(), condition)));
    }
    out
}

pub(super) fn unsupported(found: &str, known: &str) -> String {
    format!("`{found}` is not supported: {known} are")
}

/// `text` as a pattern of itself.
pub(super) fn escaped(text: &str) -> String {
    text.chars().flat_map(|c| c.is_ascii_punctuation().then_some('\\').into_iter().chain([c])).collect()
}
