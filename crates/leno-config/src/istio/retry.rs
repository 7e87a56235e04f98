//! `HTTPRetry`.

use std::time::Duration;

use leno_core::model::route::RetryPolicy;
use leno_core::model::traffic::RetryOn;
use serde::{Deserialize, Serialize};

use super::common::Findings;
use crate::object::Path;

/// `retries` of a rule.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Retries {
    attempts: i32,
    #[serde(alias = "per_try_timeout")]
    per_try_timeout: Option<String>,
    #[serde(alias = "retry_on")]
    retry_on: String,
    backoff: Option<String>,
}

/// Envoy's base of the back-off, and Istio's.
const BACKOFF: Duration = Duration::from_millis(25);

impl Retries {
    pub(super) fn lower(&self, path: &Path, findings: &mut Findings<'_>) -> RetryPolicy {
        let per_try = findings.duration(&path.key("perTryTimeout"), self.per_try_timeout.as_ref());
        let backoff = findings.duration(&path.key("backoff"), self.backoff.as_ref());
        RetryPolicy {
            attempts: u32::try_from(self.attempts).unwrap_or(0),
            per_try_timeout: per_try.filter(|d| !d.is_zero()),
            retry_on: retry_on(&self.retry_on, &path.key("retryOn"), findings),
            backoff: backoff.filter(|d| !d.is_zero()).unwrap_or(BACKOFF),
            least_backoff: Duration::ZERO,
        }
    }
}

fn retry_on(words: &str, path: &Path, findings: &mut Findings<'_>) -> RetryOn {
    let mut on = RetryOn::default();
    let mut statuses_asked = false;
    for word in words.split(',').map(str::trim).filter(|w| !w.is_empty()) {
        match word.to_ascii_lowercase().as_str() {
            "5xx" => on.five_xx = true,
            "gateway-error" => on.gateway_error = true,
            "reset" => on.reset = true,
            "reset-before-request" => on.reset_before_request = true,
            "connect-failure" => on.connect_failure = true,
            "refused-stream" => on.refused_stream = true,
            "retriable-4xx" => on.retriable_4xx = true,
            "retriable-status-codes" => statuses_asked = true,
            "cancelled" => on.grpc.push(1),
            "deadline-exceeded" => on.grpc.push(4),
            "resource-exhausted" => on.grpc.push(8),
            "internal" => on.grpc.push(13),
            "unavailable" => on.grpc.push(14),
            number if number.bytes().all(|b| b.is_ascii_digit()) => match number.parse() {
                Ok(status @ 100..=599) => on.statuses.push(status),
                _ => findings.error(path, format!("`{word}` is not an HTTP status")),
            },
            _ => findings.warning(path, format!("`{word}` is not honoured: nothing is retried for it")),
        }
    }
    if statuses_asked && on.statuses.is_empty() {
        findings.warning(path, "`retriable-status-codes` needs status codes beside it, such as 503");
    }
    if words.trim().is_empty() {
        // Istio's default list, since it dropped 503.
        return RetryOn { connect_failure: true, refused_stream: true, grpc: vec![14, 1], ..RetryOn::default() };
    }
    on
}
