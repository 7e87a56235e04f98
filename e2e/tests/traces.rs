//! A real OpenTelemetry collector gets the spans and the access logs of the mesh, in the mesh, by mutual TLS.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Child;
use std::time::Duration;

use leno_e2e::{Mesh, Namespace, app, client, service};
use serde_json::Value;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const SPAN: &str = "b7ad6b7169203331";

/// The mesh's settings, with a collector that takes traces and logs.
const SETTINGS: &str = "
apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data:
  mesh: |
    accessLogFile: \"\"
    extensionProviders:
    - name: otel
      opentelemetry: {service: collector.otel.svc.cluster.local, port: 4317}
    - name: otel-log
      envoyOtelAls:
        service: collector.otel.svc.cluster.local
        port: 4317
        logFormat: {labels: {code: \"%RESPONSE_CODE%\", path: \"%REQ(:PATH)%\", side: \"%REQ(X-SIDE)%\"}}
";

/// Istio's way to trace the whole mesh.
fn tracing(sampling: &str) -> String {
    format!(
        "
apiVersion: telemetry.istio.io/v1
kind: Telemetry
metadata: {{name: mesh, namespace: istio-system}}
spec:
  tracing:
  - providers: [{{name: otel}}]
    randomSamplingPercentage: {sampling}
    customTags:
      stage: {{literal: {{value: test}}}}
      team: {{header: {{name: X-Team, defaultValue: nobody}}}}
"
    )
}

/// The catalog's own: requests that failed, as its server saw them.
const LOGS: &str = "
apiVersion: telemetry.istio.io/v1
kind: Telemetry
metadata: {name: failures, namespace: shop}
spec:
  selector: {matchLabels: {app: catalog}}
  accessLogging:
  - match: {mode: SERVER}
    providers: [{name: otel-log}]
    filter: {expression: \"response.code >= 400\"}
";

struct Collector {
    child: Child,
    file: PathBuf,
}

impl Collector {
    fn start(mesh: &Mesh) -> Self {
        let file = mesh.folder().join("otel.jsonl");
        let settings = format!(
            "yaml:{{receivers: {{otlp: {{protocols: {{grpc: {{endpoint: '0.0.0.0:4317'}}}}}}}}, exporters: {{lines: \
             {{path: '{}'}}}}, service: {{telemetry: {{metrics: {{level: none}}}}, pipelines: {{traces: {{receivers: \
             [otlp], exporters: [lines]}}, logs: {{receivers: [otlp], exporters: [lines]}}}}}}}}",
            file.display()
        );
        let program = program().display().to_string();
        let child = mesh.exec_background("otel", "deploy/collector", &[&program, "--config", &settings]);
        mesh.wait(Duration::from_secs(30), "the collector listens", |mesh| {
            mesh.exec("otel", "deploy/collector", &["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/4317"]).status.success()
        });
        Self { child, file }
    }

    /// Every span so far, by its id.
    fn spans(&self) -> BTreeMap<String, Span> {
        let mut spans = BTreeMap::new();
        for line in self.lines() {
            for resource in array(&line["resourceSpans"]) {
                let service = attribute(&resource["resource"], "service.name");
                for span in array(&resource["scopeSpans"]).flat_map(|s| array(&s["spans"])) {
                    let id = |key: &str| span[key].as_str().unwrap_or_default().to_owned();
                    let made = Span {
                        trace: id("traceId"),
                        parent: id("parentSpanId"),
                        kind: span["kind"].as_u64().unwrap_or_default(),
                        service: service.clone(),
                        json: span.clone(),
                    };
                    spans.insert(id("spanId"), made);
                }
            }
        }
        spans
    }

    /// Attributes of every log record so far.
    fn records(&self) -> Vec<Value> {
        let lines = self.lines();
        let scopes = lines.iter().flat_map(|l| array(&l["resourceLogs"])).flat_map(|r| array(&r["scopeLogs"]));
        scopes.flat_map(|s| array(&s["logRecords"])).cloned().collect()
    }

    fn lines(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(&self.file).unwrap_or_default();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[derive(Clone, Debug)]
struct Span {
    trace: String,
    parent: String,
    kind: u64,
    service: String,
    json: Value,
}

#[test]
fn one_request_is_one_trace_and_logs_go_to_the_collector() {
    let strict = "apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {name: strict, namespace: otel}\n\
                  spec: {mtls: {mode: STRICT}}\n";
    let mesh = Mesh::up(&[
        SETTINGS,
        &tracing("0"),
        LOGS,
        &Namespace::Istio.named("shop"),
        &shop("web"),
        &shop("catalog"),
        &stock(),
        &client("shop", "load"),
        &Namespace::Istio.named("otel"),
        strict,
        &client("otel", "collector"),
        &service("otel", "collector", "app: collector", "[{name: grpc-otlp, port: 4317}]"),
    ]);
    let collector = Collector::start(&mesh);
    let get = |args: &[&str]| mesh.curl("shop", "deploy/load", &[&["-o", "/dev/null"], args].concat()).0;
    mesh.wait(Duration::from_secs(30), "the shop answers", |_| get(&["http://catalog:8080/items"]) == 200);

    // A client that samples decides for all, whatever the share of those who do not.
    let parent = format!("traceparent: 00-{TRACE}-{SPAN}-01");
    get(&["-H", &parent, "-H", "x-team: blue", "http://web:8080/"]);
    let chain = ["load.shop", "web.shop", "web.shop", "catalog.shop"];
    let mut found = Vec::new();
    mesh.wait(Duration::from_secs(20), "all spans of the request are there", |_| {
        found = way(&collector.spans(), TRACE, SPAN);
        found.len() >= chain.len()
    });
    let services: Vec<&str> = found.iter().map(|s| s.service.as_str()).collect();
    assert_eq!(services, chain, "each hop is the child of the one before it");
    assert_eq!(found.iter().map(|s| s.kind).collect::<Vec<_>>(), [3, 2, 3, 2], "client, server, client, server");
    let says = |span: &Span, key: &str| attribute(&span.json, key);
    assert_eq!(says(&found[0], "http.url"), "http://web:8080/");
    assert_eq!((says(&found[0], "stage"), says(&found[0], "team")), ("test".to_owned(), "blue".to_owned()));
    assert_eq!(says(&found[3], "istio.canonical_service"), "catalog");
    assert_eq!(says(&found[3], "http.status_code"), "200");
    assert_eq!(says(&found[2], "team"), "nobody", "the application did not pass the header on");
    assert!(collector.spans().values().all(|s| s.trace == TRACE), "0 %: no trace began by itself");

    // B3, in several headers and in one, over the same three services.
    for (trace, several) in [("463ac35c9f6413ad48485a3953bb6124", true), ("80f198ee56343ba864fe8b2a57d3eff7", false)] {
        let span = "a2fb4a1d1a96d312";
        let (id, one) = (format!("X-B3-TraceId: {trace}"), format!("b3: {trace}-{span}-1"));
        if several {
            get(&["-H", &id, "-H", "X-B3-SpanId: a2fb4a1d1a96d312", "-H", "X-B3-Sampled: 1", "http://web:8080/"]);
        } else {
            get(&["-H", &one, "http://web:8080/"]);
        }
        let mut services = Vec::new();
        mesh.wait(Duration::from_secs(20), "the trace of a client that speaks B3", |_| {
            services = way(&collector.spans(), trace, span).into_iter().map(|s| s.service).collect();
            services.len() >= chain.len()
        });
        assert_eq!(services, chain, "several headers: {several}");
    }

    // A client that does not sample is obeyed at 100 % too; others are all sampled.
    mesh.apply(&tracing("100"));
    let silent = "4bf92f3577b34da6a3ce929d0e0e4736";
    let told = format!("traceparent: 00-{silent}-{SPAN}-00");
    mesh.wait(Duration::from_secs(20), "traces begin by themselves", |_| {
        get(&["-H", &told, "http://catalog:8080/items"]);
        get(&["http://catalog:8080/items"]);
        collector.spans().values().any(|s| s.parent.is_empty() && s.service == "load.shop")
    });
    assert!(collector.spans().values().all(|s| s.trace != silent), "its sender did not sample it");

    logs_are_filtered(&mesh, &collector, get);
    drop(collector);
    a_dead_collector_is_no_matter(&mesh, get);
}

fn logs_are_filtered(mesh: &Mesh, collector: &Collector, get: impl Fn(&[&str]) -> u16) {
    assert_eq!(get(&["-H", "x-side: a", "http://catalog:8080/items"]), 200);
    assert_eq!(get(&["-H", "x-side: b", "http://catalog:8080/nothing"]), 404);
    let mut records = Vec::new();
    mesh.wait(Duration::from_secs(20), "the failure is in the collector's log", |_| {
        records = collector.records();
        !records.is_empty()
    });
    let [record] = &records[..] else { panic!("only the failure, only by its server: {records:#?}") };
    let says = |key: &str| attribute(record, key);
    assert_eq!((says("code"), says("path"), says("side")), ("404".into(), "/nothing".into(), "b".into()));
    // Between sidecars it is HTTP/2.
    let body = record["body"]["stringValue"].as_str().unwrap_or_default();
    assert!(body.contains("\"GET /nothing HTTP/2\" 404 "), "{record}");
    assert_eq!(record["traceId"].as_str().map(str::len), Some(32), "it names its trace: {record}");
}

fn a_dead_collector_is_no_matter(mesh: &Mesh, get: impl Fn(&[&str]) -> u16) {
    let dropped = || {
        let (_, text) = mesh.get("shop", "deploy/load", "http://127.0.0.1:15000/stats");
        let line = text.lines().find_map(|l| l.strip_prefix("leno_otlp_dropped_total ").map(str::to_owned));
        line.and_then(|n| n.parse::<u64>().ok()).unwrap_or_default()
    };
    for _ in 0..20 {
        assert_eq!(get(&["http://catalog:8080/items"]), 200);
    }
    mesh.wait(Duration::from_secs(30), "what the collector did not take is counted", |_| dropped() >= 10);
}

/// The spans of a trace from `parent` down, one child each.
fn way(spans: &BTreeMap<String, Span>, trace: &str, parent: &str) -> Vec<Span> {
    let mut way = Vec::new();
    let mut parent = parent.to_owned();
    // The front asks others beside the catalog; those end at once.
    while let Some((id, span)) =
        spans.iter().filter(|(_, s)| s.trace == trace && s.parent == parent).max_by_key(|(id, _)| depth(spans, id, 0))
    {
        way.push(span.clone());
        parent.clone_from(id);
    }
    way
}

fn depth(spans: &BTreeMap<String, Span>, id: &str, so_far: usize) -> usize {
    let children = spans.iter().filter(|(_, s)| s.parent == id && so_far < 20);
    children.map(|(child, _)| depth(spans, child, so_far + 1)).max().unwrap_or(so_far)
}

fn shop(name: &str) -> String {
    let extra = "        ports: [{containerPort: 8080, name: http}]
        readinessProbe: {httpGet: {path: /healthz, port: 8080}, periodSeconds: 1}
";
    let deployment = app("shop", name, "", 1, &["leno-shop", name], extra);
    format!("{deployment}\n---\n{}", service("shop", name, &format!("app: {name}"), "[{name: http, port: 8080}]"))
}

/// What the catalog asks, by a protocol of its own: no spans.
fn stock() -> String {
    let extra =
        "        ports: [{containerPort: 7000}]\n        readinessProbe: {tcpSocket: {port: 7000}, periodSeconds: 1}\n";
    let deployment = app("shop", "stock", "", 1, &["leno-shop", "stock"], extra);
    format!("{deployment}\n---\n{}", service("shop", "stock", "app: stock", "[{name: tcp-stock, port: 7000}]"))
}

fn array(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn attribute(of: &Value, key: &str) -> String {
    let found = array(&of["attributes"]).find(|a| a["key"] == key);
    found.and_then(|a| a["value"]["stringValue"].as_str()).unwrap_or_default().to_owned()
}

/// The collector that `scripts/need.sh test` builds.
fn program() -> PathBuf {
    let cache = std::env::var_os("LENO_CACHE").map(PathBuf::from);
    let home = || PathBuf::from(std::env::var_os("HOME").expect("HOME")).join(".cache/leno");
    let path = cache.unwrap_or_else(home).join("bin/otelcol");
    assert!(path.exists(), "{} is not built: run `scripts/need.sh test` first", path.display());
    path
}
