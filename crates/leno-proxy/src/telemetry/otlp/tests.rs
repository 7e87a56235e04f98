//! Spans and log records as a collector reads them.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use leno_core::Reason;
use leno_core::id::{Direction, ServiceId};
use leno_core::log_format::Format;
use leno_core::model::Workload;
use leno_core::model::telemetry::{Collector, CustomTag};
use leno_core::trace::{SpanId, TraceId};
use prost::Message as _;

use super::message::{KeyValue, Scalar, Span};
use super::{Item, QUEUE, What, queue, record};
use crate::telemetry::access_log::view::View;
use crate::telemetry::plan::TracePlan;
use crate::telemetry::record::{Captured, RequestRecord, ServiceRef, SpanRef};

#[test]
fn a_request_is_a_span_with_istios_attributes() {
    let record = failed();
    let span = record::span(&record, record.span.as_deref().unwrap(), &plan());
    let back = Span::decode(span.encode_to_vec().as_slice()).unwrap();
    assert_eq!(back.trace_id, 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c_u128.to_be_bytes());
    assert_eq!((back.span_id.len(), back.parent_span_id.len(), back.kind), (8, 8, 3));
    assert_eq!(back.end_time_unix_nano - back.start_time_unix_nano, 41_000_000);
    assert_eq!(back.name, "reviews.shop.svc.cluster.local:9080/*");
    let says = |key: &str| text_of(&back.attributes, key);
    assert_eq!(says("http.url"), Some("http://reviews:9080/api/v"), "the path is cut");
    assert_eq!(says("http.status_code"), Some("503"));
    assert_eq!(says("response_flags"), Some("UF"));
    assert_eq!(says("error"), Some("true"));
    assert_eq!(says("istio.canonical_service"), Some("web"));
    assert_eq!(says("istio.mesh_id"), Some("example.org"));
    assert_eq!(says("team"), Some("blue"));
    assert_eq!(says("stage"), Some("prod"));
    assert_eq!(says("nothing"), None);
    let status = back.status.unwrap();
    assert_eq!((status.code, status.message.as_str()), (2, Reason::ConnectFailure.sentence()));
}

#[test]
fn a_log_record_names_its_trace() {
    let record = failed();
    let labels = vec![("code".to_owned(), Format::parse("%RESPONSE_CODE%").unwrap())];
    let log = record::log(&View::of_request(&record), &Format::parse("%REQ(:PATH)%").unwrap(), &labels);
    assert_eq!(log.body.unwrap().value, Some(Scalar::Text("/api/v1/reviews".to_owned())));
    assert_eq!(text_of(&log.attributes, "code"), Some("503"));
    assert_eq!((log.trace_id.len(), log.span_id.len(), log.flags), (16, 8, 1));
}

#[tokio::test]
async fn a_full_queue_drops_and_counts_and_never_waits() {
    let (sender, mut pending) = queue();
    let record = failed();
    let plan = plan();
    let item = || {
        let span = record::span(&record, record.span.as_deref().unwrap(), &plan);
        Item::Send(Arc::clone(&plan.collector), What::Span(Box::new(span)))
    };
    for _ in 0..QUEUE + 7 {
        sender.put(item());
    }
    assert_eq!(sender.counts(), [0, 7]);
    for _ in 0..QUEUE {
        assert!(matches!(pending.items.recv().await, Some(Item::Send(..))));
    }
    let flushed = tokio::spawn(async move { sender.flush().await });
    drop(pending.items.recv().await);
    tokio::time::timeout(Duration::from_secs(5), flushed).await.unwrap().unwrap();
}

fn text_of<'a>(attributes: &'a [KeyValue], key: &str) -> Option<&'a str> {
    let found = attributes.iter().find(|a| a.key == key)?;
    match found.value.as_ref()?.value.as_ref()? {
        Scalar::Text(text) => Some(text),
        Scalar::Bool(_) | Scalar::Int(_) => None,
    }
}

fn plan() -> TracePlan {
    let service = ServiceId::new("otel", "collector");
    let header = |name: &str| CustomTag::Header { name: name.to_owned(), default: String::new() };
    TracePlan {
        collector: Arc::new(Collector { service, port: 4317, http_path: None, headers: Vec::new() }),
        reports: true,
        sampling: 100.0,
        max_path: 6,
        mesh: "example.org".to_owned(),
        tags: vec![
            ("team".to_owned(), header("x-team")),
            ("nothing".to_owned(), header("x-nothing")),
            ("stage".to_owned(), CustomTag::Literal("prod".to_owned())),
        ],
    }
}

fn failed() -> RequestRecord {
    let labels = [("app".to_owned(), "web".to_owned())].into();
    let workload = Workload { namespace: "shop".to_owned(), pod: "web-1".to_owned(), labels, ..Workload::default() };
    let span = SpanRef {
        trace: TraceId(0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c),
        span: SpanId(7),
        parent: Some(SpanId(6)),
        sampled: true,
        state: String::new(),
    };
    let mut record = RequestRecord::new(Direction::Outbound);
    record.start = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    record.duration = Duration::from_millis(41);
    record.path = "/api/v1/reviews".into();
    record.authority = "reviews:9080".into();
    record.method = "GET".into();
    record.status = 503;
    record.reason = Reason::ConnectFailure;
    record.downstream_local = Some("10.96.0.20:9080".parse().unwrap());
    record.service = Some(Arc::new(ServiceRef::from(&ServiceId::new("shop", "reviews"))));
    record.source.workload = Some(Arc::new(workload));
    record.headers =
        Some(Box::new(Captured { request: vec![("x-team".into(), "blue".to_owned())], response: Vec::new() }));
    record.span = Some(Box::new(span));
    record
}
