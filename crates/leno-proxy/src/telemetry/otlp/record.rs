//! A request as a span, and as a record of an access log.

use std::time::{SystemTime, UNIX_EPOCH};

use leno_core::id::Direction;
use leno_core::log_format::Format;
use leno_core::model::telemetry::CustomTag;

use super::message::{AnyValue, LogRecord, Scalar, Span, Status, text};
use crate::telemetry::access_log::layout;
use crate::telemetry::access_log::view::View;
use crate::telemetry::plan::TracePlan;
use crate::telemetry::record::{ReqProtocol, RequestRecord, SpanRef};

/// The span of a request, with Envoy's attributes and Istio's.
pub(crate) fn span(record: &RequestRecord, of: &SpanRef, plan: &TracePlan) -> Span {
    let start = nanos(record.start);
    let failed = record.status >= 500 || record.reason.is_failure() || record.grpc_status.is_some_and(|s| s != 0);
    let message = if record.reason.is_failure() { record.reason.sentence().to_owned() } else { String::new() };
    Span {
        trace_id: of.trace.0.to_be_bytes().to_vec(),
        span_id: of.span.0.to_be_bytes().to_vec(),
        trace_state: of.state.clone(),
        parent_span_id: of.parent.map(|p| p.0.to_be_bytes().to_vec()).unwrap_or_default(),
        name: name(record),
        kind: match record.direction {
            Direction::Inbound => SERVER,
            Direction::Outbound => CLIENT,
        },
        start_time_unix_nano: start,
        end_time_unix_nano: start + u64::try_from(record.duration.as_nanos()).unwrap_or_default(),
        attributes: attributes(record, plan, failed),
        status: failed.then_some(Status { message, code: ERROR }),
        flags: 1,
    }
}

/// Istio's: `reviews.shop.svc.cluster.local:9080/*`.
fn name(record: &RequestRecord) -> String {
    let port = record.downstream_local.map(|a| a.port()).unwrap_or_default();
    match &record.service {
        Some(service) => format!("{}:{port}/*", service.host),
        None => format!("{}/*", record.authority),
    }
}

fn attributes(r: &RequestRecord, plan: &TracePlan, failed: bool) -> Vec<super::message::KeyValue> {
    let path = cut(&r.path, plan.max_path);
    let mut list = vec![
        text("component", "proxy"),
        text("guid:x-request-id", r.request_id.as_str()),
        text("http.method", r.method.as_str()),
        text("http.protocol", r.http_version.as_str()),
        text("http.status_code", r.status.to_string()),
        text("http.url", format!("http://{}{path}", r.authority)),
        text("request_size", r.request_bytes.to_string()),
        text("response_size", r.response_bytes.to_string()),
        text("response_flags", r.reason.flag()),
        text("upstream_cluster", &*r.upstream_cluster),
        text("upstream_cluster.name", &*r.upstream_cluster),
        text("user_agent", r.user_agent.as_str()),
    ];
    if let Some(client) = r.downstream_remote {
        list.push(text("peer.address", client.ip().to_string()));
    }
    if let Some(endpoint) = r.upstream_addr {
        list.push(text("upstream_address", endpoint.to_string()));
    }
    if r.protocol == ReqProtocol::Grpc {
        list.push(text("grpc.path", path));
        list.push(text("grpc.authority", r.authority.as_str()));
        if let Some(status) = r.grpc_status {
            list.push(text("grpc.status_code", status.to_string()));
        }
    }
    if failed {
        list.push(text("error", "true"));
        list.push(text("leno.reason", r.reason.detail()));
    }
    let own = match r.direction {
        Direction::Inbound => &r.destination,
        Direction::Outbound => &r.source,
    };
    if let Some(pod) = &own.workload {
        list.push(text("node_id", format!("sidecar~{}.{}", pod.pod, pod.namespace)));
        list.push(text("istio.canonical_service", pod.canonical_name()));
        list.push(text("istio.canonical_revision", pod.canonical_revision()));
        list.push(text("istio.namespace", pod.namespace.as_str()));
    }
    list.push(text("istio.mesh_id", plan.mesh.as_str()));
    list.push(text("istio.cluster_id", CLUSTER));
    for (key, tag) in &plan.tags {
        let value = custom(tag, r);
        if !value.is_empty() {
            list.retain(|old| old.key != *key);
            list.push(text(key, value));
        }
    }
    list
}

fn custom(tag: &CustomTag, record: &RequestRecord) -> String {
    use leno_core::cel::{Facts as _, Message};
    match tag {
        CustomTag::Literal(value) => value.clone(),
        CustomTag::Environment { name, default } => std::env::var(name).unwrap_or_else(|_| default.clone()),
        CustomTag::Header { name, default } => {
            View::of_request(record).header(Message::Request, name).unwrap_or(default).to_owned()
        }
    }
}

/// A record of an access log: its body the text, its attributes the labels.
pub(crate) fn log(view: &View<'_>, body: &Format, labels: &[(String, Format)]) -> LogRecord {
    let written = |format: &Format| {
        let mut out = String::new();
        layout::text(&mut out, format, view);
        out
    };
    let (trace_id, span_id) = view
        .span
        .map_or_else(Default::default, |s| (s.trace.0.to_be_bytes().to_vec(), s.span.0.to_be_bytes().to_vec()));
    LogRecord {
        time_unix_nano: nanos(view.start),
        observed_time_unix_nano: nanos(SystemTime::now()),
        body: Some(AnyValue { value: Some(Scalar::Text(written(body))) }),
        attributes: labels.iter().map(|(key, format)| text(key, written(format))).collect(),
        flags: u32::from(view.span.is_some_and(|s| s.sampled)),
        trace_id,
        span_id,
    }
}

fn cut(text: &str, limit: usize) -> &str {
    let end = (0..=limit.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    &text[..end]
}

fn nanos(at: SystemTime) -> u64 {
    at.duration_since(UNIX_EPOCH).map_or(0, |d| u64::try_from(d.as_nanos()).unwrap_or(u64::MAX))
}

const SERVER: i32 = 2;
const CLIENT: i32 = 3;
const ERROR: i32 = 2;
const CLUSTER: &str = "Kubernetes";
