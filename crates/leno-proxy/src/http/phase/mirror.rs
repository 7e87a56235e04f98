//! Copies of requests, sent elsewhere beside the original. Nobody waits for their answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderValue;
use leno_core::model::route::Mirror;
use tokio::time::Instant;

use super::fault::hit;
use super::forward;
use super::route::{Chosen, cluster_of};
use crate::http::body::{Body, Head};
use crate::http::client::Dispatch;
use crate::http::heads;
use crate::http::replay::Replay;
use crate::outbound::Outbound;

/// Sends the copies that the rule asks for, in tasks of their own. A copy is made only of requests without a body, or
/// whose body is small: what must be streamed cannot be read twice.
pub fn send(from: &Arc<Outbound>, chosen: &Chosen, head: &Head, body: &Replay) {
    let Some(rule) = chosen.rule().filter(|r| !r.mirrors.is_empty()) else { return };
    for mirror in rule.mirrors.iter().filter(|m| hit(m.percent)) {
        if IN_FLIGHT.load(Ordering::Relaxed) >= MAX_IN_FLIGHT {
            tracing::debug!("too many mirrored requests in flight: this one is not mirrored");
            return;
        }
        let copy = body.copy();
        let mirror = mirror.clone();
        let head = head.clone();
        let from = Arc::clone(from);
        tokio::spawn(async move {
            let _counted = Counted::new();
            let _ = tokio::time::timeout(PATIENCE, one(&from, &mirror, head, copy)).await;
        });
    }
}

async fn one(
    from: &Outbound,
    mirror: &Mirror,
    mut head: Head,
    copy: tokio::sync::oneshot::Receiver<Bytes>,
) -> Option<()> {
    let backend = &mirror.backend;
    let cluster =
        cluster_of(from, &backend.service, backend.subset.as_deref(), backend.port, from.port()).await.ok()?;
    let body = copy.await.ok()?;
    // As Envoy does, so that the copy can be told from the original.
    let named = head.uri.authority().map(http::uri::Authority::as_str);
    let authority = shadow(named.unwrap_or_else(|| heads::text(&head.headers, &http::header::HOST)));
    heads::forget_host(&mut head);
    head.headers.insert(http::header::HOST, HeaderValue::try_from(authority).ok()?);
    let set = cluster.current();
    let endpoint = cluster.pick(&set, &[], None, Instant::now()).ok()?;
    let me = endpoint.is_mutual().then(|| from.path.me());
    let (wire, _) = forward::shape(&set, &endpoint, me.as_deref(), &mut head, false, 1);
    let mut request = Dispatch::new(head, Body::whole(body));
    let answer = cluster.send(&endpoint, &mut request, wire, &set.limits).await.ok()?;
    // Read to its end, so that the connection can be used again.
    let mut body = answer.response.body;
    while let Some(Ok(_)) = body.frame().await {}
    Some(())
}

fn shadow(authority: &str) -> String {
    match authority.rsplit_once(':') {
        Some((host, port)) if port.parse::<u16>().is_ok() => format!("{host}-shadow:{port}"),
        _ => format!("{authority}-shadow"),
    }
}

struct Counted;

impl Counted {
    fn new() -> Self {
        IN_FLIGHT.fetch_add(1, Ordering::Relaxed);
        Self
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        IN_FLIGHT.fetch_sub(1, Ordering::Relaxed);
    }
}

static IN_FLIGHT: AtomicUsize = AtomicUsize::new(0);
/// Copies in flight at most; the others are left out.
const MAX_IN_FLIGHT: usize = 256;
/// A copy that takes longer is given up.
const PATIENCE: Duration = Duration::from_secs(30);
