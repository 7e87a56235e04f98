//! A request and its answer as they go from one sidecar to the next.

use http::{HeaderName, HeaderValue, Method, StatusCode, Version};
use leno_http::{Fields, RequestHead, ResponseHead};

pub(crate) use crate::request::{AUTHORITY, REQUEST};

/// Fields of the answer, without its length.
pub(crate) const ANSWER: [(&str, &str); 10] = [
    ("content-type", "application/json; charset=utf-8"),
    ("date", "Thu, 26 Nov 2026 09:00:00 GMT"),
    ("server", "istio-envoy"),
    ("cache-control", "private, max-age=0"),
    ("etag", "W/\"3a7-lzdcX9hTBnzVuLmDqkdbeR8A\""),
    ("vary", "Accept-Encoding"),
    ("x-content-type-options", "nosniff"),
    ("strict-transport-security", "max-age=31536000"),
    ("x-envoy-upstream-service-time", "3"),
    ("x-request-id", "f21ebd42-6770-4aa5-88d4-e56118165a7d"),
];

pub(crate) const PATH: &str = "/api/v1/reviews/7?verbose=1";
/// A small JSON object's size.
pub(crate) const BODY: usize = 200;

pub(crate) fn fields(pairs: &[(&'static str, &'static str)]) -> Fields {
    pairs.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
}

/// The request for HTTP/2: a GET without a body.
pub(crate) fn request() -> RequestHead {
    let uri = format!("http://{AUTHORITY}{PATH}").parse().expect("a URI");
    RequestHead { headers: fields(&REQUEST[1..]), ..RequestHead::new(Method::GET, uri, Version::HTTP_2) }
}

/// The answer for HTTP/2.
pub(crate) fn answer() -> ResponseHead {
    let mut head = ResponseHead { headers: fields(&ANSWER), ..ResponseHead::new(StatusCode::OK) };
    head.headers.append(http::header::CONTENT_LENGTH, HeaderValue::from(BODY));
    head
}
