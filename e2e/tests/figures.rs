//! The figures that `leno viz stat` prints are those of a known load generator, fortio (line 6 of the README).

use leno_e2e::fortio::Load;
use leno_e2e::{Agreement, Mesh, Namespace, client, echo_app, service};
use serde_json::Value;

#[test]
fn stat_agrees_with_fortio() {
    let mesh = Mesh::up(&[
        &Namespace::Istio.named("myapp"),
        &echo_app("myapp", "echo", "v1", 2),
        &service("myapp", "echo", "app: echo", "[{name: http, port: 8080}]"),
        &client("myapp", "web"),
    ]);
    // Latencies of 20 to 120 ms, uniformly: long enough that fortio's own hop to its sidecar does not count. 3 % fail.
    let url = "http://echo.myapp:8080/latency?min=20ms&max=120ms&fail=0.03";
    // Longer than what is asked for: the first request on each connection is not in fortio's log.
    let load = Load { url, header: None, rps: 200, connections: 40, seconds: 30 };
    // One quiet run of five is asked for.
    for last in [false, false, false, false, true] {
        let sent = load.start(&mesh, "myapp", "deploy/web", "load").requests();
        let answer = mesh.ok(&["viz", "stat", "svc/echo", "-n", "myapp", "-t", "20s", "-o", "json"]);
        let rows: Value = serde_json::from_str(&answer).expect("stat is JSON");
        let mut agreement = Agreement::new(last);
        agreement.signals("stat", &rows[0], "", &sent);
        if agreement.holds {
            return;
        }
    }
}
