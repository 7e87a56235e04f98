//! Inbound phase 2: who calls, for the record. The identity comes from the certificate alone; the header only adds names
//! that metrics need, and is believed only beside a verified identity.

use std::sync::Arc;

use http::header::HeaderName;
use http::{HeaderValue, Version};
use leno_core::model::{Labels, Workload};
use leno_core::names::header;

use crate::http::body::Head;
use crate::http::exchange::Exchange;
use crate::inbound::Inbound;
use crate::telemetry::PeerInfo;

/// What a pod's sidecar tells others of it: `WORKLOAD/APP/VERSION/CANONICAL/REVISION/KIND/POD`.
#[must_use]
pub fn header(workload: &Workload) -> HeaderValue {
    let text = [
        workload.name.as_str(),
        workload.app(),
        workload.version(),
        workload.canonical_name(),
        workload.canonical_revision(),
        &workload.kind,
        &workload.pod,
    ]
    .join("/");
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// Notes both ends, and takes the headers off that are spoken between sidecars only. Returns whether the client spoke
/// HTTP/2 itself.
pub fn read(from: &Inbound, exchange: &mut Exchange, request: &mut Head) -> bool {
    let told = request.headers.remove(PEER);
    let proto = request.headers.remove(ORIG_PROTO);
    request.headers.remove(XFCC);
    let mutual = from.peer_id.is_some();
    if let Some(value) = &from.client_cert {
        request.headers.insert(XFCC, value.clone());
    }
    exchange.record.mtls = mutual;
    exchange.record.source = from.source(told.as_ref().filter(|_| mutual));
    exchange.record.destination = from.path.me().info(mutual);
    exchange.record.service.clone_from(&from.service);
    exchange.record.upstream_cluster = Arc::clone(&from.cluster.name);
    request.version == Version::HTTP_2 && (proto.is_none() || !mutual)
}

/// What a peer's header says of it, beside the identity that it proved.
#[must_use]
pub fn parse(told: &HeaderValue, from: &Inbound) -> Option<PeerInfo> {
    let id = from.peer_id.as_ref()?;
    let mut fields = told.to_str().ok()?.split('/');
    let mut next = || fields.next().unwrap_or_default();
    let (name, app, version) = (next(), next(), next());
    let (canonical, revision, kind, pod) = (next(), next(), next(), next());
    let mut labels = Labels::new();
    let named = [
        ("app", app),
        ("version", version),
        ("service.istio.io/canonical-name", canonical),
        ("service.istio.io/canonical-revision", revision),
    ];
    for (key, value) in named {
        if !value.is_empty() && value != "unknown" {
            labels.insert(key.to_owned(), value.to_owned());
        }
    }
    let workload = Workload {
        namespace: id.namespace.clone(),
        pod: pod.to_owned(),
        name: name.to_owned(),
        kind: kind.to_owned(),
        account: id.account.clone(),
        labels,
        identity: Some((**id).clone()),
        ..Workload::default()
    };
    Some(PeerInfo { workload: Some(Arc::new(workload)), principal: Some(Arc::clone(id)) })
}

/// `x-leno-peer`.
pub const PEER: HeaderName = HeaderName::from_static(header::PEER);
/// `x-leno-orig-proto`.
pub const ORIG_PROTO: HeaderName = HeaderName::from_static(header::ORIG_PROTO);
const XFCC: HeaderName = HeaderName::from_static(header::XFCC);
