//! `leno why` on Kubernetes: what the sidecars of meshed pods say, through the API server, is what requests then get.

use std::time::Duration;

use leno_e2e_cluster::{App, Cluster, Mesh, Meshed, Namespace, http_app, service};
use serde_json::Value;

const SPACE: &str = "e2e-why";

const RULES: &str = "
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: server}
spec:
  host: server
  subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: server}
spec:
  hosts: [server]
  http:
  - match: [{uri: {prefix: /v2}}, {headers: {x-user: {exact: jane}}}]
    route: [{destination: {host: server, subset: v2}}]
  - match: [{uri: {prefix: /both}}]
    route:
    - {destination: {host: server, subset: v1}, weight: 50}
    - {destination: {host: server, subset: v2}, weight: 50}
  - match: [{uri: {prefix: /none}}]
    route: [{destination: {host: server, subset: v9}}]
  - match: [{uri: {prefix: /abort}}]
    fault: {abort: {percentage: {value: 100}, httpStatus: 555}}
    route: [{destination: {host: server, subset: v1}}]
  - match: [{uri: {prefix: /empty}}]
    route: [{destination: {host: empty}}]
  - match: [{uri: {exact: /}}, {uri: {prefix: /secret}}]
    route: [{destination: {host: server, subset: v1}}]
";

/// Version 2 at the root instead of version 1; everything else as it is.
const OTHER: &str = "
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: server, namespace: e2e-why}
spec:
  hosts: [server]
  http:
  - match: [{uri: {exact: /}}]
    route: [{destination: {host: server, subset: v2}}]
";

const DENIED: &str = "
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: no-secret}
spec:
  selector: {matchLabels: {app: server}}
  action: DENY
  rules: [{to: [{operation: {paths: [/secret]}}]}]
";

const STRICT: &str = "
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default}
spec: {mtls: {mode: STRICT}}
";

/// URL, and headers as both commands take them.
const REQUESTS: &[(&str, &[&str])] = &[
    ("http://server:8080/", &[]),
    ("http://server:8080/", &["-H", "x-user: jane"]),
    ("http://server:8080/v2", &[]),
    ("http://server:8080/both", &[]),
    ("http://server:8080/none", &[]),
    ("http://server:8080/abort", &[]),
    ("http://server:8080/empty", &[]),
    ("http://server:8080/unmatched", &[]),
    ("http://server:8080/secret", &[]),
    ("http://server.e2e-why.svc.cluster.local:8080/", &[]),
    ("http://empty:8080/", &[]),
];

fn scene(cluster: &Cluster) -> Namespace {
    let space = Namespace::new(cluster, SPACE, Meshed::Istio);
    let empty = App { name: "empty", replicas: 0, args: &["echo", "--port", "8080"], ..App::default() };
    space.run(&[
        &http_app("server", "v1", 1),
        &http_app("server", "v2", 1),
        &service("server", "app: server", "[{name: http, port: 8080}]"),
        &empty.yaml(),
        &service("empty", "app: empty", "[{name: http, port: 8080}]"),
        &http_app("client", "", 1),
        RULES,
    ]);
    assert!(space.all_meshed("app=client") && space.all_meshed("app=server"), "all have sidecars");
    space.reaches("deploy/client", "http://server:8080/");
    space
}

#[test]
fn what_is_said_is_what_happens() {
    let cluster = Cluster::connect();
    let _mesh = Mesh::installed(&cluster);
    let space = scene(&cluster);
    let mut wrong = Vec::new();
    for (what, objects) in [("as it is", ""), ("a path is denied", DENIED), ("STRICT", STRICT)] {
        if !objects.is_empty() {
            space.apply(&[objects]);
            // A change is in force within a second or two (tests/change.rs).
            std::thread::sleep(Duration::from_secs(3));
        }
        for (url, headers) in REQUESTS {
            let (said, got) = (why(&cluster, url, headers), send(&space, url, headers));
            if let Err(problem) = agrees(&said, &got) {
                wrong.push(format!("{what}: {url} {headers:?}: {problem}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), 3 * REQUESTS.len(), wrong.join("\n"));
    // A caller without a sidecar is refused, and is told so before.
    let plain = Namespace::new(&cluster, "e2e-why-out", Meshed::No);
    plain.run(&[&http_app("client", "", 1)]);
    let url = "http://server.e2e-why:8080/";
    let words = ["why", "GET", url, "--from", "deploy/client", "-n", "e2e-why-out", "-o", "json"];
    let said: Value = serde_json::from_str(&cluster.leno(&words).stdout).expect("JSON");
    assert_eq!(said["outcomes"][0]["reason"], "plaintext_refused", "{said:#}");
    assert_eq!(send(&plain, url, &[]).status, 0);
}

#[test]
fn a_failure_is_remembered_and_a_change_judged() {
    let cluster = Cluster::connect();
    let _mesh = Mesh::installed(&cluster);
    let space = scene(&cluster);
    let got = send(&space, "http://server:8080/none?token=s3cret", &["-H", "x-request-id: remember-me"]);
    assert_eq!((got.status, got.reason.as_str()), (503, "cluster_not_found"));
    for words in [&["why", "--request-id", "remember-me"], &["why", "--last-failure", "svc/server.e2e-why"]] {
        let said = cluster.leno(words);
        for word in ["remember-me", "as its caller saw it", "The same request now", "has no subset v9"] {
            assert!(said.stdout.contains(word), "{words:?}: `{word}` is not in\n{said}");
        }
        assert!(!said.stdout.contains("s3cret"), "{said}");
    }
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("other.yaml");
    std::fs::write(&file, OTHER).expect("a file");
    let file = file.display().to_string();
    // One that is asked about, and those that are seen.
    let asked = ["why", "GET", "http://server:8080/", "--from", "deploy/client", "-n", SPACE, "--diff", &file];
    let said = cluster.leno(&asked).to_string();
    assert!(said.contains("subset v1") && said.contains("subset v2"), "{said}");
    let watched = std::thread::scope(|scope| {
        let watch = scope.spawn(|| cluster.leno(&["why", "--diff", &file, "--for", "6s", "-o", "json"]));
        for _ in 0..8 {
            let _ = send(&space, "http://server:8080/", &[]);
            std::thread::sleep(Duration::from_millis(500));
        }
        watch.join().expect("leno why --diff")
    });
    let report: Value = serde_json::from_str(&watched.stdout).unwrap_or_else(|e| panic!("{e}\n{watched}"));
    let changed = report["changed"].as_array().cloned().unwrap_or_default();
    assert!(changed.iter().any(|c| c["request"] == "GET server:8080/"), "{report:#}");
    // Nothing was applied.
    assert_eq!(send(&space, "http://server:8080/", &[]).version, "v1");
}

fn why(cluster: &Cluster, url: &str, headers: &[&str]) -> Value {
    let mut words = vec!["why", "GET", url, "--from", "deploy/client", "-n", SPACE, "-o", "json"];
    words.extend(headers);
    let ran = cluster.leno(&words);
    // A sidecar that does not answer itself is a word on standard error.
    assert!(!ran.stderr.contains("worked out from objects"), "{words:?}\n{ran}");
    serde_json::from_str(&ran.stdout).unwrap_or_else(|e| panic!("{words:?}: {e}\n{ran}"))
}

/// What came back.
#[derive(Debug, Default)]
struct Got {
    /// 0: no answer.
    status: u64,
    /// `leno-reason`, where a sidecar made the answer.
    reason: String,
    /// Of the pod that answered.
    version: String,
}

fn send(space: &Namespace, url: &str, headers: &[&str]) -> Got {
    let mut command = vec!["leno-shop", "call", url, "--include", "--timeout", "10s"];
    command.extend(headers);
    let ran = space.exec("deploy/client", &command);
    let (head, body) = ran.stdout.split_once("\n\n").unwrap_or((&ran.stdout, ""));
    let header = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim();
    Got {
        status: head.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0),
        reason: header("leno-reason:").to_owned(),
        version: serde_json::from_str::<Value>(body).unwrap_or_default()["version"]
            .as_str()
            .unwrap_or_default()
            .to_owned(),
    }
}

/// What came back is one of the things that were said.
fn agrees(said: &Value, got: &Got) -> Result<(), String> {
    let outcomes = said["outcomes"].as_array().cloned().unwrap_or_default();
    let total: f64 = outcomes.iter().filter_map(|o| o["share"].as_f64()).sum();
    if (total - 1.0).abs() > 1e-6 {
        return Err(format!("the shares add up to {total}: {said:#}"));
    }
    let fits = |o: &Value| match o["status"].as_u64() {
        None => got.status == 200 && got.reason.is_empty() && chosen(said, &got.version),
        Some(0) => got.status == 0,
        Some(status) => got.status == status && (got.reason.is_empty() || o["reason"] == got.reason.as_str()),
    };
    if outcomes.iter().any(fits) { Ok(()) } else { Err(format!("said {outcomes:?}, got {got:?}")) }
}

/// Whether a pod of this version was said to get some.
fn chosen(said: &Value, version: &str) -> bool {
    let list = |of: &Value, what: &str| of[what].as_array().cloned().unwrap_or_default();
    let pods = list(said, "branches").into_iter().flat_map(|branch| list(&branch, "candidates"));
    let mut used = pods.filter(|pod| pod["share"].as_f64() > Some(0.0));
    used.any(|pod| pod["pod"].as_str().is_some_and(|name| name.contains(&format!("-{version}-"))))
}
