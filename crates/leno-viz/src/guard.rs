//! Who may ask. leno-viz knows no users: who reaches it by `leno dashboard` was let through by the API server (or, on one
//! machine, by the runtime's socket), and comes from the pod's own loopback.

use std::net::{IpAddr, SocketAddr};

use axum::Json;
use axum::extract::{ConnectInfo, Request};
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// Answers only under names that are its own. A page from elsewhere whose name was made to lead to this address (DNS
/// rebinding) would read the mesh through its visitor's browser else.
pub async fn named(request: Request, next: Next) -> Response {
    let host = request.headers().get(header::HOST).and_then(|h| h.to_str().ok());
    let host = host.or_else(|| request.uri().host()).unwrap_or_default();
    if is_own(host) {
        return next.run(request).await;
    }
    let error = format!("`{host}` is not a name of leno-viz: ask it by its address, localhost, or its service's name");
    (StatusCode::MISDIRECTED_REQUEST, Json(json!({ "error": error }))).into_response()
}

/// An address, `localhost`, or a name of the service; no host at all is HTTP/1.0 and no browser.
fn is_own(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    let first = name.split('.').next().unwrap_or_default();
    name.is_empty()
        || name.parse::<IpAddr>().is_ok()
        || name == "localhost"
        || (first == "leno-viz" && in_cluster(name))
}

/// `leno-viz`, `leno-viz.NS.svc`, `leno-viz.NS.svc.cluster.local`.
fn in_cluster(name: &str) -> bool {
    let parts: Vec<&str> = name.split('.').collect();
    // Of two parts the second may be anybody's top-level domain.
    parts.len() == 1 || parts.get(2) == Some(&"svc")
}

/// Answers only to the pod's own loopback: what is written in objects is for those whom the API server knows.
pub async fn near(request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| peer.ip().to_canonical());
    if peer.is_none_or(|ip| ip.is_loopback()) {
        return next.run(request).await;
    }
    let error = "configuration and requests are shown through `leno dashboard` only, which the API server lets through";
    (StatusCode::FORBIDDEN, Json(json!({ "error": error }))).into_response()
}

#[cfg(test)]
mod tests {
    use super::is_own;

    #[test]
    fn own_names_and_others() {
        for own in [
            "",
            "127.0.0.1:50750",
            "[::1]:80",
            "10.0.0.7",
            "localhost:8084",
            "leno-viz.leno-system.svc.cluster.local:8084",
            "leno-viz",
        ] {
            assert!(is_own(own), "{own}");
        }
        for other in [
            "evil.example:50750",
            "leno-viz.evil.example",
            "leno-viz.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
        ] {
            assert!(!is_own(other), "{other}");
        }
    }
}
