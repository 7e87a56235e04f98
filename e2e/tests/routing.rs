//! The rules of a VirtualService and a DestinationRule, seen from a client.

use std::time::{Duration, Instant};

use leno_e2e::{Mesh, Namespace, client, echo_app, service};
use serde_json::Value;

const RULES: &str = "apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: echo, namespace: myapp}
spec:
  host: echo
  subsets:
  - {name: v1, labels: {version: v1}}
  - {name: v2, labels: {version: v2}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: echo, namespace: myapp}
spec:
  hosts: [echo]
  http:
  - name: by-header
    match: [{headers: {x-user: {exact: jane}}}]
    route: [{destination: {host: echo, subset: v2}}]
  - name: by-query
    match: [{queryParams: {beta: {exact: 'yes'}}}]
    route: [{destination: {host: echo, subset: v2}}]
  - name: by-method
    match: [{method: {exact: DELETE}}]
    directResponse: {status: 405, body: {string: not here}}
  - name: by-source
    match: [{uri: {prefix: /mine}, sourceLabels: {app: other}}]
    route: [{destination: {host: echo, subset: v2}}]
  - name: moved
    match: [{uri: {exact: /old}}]
    redirect: {uri: /new, redirectCode: 302}
  - name: rewritten
    match: [{uri: {prefix: /api/}}]
    rewrite: {uri: /}
    headers:
      request: {set: {x-added: by-the-mesh}, remove: [x-secret]}
      response: {add: {x-answer: seen}}
    route: [{destination: {host: echo, subset: v1}}]
  - name: by-regex
    match: [{uri: {regex: '/item/[0-9]+'}}]
    route: [{destination: {host: echo, subset: v2}}]
  - name: slowed
    match: [{uri: {prefix: /slowed}}]
    fault: {delay: {percentage: {value: 100}, fixedDelay: 700ms}}
    route: [{destination: {host: echo, subset: v1}}]
  - name: aborted
    match: [{uri: {prefix: /aborted}}]
    fault: {abort: {percentage: {value: 100}, httpStatus: 418}}
    route: [{destination: {host: echo, subset: v1}}]
  - name: mirrored
    match: [{uri: {prefix: /mirrored}}]
    mirror: {host: echo, subset: v2}
    mirrorPercentage: {value: 100}
    route: [{destination: {host: echo, subset: v1}}]
  - name: cors
    match: [{uri: {prefix: /cors}}]
    corsPolicy: {allowOrigins: [{exact: 'https://shop.example'}], allowMethods: [GET], maxAge: 10m}
    route: [{destination: {host: echo, subset: v1}}]
  - name: no-such-subset
    match: [{uri: {prefix: /nowhere}}]
    route: [{destination: {host: echo, subset: v9}}]
  - name: rest
    match: [{uri: {prefix: /}}]
    route: [{destination: {host: echo, subset: v1}}]
";

fn scene() -> Mesh {
    Mesh::up(&[
        &Namespace::Istio.named("myapp"),
        &echo_app("myapp", "echo", "v1", 1),
        &echo_app("myapp", "echo", "v2", 1),
        &service("myapp", "echo", "app: echo", "[{name: http, port: 8080}]"),
        &client("myapp", "web"),
        &client("myapp", "other"),
        RULES,
    ])
}

fn version(body: &str) -> String {
    serde_json::from_str::<Value>(body).ok().and_then(|v| v["version"].as_str().map(str::to_owned)).unwrap_or_default()
}

#[test]
fn every_kind_of_rule_does_what_it_says() {
    let mesh = scene();
    let base = "http://echo.myapp:8080";
    let url = |path: &str| format!("{base}{path}");
    let web = |args: &[&str]| mesh.curl("myapp", "deploy/web", args);

    assert_eq!(version(&web(&[&url("/")]).1), "v1", "the last rule");
    assert_eq!(version(&web(&["-H", "x-user: jane", &url("/")]).1), "v2", "a header");
    assert_eq!(version(&web(&["-H", "x-user: janet", &url("/")]).1), "v1", "not a prefix of it");
    assert_eq!(version(&web(&[&url("/?a=1&beta=yes")]).1), "v2", "a query parameter");
    assert_eq!(web(&["-X", "DELETE", &url("/")]), (405, "not here".to_owned()), "a direct response");
    assert_eq!(version(&web(&[&url("/mine")]).1), "v1", "labels of another caller");
    assert_eq!(version(&mesh.get("myapp", "deploy/other", &url("/mine")).1), "v2", "labels of this caller");
    let (status, head) = web(&["-i", &url("/old")]);
    assert!(status == 302 && head.to_lowercase().contains("location: http://echo.myapp:8080/new"), "{head}");
    let (_, all) = web(&["-i", "-H", "x-secret: s3", &url("/api/things?x=1")]);
    assert!(all.contains("x-answer: seen") && all.contains("by-the-mesh"), "{all}");
    assert!(all.contains("/things") && !all.contains("/api/things") && !all.contains("s3"), "{all}");
    assert_eq!(version(&web(&[&url("/item/42")]).1), "v2", "a regular expression");
    assert_eq!(version(&web(&[&url("/item/42x")]).1), "v1", "which matches the whole path");
    let start = Instant::now();
    assert_eq!(web(&[&url("/slowed")]).0, 200);
    assert!(start.elapsed() >= Duration::from_millis(700), "an injected delay");
    assert_eq!(web(&[&url("/aborted")]).0, 418, "an injected abort");
    let (_, head) = web(&[
        "-i",
        "-X",
        "OPTIONS",
        "-H",
        "Origin: https://shop.example",
        "-H",
        "Access-Control-Request-Method: GET",
        &url("/cors"),
    ]);
    assert!(head.to_lowercase().contains("access-control-allow-origin: https://shop.example"), "{head}");
    let (status, head) = web(&["-i", &url("/nowhere")]);
    assert!(status == 503 && head.contains("leno-reason"), "a subset that does not exist: {head}");

    assert_eq!(version(&web(&[&url("/mirrored?id=mirror-1")]).1), "v1");
    mesh.wait(Duration::from_secs(3), "v2 got the copy", |m| {
        let (_, body) = m.get("myapp", "deploy/echo-v2", "http://localhost:8080/count?id=mirror-1");
        body.contains('1')
    });
    let routes = mesh.ok(&["proxy-config", "routes", "deploy/web.myapp"]);
    assert!(routes.contains("by-header") && routes.contains("myapp/echo"), "{routes}");
}

#[test]
fn an_endpoint_that_fails_is_ejected_and_comes_back() {
    let mesh = Mesh::up(&[
        &Namespace::Istio.named("myapp"),
        &echo_app("myapp", "echo", "v1", 1),
        &echo_app("myapp", "echo", "v2", 1),
        &service("myapp", "echo", "app: echo", "[{name: http, port: 8080}]"),
        &client("myapp", "web"),
        "apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: echo, namespace: myapp}
spec:
  host: echo
  trafficPolicy:
    loadBalancer: {simple: ROUND_ROBIN}
    outlierDetection: {consecutive5xxErrors: 3, interval: 1s, baseEjectionTime: 5s, maxEjectionPercent: 50}
",
    ]);
    let mode = r#"{"status":500}"#;
    let (status, _) = mesh.curl("myapp", "deploy/echo-v2", &["-d", mode, "http://localhost:8080/mode"]);
    assert_eq!(status, 200, "the server takes its orders");
    let call = |n: &str| {
        mesh.exec_json(
            "myapp",
            "deploy/web",
            &["leno-shop", "call", "http://echo.myapp:8080/", "-n", n, "-c", "1", "--json"],
        )
    };
    let _ = call("20");
    let summary = call("50");
    assert_eq!(summary["statuses"]["200"].as_u64(), Some(50), "the failing endpoint is out: {summary}");
    let endpoints = mesh.ok(&["proxy-config", "endpoints", "deploy/web.myapp"]);
    assert!(endpoints.to_lowercase().contains("ejected"), "{endpoints}");
    let _ = mesh.curl("myapp", "deploy/echo-v2", &["-d", "{}", "http://localhost:8080/mode"]);
    std::thread::sleep(Duration::from_secs(7));
    let summary = call("50");
    assert!(summary["versions"]["v2"].as_u64().unwrap_or(0) > 10, "and comes back: {summary}");
}

#[test]
fn a_circuit_breaker_answers_at_once_and_says_so() {
    let mesh = Mesh::up(&[
        &Namespace::Istio.named("myapp"),
        &echo_app("myapp", "echo", "v1", 1),
        &service("myapp", "echo", "app: echo", "[{name: http, port: 8080}]"),
        &client("myapp", "web"),
        "apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: echo, namespace: myapp}
spec:
  host: echo
  trafficPolicy:
    connectionPool: {http: {http2MaxRequests: 2, http1MaxPendingRequests: 1}, tcp: {maxConnections: 2}}
",
    ]);
    let summary = mesh.exec_json(
        "myapp",
        "deploy/web",
        &["leno-shop", "call", "http://echo.myapp:8080/delay/300ms", "-n", "40", "-c", "20", "--json"],
    );
    assert!(summary["statuses"]["503"].as_u64().unwrap_or(0) > 0, "too many at once: {summary}");
    assert!(summary["statuses"]["200"].as_u64().unwrap_or(0) > 0, "the others are served: {summary}");
}
