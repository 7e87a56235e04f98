//! The answer on a terminal.

use clap::Parser as _;

use super::*;

#[derive(clap::Parser)]
struct Line {
    #[command(flatten)]
    args: Args,
}

const CANARY: &str = "
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {istio-injection: enabled}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec: {template: {metadata: {labels: {app: web}}, spec: {serviceAccountName: web, containers: [{name: app}]}}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: catalog-v1, namespace: shop}
spec: {template: {metadata: {labels: {app: catalog, version: v1}}, spec: {serviceAccountName: catalog, containers: [{name: app}]}}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: catalog-v2, namespace: shop}
spec: {template: {metadata: {labels: {app: catalog, version: v2}}, spec: {serviceAccountName: catalog, containers: [{name: app}]}}}
---
apiVersion: v1
kind: Service
metadata: {name: catalog, namespace: shop}
spec: {selector: {app: catalog}, ports: [{name: http, port: 8080}]}
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default, namespace: shop}
spec: {mtls: {mode: STRICT}}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: catalog, namespace: shop}
spec:
  host: catalog
  subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: catalog, namespace: shop}
spec:
  hosts: [catalog]
  http:
  - name: testers
    match: [{headers: {x-user: {exact: jason}}}]
    route: [{destination: {host: catalog, subset: v2}}]
  - name: canary
    timeout: 5s
    retries: {attempts: 2, perTryTimeout: 2s, retryOn: 'gateway-error,reset,connect-failure'}
    route:
    - {destination: {host: catalog, subset: v1}, weight: 90}
    - {destination: {host: catalog, subset: v2}, weight: 10}
";

/// What is printed in 80 columns.
fn answer(words: &[&str]) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("canary.yaml");
    std::fs::write(&file, CANARY).expect("a file");
    let Line { args } = Line::parse_from([&["why"], words].concat());
    let mesh = Mesh::of_files(&[file], "shop").expect("a mesh");
    let question = Question::read(&args).expect("a question");
    let caller = mesh.caller(from(&args).expect("--from"), "shop").expect("a caller");
    let target = mesh.resolve(&question, caller).expect("a target");
    let asked = question.asked(caller, &target, None);
    let trace = judge(&mesh, None, caller, &asked).expect("an answer");
    let who = name_of(caller);
    let answer = Answer { from: &who, asked: &asked, name: &target.says, trace: &trace };
    let screen = Screen { width: Some(80), height: Some(24), colour: false };
    print::text(&answer, &screen, args.output == Output::Wide)
}

#[test]
fn the_usual_answer_fits_a_terminal_of_80x24() {
    let text = answer(&["GET", "http://catalog:8080/items", "--from", "deploy/web", "-n", "shop"]);
    // The command itself, and the next prompt.
    assert!(text.lines().count() <= 22, "{} lines\n{text}", text.lines().count());
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    for word in
        ["90 % (weight 90)", "10 % (weight 10)", "canary.yaml:", "STRICT", "the rest as above", "must be spiffe"]
    {
        assert!(text.contains(word), "`{word}` is not in\n{text}");
    }
}

#[test]
fn wide_leaves_nothing_out() {
    let words = ["GET", "http://catalog:8080/items", "--from", "deploy/web", "-n", "shop", "-o", "wide"];
    let text = answer(&words);
    for word in ["is service shop/catalog, port 8080", "v2: pods with version=v2", "of two drawn at random"] {
        assert!(text.contains(word), "`{word}` is not in\n{text}");
    }
    assert_eq!(text.matches("STRICT").count(), 2, "{text}");
}
