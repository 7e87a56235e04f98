//! Every protocol through two sidecars, under STRICT.

use leno_e2e::{Mesh, Namespace, app, client, echo_app, service, text};

fn scene() -> Mesh {
    Mesh::up(&[
        &Namespace::Istio.named("myapp"),
        "apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default, namespace: myapp}
spec: {mtls: {mode: STRICT}}
",
        &echo_app("myapp", "echo", "v1", 1),
        &service(
            "myapp",
            "echo",
            "app: echo",
            "[{name: http, port: 80, targetPort: 8080}, {name: misnamed, port: 81, targetPort: 8080}, {name: h2, appProtocol: kubernetes.io/h2c, port: 82, targetPort: 8080}]",
        ),
        &app("myapp", "greet", "", 1, &["leno-shop", "tcp-greet", "--port", "9000"], ""),
        &service(
            "myapp",
            "greet",
            "app: greet",
            "[{name: unnamed, port: 9000}, {name: http-wrong, port: 9001, targetPort: 9000}]",
        ),
        &app("myapp", "pay", "", 1, &["leno-shop", "grpc-echo", "--port", "9090"], ""),
        &service("myapp", "pay", "app: pay", "[{name: grpc, port: 9090}]"),
        &client("myapp", "web"),
    ])
}

#[test]
fn http_in_all_its_forms() {
    let mesh = scene();
    let get = |args: &[&str]| mesh.curl("myapp", "deploy/web", args);
    assert_eq!(get(&["http://echo.myapp/"]).0, 200, "HTTP/1.1");
    assert_eq!(get(&["--http1.0", "http://echo.myapp/"]).0, 200, "HTTP/1.0");
    assert_eq!(get(&["http://echo.myapp:81/"]).0, 200, "detected on a port with a wrong name");
    assert_eq!(get(&["--http2-prior-knowledge", "http://echo.myapp:82/"]).0, 200, "h2c");
    let (status, body) = get(&["-H", "Transfer-Encoding: chunked", "-d", &"x".repeat(100_000), "http://echo.myapp/"]);
    assert_eq!(status, 200, "a chunked body");
    assert!(body.contains("100000"), "arrives whole: {body}");
    assert_eq!(get(&["-H", "Expect: 100-continue", "-d", "x", "http://echo.myapp/"]).0, 200, "100-continue");
    let script = "exec 3<>/dev/tcp/echo.myapp/80
printf 'GET /one HTTP/1.1\\r\\nHost: echo\\r\\n\\r\\nGET /two HTTP/1.1\\r\\nHost: echo\\r\\nConnection: close\\r\\n\\r\\n' >&3
timeout 5 cat <&3";
    let out = text(&mesh.exec("myapp", "deploy/web", &["bash", "-c", script]));
    assert!(out.contains("/one") && out.contains("/two"), "pipelined requests are answered in order: {out}");
}

#[test]
fn websockets_upgrade() {
    let mesh = scene();
    let script = "curl -sS -m 5 -i -N -H 'Connection: Upgrade' -H 'Upgrade: websocket' -H 'Sec-WebSocket-Version: 13' -H 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==' http://echo.myapp/ws | head -5";
    let out = text(&mesh.exec("myapp", "deploy/web", &["timeout", "8", "sh", "-c", script]));
    assert!(
        out.contains("101 Switching Protocols") && out.to_lowercase().contains("s3pplmbitxaq9kygzzhzrbk+xoo="),
        "{out}"
    );
}

#[test]
fn a_server_that_speaks_first_never_hangs() {
    let mesh = scene();
    for port in ["9000", "9001"] {
        let script = format!("time -p timeout 5 leno-shop tcp-call greet.myapp:{port}");
        let start = std::time::Instant::now();
        let out = text(&mesh.exec("myapp", "deploy/web", &["bash", "-c", &script]));
        assert!(out.contains("220"), "port {port}: {out}");
        assert!(start.elapsed().as_secs() < 3, "port {port} took {:?}", start.elapsed());
    }
}

#[test]
fn grpc_unary_and_streaming() {
    let mesh = scene();
    let out = mesh.exec("myapp", "deploy/web", &["leno-shop", "grpc-call", "http://pay.myapp:9090", "-n", "20"]);
    assert!(out.status.success(), "unary: {}", text(&out));
    let out =
        mesh.exec("myapp", "deploy/web", &["leno-shop", "grpc-call", "http://pay.myapp:9090", "--stream", "-n", "20"]);
    assert!(out.status.success(), "streaming: {}", text(&out));
}

#[test]
fn the_metrics_have_istios_names_and_never_an_empty_workload() {
    let mesh = scene();
    for _ in 0..5 {
        assert_eq!(mesh.get("myapp", "deploy/web", "http://echo.myapp/").0, 200);
    }
    let metrics = mesh.exec("myapp", "deploy/echo-v1", &["curl", "-sS", "http://localhost:15020/stats/prometheus"]);
    let metrics = String::from_utf8_lossy(&metrics.stdout).into_owned();
    let line = metrics
        .lines()
        .find(|l| {
            l.starts_with("istio_requests_total{")
                && l.contains("reporter=\"destination\"")
                && l.contains("source_workload=\"web\"")
        })
        .unwrap_or_else(|| panic!("no such series in\n{metrics}"));
    for label in [
        "destination_workload=\"echo-v1\"",
        "destination_service=\"echo.myapp.svc.cluster.local\"",
        "connection_security_policy=\"mutual_tls\"",
        "source_principal=\"spiffe://cluster.local/ns/myapp/sa/web\"",
        "response_code=\"200\"",
        "response_flags=\"-\"",
    ] {
        assert!(line.contains(label), "{label} in {line}");
    }
    assert!(metrics.contains("istio_request_duration_milliseconds_bucket{"), "{metrics}");
}
