//! `leno viz tap` and `leno viz routes`: what was sent is what is shown, and who watches cannot harm.

use std::process::Stdio;
use std::time::Duration;

use leno_e2e::{Mesh, Namespace, client, echo_app, service, text};
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
