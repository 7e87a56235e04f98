//! `leno viz tap` and `leno viz routes`: what was sent is what is shown, and who watches cannot harm.

use std::process::Stdio;
use std::time::Duration;

use leno_e2e::{Dashboard, Mesh, Namespace, client, echo_app, service, text};
use serde_json::Value;

const URL: &str = "http://echo.myapp:8080";

/// Half a rule with a name, and one that fails.
const RULES: &str = "
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: echo, namespace: myapp}
spec:
  hosts: [echo]
  http:
  - name: broken
    match: [{uri: {prefix: /broken}}]
    fault: {abort: {percentage: {value: 100}, httpStatus: 503}}
    route: [{destination: {host: echo}}]
  - name: good
    route: [{destination: {host: echo}}]
";

#[test]
fn what_was_sent_is_what_is_shown() {
    let mesh = Mesh::up(&[
        &Namespace::Istio.named("myapp"),
        &echo_app("myapp", "echo", "v1", 1),
        &service("myapp", "echo", "app: echo", "[{name: http, port: 8080}]"),
        &client("myapp", "web"),
        RULES,
    ]);
    mesh.wait(Duration::from_secs(20), "the echo answers", |m| m.get("myapp", "deploy/web", URL).0 == 200);

    // Of a pod that is asked and of one that asks; nothing that ended before is shown.
    let tap = |words: &[&str]| {
        let mut all = vec!["viz", "tap", "-n", "myapp", "-o", "json", "--for", "8s"];
        all.extend(words);
        mesh.command(&all).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("run leno viz tap")
    };
    let (web, echo) = (tap(&["deploy/web"]), tap(&["deploy/echo-v1"]));
    let failing = tap(&["deploy/web", "--status", "5xx", "--to", "svc/echo"]);
    let top = mesh.command(&["viz", "top", "deploy/web", "-n", "myapp", "--for", "8s"]).stdout(Stdio::piped()).spawn();
    std::thread::sleep(Duration::from_secs(2));
    for n in 0..6 {
        let (status, _) = mesh.get("myapp", "deploy/web", &format!("{URL}/cart?number={n}"));
        assert_eq!(status, 200);
    }
    for _ in 0..3 {
        assert_eq!(mesh.get("myapp", "deploy/web", &format!("{URL}/broken")).0, 503);
    }
    let lines = |child: std::process::Child| -> Vec<Value> {
        let out = child.wait_with_output().expect("its end");
        assert!(out.status.success(), "{}", text(&out));
        let stdout = String::from_utf8_lossy(&out.stdout).into_owned();
        stdout.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{line}: {e}"))).collect()
    };
    let (web, echo, failing) = (lines(web), lines(echo), lines(failing));
    assert_eq!((web.len(), echo.len(), failing.len()), (9, 6, 3), "{web:#?}");
    let first = &web[0];
    assert_eq!(first["path"], "/cart?number=…", "values of a query are not shown");
    assert_eq!((&first["inbound"], &first["secured"], &first["route"]), (&false.into(), &true.into(), &"good".into()));
    assert_eq!((&first["source"]["workload"], &first["destination"]["workload"]), (&"web".into(), &"echo-v1".into()));
    assert!(echo.iter().all(|r| r["inbound"] == true && r["secured"] == true), "{echo:#?}");
    assert!(failing.iter().all(|r| r["flags"] == "FI" && r["words"] == "a route rule injects this failure"));
    let top = top.and_then(std::process::Child::wait_with_output).expect("leno viz top");
    let top = String::from_utf8_lossy(&top.stdout).into_owned();
    let rows: Vec<Vec<&str>> = top.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows.len(), 3, "{top}");
    assert_eq!(rows[1][..5], ["web", "echo-v1", "GET", "/cart", "6"], "{top}");
    assert_eq!((rows[2][3], rows[2][4], rows[2][8]), ("/broken", "3", "0.00%"), "{top}");
    // One id joins the two sides.
    assert_eq!(first["request_id"], echo[0]["request_id"]);

    mesh.wait(Duration::from_secs(20), "the routes' figures are those that were sent", |mesh| {
        let out = mesh.leno(&["viz", "routes", "svc/echo", "-n", "myapp", "-t", "5m", "-o", "json"]);
        let rows: Value = serde_json::from_slice(&out.stdout).unwrap_or_default();
        let of = |name| rows.as_array().into_iter().flatten().find(|r| r["route"] == name).cloned().unwrap_or_default();
        let broken = of("broken");
        broken["requests"] == 3 && broken["failure"] == "503 fault_abort" && of("good")["success"] == 1.0
    });
}

#[test]
fn a_watcher_that_does_not_read_harms_nobody() {
    let mesh = Mesh::up(&[
        &Namespace::Istio.named("myapp"),
        &echo_app("myapp", "echo", "v1", 1),
        &service("myapp", "echo", "app: echo", "[{name: http, port: 8080}]"),
        &client("myapp", "web"),
    ]);
    mesh.wait(Duration::from_secs(20), "the echo answers", |m| m.get("myapp", "deploy/web", URL).0 == 200);
    // Nobody reads its output: the pipe is full soon.
    let mut stalled = mesh
        .command(&["viz", "tap", "deploy/web", "-n", "myapp", "-o", "json", "--max-rps", "100000"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("run leno viz tap");
    let load = ["leno-shop", "load", URL, "--rps", "500", "--duration", "12s", "--json"];
    let report = mesh.exec_json("myapp", "deploy/web", &load);
    stalled.kill().expect("the watcher is there still");
    let _ = stalled.wait();
    assert!(report["requests"].as_u64().or(report["sent"].as_u64()).is_none_or(|n| n > 3000), "{report}");
    assert_eq!(report["failed"].as_u64(), Some(0), "{report}");
    let memory = mesh.exec("myapp", "deploy/web", &["curl", "-s", "http://127.0.0.1:15000/memory"]);
    let resident = serde_json::from_slice::<Value>(&memory.stdout).unwrap_or_default()["resident_bytes"].as_u64();
    assert!(resident.is_some_and(|bytes| bytes < 64 << 20), "{}", text(&memory));
}

/// Nobody may come in plaintext, and nobody may do anything but read `/open`.
const LOCKED: &str = "
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default, namespace: istio-system}
spec: {mtls: {mode: STRICT}}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: only-open, namespace: myapp}
spec:
  rules: [{to: [{operation: {paths: [/open]}}]}]
";

/// A mesh that is locked, with a client and a server.
fn locked() -> Mesh {
    let mesh = Mesh::up(&[
        &Namespace::Istio.named("myapp"),
        &echo_app("myapp", "echo", "v1", 1),
        &service("myapp", "echo", "app: echo", "[{name: http, port: 8080}]"),
        &client("myapp", "web"),
        LOCKED,
    ]);
    mesh.wait(Duration::from_secs(20), "the echo answers", |m| {
        m.get("myapp", "deploy/web", &format!("{URL}/open")).0 == 200
            && m.get("myapp", "deploy/web", &format!("{URL}/shut")).0 == 403
    });
    mesh
}

#[test]
fn the_dashboard_taps_a_locked_mesh_and_nobody_else_does() {
    let mesh = locked();
    let dashboard = Dashboard::open(&mesh);
    mesh.wait(Duration::from_secs(20), "leno-viz knows both sidecars", |_| dashboard.get("status").1["proxies"] == 2);

    let lines = std::thread::scope(|scope| {
        let ask = "tap?from=deploy/web.myapp&headers=1";
        let tapping = scope.spawn(|| dashboard.lines(ask, Duration::from_secs(8)));
        std::thread::sleep(Duration::from_secs(3));
        let secret = ["-H", "Authorization: Bearer s3cret", "-H", "x-team: blue"];
        let (status, _) =
            mesh.curl("myapp", "deploy/web", &[&secret[..], &[&format!("{URL}/open?token=s3cret")]].concat());
        assert_eq!(status, 200);
        assert_eq!(mesh.get("myapp", "deploy/web", &format!("{URL}/shut")).0, 403);
        tapping.join().expect("the tap")
    });
    let all = Value::Array(lines.clone()).to_string();
    let of =
        |path: &str| lines.iter().find(|l| l["path"] == path).cloned().unwrap_or_else(|| panic!("no {path}: {all}"));
    let open = of("/open?token=…");
    assert_eq!((&open["status"], &open["secured"], &open["inbound"]), (&200.into(), &true.into(), &false.into()));
    let headers = open["request_headers"].to_string();
    assert!(headers.contains(r#"["x-team","blue"]"#) && headers.contains(r#"["authorization","…"]"#), "{headers}");
    assert_eq!(of("/shut")["status"], 403);
    assert!(!all.contains("s3cret"), "secrets stay in the sidecar: {all}");
    let state = &lines.iter().rfind(|l| l["tap"].is_object()).expect("how the tap is")["tap"];
    assert_eq!((&state["sidecars"], &state["problems"]), (&1.into(), &Value::Array(Vec::new())), "{state}");

    // Of all sidecars each request is told once, by who was asked.
    let lines = std::thread::scope(|scope| {
        let tapping = scope.spawn(|| dashboard.lines("tap?path=/open", Duration::from_secs(7)));
        std::thread::sleep(Duration::from_secs(3));
        let _ = mesh.get("myapp", "deploy/web", &format!("{URL}/open"));
        tapping.join().expect("the tap")
    });
    let told: Vec<_> = lines.iter().filter(|l| l["path"] == "/open").collect();
    assert_eq!((told.len(), &told[0]["inbound"]), (1, &true.into()), "{lines:#?}");

    // A workload with a certificate of the mesh, in plaintext and as its sidecar sends it.
    let status = mesh.status();
    let pods = status["pods"].as_array().cloned().unwrap_or_default();
    let echo = pods.iter().find(|p| p["name"].as_str().is_some_and(|n| n.starts_with("echo"))).expect("the pod");
    let url = format!("http://{}:15020/leno/v1/tap", echo["ip"].as_str().expect("its address"));
    let (status, said) = mesh.get("myapp", "deploy/web", &url);
    assert!(
        status == 403 && said.contains("only spiffe://cluster.local/ns/leno-system/sa/leno-viz"),
        "{status} {said}"
    );
    // leno-viz itself answers to its own loopback only.
    let (status, said) = mesh.get("myapp", "deploy/web", "http://10.244.0.1:8084/api/v1/tap");
    assert!(status == 403 && said.contains("leno dashboard"), "{status} {said}");
}

#[test]
fn what_policies_let_pass_and_denied_is_told() {
    let mesh = locked();
    for _ in 0..4 {
        assert_eq!(mesh.get("myapp", "deploy/web", &format!("{URL}/open")).0, 200);
        assert_eq!(mesh.get("myapp", "deploy/web", &format!("{URL}/shut")).0, 403);
    }
    mesh.wait(Duration::from_secs(20), "authz tells of both", |mesh| {
        let out = mesh.leno(&["viz", "authz", "deploy/echo-v1", "-n", "myapp", "-t", "5m", "-o", "json"]);
        let rows: Value = serde_json::from_slice(&out.stdout).unwrap_or_default();
        let row = rows.as_array().into_iter().flatten().find(|r| r["policy"] == "myapp/only-open").cloned();
        row.is_some_and(|r| {
            r["allowed_rps"].as_f64() > Some(0.0) && r["denied_rps"].as_f64() > Some(0.0) && r["success"] == 1.0
        })
    });
    let list = mesh.ok(&["viz", "list", "-n", "myapp"]);
    assert_eq!(list.lines().filter(|l| l.split_whitespace().last() == Some("yes")).count(), 2, "{list}");
}

#[test]
fn without_leno_viz_traffic_goes_on() {
    let mesh = Mesh::up(&[
        &Namespace::Istio.named("myapp"),
        &echo_app("myapp", "echo", "v1", 1),
        &service("myapp", "echo", "app: echo", "[{name: http, port: 8080}]"),
        &client("myapp", "web"),
    ]);
    mesh.wait(Duration::from_secs(20), "the echo answers", |m| m.get("myapp", "deploy/web", URL).0 == 200);
    let load = ["leno-shop", "load", URL, "--rps", "100", "--duration", "25s", "--json"];
    let load = mesh.exec_background("myapp", "deploy/web", &load);
    std::thread::sleep(Duration::from_secs(3));
    mesh.ok(&["local", "stop", "system/leno-viz"]);
    std::thread::sleep(Duration::from_secs(4));
    let out = mesh.leno(&["viz", "stat", "deploy", "-n", "myapp"]);
    assert!(!out.status.success(), "what is away is not told as no traffic: {}", text(&out));
    mesh.ok(&["local", "start", "system/leno-viz"]);
    // Overloaded: more who ask than it can serve at a time.
    mesh.wait(Duration::from_secs(20), "leno-viz is back", |m| m.leno(&["viz", "stat", "ns"]).status.success());
    let dashboard = Dashboard::open(&mesh);
    std::thread::scope(|scope| {
        for _ in 0..40 {
            scope.spawn(|| dashboard.lines("tap", Duration::from_secs(5)));
        }
        let (status, said) = {
            std::thread::sleep(Duration::from_secs(2));
            dashboard.get("tap")
        };
        assert!(
            status == 503 && said["error"].as_str().is_some_and(|e| e.contains("taps are open")),
            "{status} {said}"
        );
    });
    let out = load.wait_with_output().expect("the load's end");
    let report: Value = serde_json::from_slice(&out.stdout).unwrap_or_default();
    assert_eq!(report["failed"].as_u64(), Some(0), "{report} {}", text(&out));
}
