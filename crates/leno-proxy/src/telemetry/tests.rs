//! What tools read: the exposition text parsed back, the samples, and the bounds on both.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use leno_core::Reason;
use leno_core::id::{Direction, ServiceId, SpiffeId};
use leno_core::merge::telemetry::{MetricChange, Metrics, Reporting, Side};
use leno_core::model::telemetry::Metric;
use leno_core::model::{MeshConfig, Workload};
use leno_core::trace::{SpanId, TraceId};

use super::record::{PeerInfo, ReqProtocol, RequestRecord, ServiceRef, SpanRef, TcpLabels};
use super::series::{BUDGET, IDLE, Registry};
use super::{Exposition, Telemetry, labels};

/// `name` -> `{label: value}` -> sample, out of the exposition text.
type Parsed = BTreeMap<String, Vec<(BTreeMap<String, String>, f64)>>;

#[test]
fn a_request_shows_in_every_http_family_with_istios_labels() {
    let telemetry = quiet();
    for (millis, status) in [(3, 200), (70, 200), (12, 503)] {
        let mut record = request();
        record.duration = Duration::from_millis(millis);
        record.status = status;
        telemetry.request(&record, Instant::now());
    }
    let parsed = parse(&text(&telemetry));
    let [(labels, count), (_, failed)] = &parsed["istio_requests_total"][..] else { panic!("{parsed:#?}") };
    assert_eq!((*count, *failed), (2.0, 1.0));
    let expected = [
        ("connection_security_policy", "unknown"),
        ("destination_app", "reviews"),
        ("destination_canonical_revision", "v2"),
        ("destination_canonical_service", "reviews"),
        ("destination_cluster", "Kubernetes"),
        ("destination_principal", "spiffe://cluster.local/ns/shop/sa/reviews"),
        ("destination_service", "reviews.shop.svc.cluster.local"),
        ("destination_service_name", "reviews"),
        ("destination_service_namespace", "shop"),
        ("destination_version", "v2"),
        ("destination_workload", "reviews-v2"),
        ("destination_workload_namespace", "shop"),
        ("grpc_response_status", ""),
        ("reporter", "source"),
        ("request_protocol", "http"),
        ("response_code", "200"),
        ("response_flags", "-"),
        ("source_app", "web"),
        ("source_canonical_revision", "latest"),
        ("source_canonical_service", "web"),
        ("source_cluster", "Kubernetes"),
        ("source_principal", "spiffe://cluster.local/ns/shop/sa/web"),
        ("source_version", "unknown"),
        ("source_workload", "web"),
        ("source_workload_namespace", "shop"),
    ];
    let expected: BTreeMap<_, _> = expected.map(|(k, v)| (k.to_owned(), v.to_owned())).into();
    assert_eq!(*labels, expected);

    let buckets: Vec<_> = parsed["istio_request_duration_milliseconds_bucket"]
        .iter()
        .filter(|(l, _)| l["response_code"] == "200")
        .map(|(l, n)| (l["le"].as_str(), *n))
        .collect();
    assert_eq!(buckets.len(), 20);
    for (le, count) in [("1", 0.0), ("5", 1.0), ("50", 1.0), ("100", 2.0), ("3600000", 2.0), ("+Inf", 2.0)] {
        assert!(buckets.contains(&(le, count)), "le={le} should count {count}: {buckets:?}");
    }
    let of_200 = |name: &str| parsed[name].iter().find(|(l, _)| l["response_code"] == "200").map(|(_, n)| *n);
    assert_eq!(of_200("istio_request_duration_milliseconds_sum"), Some(73.0));
    assert_eq!(of_200("istio_request_duration_milliseconds_count"), Some(2.0));
    assert_eq!(of_200("istio_request_bytes_sum"), Some(20.0));
    assert_eq!(of_200("istio_response_bytes_sum"), Some(200.0));
    assert!(!parsed.contains_key("istio_request_messages_total"), "only gRPC has messages");
}

#[test]
fn every_family_says_its_type_once_before_its_series() {
    let telemetry = quiet();
    telemetry.request(&request(), Instant::now());
    let _open = telemetry.tcp_open(tcp());
    let text = text(&telemetry);
    let types: Vec<_> = text.lines().filter_map(|l| l.strip_prefix("# TYPE ")).collect();
    for family in [
        "istio_build gauge",
        "istio_requests_total counter",
        "istio_request_duration_milliseconds histogram",
        "istio_tcp_connections_opened_total counter",
        "process_cpu_seconds_total counter",
        "process_resident_memory_bytes gauge",
        "process_start_time_seconds gauge",
    ] {
        assert_eq!(types.iter().filter(|t| **t == family).count(), 1, "{family}: {types:#?}");
    }
    assert!(text.contains("istio_build{component=\"proxy\",tag=\""));
}

#[test]
fn nothing_known_is_unknown_and_never_empty() {
    for direction in [Direction::Inbound, Direction::Outbound] {
        let labels = parse_labels(&labels::of_request(&RequestRecord::new(direction)));
        for (name, value) in &labels {
            assert_eq!(value.is_empty(), name == "grpc_response_status", "{name}={value:?}");
        }
        assert_eq!(labels["source_canonical_revision"], "latest");
        assert_eq!(labels["destination_workload"], "unknown");
        assert_eq!(labels["destination_cluster"], "unknown");
    }
}

#[test]
fn unmatched_traffic_is_named_after_envoys_clusters() {
    let name = |direction, reason| {
        let record = RequestRecord { reason, ..RequestRecord::new(direction) };
        parse_labels(&labels::of_request(&record))["destination_service_name"].clone()
    };
    assert_eq!(name(Direction::Outbound, Reason::Answered), "PassthroughCluster");
    assert_eq!(name(Direction::Outbound, Reason::UnknownDestination), "BlackHoleCluster");
    assert_eq!(name(Direction::Inbound, Reason::Answered), "InboundPassthroughCluster");
}

#[test]
fn the_security_policy_is_known_at_the_destination_only() {
    let policy = |direction, mtls| {
        let record = RequestRecord { mtls, ..RequestRecord::new(direction) };
        parse_labels(&labels::of_request(&record))["connection_security_policy"].clone()
    };
    assert_eq!(policy(Direction::Outbound, true), "unknown");
    assert_eq!(policy(Direction::Inbound, true), "mutual_tls");
    assert_eq!(policy(Direction::Inbound, false), "none");
}

#[test]
fn grpc_has_its_status_and_message_counts() {
    let telemetry = quiet();
    let mut record = request();
    record.protocol = ReqProtocol::Grpc;
    record.grpc_status = Some(14);
    (record.request_messages, record.response_messages) = (1, 7);
    telemetry.request(&record, Instant::now());
    let parsed = parse(&text(&telemetry));
    let (labels, sent) = &parsed["istio_response_messages_total"][0];
    assert_eq!((labels["grpc_response_status"].as_str(), labels["request_protocol"].as_str()), ("14", "grpc"));
    assert_eq!(*sent, 7.0);
}

#[test]
fn connections_count_while_they_live_and_end_under_their_flag() {
    let telemetry = quiet();
    let healthy = telemetry.tcp_open(tcp());
    let failing = telemetry.tcp_open(tcp());
    healthy.add_sent(100);
    healthy.add_received(30);
    let parsed = parse(&text(&telemetry));
    assert_eq!(parsed["istio_tcp_connections_opened_total"][0].1, 2.0);
    assert_eq!(parsed["istio_tcp_connections_closed_total"][0].1, 0.0);
    assert_eq!(parsed["istio_tcp_sent_bytes_total"][0].1, 100.0);
    assert_eq!(parsed["istio_tcp_received_bytes_total"][0].1, 30.0);
    assert!(!parsed["istio_tcp_sent_bytes_total"][0].0.contains_key("response_code"));

    drop(healthy);
    failing.close(Reason::ConnectFailure, "refused");
    let parsed = parse(&text(&telemetry));
    let closed: BTreeMap<_, _> =
        parsed["istio_tcp_connections_closed_total"].iter().map(|(l, n)| (l["response_flags"].as_str(), *n)).collect();
    assert_eq!(closed, [("-", 1.0), ("UF", 1.0)].into());
    let sample = &telemetry.samples().tcp[0];
    assert_eq!((sample.opened, sample.closed, sample.sent), (2, 2, 100));
}

#[test]
fn label_values_are_escaped() {
    let mut record = request();
    let odd = Workload { name: "a\"b\\c\nd".to_owned(), ..Workload::default() };
    record.source.workload = Some(Arc::new(odd));
    assert_eq!(parse_labels(&labels::of_request(&record))["source_workload"], "a\"b\\c\nd");
}

#[test]
fn samples_carry_what_the_live_window_needs() {
    let telemetry = quiet();
    let mut record = request();
    record.reason = Reason::Timeout;
    record.status = 504;
    telemetry.request(&record, Instant::now());
    telemetry.request(&record, Instant::now());
    let samples = telemetry.samples();
    assert_eq!((samples.namespace.as_str(), samples.pod.as_str()), ("shop", "web-1"));
    let json = serde_json::to_value(&samples).unwrap();
    let sample = &json["requests"][0];
    assert_eq!(sample["direction"], "outbound");
    assert_eq!(sample["destination"]["pod"], "reviews-v2-0");
    assert_eq!(sample["destination"]["principal"], "spiffe://cluster.local/ns/shop/sa/reviews");
    assert_eq!(sample["service"], serde_json::json!({ "namespace": "shop", "name": "reviews" }));
    assert_eq!((sample["reason"].as_str(), sample["flags"].as_str()), (Some("timeout"), Some("UT")));
    assert_eq!((sample["status"].as_u64(), sample["count"].as_u64()), (Some(504), Some(2)));
    assert_eq!(samples.requests[0].sketch.count(), 2);
    let back: leno_core::samples::Samples = serde_json::from_value(json).unwrap();
    assert_eq!(back, samples);
}

#[test]
fn equal_labels_at_other_addresses_share_a_series() {
    let telemetry = quiet();
    // As after a configuration change: everything is built anew and equal.
    telemetry.request(&request(), Instant::now());
    telemetry.request(&request(), Instant::now());
    assert_eq!(telemetry.samples().requests.len(), 1);
    assert_eq!(parse(&text(&telemetry))["istio_requests_total"].len(), 1);
}

#[test]
fn idle_series_are_forgotten_and_open_connections_are_not() {
    let start = Instant::now();
    let registry = Registry::new(start);
    let record = request();
    registry.request(&record, None, start);
    let open = registry.tcp_open(&tcp(), None, start);
    assert_eq!(registry.request_metrics(start + IDLE - Duration::from_secs(1)).len(), 1);

    let later = start + IDLE + Duration::from_secs(1);
    assert_eq!(registry.request_metrics(later).len(), 0);
    let (requests, tcp_samples) = registry.samples(later);
    assert_eq!((requests.len(), tcp_samples.len(), registry.tcp_metrics(later).len()), (0, 1, 1));

    registry.request(&record, None, later);
    assert_eq!(registry.samples(later).0[0].count, 1, "it starts again at zero");
    registry.tcp_close(&open, &tcp(), Reason::Closed, None, later);
    assert_eq!(registry.samples(later + 2 * IDLE).1.len(), 0);
}

#[test]
fn series_beyond_the_budget_are_counted_together() {
    let start = Instant::now();
    let registry = Registry::new(start);
    let extra = 50;
    for i in 0..BUDGET + extra {
        let mut record = request();
        let caller = Workload { name: format!("caller-{i}"), ..Workload::default() };
        record.source.workload = Some(Arc::new(caller));
        record.status = if i % 2 == 0 { 200 } else { 500 };
        registry.request(&record, None, start);
    }
    let metrics = registry.request_metrics(start);
    assert_eq!(metrics.len(), BUDGET + 2);
    let overflow: Vec<_> = metrics.iter().filter(|(m, _)| m.labels.contains("=\"overflow\"")).collect();
    let codes: Vec<_> = overflow.iter().map(|(m, _)| parse_labels(&m.labels)["response_code"].clone()).collect();
    assert_eq!(codes, ["2xx", "5xx"]);
    let total: u64 = metrics.iter().map(|(_, v)| v.duration.count()).sum();
    assert_eq!(total as usize, BUDGET + extra, "nothing is lost");
    assert_eq!(registry.overflow() as usize, extra);
    assert_eq!(registry.samples(start).0.len(), BUDGET + 2);

    let later = start + IDLE + Duration::from_secs(1);
    registry.request(&request(), None, later);
    assert_eq!(registry.request_metrics(later).len(), 1, "the budget is free again");
}

#[test]
fn the_telemetry_api_changes_labels_by_metric_and_leaves_metrics_out() {
    let telemetry = quiet();
    let change = |disabled, tags: &[(&str, Option<&str>)]| MetricChange {
        disabled,
        tags: tags.iter().map(|(k, v)| ((*k).to_owned(), v.map(str::to_owned))).collect(),
    };
    let changes = [
        (Metric::RequestCount, change(false, &[("method", Some("request.method")), ("source_version", None)])),
        (Metric::RequestDuration, change(false, &[("response_code", None)])),
        (Metric::RequestSize, change(true, &[])),
        (Metric::TcpSentBytes, change(true, &[])),
    ];
    let metrics = Metrics { off: false, changes: changes.into() };
    let client = Side { logs: Some(Vec::new()), metrics, tracing: None };
    telemetry.configure(&MeshConfig::default(), &Reporting { client: client.clone(), server: Side::default() });
    for (method, status) in [("GET", 200), ("POST", 200), ("GET", 404)] {
        telemetry.request(&RequestRecord { method: method.into(), status, ..request() }, Instant::now());
    }
    drop(telemetry.tcp_open(tcp()));
    let series = parse(&text(&telemetry));
    let counts = &series["istio_requests_total"];
    assert_eq!(counts.len(), 3);
    assert!(counts.iter().all(|(l, v)| l.contains_key("method") && !l.contains_key("source_version") && *v == 1.0));
    let durations = &series["istio_request_duration_milliseconds_count"];
    assert_eq!(durations.len(), 1, "without the code the three are one");
    assert_eq!(durations[0].1, 3.0);
    assert!(!durations[0].0.contains_key("method"), "a label belongs to the metric that it was asked for");
    assert!(!series.contains_key("istio_request_bytes_count") && series.contains_key("istio_response_bytes_count"));
    assert!(!series.contains_key("istio_tcp_sent_bytes_total"));
    assert_eq!(series["istio_tcp_connections_opened_total"].len(), 1);
    let off = Side { metrics: Metrics { off: true, ..Metrics::default() }, ..client };
    telemetry.configure(&MeshConfig::default(), &Reporting { client: off, server: Side::default() });
    telemetry.request(&request(), Instant::now());
    assert!(!parse(&text(&telemetry)).contains_key("istio_requests_total"));
    telemetry.request(&RequestRecord { direction: Direction::Inbound, ..request() }, Instant::now());
    assert_eq!(parse(&text(&telemetry))["istio_requests_total"].len(), 1, "the other side is as ever");
}

#[test]
fn exemplars_are_for_scrapers_that_ask_for_open_metrics() {
    let telemetry = quiet();
    let span =
        SpanRef { trace: TraceId(0xabc), span: SpanId(0xdef), parent: None, sampled: true, state: String::new() };
    telemetry.request(&RequestRecord { span: Some(Box::new(span)), ..request() }, Instant::now());
    let accept = "application/openmetrics-text;version=1.0.0;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
    let form = Exposition::wanted(accept);
    let open: String = telemetry.exposition(form).collect();
    assert!(form.content_type().starts_with("application/openmetrics-text"));
    assert!(open.contains("# {trace_id=\"00000000000000000000000000000abc\",span_id=\"0000000000000def\"} "), "{open}");
    assert!(open.ends_with("# EOF\n") && open.contains("# TYPE istio_requests counter\n"));
    assert_eq!(Exposition::wanted("*/*"), Exposition::Text);
    let plain = text(&telemetry);
    assert!(!plain.contains("trace_id") && plain.contains("# TYPE istio_requests_total counter\n"));
}

#[test]
fn a_long_text_comes_in_pieces() {
    let telemetry = quiet();
    for status in 200..300 {
        telemetry.request(&RequestRecord { status, ..request() }, Instant::now());
    }
    let sizes: Vec<_> = telemetry.exposition(Exposition::Text).map(|piece| piece.len()).collect();
    assert!(sizes.len() > 100 && sizes.iter().all(|s| *s < 40 * 1024), "{sizes:?}");

    let pieces: Vec<_> = telemetry.samples_json().collect();
    assert!(pieces.len() > 1);
    let back: leno_core::samples::Samples = serde_json::from_str(&pieces.concat()).unwrap();
    assert_eq!(back.requests.len(), 100);
}

#[test]
fn samples_of_nothing_are_json_too() {
    let telemetry = quiet();
    let back: leno_core::samples::Samples =
        serde_json::from_str(&telemetry.samples_json().collect::<String>()).unwrap();
    assert_eq!(back, telemetry.samples());
    let _open = telemetry.tcp_open(tcp());
    let back: leno_core::samples::Samples =
        serde_json::from_str(&telemetry.samples_json().collect::<String>()).unwrap();
    assert_eq!(back.tcp.len(), 1);
}

/// Not a benchmark: shows that the path of a known request does no work that grows with its labels.
#[test]
fn a_known_request_is_counted_without_allocating_texts() {
    let registry = Registry::new(Instant::now());
    let record = request();
    let start = Instant::now();
    for _ in 0..100_000 {
        registry.request(&record, None, start);
    }
    let each = start.elapsed() / 100_000;
    // Half a microsecond with optimisation; the bound leaves room for debug builds and busy machines.
    assert!(each < Duration::from_micros(10), "{each:?} per request");
    println!("{each:?} per request");
}

fn quiet() -> Telemetry {
    let own = workload("web", "web-1", &[("app", "web")]);
    Telemetry::with_log(own, std::io::sink())
}

fn workload(name: &str, pod: &str, labels: &[(&str, &str)]) -> Arc<Workload> {
    Arc::new(Workload {
        namespace: "shop".to_owned(),
        pod: pod.to_owned(),
        name: name.to_owned(),
        kind: "deployment".to_owned(),
        labels: labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
        ..Workload::default()
    })
}

fn peers() -> (PeerInfo, PeerInfo) {
    let id = |account: &str| Some(Arc::new(SpiffeId::new("cluster.local", "shop", account)));
    let source = PeerInfo { workload: Some(workload("web", "web-1", &[("app", "web")])), principal: id("web") };
    let labels = [("app", "reviews"), ("version", "v2")];
    let destination =
        PeerInfo { workload: Some(workload("reviews-v2", "reviews-v2-0", &labels)), principal: id("reviews") };
    (source, destination)
}

fn service() -> Option<Arc<ServiceRef>> {
    Some(Arc::new(ServiceRef::from(&ServiceId::new("shop", "reviews"))))
}

fn request() -> RequestRecord {
    let (source, destination) = peers();
    RequestRecord {
        duration: Duration::from_millis(3),
        status: 200,
        request_bytes: 10,
        response_bytes: 100,
        mtls: true,
        source,
        destination,
        service: service(),
        ..RequestRecord::new(Direction::Outbound)
    }
}

fn tcp() -> TcpLabels {
    let (source, destination) = peers();
    TcpLabels { source, destination, service: service(), mtls: true, ..TcpLabels::new(Direction::Outbound) }
}

fn text(telemetry: &Telemetry) -> String {
    telemetry.exposition(Exposition::Text).collect()
}

/// As strict as a scraper: name, labels in braces, one number.
fn parse(text: &str) -> Parsed {
    let mut parsed = Parsed::new();
    for line in text.lines().filter(|l| !l.starts_with('#')) {
        let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no value: {line}"));
        let value = value.parse().unwrap_or_else(|_| panic!("not a number: {line}"));
        let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
        let labels = labels.strip_suffix('}').unwrap_or_else(|| panic!("no closing brace: {line}"));
        parsed.entry(name.to_owned()).or_default().push((parse_labels(labels), value));
    }
    parsed
}

fn parse_labels(text: &str) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::new();
    let mut chars = text.chars().peekable();
    while chars.peek().is_some() {
        let name: String = chars.by_ref().take_while(|c| *c != '=').collect();
        assert_eq!(chars.next(), Some('"'), "{text}");
        let mut value = String::new();
        loop {
            match chars.next().unwrap_or_else(|| panic!("unterminated: {text}")) {
                '"' => break,
                '\\' => value.push(match chars.next() {
                    Some('n') => '\n',
                    Some(c) => c,
                    None => panic!("unterminated: {text}"),
                }),
                c => value.push(c),
            }
        }
        assert!(labels.insert(name, value).is_none(), "a label twice: {text}");
        assert!(matches!(chars.next(), None | Some(',')), "{text}");
    }
    labels
}
