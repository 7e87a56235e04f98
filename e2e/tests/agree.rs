//! Everybody agrees: `leno viz stat`, `leno viz routes`, the dashboard's API and Prometheus' series with the load generator, on a
//! service with a canary, a slow route and a failing route. A minute; `LENO_AGREE_SECONDS=600` for ten.

use std::collections::BTreeMap;
use std::process::Child;
use std::time::Duration;

use leno_e2e::{Dashboard, Late, Lateness, Mesh, Namespace, client, echo_app, figure, fortio, service};
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
const WAYS: [(&str, &str, &str); 3] = [
    ("canary", "60", "/latency?min=20ms&max=60ms"),
    ("slow", "20", "/latency?min=150ms&max=300ms"),
    ("failing", "20", "/latency?min=20ms&max=60ms"),
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
    // The machine is small, and a neighbour's burst moves the generator's own clock: one quiet run of four is asked for.
    for last in [false, false, false, true] {
        let before = counted(&mesh);
        let running = start(&mesh, seconds + AFTER);
        let lateness = Lateness::begin();
        // Looked at while the load goes on, over a time in which it always did.
        std::thread::sleep(Duration::from_secs(seconds));
        let seen = Seen::now(&mesh, &dashboard, seconds.saturating_sub(START).max(10));
        let reports = reports(running);
        let late = lateness.end();
        // What ended last has been counted by then.
        std::thread::sleep(Duration::from_secs(1));
        let after = counted(&mesh);
        if (Check { last, agree: true, late }).all(&reports, &seen, &before, &after) {
            return;
        }
    }
}

/// Seconds that the load goes on after it was looked at.
const AFTER: u64 = 5;
/// What a step of the window's latencies may hide, in percent.
const SKETCH: f64 = 2.5;
/// Seconds of its beginning that are left out.
const START: u64 = 8;

/// The load of each way.
fn start(mesh: &Mesh, seconds: u64) -> Vec<(&'static str, Child)> {
    let fortio = fortio::program();
    let length = format!("{seconds}s");
    WAYS.iter()
        .map(|(name, rps, path)| {
            let (url, way) = (format!("http://echo.myapp:8080{path}"), format!("x-way: {name}"));
            let command = [
                &fortio,
                "load",
                "-qps",
                rps,
                "-c",
                "20",
                "-t",
                &length,
                "-p",
                "50,95,99",
                "-r",
                "0.0001",
                "-H",
                &way,
                "-allow-initial-errors",
                "-json",
                "-",
                "-quiet",
                &url,
            ];
            (*name, mesh.exec_background("myapp", "deploy/web", &command))
        })
        .collect()
}

/// What the generator says of each way.
fn reports(running: Vec<(&'static str, Child)>) -> BTreeMap<&'static str, Value> {
    let report = |(name, child): (&'static str, Child)| {
        let out = child.wait_with_output().expect("fortio's end");
        let report = serde_json::from_slice(&out.stdout);
        (name, report.unwrap_or_else(|e| panic!("fortio printed no JSON ({e}): {}", leno_e2e::text(&out))))
    };
    running.into_iter().map(report).collect()
}

/// Istio's counter of the caller's sidecar, by status.
fn counted(mesh: &Mesh) -> BTreeMap<String, f64> {
    let out = mesh.exec("myapp", "deploy/web", &["curl", "-s", "http://127.0.0.1:15090/stats/prometheus"]);
    let mut found = BTreeMap::new();
    for line in String::from_utf8_lossy(&out.stdout).lines() {
        let wanted =
            line.starts_with("istio_requests_total{reporter=\"source\"") && line.contains("_service_name=\"echo\"");
        let Some((labels, value)) = line.rsplit_once(' ').filter(|_| wanted) else { continue };
        let status = labels.split("response_code=\"").nth(1).and_then(|l| l.split('"').next()).unwrap_or_default();
        *found.entry(status.to_owned()).or_default() += value.parse::<f64>().unwrap_or(0.0);
    }
    found
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
}

struct Check {
    last: bool,
    agree: bool,
    late: Late,
}

impl Check {
    fn all(
        mut self,
        reports: &BTreeMap<&'static str, Value>,
        seen: &Seen,
        before: &BTreeMap<String, f64>,
        after: &BTreeMap<String, f64>,
    ) -> bool {
        let Seen { routes, stat, graph } = seen;
        let total = |of: &dyn Fn(&Value) -> f64| reports.values().map(of).sum::<f64>();
        let rps = |report: &Value| number(&report["ActualQPS"]);
        let good = |report: &Value| number(&report["RetCodes"]["200"]);
        let sent =
            |report: &Value| report["RetCodes"].as_object().into_iter().flatten().map(|(_, n)| number(n)).sum::<f64>();
        for (name, report) in reports {
            let row = find(routes, "route", name);
            // The window and the run begin and end within a second of each other: so many requests are in one alone.
            let second = 100.0e9 / number(&report["ActualDuration"]);
            let share = good(report) / sent(report);
            // Two standard deviations of a share that is drawn.
            let drawn = 200.0 * ((1.0 - share) / (share * sent(report))).sqrt();
            self.near(&format!("routes {name} RPS"), number(&row["rps"]), rps(report), 2.0 + second);
            self.near(&format!("routes {name} success"), number(&row["success"]), share, 2.0 + drawn);
            for (ours, p) in [("p50_ms", 50.0), ("p95_ms", 95.0), ("p99_ms", 99.0)] {
                let theirs = fortio::percentile(report, p);
                let tolerance = self.late.tolerance(5.0 + SKETCH, p, theirs);
                self.near(&format!("routes {name} {ours}"), number(&row[ours]), theirs, tolerance);
            }
        }
        let row = find(stat, "name", "echo");
        self.near("stat svc/echo RPS", number(&row["rps"]), total(&rps), 2.0);
        self.near("stat svc/echo success", number(&row["success"]), total(&good) / total(&sent), 2.0);
        let node = find(&graph["nodes"], "id", "service/myapp/echo");
        self.near("dashboard svc/echo RPS", number(&node["rps"]), total(&rps), 2.0);
        self.near("dashboard svc/echo success", number(&node["success"]), total(&good) / total(&sent), 2.0);
        let grown = |status: &str| after.get(status).unwrap_or(&0.0) - before.get(status).unwrap_or(&0.0);
        // The generator's first request of each connection is in the sidecar's counters, and not in its own report.
        let first = total(&|r: &Value| number(&r["NumThreads"]));
        let failed = total(&|r: &Value| number(&r["RetCodes"]["503"]));
        self.near("Prometheus 200", grown("200"), total(&good), 2.0 + 100.0 * first / total(&good));
        self.near("Prometheus 503", grown("503"), failed, 2.0 + 100.0 * first / failed);
        self.agree
    }

    fn near(&mut self, what: &str, ours: f64, theirs: f64, tolerance: f64) {
        let off = (ours - theirs).abs() / theirs.abs().max(f64::EPSILON) * 100.0;
        let measured = format!("{ours:.3} / {theirs:.3} ({off:.1} % apart)");
        figure(&format!("{what} / fortio"), &measured, &format!("within {tolerance:.1} %"));
        self.agree &= off <= tolerance;
        assert!(self.agree || !self.last, "{what}: {measured}");
    }
}

fn find<'v>(rows: &'v Value, field: &str, value: &str) -> &'v Value {
    let row = rows.as_array().and_then(|rows| rows.iter().find(|r| r[field] == value));
    row.unwrap_or_else(|| panic!("no {field} {value} in {rows:#}"))
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or(0.0)
}
