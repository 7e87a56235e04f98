//! What a build that is guided by a profile learns from: every load of the benchmark, once, and requests as applications make
//! them, through sidecars that count what they run. They write what they counted when they end.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use super::load::LOADS;
use super::mesh::{APP, Mesh, deployment};
use super::pair::Pair;
use super::{Tools, pair};
use crate::measure;

/// Runs the loads, and ends the sidecars as a kubelet does.
pub(crate) fn run(tools: &Tools) -> anyhow::Result<()> {
    let mesh = Mesh::up(&tools.programs, &objects(&tools.programs.canonicalize()?))?;
    let pair = pair::leno(&mesh)?;
    pair.wait_until_it_answers()?;
    for load in LOADS {
        eprintln!("{}", load.name);
        load.run(&pair, tools)?;
    }
    let shop = mesh.pod("shop")?.sidecar;
    for (name, mut load) in as_applications(&pair, tools)? {
        eprintln!("{name}");
        let output = load.output()?;
        anyhow::ensure!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    }
    for proxy in pair.proxies.iter().copied().chain(shop) {
        end(proxy)?;
    }
    Ok(())
}

fn end(proxy: u32) -> anyhow::Result<()> {
    let asked = Command::new("kill").arg(proxy.to_string()).status()?;
    anyhow::ensure!(asked.success(), "kill {proxy}: {asked}");
    let (place, begun) = (PathBuf::from(format!("/proc/{proxy}/exe")), Instant::now());
    while std::fs::read_link(&place).is_ok() {
        anyhow::ensure!(begun.elapsed() < PATIENCE, "the sidecar with process id {proxy} does not end");
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// Bodies, headers, rules that match late, answers that are logged or asked for again, and bytes that are not HTTP: the
/// benchmark's own loads know none of them.
fn as_applications(pair: &Pair, tools: &Tools) -> anyhow::Result<Vec<(&'static str, Command)>> {
    const SHOP: &str = "http://shop.bench";
    let headers = || HEADERS.iter().flat_map(|header| ["-H", *header]);
    let curl = || pair.client.command("curl");
    for path in ["/api/orders", "/logged"] {
        measure::until_answered(curl, &[], &format!("{SHOP}{path}"), PATIENCE)?;
    }
    let fortio = |arguments: &[&str]| {
        let mut fortio = pair.client.command(&tools.fortio.display().to_string());
        fortio.args(["load", "-quiet", "-c", "8", "-t", "3s", "-allow-initial-errors"]);
        fortio.args(headers()).args(arguments);
        fortio
    };
    let mut posts = pair.client.command("h2load");
    posts.args(["-t1", "-c10", "-m10", "-D", "3", "-d"]).arg(&pair.message);
    posts.args(headers()).arg(format!("{SHOP}/echo?id=17"));
    let mut opaque = pair.client.command("wrk");
    opaque.args(["-t1", "-c32", "-d2", &format!("http://opaque.bench:{APP}/")]);
    Ok(vec![
        ("rules that match late", fortio(&["-qps", "0", &format!("{SHOP}/api/orders?id=17&page=2")])),
        ("bodies", fortio(&["-qps", "0", "-payload-size", "700", &format!("{SHOP}/echo")])),
        ("logged", fortio(&["-qps", "1500", &format!("{SHOP}/logged")])),
        ("failures", fortio(&["-qps", "300", &format!("{SHOP}/status/503")])),
        ("bodies, h2c", posts),
        ("opaque bytes", opaque),
    ])
}

/// A shop whose rules use what users of Istio have.
fn objects(programs: &Path) -> String {
    let program = programs.join("leno-shop");
    let shop = format!("[{program:?}, echo, --port, \"{APP}\"]");
    let rules = format!(
        "---
apiVersion: v1
kind: Service
metadata: {{name: shop, namespace: bench}}
spec: {{selector: {{app: shop}}, ports: [{{name: http, port: 80, targetPort: {APP}}}]}}
---
apiVersion: v1
kind: Service
metadata: {{name: opaque, namespace: bench}}
spec: {{selector: {{app: web}}, ports: [{{name: tcp, port: {APP}, targetPort: {APP}}}]}}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: shop, namespace: bench}}
spec:
  host: shop
  trafficPolicy:
    loadBalancer: {{simple: LEAST_REQUEST}}
    connectionPool: {{http: {{http2MaxRequests: 1000}}}}
    outlierDetection: {{consecutive5xxErrors: 1000000}}
  subsets: [{{name: v1, labels: {{version: v1}}}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: shop, namespace: bench}}
spec:
  hosts: [shop]
  http:
  - match: [{{headers: {{x-canary: {{exact: 'yes'}}}}}}]
    route: [{{destination: {{host: shop, subset: v1}}}}]
  - match: [{{uri: {{prefix: /api/}}, method: {{regex: GET|POST}}}}]
    rewrite: {{uri: /v1/}}
    headers: {{request: {{set: {{x-from: mesh}}}}, response: {{remove: [server], add: {{x-served: mesh}}}}}}
    route:
    - {{destination: {{host: shop, subset: v1}}, weight: 90}}
    - {{destination: {{host: shop}}, weight: 10}}
  - route: [{{destination: {{host: shop, subset: v1}}}}]
    timeout: 10s
    retries: {{attempts: 1, perTryTimeout: 2s, retryOn: '5xx,reset'}}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {{name: shop, namespace: bench}}
spec:
  selector: {{matchLabels: {{app: shop}}}}
  rules:
  - from: [{{source: {{principals: [cluster.local/ns/bench/sa/load]}}}}]
    to: [{{operation: {{methods: [GET, POST], notPaths: [/admin*]}}}}]
---
apiVersion: telemetry.istio.io/v1
kind: Telemetry
metadata: {{name: logged, namespace: bench}}
spec:
  accessLogging:
  - providers: [{{name: envoy}}]
    filter: {{expression: \"request.url_path == '/logged'\"}}
"
    );
    deployment("bench", "shop", &shop) + &rules
}

/// As browsers and instrumented services send them.
const HEADERS: [&str; 6] = [
    "accept: text/html,application/json;q=0.9,*/*;q=0.8",
    "accept-encoding: gzip, deflate, br",
    "accept-language: en-GB,en;q=0.5",
    "cookie: session=7f1c2a9e5b; theme=dark",
    "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00",
    "x-tenant: blue",
];
/// Longer than a sidecar drains.
const PATIENCE: Duration = Duration::from_secs(20);
