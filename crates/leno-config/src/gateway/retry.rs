//! Times and retries of a rule.

use std::time::Duration;

use leno_core::decide::retry::{DEFAULT_ATTEMPTS, DEFAULT_BACKOFF};
use leno_core::model::route::RetryPolicy;
use leno_core::model::traffic::RetryOn;
use serde::{Deserialize, Serialize};

use crate::istio::common::Findings;
use crate::object::Path;

/// `HTTPRouteTimeouts`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Timeouts {
    request: Option<String>,
    backend_request: Option<String>,
}

/// `HTTPRouteRetry` (GEP-1731, of the experimental channel).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Retry {
    codes: Vec<u16>,
    attempts: Option<u32>,
    backoff: Option<String>,
}

impl Timeouts {
    /// `(of the whole request, of each try)`; `0s` is no limit.
    pub(super) fn lower(&self, path: &Path, findings: &mut Findings<'_>) -> (Option<Duration>, Option<Duration>) {
        let whole = findings.duration(&path.key("request"), self.request.as_ref()).filter(|t| !t.is_zero());
        let one = findings.duration(&path.key("backendRequest"), self.backend_request.as_ref());
        let one = one.filter(|t| !t.is_zero());
        if let (Some(whole), Some(one)) = (whole, one)
            && one > whole
        {
            findings.error(&path.key("backendRequest"), "must not be longer than request");
        }
        (whole, one)
    }
}

impl Retry {
    /// Besides the codes, whatever ends without an answer is retried, as GEP-1731 asks for.
    pub(super) fn lower(&self, path: &Path, findings: &mut Findings<'_>) -> RetryPolicy {
        for (index, code) in self.codes.iter().enumerate() {
            if !(400..=599).contains(code) {
                findings.error(&path.key("codes").index(index), "must be an HTTP status from 400 to 599");
            }
        }
        let backoff = findings.duration(&path.key("backoff"), self.backoff.as_ref()).filter(|d| !d.is_zero());
        RetryPolicy {
            attempts: self.attempts.unwrap_or(DEFAULT_ATTEMPTS),
            per_try_timeout: None,
            retry_on: RetryOn { reset: true, statuses: self.codes.clone(), ..RetryOn::default() },
            backoff: backoff.unwrap_or(DEFAULT_BACKOFF),
            least_backoff: backoff.unwrap_or_default(),
        }
    }
}
