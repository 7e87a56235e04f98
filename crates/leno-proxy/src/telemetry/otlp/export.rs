//! The task that sends: items gathered into batches, one request for each collector and kind.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use http::header::{CONTENT_TYPE, HeaderName, TE};
use http::{HeaderValue, Method, Version};
use leno_core::model::Workload;
use leno_core::model::telemetry::Collector;
use leno_core::names::header;
use prost::Message;
use tokio::time::Instant;

use super::message::{
    ExportLogs, ExportTraces, KeyValue, LogRecord, Resource, ResourceLogs, ResourceSpans, Scope, ScopeLogs, ScopeSpans,
    Span, text,
};
use super::{Item, Pending, What};
use crate::App;
use crate::cluster::endpoint::Wire;
use crate::http::body::{Body, Frame, Head, Response};
use crate::http::client::Dispatch;
use crate::http::heads;
use crate::http::phase::peer;
use crate::http::upstream;

/// Items of one batch at most.
const BATCH: usize = 512;
/// How long an item waits for others.
const GATHER: Duration = Duration::from_secs(1);
/// How long a collector may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// Failures are said at most so often.
const SAY: Duration = Duration::from_secs(60);

/// Runs until the proxy ends.
pub(crate) async fn run(mut pending: Pending, app: App) {
    let mut said = None;
    while let Some(first) = pending.items.recv().await {
        let mut batches = Batches::default();
        let mut waiting = batches.add(first).into_iter().collect::<Vec<_>>();
        let deadline = Instant::now() + GATHER;
        while batches.count < BATCH && waiting.is_empty() {
            match tokio::time::timeout_at(deadline, pending.items.recv()).await {
                Ok(Some(item)) => waiting.extend(batches.add(item)),
                Ok(None) | Err(_) => break,
            }
        }
        for (collector, batch) in batches.by_collector {
            let (sent, problem) = batch.send(&app, &collector).await;
            pending.counts.sent.fetch_add(sent, Ordering::Relaxed);
            pending.counts.dropped.fetch_add(batch.len() - sent, Ordering::Relaxed);
            if let Some(problem) = problem
                && said.is_none_or(|at: Instant| at.elapsed() >= SAY)
            {
                said = Some(Instant::now());
                tracing::warn!(collector = %collector.service, port = collector.port, %problem,
                    "spans or log records are dropped: the collector does not take them");
            }
        }
        drop(waiting);
    }
}

#[derive(Default)]
struct Batches {
    by_collector: HashMap<Arc<Collector>, Batch>,
    count: usize,
}

#[derive(Default)]
struct Batch {
    spans: Vec<Span>,
    logs: HashMap<Arc<str>, Vec<LogRecord>>,
}

impl Batches {
    /// Takes an item in; gives back who waits for all before it to be sent.
    fn add(&mut self, item: Item) -> Option<Item> {
        let Item::Send(collector, what) = item else { return Some(item) };
        let batch = self.by_collector.entry(collector).or_default();
        match what {
            What::Span(span) => batch.spans.push(*span),
            What::Log(name, record) => batch.logs.entry(name).or_default().push(*record),
        }
        self.count += 1;
        None
    }
}

impl Batch {
    fn len(&self) -> u64 {
        let logs: usize = self.logs.values().map(Vec::len).sum();
        u64::try_from(self.spans.len() + logs).unwrap_or(u64::MAX)
    }

    /// How many were taken, and what went wrong.
    async fn send(&self, app: &App, collector: &Collector) -> (u64, Option<String>) {
        let own = app.discovery.own();
        let (mut sent, mut problem) = (0, None);
        let mut note = |count: usize, outcome: Result<(), String>| match outcome {
            Ok(()) => sent += u64::try_from(count).unwrap_or(u64::MAX),
            Err(why) => problem = Some(why),
        };
        if !self.spans.is_empty() {
            let message = traces(&own.workload, self.spans.clone()).encode_to_vec();
            note(self.spans.len(), post(app, collector, &TRACES, message).await);
        }
        for (name, records) in &self.logs {
            let message = logs(&own.workload, name, records.clone()).encode_to_vec();
            note(records.len(), post(app, collector, &LOGS, message).await);
        }
        (sent, problem)
    }
}

/// Paths of a kind: gRPC's, and the default of HTTP.
struct Kind {
    grpc: &'static str,
    http: &'static str,
}

const TRACES: Kind = Kind { grpc: "/opentelemetry.proto.collector.trace.v1.TraceService/Export", http: "/v1/traces" };
const LOGS: Kind = Kind { grpc: "/opentelemetry.proto.collector.logs.v1.LogsService/Export", http: "/v1/logs" };

async fn post(app: &App, collector: &Collector, kind: &Kind, message: Vec<u8>) -> Result<(), String> {
    match tokio::time::timeout(PATIENCE, one(app, collector, kind, message)).await {
        Ok(outcome) => outcome,
        Err(_) => Err(format!("no answer within {} s", PATIENCE.as_secs())),
    }
}

async fn one(app: &App, collector: &Collector, kind: &Kind, message: Vec<u8>) -> Result<(), String> {
    let cluster = app.clusters.of_service(&collector.service, None, collector.port).await;
    let cluster = cluster.map_err(|reason| reason.sentence().to_owned())?;
    let set = cluster.current();
    let endpoint = cluster.pick(&set, &[], None, Instant::now()).map_err(|reason| reason.sentence().to_owned())?;
    let authority = format!("{}:{}", collector.service.host(), collector.port);
    let grpc = collector.http_path.is_none();
    let path = match &collector.http_path {
        None => kind.grpc,
        Some(path) if path.is_empty() => kind.http,
        Some(path) => path,
    };
    let uri = path.parse().map_err(|_| format!("`{path}` is no path"))?;
    let version = if grpc { Version::HTTP_2 } else { Version::HTTP_11 };
    let mut head = Head::new(Method::POST, uri, version);
    let headers = &mut head.headers;
    let media = if grpc { "application/grpc" } else { "application/x-protobuf" };
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media));
    if let Ok(host) = HeaderValue::try_from(authority) {
        headers.insert(http::header::HOST, host);
    }
    // The collector's own sidecar must not make spans of the export of spans, for ever.
    headers.insert(TRACEPARENT, not_sampled());
    for (name, value) in &collector.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name.as_str()), HeaderValue::try_from(value.as_str())) {
            headers.insert(name, value);
        }
    }
    if endpoint.is_mutual() {
        headers.insert(peer::PEER, peer::header(&app.discovery.own().workload));
    }
    if grpc {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    } else if endpoint.is_mutual() {
        headers.insert(peer::ORIG_PROTO, HeaderValue::from_static("HTTP/1.1"));
    }
    let wire = Wire::of(false, grpc || endpoint.is_mutual());
    upstream::shape(&mut head, wire, endpoint.addr);
    let mut request = Dispatch::new(head, Body::whole(if grpc { framed(&message) } else { message.into() }));
    let answer = cluster.send(&endpoint, &mut request, wire, &set.limits).await;
    let answer = answer.map_err(|e| format!("{}: {}", e.reason.sentence(), e.detail))?;
    judged(answer.response, grpc).await
}

/// Reads the answer to its end, so that the connection can be used again.
async fn judged(response: Response, grpc: bool) -> Result<(), String> {
    let Response { head, mut body } = response;
    let mut status = heads::grpc_status(&head.headers);
    while let Some(frame) = body.frame().await {
        if let Frame::Trailers(trailers) = frame.map_err(|e| e.to_string())? {
            status = heads::grpc_status(&trailers).or(status);
        }
    }
    match (head.status.is_success(), grpc, status) {
        (true, false, _) | (true, true, Some(0)) => Ok(()),
        (true, true, Some(status)) => Err(format!("it answered with gRPC status {status}")),
        (true, true, None) => Err("it answered without a gRPC status".to_owned()),
        (false, _, _) => Err(format!("it answered {}", head.status)),
    }
}

/// gRPC's frame: not compressed, the length, the message.
fn framed(message: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(5 + message.len());
    out.put_u8(0);
    out.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    out.put_slice(message);
    out.freeze()
}

fn not_sampled() -> HeaderValue {
    let (trace, span) = (rand::random::<u128>().max(1), rand::random::<u64>().max(1));
    HeaderValue::try_from(format!("00-{trace:032x}-{span:016x}-00")).unwrap_or_else(|_| HeaderValue::from_static(""))
}

fn traces(own: &Workload, spans: Vec<Span>) -> ExportTraces {
    let scope_spans = vec![ScopeSpans { scope: Some(scope()), spans }];
    ExportTraces { resource_spans: vec![ResourceSpans { resource: Some(resource(own, None)), scope_spans }] }
}

fn logs(own: &Workload, name: &str, log_records: Vec<LogRecord>) -> ExportLogs {
    let scope_logs = vec![ScopeLogs { scope: Some(scope()), log_records }];
    ExportLogs { resource_logs: vec![ResourceLogs { resource: Some(resource(own, Some(name))), scope_logs }] }
}

/// Who reports: Istio's `service.name` (`APP.NAMESPACE`), and the pod by OpenTelemetry's names.
fn resource(own: &Workload, log_name: Option<&str>) -> Resource {
    let app = own.labels.get("app").map_or("istio-proxy", String::as_str);
    let mut attributes: Vec<KeyValue> = vec![
        text("service.name", format!("{app}.{}", own.namespace)),
        text("k8s.namespace.name", own.namespace.as_str()),
        text("k8s.pod.name", own.pod.as_str()),
        text("k8s.node.name", own.node.as_str()),
        text("node_name", format!("sidecar~{}.{}", own.pod, own.namespace)),
        text("cluster_name", format!("{}.{}", own.canonical_name(), own.namespace)),
    ];
    if !own.kind.is_empty() && own.kind != "pod" {
        attributes.push(text(&format!("k8s.{}.name", own.kind), own.name.as_str()));
    }
    attributes.extend(log_name.map(|name| text("log_name", name)));
    Resource { attributes }
}

fn scope() -> Scope {
    Scope { name: "leno-proxy".to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() }
}

const TRACEPARENT: HeaderName = HeaderName::from_static(header::TRACEPARENT);
