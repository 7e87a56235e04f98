//! A request and its answer as they go from one sidecar to the next.

use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};

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

pub(crate) fn fields(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
    pairs.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
}

/// The request for HTTP/2: a GET without a body.
pub(crate) fn request() -> http::request::Parts {
    let uri = format!("http://{AUTHORITY}{PATH}");
    let mut parts = Request::get(uri).body(()).expect("a request").into_parts().0;
    parts.headers = fields(&REQUEST[1..]);
    parts
}

/// The answer for HTTP/2.
pub(crate) fn answer() -> http::response::Parts {
    let mut parts = Response::new(()).into_parts().0;
    parts.headers = fields(&ANSWER);
    parts.headers.insert("content-length", HeaderValue::from(BODY));
    parts
}
