//! The dashboard: files that were built from `dashboard/` and put into this program by its build script.
//!
//! Each is there plain and compressed twice. Names with a hash are kept for ever by browsers; the page itself is asked for
//! anew, which its `ETag` makes cheap.

use axum::Router;
use axum::body::Body;
use axum::extract::Path;
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;

include!(concat!(env!("OUT_DIR"), "/assets.rs"));

/// One file.
struct Asset {
    name: &'static str,
    media_type: &'static str,
    /// Quoted, as headers carry it.
    etag: &'static str,
    plain: &'static [u8],
    gz: &'static [u8],
    br: &'static [u8],
}

/// The routes: the page at `/`, its files beside it.
pub fn router() -> Router {
    Router::new()
        .route("/", get(|headers: HeaderMap| async move { page(&headers) }))
        .route("/{name}", get(|Path(name): Path<String>, headers: HeaderMap| async move { file(&name, &headers) }))
}

fn page(headers: &HeaderMap) -> Response<Body> {
    if ASSETS.is_empty() {
        return secured((StatusCode::NOT_FOUND, [(header::CONTENT_TYPE, HTML)], NOT_BUILT).into_response());
    }
    file("index.html", headers)
}

fn file(name: &str, headers: &HeaderMap) -> Response<Body> {
    let Some(asset) = ASSETS.iter().find(|a| a.name == name) else {
        return (StatusCode::NOT_FOUND, "not here; the dashboard is at /, its data below /api/v1\n").into_response();
    };
    let kept = if asset.name.starts_with("app-") { "public, max-age=31536000, immutable" } else { "no-cache" };
    let mut response = Response::new(Body::empty());
    let out = response.headers_mut();
    out.insert(header::ETAG, HeaderValue::from_static(asset.etag));
    out.insert(header::CACHE_CONTROL, HeaderValue::from_static(kept));
    out.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    if names(headers, header::IF_NONE_MATCH, asset.etag) {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        return secured(response);
    }
    out.insert(header::CONTENT_TYPE, HeaderValue::from_static(asset.media_type));
    let (bytes, encoding) = if names(headers, header::ACCEPT_ENCODING, "br") {
        (asset.br, Some("br"))
    } else if names(headers, header::ACCEPT_ENCODING, "gzip") {
        (asset.gz, Some("gzip"))
    } else {
        (asset.plain, None)
    };
    if let Some(encoding) = encoding {
        out.insert(header::CONTENT_ENCODING, HeaderValue::from_static(encoding));
    }
    *response.body_mut() = Body::from(bytes);
    secured(response)
}

/// Whether a header's list has `word`. A weight of nothing (`;q=0`) is a no.
fn names(headers: &HeaderMap, header: header::HeaderName, word: &str) -> bool {
    let lists = headers.get_all(header).into_iter().filter_map(|v| v.to_str().ok());
    let mut items = lists.flat_map(|list| list.split(','));
    items.any(|item| {
        let (name, weight) = item.split_once(';').unwrap_or((item, ""));
        name.trim().trim_start_matches("W/") == word && !matches!(weight.trim(), "q=0" | "q=0.0" | "q=0.00" | "q=0.000")
    })
}

/// Nothing from anywhere else, nothing inline, in no other page's frame.
fn secured(mut response: Response<Body>) -> Response<Body> {
    let out = response.headers_mut();
    out.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    out.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    out.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
const HTML: &str = "text/html; charset=utf-8";
const NOT_BUILT: &str = "<!doctype html><html lang=\"en\"><title>Leno</title><h1>Built without the dashboard</h1>\
    <p>This leno-viz was built where the dashboard was not: run <code>make dashboard</code>, then build leno-viz again. \
    Its figures are all there: <code>leno viz stat deploy -A</code>.";

#[cfg(test)]
mod tests;
