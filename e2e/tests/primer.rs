//! The primer's YAML, verbatim, on an app `my-service` with v1 and v2 in namespace `myapp` (line 1 of the README).

use std::time::{Duration, Instant};

use leno_e2e::{Mesh, Namespace, client, echo_app, figure, service};
use serde_json::Value;

const CANARY: &str = include_str!("../../samples/primer/canary.yaml");

const SPLIT: &str = include_str!("../../samples/primer/split.yaml");

const RETRIES: &str = include_str!("../../samples/primer/retries.yaml");

const STRICT: &str = include_str!("../../samples/primer/strict.yaml");

fn myapp(meshed: Namespace) -> Vec<String> {
    vec![
        meshed.named("myapp"),
        Namespace::Plain.named("outside"),
        echo_app("myapp", "my-service", "v1", 1),
        echo_app("myapp", "my-service", "v2", 1),
        service("myapp", "my-service", "app: my-service", "[{name: http, port: 8080}]"),
        service("myapp", "my-service-v1", "app: my-service, version: v1", "[{name: http, port: 8080}]"),
        service("myapp", "my-service-v2", "app: my-service, version: v2", "[{name: http, port: 8080}]"),
        client("myapp", "web"),
        client("outside", "stranger"),
    ]
}

fn up(meshed: Namespace) -> Mesh {
    let yaml = myapp(meshed);
    Mesh::up(&yaml.iter().map(String::as_str).collect::<Vec<_>>())
}

/// Applies the primer's YAML as the primer does: it names no namespace.
fn apply_to_myapp(mesh: &Mesh, yaml: &str) {
    let file = mesh.write("primer.yaml", yaml);
    mesh.ok(&["local", "apply", &file, "-n", "myapp"]);
}

fn share_of_v2(mesh: &Mesh, requests: u32) -> (f64, Value) {
    let summary = mesh.exec_json(
        "myapp",
        "deploy/web",
        &["leno-shop", "call", "http://my-service.myapp:8080/", "-n", &requests.to_string(), "-c", "16", "--json"],
    );
    let count = |v: &str| summary["versions"][v].as_f64().unwrap_or(0.0);
    assert_eq!(summary["statuses"]["200"].as_u64(), Some(u64::from(requests)), "all succeed: {summary}");
    (100.0 * count("v2") / (count("v1") + count("v2")), summary)
}

#[test]
fn a_virtual_service_sends_ten_percent_to_v2() {
    let mesh = up(Namespace::Istio);
    apply_to_myapp(&mesh, CANARY);
    settle();
    let (share, summary) = share_of_v2(&mesh, 10_000);
    figure("VirtualService 90/10, share of v2", &format!("{share:.2} %"), "10 ± 2 %");
    assert!((share - 10.0).abs() <= 2.0, "{summary}");
}

#[test]
fn a_traffic_split_sends_a_hundred_milli_to_v2() {
    let mesh = up(Namespace::Linkerd);
    apply_to_myapp(&mesh, SPLIT);
    settle();
    let (share, summary) = share_of_v2(&mesh, 10_000);
    figure("TrafficSplit 900m/100m, share of v2", &format!("{share:.2} %"), "10 ± 2 %");
    assert!((share - 10.0).abs() <= 2.0, "{summary}");
}

#[test]
fn timeouts_and_retries_are_as_written() {
    let mesh = up(Namespace::Istio);
    apply_to_myapp(&mesh, RETRIES);
    settle();
    // The server counts the tries that reach it; x-envoy-attempt-count comes along with each.
    for (path, status, low, high, tries) in
        [("/hang", 504, 4.5, 6.0, 3), ("/status/503", 503, 0.0, 3.0, 4), ("/reset", 503, 0.0, 3.0, 4)]
    {
        for method in ["GET", "POST"] {
            let id = format!("{}-{method}", &path[1..].replace('/', "-"));
            let start = Instant::now();
            let url = format!("http://my-service.myapp:8080{path}?id={id}");
            let (got, body) = mesh.curl("myapp", "deploy/web", &["-X", method, &url]);
            let took = start.elapsed().as_secs_f64();
            let seen = tries_seen(&mesh, &id);
            figure(
                &format!("{method} {path}"),
                &format!("{got} after {took:.1} s, {seen} tries"),
                &format!("{status}, {tries} tries"),
            );
            assert_eq!(got, status, "{method} {path}: {body}");
            assert!((low..high).contains(&took), "{method} {path} took {took} s");
            assert_eq!(seen, tries, "{method} {path}");
        }
    }
}

/// How many tries with this id the two servers saw together.
fn tries_seen(mesh: &Mesh, id: &str) -> u64 {
    ["my-service-v1", "my-service-v2"]
        .iter()
        .map(|d| {
            let (_, body) = mesh.get("myapp", &format!("deploy/{d}"), &format!("http://localhost:8080/count?id={id}"));
            serde_json::from_str::<Value>(&body).ok().and_then(|v| v["count"].as_u64()).unwrap_or(0)
        })
        .sum()
}

#[test]
fn strict_refuses_plaintext_and_permissive_serves_both() {
    let mesh = up(Namespace::Istio);
    let url = "http://my-service.myapp:8080/";
    assert_eq!(mesh.get("outside", "deploy/stranger", url).0, 200, "PERMISSIVE serves a pod without a sidecar");
    assert_eq!(mesh.get("myapp", "deploy/web", url).0, 200, "PERMISSIVE serves a meshed pod");
    mesh.apply(STRICT);
    mesh.wait(Duration::from_secs(5), "STRICT refuses plaintext", |m| m.get("outside", "deploy/stranger", url).0 == 0);
    assert_eq!(mesh.get("myapp", "deploy/web", url).0, 200, "STRICT serves a meshed pod");
    let log = mesh.ok(&["local", "logs", "deploy/my-service-v1", "-n", "myapp", "-c", "istio-proxy"])
        + &mesh.ok(&["local", "logs", "deploy/my-service-v2", "-n", "myapp", "-c", "istio-proxy"]);
    assert!(log.contains("STRICT"), "the log says why plaintext was refused:\n{log}");
    let file = mesh.write("strict.yaml", STRICT);
    mesh.ok(&["local", "delete", &file]);
    mesh.wait(Duration::from_secs(5), "PERMISSIVE again", |m| m.get("outside", "deploy/stranger", url).0 == 200);
}

/// Configuration is in force within a second (see `change.rs`, where that is measured).
fn settle() {
    std::thread::sleep(Duration::from_secs(1));
}
