//! Bad input: a clear error that says where, nothing left behind, the rest goes on (line 7 of the README).

use leno_e2e::{Mesh, Namespace, client, echo_app, service, text};

/// `up` refuses the YAML, names each of `words`, and leaves nothing running.
fn refuses(yaml: &str, words: &[&str]) {
    let mesh = Mesh::none();
    let file = mesh.write("bad.yaml", yaml);
    let out = mesh.leno(&["local", "up", &file, "--timeout", "15s"]);
    let all = text(&out);
    assert!(!out.status.success(), "accepted:\n{yaml}\n{all}");
    for word in words {
        assert!(all.contains(word), "`{word}` is not in\n{all}");
    }
    assert!(!mesh.leno(&["local", "status"]).status.success(), "something was left running:\n{all}");
}

#[test]
fn broken_yaml_is_refused_with_file_and_line() {
    refuses("apiVersion: v1\nkind: Service\nmetadata:\n  name: a\n bad: [1\n", &["bad.yaml:5"]);
    refuses("apiVersion: v1\nkind: Service\nmetadata: {}\nspec: {ports: [{port: 80}]}\n", &["bad.yaml:", "name"]);
    refuses(
        "apiVersion: v1\nkind: Service\nmetadata:\n  name: a\nspec:\n  ports:\n  - port: eighty\n",
        &["bad.yaml:7", "Service", "port"],
    );
}

#[test]
fn a_bad_route_is_refused_by_object_field_and_line() {
    refuses(
        "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: a, namespace: myapp}\nspec:\n  hosts: [a]\n  http:\n  - timeout: soon\n    route:\n    - destination: {host: a}\n",
        &["bad.yaml:7", "VirtualService", "timeout", "soon"],
    );
}

#[test]
fn two_services_with_one_address_are_refused() {
    let a = "apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {clusterIP: 10.96.0.77, ports: [{port: 80}]}\n";
    refuses(&format!("{a}---\n{}", a.replace("name: a", "name: b")), &["10.96.0.77", "a", "b", "bad.yaml:"]);
}

#[test]
fn a_missing_program_is_named() {
    let yaml = "apiVersion: apps/v1
kind: Deployment
metadata: {name: ghost}
spec:
  selector: {matchLabels: {app: ghost}}
  template:
    metadata: {labels: {app: ghost}}
    spec: {containers: [{name: main, command: [no-such-program]}]}
";
    refuses(yaml, &["no-such-program", "not found", "ghost"]);
}

#[test]
fn unknown_kinds_and_fields_are_warnings_with_file_and_line() {
    let mesh = Mesh::none();
    let file = mesh.write(
        "odd.yaml",
        "apiVersion: example.com/v1
kind: Widget
metadata: {name: w}
---
apiVersion: v1
kind: Pod
metadata: {name: p}
spec:
  shareProcessNamespace: true
  containers: [{name: main, command: [sleep, '1000']}]
",
    );
    let out = mesh.leno(&["local", "up", &file]);
    let all = text(&out);
    assert!(out.status.success(), "{all}");
    for word in ["odd.yaml:2", "Widget", "odd.yaml:9", "shareProcessNamespace"] {
        assert!(all.contains(word), "`{word}` is not in\n{all}");
    }
}

#[test]
fn a_bad_change_is_refused_and_the_rest_keeps_running() {
    let mesh = Mesh::up(&[
        &Namespace::Istio.named("myapp"),
        &echo_app("myapp", "echo", "v1", 1),
        &service("myapp", "echo", "app: echo", "[{name: http, port: 80, targetPort: http}]"),
        &client("myapp", "web"),
    ]);
    let out = mesh.try_apply("apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {name: x, namespace: myapp}\nspec: {mtls: {mode: STRICKT}}\n");
    let all = text(&out);
    assert!(!out.status.success() && all.contains("STRICKT") && all.contains("PeerAuthentication"), "{all}");
    assert_eq!(mesh.get("myapp", "deploy/web", "http://echo.myapp/").0, 200);
}

#[test]
fn a_port_in_use_is_named() {
    let mesh = Mesh::up(&[
        &Namespace::Plain.named("myapp"),
        &echo_app("myapp", "echo", "v1", 1),
        &service("myapp", "echo", "app: echo", "[{name: http, port: 80, targetPort: http}]"),
    ]);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("its number").port();
    let out = mesh.leno(&["local", "port-forward", "svc/echo", &format!("{port}:80"), "-n", "myapp"]);
    let all = text(&out);
    assert!(!out.status.success() && all.contains(&port.to_string()) && all.contains("in use"), "{all}");
}
