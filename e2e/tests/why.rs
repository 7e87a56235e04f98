//! `leno why` says what then happens: each request is asked about, sent, and compared, on one mesh after the other change.

use std::time::{Duration, Instant};

use leno_e2e::{Mesh, Namespace, app, client, echo_app, figure, service};
use serde_json::Value;

const RULES: &str = "apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: echo, namespace: shop}
spec:
  host: echo
  subsets:
  - {name: v1, labels: {version: v1}}
  - {name: v2, labels: {version: v2}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: echo, namespace: shop}
spec:
  hosts: [echo]
  http:
  - match: [{uri: {prefix: /v2}}, {headers: {x-user: {exact: jane}}}]
    route: [{destination: {host: echo, subset: v2}}]
  - match: [{uri: {prefix: /both}}]
    route:
    - {destination: {host: echo, subset: v1}, weight: 50}
    - {destination: {host: echo, subset: v2}, weight: 50}
  - match: [{uri: {prefix: /none}}]
    route: [{destination: {host: echo, subset: v9}}]
  - match: [{uri: {prefix: /moved}}]
    redirect: {uri: /new, redirectCode: 302}
  - match: [{uri: {prefix: /tea}}]
    directResponse: {status: 418, body: {string: tea}}
  - match: [{uri: {prefix: /abort}}]
    fault: {abort: {percentage: {value: 100}, httpStatus: 555}}
    route: [{destination: {host: echo, subset: v1}}]
  - match: [{uri: {prefix: /late}}]
    timeout: 300ms
    fault: {delay: {percentage: {value: 100}, fixedDelay: 600ms}}
    route: [{destination: {host: echo, subset: v1}}]
  - match: [{uri: {prefix: /bad}}]
    rewrite: {uri: '/a b'}
    route: [{destination: {host: echo, subset: v1}}]
  - match: [{uri: {prefix: /empty}}]
    route: [{destination: {host: empty}}]
  - match: [{uri: {prefix: /cors}}]
    corsPolicy: {allowOrigins: [{exact: 'https://a.example'}], allowMethods: [GET]}
    route: [{destination: {host: echo, subset: v1}}]
  - match: [{uri: {prefix: /in}}]
    rewrite: {uri: /secret}
    route: [{destination: {host: echo, subset: v1}}]
  - match: [{uri: {exact: /}}, {uri: {prefix: /secret}}]
    route: [{destination: {host: echo, subset: v1}}]
";

/// `(caller, words of the request)`.
const REQUESTS: &[(&str, &[&str])] = &[
    ("web.shop", &["GET", "http://echo/"]),
    ("web.shop", &["POST", "http://echo/"]),
    ("web.shop", &["GET", "http://echo/v2"]),
    ("web.shop", &["GET", "http://echo/", "-H", "x-user: jane"]),
    ("web.shop", &["GET", "http://echo/", "-H", "x-user: eve"]),
    ("web.shop", &["GET", "http://echo/both"]),
    ("web.shop", &["GET", "http://echo/none"]),
    ("web.shop", &["GET", "http://echo/moved"]),
    ("web.shop", &["GET", "http://echo/tea"]),
    ("web.shop", &["GET", "http://echo/abort"]),
    ("web.shop", &["GET", "http://echo/late"]),
    ("web.shop", &["GET", "http://echo/bad"]),
    ("web.shop", &["GET", "http://echo/empty"]),
    ("web.shop", &["GET", "http://echo/unmatched"]),
    ("web.shop", &["GET", "http://echo/in"]),
    ("web.shop", &["GET", "http://echo/secret"]),
    (
        "web.shop",
        &["OPTIONS", "http://echo/cors", "-H", "origin: https://a.example", "-H", "access-control-request-method: GET"],
    ),
    ("web.shop", &["GET", "http://echo.shop.svc.cluster.local/"]),
    ("web.shop", &["GET", "http://echo:81/"]),
    ("web.shop", &["GET", "http://plain.out/"]),
    ("web.shop", &["GET", "http://empty/"]),
    ("pay.shop", &["GET", "http://echo/"]),
    ("client.out", &["GET", "http://echo.shop/"]),
    ("client.out", &["GET", "http://echo.shop/none"]),
    ("client.out", &["GET", "http://plain/"]),
];

/// `(what, objects)`, applied one after the other; the name is deleted again where there is one.
const CHANGES: &[(&str, &str, &str)] = &[
    ("as it is", "", ""),
    (
        "STRICT",
        "apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {name: default, namespace: shop}\nspec: {mtls: {mode: STRICT}}\n",
        "peerauthentication/default",
    ),
    (
        "one caller is allowed",
        "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: only-pay, namespace: shop}\nspec:\n  selector: {matchLabels: {app: echo}}\n  rules: [{from: [{source: {principals: [cluster.local/ns/shop/sa/pay]}}]}]\n",
        "authorizationpolicy/only-pay",
    ),
    (
        "a path is denied",
        "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: no-secret, namespace: shop}\nspec:\n  selector: {matchLabels: {app: echo}}\n  action: DENY\n  rules: [{to: [{operation: {paths: [/secret]}}]}]\n",
        "authorizationpolicy/no-secret",
    ),
    (
        "version 2 is STRICT and callers speak plaintext",
        "apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {name: v2, namespace: shop}\nspec:\n  selector: {matchLabels: {version: v2}}\n  mtls: {mode: STRICT}\n---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: echo, namespace: shop}\nspec:\n  host: echo\n  trafficPolicy: {tls: {mode: DISABLE}}\n  subsets:\n  - {name: v1, labels: {version: v1}}\n  - {name: v2, labels: {version: v2}}\n",
        "peerauthentication/v2",
    ),
    (
        "another identity is wanted",
        "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: echo, namespace: shop}\nspec:\n  host: echo\n  trafficPolicy: {tls: {mode: ISTIO_MUTUAL, subjectAltNames: ['spiffe://cluster.local/ns/shop/sa/other']}}\n  subsets:\n  - {name: v1, labels: {version: v1}}\n  - {name: v2, labels: {version: v2}}\n---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: plain, namespace: out}\nspec: {host: plain, trafficPolicy: {tls: {mode: ISTIO_MUTUAL}}}\n",
        "",
    ),
    (
        "no rules, a subset less",
        "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: echo, namespace: shop}\nspec:\n  host: echo\n  subsets:\n  - {name: v1, labels: {version: v1}}\n",
        "",
    ),
];

fn scene() -> Mesh {
    Mesh::up(&[
        &Namespace::Istio.named("shop"),
        &Namespace::Plain.named("out"),
        &echo_app("shop", "echo", "v1", 1),
        &echo_app("shop", "echo", "v2", 1),
        &service("shop", "echo", "app: echo", "[{name: http, port: 80, targetPort: 8080}]"),
        &app("shop", "empty", "", 0, &["sleep", "1000"], ""),
        &service("shop", "empty", "app: empty", "[{name: http, port: 80}]"),
        &client("shop", "web"),
        &client("shop", "pay"),
        &client("out", "client"),
        &echo_app("out", "plain", "v1", 1),
        &service("out", "plain", "app: plain", "[{name: http, port: 80, targetPort: 8080}]"),
        RULES,
    ])
}

#[test]
fn what_is_said_is_what_happens() {
    let mesh = scene();
    let (mut compared, mut wrong, mut took) = (0, Vec::new(), Vec::new());
    for (what, objects, name) in CHANGES {
        if !objects.is_empty() {
            mesh.apply(objects);
            // A change is in force within a second (tests/change.rs); what was ejected meanwhile is nobody.
            std::thread::sleep(Duration::from_millis(1500));
        }
        for (caller, request) in REQUESTS {
            let (name, namespace) = caller.split_once('.').expect("NAME.NAMESPACE");
            let start = Instant::now();
            let said = why(&mesh, namespace, name, request);
            took.push(start.elapsed().as_secs_f64() * 1000.0);
            let got = send(&mesh, namespace, name, request);
            compared += 1;
            if let Err(problem) = agrees(&said, &got) {
                let text = mesh.leno(&words(namespace, name, request));
                wrong.push(format!(
                    "{what}: {caller} {request:?}: {problem}\n{}",
                    String::from_utf8_lossy(&text.stdout)
                ));
            }
        }
        if !name.is_empty() {
            mesh.ok(&["local", "delete", name, "-n", "shop"]);
        }
    }
    took.sort_by(f64::total_cmp);
    figure("leno why compared with what happened", &format!("{} of {compared} alike", compared - wrong.len()), "all");
    figure("leno why, median", &format!("{:.0} ms", took[took.len() / 2]), "below 1 s");
    assert!(wrong.is_empty(), "{} of {compared}:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn a_failure_is_remembered_and_explained() {
    let mesh = scene();
    let (status, _) = mesh.curl(
        "shop",
        "deploy/web",
        &["-H", "x-request-id: remember-me", "-H", "x-key: s3cret", "http://echo/none?token=s3cret"],
    );
    assert_eq!(status, 503);
    let text = String::from_utf8_lossy(&mesh.leno(&["why", "--request-id", "remember-me"]).stdout).into_owned();
    for word in [
        "remember-me",
        "as its caller saw it",
        "token=…",
        "503: the route's destination service, port or subset does not exist",
        "The same request now",
        "has no subset v9",
    ] {
        assert!(text.contains(word), "`{word}` is not in\n{text}");
    }
    assert!(!text.contains("s3cret"), "{text}");
    let last = String::from_utf8_lossy(&mesh.leno(&["why", "--last-failure", "svc/echo.shop"]).stdout).into_owned();
    assert!(last.contains("remember-me"), "{last}");
    let none = mesh.leno(&["why", "--request-id", "nobody"]);
    assert!(!none.status.success() && String::from_utf8_lossy(&none.stderr).contains("no sidecar remembers"));
    // What the callee refused is remembered by the callee.
    mesh.apply(CHANGES[1].1);
    std::thread::sleep(Duration::from_millis(1500));
    assert_eq!(mesh.get("out", "deploy/client", "http://echo.shop/").0, 0);
    let refused = String::from_utf8_lossy(&mesh.leno(&["why", "--last-failure", "svc/echo.shop"]).stdout).into_owned();
    for word in ["as its callee saw it", "requires mutual TLS (STRICT)"] {
        assert!(refused.contains(word), "`{word}` is not in\n{refused}");
    }
}

#[test]
fn a_change_is_judged_before_it_is_made() {
    let mesh = scene();
    let file = mesh.write("change.yaml", "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: echo, namespace: shop}\nspec:\n  hosts: [echo]\n  http:\n  - match: [{uri: {exact: /}}]\n    route: [{destination: {host: echo, subset: v2}}]\n  - match: [{uri: {prefix: /v2}}]\n    route: [{destination: {host: echo, subset: v2}}]\n");
    let script = "for i in $(seq 40); do curl -s -o /dev/null http://echo/; curl -s -o /dev/null http://echo/v2; sleep 0.1; done";
    let mut load = mesh.exec_background("shop", "deploy/web", &["sh", "-c", script]);
    let report: Value =
        serde_json::from_str(&mesh.ok(&["why", "--diff", &file, "--for", "4s", "-o", "json"])).expect("JSON");
    let _ = load.wait();
    let changed: Vec<&str> =
        report["changed"].as_array().expect("a list").iter().filter_map(|c| c["request"].as_str()).collect();
    assert_eq!(changed, ["GET echo/"], "{report:#}");
    assert!(report["judged"].as_u64() >= Some(2), "{report:#}");
    assert_eq!(report["changed"][0]["then"][0], "100 % to shop/echo:80 subset v2", "{report:#}");
    assert_eq!(report["changed"][0]["now"][0], "100 % to shop/echo:80 subset v1", "{report:#}");
    // Nothing was applied.
    assert!(mesh.get("shop", "deploy/web", "http://echo/").1.contains("v1"));
}

fn words<'a>(namespace: &'a str, name: &'a str, request: &[&'a str]) -> Vec<String> {
    let mut words: Vec<String> = vec!["why".to_owned()];
    words.extend(request.iter().map(ToString::to_string));
    words.extend(["--from".to_owned(), format!("deploy/{name}"), "-n".to_owned(), namespace.to_owned()]);
    words
}

fn why(mesh: &Mesh, namespace: &str, name: &str, request: &[&str]) -> Value {
    let mut words = words(namespace, name, request);
    words.extend(["-o".to_owned(), "json".to_owned()]);
    let out = mesh.leno(&words);
    serde_json::from_slice(&out.stdout).unwrap_or_else(|e| panic!("{words:?}: {e}\n{}", leno_e2e::text(&out)))
}

/// What came back.
#[derive(Debug)]
struct Got {
    status: u64,
    /// `leno-reason`, where a sidecar made the answer.
    reason: String,
    body: String,
}

fn send(mesh: &Mesh, namespace: &str, name: &str, request: &[&str]) -> Got {
    let mut command = vec!["curl", "-sS", "-m", "10", "-w", "\n%{http_code} %header{leno-reason}", "-X"];
    command.extend(request);
    let out = mesh.exec(namespace, &format!("deploy/{name}"), &command);
    let all = String::from_utf8_lossy(&out.stdout).into_owned();
    let (body, last) = all.rsplit_once('\n').unwrap_or(("", &all));
    let (status, reason) = last.split_once(' ').unwrap_or((last, ""));
    Got { status: status.parse().unwrap_or(0), reason: reason.trim().to_owned(), body: body.to_owned() }
}

/// What came back is one of the things that were said, and where one alone was said it is that one.
fn agrees(said: &Value, got: &Got) -> Result<(), String> {
    let outcomes = said["outcomes"].as_array().cloned().unwrap_or_default();
    let total: f64 = outcomes.iter().filter_map(|o| o["share"].as_f64()).sum();
    if (total - 1.0).abs() > 1e-6 {
        return Err(format!("the shares add up to {total}"));
    }
    let fits = |o: &Value| match o["status"].as_u64() {
        // The application's: 200, and from a pod that was said to get some.
        None => got.status == 200 && got.reason.is_empty() && version_fits(said, &got.body),
        Some(0) => got.status == 0,
        Some(status) => got.status == status && (got.reason.is_empty() || o["reason"] == got.reason.as_str()),
    };
    if outcomes.iter().any(fits) { Ok(()) } else { Err(format!("said {outcomes:?}, got {got:?}")) }
}

fn version_fits(said: &Value, body: &str) -> bool {
    let body: Value = serde_json::from_str(body).unwrap_or_default();
    let version = body["version"].as_str().unwrap_or_default();
    let pods = said["branches"]
        .as_array()
        .into_iter()
        .flatten()
        .flat_map(|b| b["candidates"].as_array().cloned().unwrap_or_default());
    let mut chosen = pods.filter(|c| c["share"].as_f64().is_some_and(|s| s > 0.0));
    chosen.any(|c| {
        let pod = c["pod"].as_str().unwrap_or_default().to_owned();
        !version.is_empty() && pod.contains(&format!("-{version}-"))
    })
}
