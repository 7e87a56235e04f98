//! Endpoints that come and go under load (line 4 of the README).

use leno_e2e::{Mesh, Namespace, client, echo_app, figure, service};
use serde_json::Value;

#[test]
fn restarting_a_deployment_under_load_fails_no_idempotent_request() {
    let mesh = Mesh::up(&[
        &Namespace::Istio.named("myapp"),
        &echo_app("myapp", "echo", "v1", 3),
        &service("myapp", "echo", "app: echo", "[{name: http, port: 8080}]"),
        &client("myapp", "web"),
    ]);
    let load = mesh.exec_background(
        "myapp",
        "deploy/web",
        &["leno-shop", "load", "http://echo.myapp:8080/", "--rps", "300", "-c", "16", "--duration", "40s", "--json"],
    );
    std::thread::sleep(std::time::Duration::from_secs(2));
    mesh.ok(&["local", "restart", "deploy/echo-v1", "-n", "myapp"]);
    let out = load.wait_with_output().expect("the load ends");
    let summary: Value = serde_json::from_slice(&out.stdout)
        .unwrap_or_else(|e| panic!("load printed no JSON ({e}):\n{}", leno_e2e::text(&out)));
    let failed = summary["failed"].as_u64().unwrap_or(u64::MAX);
    figure(
        "requests failed while three endpoints were restarted",
        &format!("{failed} of {}", summary["requests"]),
        "0",
    );
    assert_eq!(failed, 0, "{summary}");
}
