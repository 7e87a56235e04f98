//! Answers that the proxy makes itself: a reason becomes a status, or a gRPC status, and says why.

use std::sync::OnceLock;

use http::header::{CONTENT_TYPE, LOCATION};
use http::{HeaderName, HeaderValue, StatusCode};
use leno_core::Reason;
use leno_core::names;

use super::body::{Body, Fields, Response, ResponseHead};
use super::heads;

/// An answer instead of forwarding; phases return it to stop.
#[derive(Debug)]
pub struct Reply {
    /// Why.
    pub reason: Reason,
    /// HTTP status.
    pub status: u16,
    /// gRPC status, where it is not the one that follows from the HTTP status.
    pub grpc_status: Option<u32>,
    /// More headers.
    pub headers: Fields,
    /// Body; the reason's sentence where it is `None`.
    pub body: Option<String>,
    /// More words for the log and for the body.
    pub detail: String,
}

impl Reply {
    /// The answer that `reason` stands for; `detail` adds words, and may be empty.
    #[must_use]
    pub fn new(reason: Reason, detail: impl Into<String>) -> Self {
        let status = if reason.status() == 0 { 503 } else { reason.status() };
        Self { reason, status, grpc_status: None, headers: Fields::new(), body: None, detail: detail.into() }
    }

    /// With another status.
    #[must_use]
    pub const fn with_status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// With a `Location`.
    #[must_use]
    pub fn with_location(mut self, location: &str) -> Self {
        if let Ok(value) = HeaderValue::try_from(location) {
            self.headers.insert(LOCATION, value);
        }
        self
    }

    /// As a response: trailers-only for gRPC, else plain text.
    #[must_use]
    pub fn into_response(self, grpc: bool) -> Response {
        let failed = self.reason.is_failure();
        let text = self.body.unwrap_or_else(|| {
            let sentence = if failed { self.reason.sentence() } else { "" };
            match (sentence, self.detail.as_str()) {
                ("", _) => String::new(),
                (sentence, "") => format!("{sentence}\n"),
                (sentence, detail) => format!("{sentence}: {detail}\n"),
            }
        });
        let mut head = ResponseHead { headers: self.headers, ..ResponseHead::new(StatusCode::OK) };
        if failed {
            head.headers.insert(REASON, reason_value(self.reason));
        }
        let grpc = grpc && (failed || self.grpc_status.is_some());
        if grpc {
            let code = self.grpc_status.unwrap_or_else(|| grpc_status_of(self.reason, self.status));
            head.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
            head.headers.insert(heads::GRPC_STATUS, HeaderValue::from(code));
            if let Ok(message) = HeaderValue::try_from(percent_encode(text.trim_end())) {
                head.headers.insert(GRPC_MESSAGE, message);
            }
            return Response { head, body: Body::empty() };
        }
        head.status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
        if !text.is_empty() {
            head.headers.insert_if_missing(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
        }
        Response { head, body: Body::whole(text) }
    }
}

/// The gRPC status that clients are told (gRPC's mapping of HTTP statuses, and timeouts by name).
fn grpc_status_of(reason: Reason, status: u16) -> u32 {
    match (reason, status) {
        (Reason::Timeout | Reason::PerTryTimeout, _) => 4,
        (_, 400) => 13,
        (_, 401) => 16,
        (_, 403) => 7,
        (_, 404) => 12,
        (_, 429 | 502 | 503 | 504) => 14,
        _ => 2,
    }
}

/// The header value that names a reason, made once per reason.
#[must_use]
pub fn reason_value(reason: Reason) -> HeaderValue {
    static VALUES: OnceLock<Vec<(Reason, HeaderValue)>> = OnceLock::new();
    let values = VALUES.get_or_init(|| {
        let value = |r: &Reason| {
            let name = serde_json::to_value(r).ok()?;
            HeaderValue::try_from(name.as_str()?).ok()
        };
        Reason::ALL.iter().filter_map(|r| Some((*r, value(r)?))).collect()
    });
    let found = values.iter().find(|(r, _)| *r == reason);
    found.map_or_else(|| HeaderValue::from_static("unknown"), |(_, v)| v.clone())
}

/// Whether a peer's sidecar says that the application never saw the request.
#[must_use]
pub fn is_unprocessed(headers: &Fields) -> bool {
    let Some(value) = headers.get(REASON) else { return false };
    [Reason::AppUnreachable, Reason::Draining, Reason::NotReady].iter().any(|r| reason_value(*r) == *value)
}

/// gRPC's encoding of `grpc-message`: printable ASCII as it is, the rest as `%XX`.
fn percent_encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if matches!(byte, b' '..=b'~') && byte != b'%' {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
/// `leno-reason`.
pub const REASON: HeaderName = HeaderName::from_static(names::header::REASON);
