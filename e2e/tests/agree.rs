//! Everybody agrees: `leno viz stat`, `leno viz routes`, the dashboard's API and Prometheus' series with the load generator, on a
//! service with a canary, a slow route and a failing route. A minute; `LENO_AGREE_SECONDS=600` for ten.
//!
//! The generator writes down each request, and each answer tells which time it covers: so the same requests are compared.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use leno_e2e::fortio::{Load, Requests, Running};
use leno_e2e::{Agreement, Dashboard, Mesh, Namespace, PERCENTILES, RATES, client, echo_app, service};
use serde_json::Value;

const RULES: &str = "
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: echo, namespace: myapp}
spec:
  host: echo
  subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: echo, namespace: myapp}
spec:
  hosts: [echo]
  http:
  - name: failing
    match: [{headers: {x-way: {exact: failing}}}]
    fault: {abort: {percentage: {value: 20}, httpStatus: 503}}
    route: [{destination: {host: echo, subset: v1}}]
  - name: slow
    match: [{headers: {x-way: {exact: slow}}}]
    route: [{destination: {host: echo, subset: v1}}]
  - name: canary
    route:
    - {destination: {host: echo, subset: v1}, weight: 90}
    - {destination: {host: echo, subset: v2}, weight: 10}
";

/// Name of the route, requests a second, and what is asked of the application.
const WAYS: [(&str, u32, &str); 3] = [
    ("canary", 60, "/latency?min=20ms&max=60ms"),
    ("slow", 20, "/latency?min=150ms&max=300ms"),
    ("failing", 20, "/latency?min=20ms&max=60ms"),
];

#[test]
fn all_figures_agree_with_the_load_generator() {
    let seconds: u64 = std::env::var("LENO_AGREE_SECONDS").ok().and_then(|s| s.parse().ok()).unwrap_or(60);
    let mesh = Mesh::up(&[
        &Namespace::Istio.named("myapp"),
        &echo_app("myapp", "echo", "v1", 1),
        &echo_app("myapp", "echo", "v2", 1),
        &service("myapp", "echo", "app: echo", "[{name: http, port: 8080}]"),
        &client("myapp", "web"),
        RULES,
    ]);
    let dashboard = Dashboard::open(&mesh);
    // One quiet run of four is asked for.
    for last in [false, false, false, true] {
        let running = WAYS.map(|way| (way.0, start(&mesh, way, START + seconds + END)));
        std::thread::sleep(Duration::from_secs(START));
        let before = Counters::now(&mesh);
        std::thread::sleep(Duration::from_secs(seconds));
        let seen = Seen::now(&mesh, &dashboard, seconds);
        let after = Counters::now(&mesh);
        let sent: BTreeMap<_, _> = running.into_iter().map(|(name, load)| (name, load.requests())).collect();
        let mut agreement = Agreement::new(last);
        seen.compare(&sent, &mut agreement);
        after.compare(&before, &sent, &mut agreement);
        if agreement.holds {
            return;
        }
    }
}

/// Seconds of load before the time that is looked at: with its first request on each connection, of which the generator does not
/// tell. What is asked for ends up to one scrape ago, and begins up to half of one earlier.
const START: u64 = 10;
/// Seconds that the load goes on after it was looked at.
const END: u64 = 5;

/// The load of a way.
fn start(mesh: &Mesh, (name, rps, path): (&str, u32, &str), seconds: u64) -> Running {
    let (url, header) = (format!("http://echo.myapp:8080{path}"), format!("x-way: {name}"));
    Load { url: &url, header: Some(&header), rps, connections: 20, seconds }.start(mesh, "myapp", "deploy/web", name)
}

/// What leno-viz says.
struct Seen {
    routes: Value,
    stat: Value,
    graph: Value,
}

impl Seen {
    fn now(mesh: &Mesh, dashboard: &Dashboard, seconds: u64) -> Self {
        let window = format!("{seconds}s");
        let json = |words: &[&str]| -> Value {
            let words = [words, &["-n", "myapp", "-t", &window, "-o", "json"]].concat();
            serde_json::from_str(&mesh.ok(&words)).expect("JSON")
        };
        let (routes, stat) = (json(&["viz", "routes", "svc/echo"]), json(&["viz", "stat", "svc/echo"]));
        let (_, graph) = dashboard.get(&format!("topology?namespace=myapp&window={window}"));
        Self { routes, stat, graph }
    }

    fn compare(&self, sent: &BTreeMap<&str, Requests>, agreement: &mut Agreement) {
        for (name, requests) in sent {
            agreement.signals(&format!("routes {name}"), find(&self.routes, "route", name), "_ms", requests);
        }
        let all = Requests::together(sent.values());
        agreement.signals("stat svc/echo", find(&self.stat, "name", "echo"), "", &all);
        let node = find(&self.graph["nodes"], "id", "service/myapp/echo");
        agreement.signals("dashboard svc/echo", node, "_ms", &all);
    }
}

/// What Prometheus reads of the caller's sidecar.
struct Counters {
    /// When, milliseconds since 1970.
    at: f64,
    text: String,
}

impl Counters {
    fn now(mesh: &Mesh) -> Self {
        let out = mesh.exec("myapp", "deploy/web", &["curl", "-s", "http://127.0.0.1:15090/stats/prometheus"]);
        let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970");
        Self { at: since.as_secs_f64() * 1000.0, text: String::from_utf8_lossy(&out.stdout).into_owned() }
    }

    /// The sum of a metric of requests to the service, as the caller saw them, over all series with this label.
    fn sum(&self, metric: &str, label: &str) -> f64 {
        let wanted = [r#"{reporter="source""#, r#"_service_name="echo""#, label];
        let of = self.text.lines().filter(|line| line.starts_with(metric) && wanted.iter().all(|w| line.contains(w)));
        of.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum()
    }

    fn compare(&self, before: &Self, sent: &BTreeMap<&str, Requests>, agreement: &mut Agreement) {
        let sent = Requests::together(sent.values()).between(before.at, self.at);
        let grown = |metric: &str, label: &str| self.sum(metric, label) - before.sum(metric, label);
        for status in [200, 503] {
            let ours = grown("istio_requests_total", &format!("response_code=\"{status}\""));
            agreement.near(&format!("Prometheus {status}"), ours, sent.with(status), RATES);
        }
        // Istio's buckets are too wide for percentiles; how many requests each holds is a percentile the other way round.
        for bound in [50.0, 250.0] {
            let within = grown("istio_request_duration_milliseconds_bucket", &format!("le=\"{bound}\""));
            let share = within / grown("istio_request_duration_milliseconds_count", "");
            let what = format!("Prometheus, {:.1} % took at most, ms", share * 100.0);
            agreement.near(&what, bound, sent.percentile(share * 100.0), PERCENTILES);
        }
    }
}

fn find<'v>(rows: &'v Value, field: &str, value: &str) -> &'v Value {
    let row = rows.as_array().and_then(|rows| rows.iter().find(|r| r[field] == value));
    row.unwrap_or_else(|| panic!("no {field} {value} in {rows:#}"))
}
