//! Filters: what is done to requests and answers on their way.

use leno_core::model::route::{Cors, HeaderEdit, HeaderOps, Mirror, Redirect, Rewrite};
use serde::{Deserialize, Serialize};

use super::backend::ObjectRef;
use super::cors::CorsFilter;
use super::matching::unsupported;
use super::route::{Problem, ProblemReason};
use crate::istio::common::{Findings, check_header_name};
use crate::object::Path;

/// `HTTPRouteFilter`; a `GRPCRouteFilter` has a part of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Filter {
    pub(super) r#type: String,
    pub(super) request_header_modifier: Option<HeaderFilter>,
    pub(super) response_header_modifier: Option<HeaderFilter>,
    pub(super) request_mirror: Option<MirrorFilter>,
    pub(super) request_redirect: Option<RedirectFilter>,
    pub(super) url_rewrite: Option<RewriteFilter>,
    pub(super) cors: Option<CorsFilter>,
}

/// `HTTPHeaderFilter`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct HeaderFilter {
    set: Vec<Header>,
    add: Vec<Header>,
    remove: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Header {
    name: String,
    value: String,
}

/// `HTTPRequestMirrorFilter`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct MirrorFilter {
    backend_ref: ObjectRef,
    percent: Option<u32>,
    fraction: Option<Fraction>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Fraction {
    numerator: u32,
    denominator: Option<u32>,
}

/// `HTTPRequestRedirectFilter`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct RedirectFilter {
    scheme: Option<String>,
    hostname: Option<String>,
    path: Option<PathModifier>,
    port: Option<u16>,
    status_code: Option<u16>,
}

/// `HTTPURLRewriteFilter`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct RewriteFilter {
    hostname: Option<String>,
    path: Option<PathModifier>,
}

/// `HTTPPathModifier`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct PathModifier {
    r#type: String,
    replace_full_path: Option<String>,
    replace_prefix_match: Option<String>,
}

/// What the filters of a rule do together.
#[derive(Debug, Default)]
pub(super) struct Filters {
    pub(super) headers: HeaderFilters,
    pub(super) redirect: Option<Redirect>,
    pub(super) rewrite: Option<Rewrite>,
    pub(super) mirrors: Vec<Mirror>,
    pub(super) cors: Option<Cors>,
    /// A filter of somebody else's that nobody here can do: requests must not go on without it.
    pub(super) unknown: bool,
    /// A prefix of the path is replaced.
    pub(super) by_prefix: bool,
}

impl Filters {
    pub(super) fn take(
        &mut self,
        filter: &Filter,
        path: &Path,
        findings: &mut Findings<'_>,
        problems: &mut Vec<Problem>,
    ) {
        let missing = |field: &str, findings: &mut Findings<'_>| findings.error(&path.key(field), "is missing");
        match filter.r#type.as_str() {
            "RequestHeaderModifier" => self.headers.request(filter.request_header_modifier.as_ref(), path, findings),
            "ResponseHeaderModifier" => self.headers.response(filter.response_header_modifier.as_ref(), path, findings),
            "RequestMirror" => match &filter.request_mirror {
                Some(mirror) => self.mirror(mirror, &path.key("requestMirror"), findings, problems),
                None => missing("requestMirror", findings),
            },
            "RequestRedirect" => match &filter.request_redirect {
                Some(redirect) => self.redirect(redirect, &path.key("requestRedirect"), findings),
                None => missing("requestRedirect", findings),
            },
            "URLRewrite" => match &filter.url_rewrite {
                Some(rewrite) => self.rewrite(rewrite, &path.key("urlRewrite"), findings),
                None => missing("urlRewrite", findings),
            },
            "CORS" => match &filter.cors {
                Some(cors) => self.cors = Some(cors.lower(&path.key("cors"), findings)),
                None => missing("cors", findings),
            },
            "ExtensionRef" => {
                self.unknown = true;
                let message = format!("{}: no such filter is known: the rule's requests are answered 500", path);
                problems.push(Problem { reason: ProblemReason::InvalidKind, message });
            }
            other => findings.error(&path.key("type"), unsupported(other, KNOWN)),
        }
        if self.redirect.is_some() && self.rewrite.is_some() {
            findings.error(path, "RequestRedirect and URLRewrite cannot be combined");
        }
    }

    fn mirror(&mut self, mirror: &MirrorFilter, path: &Path, findings: &mut Findings<'_>, problems: &mut Vec<Problem>) {
        let percent = match (&mirror.percent, &mirror.fraction) {
            (None, None) => 100.0,
            (Some(percent), None) => f64::from(*percent),
            (None, Some(share)) => {
                100.0 * f64::from(share.numerator) / f64::from(share.denominator.unwrap_or(100).max(1))
            }
            (Some(_), Some(_)) => {
                findings.error(path, "must have only one of percent and fraction");
                100.0
            }
        };
        if !(0.0..=100.0).contains(&percent) {
            findings.error(path, "the share must be from 0 to 100 percent");
        }
        match mirror.backend_ref.lower(&path.key("backendRef"), findings) {
            Ok(backend) => self.mirrors.push(Mirror { backend, percent: percent.clamp(0.0, 100.0) }),
            Err((_, problem)) => problems.push(problem),
        }
    }

    fn redirect(&mut self, raw: &RedirectFilter, path: &Path, findings: &mut Findings<'_>) {
        if let Some(scheme) = raw.scheme.as_deref().filter(|s| !matches!(*s, "http" | "https")) {
            findings.error(&path.key("scheme"), unsupported(scheme, "http and https"));
        }
        let status = raw.status_code.unwrap_or(302);
        if !matches!(status, 301 | 302 | 303 | 307 | 308) {
            findings.error(&path.key("statusCode"), "must be one of 301, 302, 303, 307, 308");
        }
        if raw.port == Some(0) {
            findings.error(&path.key("port"), "must be a port from 1 to 65535");
        }
        let (whole, prefix) = self.path(raw.path.as_ref(), &path.key("path"), findings);
        let redirect = Redirect {
            uri: whole,
            prefix,
            authority: raw.hostname.clone(),
            scheme: raw.scheme.clone(),
            port: raw.port,
            derive_port: true,
            status,
        };
        if self.redirect.replace(redirect).is_some() {
            findings.error(path, "RequestRedirect is there twice");
        }
    }

    fn rewrite(&mut self, raw: &RewriteFilter, path: &Path, findings: &mut Findings<'_>) {
        let (whole, prefix) = self.path(raw.path.as_ref(), &path.key("path"), findings);
        let rewrite = Rewrite { uri: prefix, path: whole, uri_regex: None, authority: raw.hostname.clone() };
        if self.rewrite.replace(rewrite).is_some() {
            findings.error(path, "URLRewrite is there twice");
        }
    }

    /// `(whole path, prefix)`
    fn path(
        &mut self,
        raw: Option<&PathModifier>,
        path: &Path,
        findings: &mut Findings<'_>,
    ) -> (Option<String>, Option<String>) {
        let Some(raw) = raw else { return (None, None) };
        match raw.r#type.as_str() {
            "ReplaceFullPath" => {
                let whole = raw.replace_full_path.clone().unwrap_or_default();
                (Some(if whole.starts_with('/') { whole } else { format!("/{whole}") }), None)
            }
            "ReplacePrefixMatch" => {
                self.by_prefix = true;
                (None, Some(raw.replace_prefix_match.clone().unwrap_or_default()))
            }
            other => {
                findings.error(&path.key("type"), unsupported(other, "ReplaceFullPath and ReplacePrefixMatch"));
                (None, None)
            }
        }
    }
}

const KNOWN: &str =
    "RequestHeaderModifier, ResponseHeaderModifier, RequestMirror, RequestRedirect, URLRewrite and CORS";

/// Changes of headers, of a rule or of one destination.
#[derive(Debug, Default)]
pub(super) struct HeaderFilters {
    pub(super) ops: HeaderOps,
    has_request: bool,
    has_response: bool,
}

impl HeaderFilters {
    pub(super) fn request(&mut self, raw: Option<&HeaderFilter>, path: &Path, findings: &mut Findings<'_>) {
        if std::mem::replace(&mut self.has_request, true) {
            findings.error(path, "RequestHeaderModifier is there twice");
        }
        self.ops.request = edit(raw, &path.key("requestHeaderModifier"), findings);
    }

    pub(super) fn response(&mut self, raw: Option<&HeaderFilter>, path: &Path, findings: &mut Findings<'_>) {
        if std::mem::replace(&mut self.has_response, true) {
            findings.error(path, "ResponseHeaderModifier is there twice");
        }
        self.ops.response = edit(raw, &path.key("responseHeaderModifier"), findings);
    }
}

fn edit(raw: Option<&HeaderFilter>, path: &Path, findings: &mut Findings<'_>) -> HeaderEdit {
    let Some(raw) = raw else {
        findings.error(path, "is missing");
        return HeaderEdit::default();
    };
    let mut pairs = |field: &str, list: &[Header]| -> Vec<(String, String)> {
        let mut out: Vec<(String, String)> = Vec::new();
        for (index, header) in list.iter().enumerate() {
            let at = path.key(field).index(index);
            check_header_name(&header.name, &at.key("name"), findings);
            if header.value.bytes().any(|b| b < 0x20 && b != b'\t' || b == 0x7f) {
                findings.error(&at.key("value"), "a header value has no control characters");
            }
            let name = header.name.to_ascii_lowercase();
            if out.iter().any(|(n, _)| *n == name) {
                findings.warning(&at.key("name"), "is there twice: only the first counts");
            } else {
                out.push((name, header.value.clone()));
            }
        }
        out
    };
    let (set, add) = (pairs("set", &raw.set), pairs("add", &raw.add));
    for (index, name) in raw.remove.iter().enumerate() {
        check_header_name(name, &path.key("remove").index(index), findings);
    }
    HeaderEdit { set, add, remove: raw.remove.iter().map(|n| n.to_ascii_lowercase()).collect() }
}
