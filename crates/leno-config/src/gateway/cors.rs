//! The filter `CORS`.

use std::time::Duration;

use leno_core::model::StringMatch;
use leno_core::model::route::Cors;
use serde::{Deserialize, Serialize};

use super::matching::escaped;
use crate::istio::common::Findings;
use crate::object::Path;

/// `HTTPCORSFilter`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct CorsFilter {
    allow_origins: Vec<String>,
    allow_credentials: Option<bool>,
    allow_methods: Vec<String>,
    allow_headers: Vec<String>,
    expose_headers: Vec<String>,
    max_age: Option<u32>,
}

/// Seconds that a browser keeps a preflight's answer where the filter says nothing.
const MAX_AGE: u32 = 5;

impl CorsFilter {
    pub(super) fn lower(&self, path: &Path, findings: &mut Findings<'_>) -> Cors {
        let mut allow_origins = Vec::new();
        for (index, origin) in self.allow_origins.iter().enumerate() {
            allow_origins.extend(origin_match(origin, &path.key("allowOrigins").index(index), findings));
        }
        Cors {
            allow_origins,
            allow_methods: self.allow_methods.clone(),
            allow_headers: self.allow_headers.clone(),
            expose_headers: self.expose_headers.clone(),
            max_age: Some(Duration::from_secs(self.max_age.unwrap_or(MAX_AGE).into())),
            allow_credentials: self.allow_credentials,
            answers_others: true,
        }
    }
}

/// `*` in an origin stands for any part of a host, dots included.
fn origin_match(origin: &str, path: &Path, findings: &mut Findings<'_>) -> Option<StringMatch> {
    if origin == "*" {
        return Some(StringMatch::Present);
    }
    if !(origin.starts_with("http://") || origin.starts_with("https://")) {
        findings.error(path, format!("`{origin}` is not an origin, such as https://example.com"));
        return None;
    }
    if !origin.contains('*') {
        return Some(StringMatch::Exact(origin.to_owned()));
    }
    let parts: Vec<String> = origin.split('*').map(escaped).collect();
    findings.pattern(path, &parts.join("[^/]+")).map(StringMatch::Regex)
}
