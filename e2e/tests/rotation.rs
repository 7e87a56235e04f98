//! Certificates that live for seconds, and a control plane that is away: no request fails (line 3 of the README).

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use leno_e2e::{Mesh, Namespace, client, echo_app, figure, service};
use serde_json::Value;

const URL: &str = "http://echo.myapp:8080/";

const LATE: &str = "apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: echo, namespace: myapp}
spec:
  hosts: [echo]
  http:
  - match: [{uri: {prefix: /late}}]
    directResponse: {status: 418, body: {string: late}}
  - route: [{destination: {host: echo}}]
";

/// Kills the control plane by `kill -9` whenever it runs, for `time`; returns how often.
fn keep_killed(mesh: &Mesh, time: Duration) -> u32 {
    let start = Instant::now();
    let mut kills = 0;
    while start.elapsed() < time {
        let out = mesh.leno(&["local", "status", "-o", "json"]);
        let status: Value = serde_json::from_slice(&out.stdout).unwrap_or_default();
        let pid =
            status["system"].as_array().and_then(|s| s.iter().find(|p| p["name"] == "leno-control")?["pid"].as_u64());
        if let Some(pid) = pid {
            let killed = Command::new("kill").args(["-9", &pid.to_string()]).stderr(Stdio::null()).status();
            kills += u32::from(killed.is_ok_and(|s| s.success()));
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    kills
}

fn scene(flags: &[&str]) -> Mesh {
    Mesh::up_with(
        &[
            &Namespace::Istio.named("myapp"),
            "apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default, namespace: myapp}
spec: {mtls: {mode: STRICT}}
",
            &echo_app("myapp", "echo", "v1", 2),
            &service("myapp", "echo", "app: echo", "[{name: http, port: 8080}]"),
            &client("myapp", "web"),
        ],
        flags,
    )
}

fn load(mesh: &Mesh, seconds: u32) -> std::process::Child {
    let duration = format!("{seconds}s");
    mesh.exec_background(
        "myapp",
        "deploy/web",
        &["leno-shop", "load", URL, "--rps", "200", "-c", "8", "--duration", &duration, "--json"],
    )
}

fn assert_no_failure(what: &str, load: std::process::Child) {
    let out = load.wait_with_output().expect("the load ends");
    let summary: Value = serde_json::from_slice(&out.stdout)
        .unwrap_or_else(|e| panic!("load printed no JSON ({e}):\n{}", leno_e2e::text(&out)));
    let total = summary["requests"].as_u64().unwrap_or(0);
    let failed = summary["failed"].as_u64().unwrap_or(u64::MAX);
    figure(what, &format!("{failed} failed of {total}"), "0 failed");
    assert!(total > 1000 && failed == 0, "{summary}");
}

fn serials(mesh: &Mesh) -> Vec<String> {
    let certs: Value = serde_json::from_str(&mesh.ok(&["proxy-config", "certs", "deploy/web.myapp", "-o", "json"]))
        .expect("certificates are JSON");
    certs
        .to_string()
        .split('"')
        .filter(|s| s.len() > 12 && s.chars().all(|c| c.is_ascii_hexdigit() || c == ':'))
        .map(str::to_owned)
        .collect()
}

#[test]
fn certificates_of_twenty_seconds_are_renewed_under_load() {
    let mesh = scene(&["--cert-ttl", "20s"]);
    let before = serials(&mesh);
    let load = load(&mesh, 120);
    let mut seen = vec![before];
    for _ in 0..11 {
        std::thread::sleep(Duration::from_secs(10));
        let now = serials(&mesh);
        if seen.last() != Some(&now) {
            seen.push(now);
        }
    }
    figure("renewals seen in 110 s with a life of 20 s", &(seen.len() - 1).to_string(), "at least 5");
    assert!(seen.len() > 5, "renewed again and again: {seen:?}");
    assert_no_failure("two minutes of load over renewals", load);
}

#[test]
fn no_request_fails_while_the_control_plane_is_away() {
    let mesh = scene(&[]);
    let load = load(&mesh, 45);
    std::thread::sleep(Duration::from_secs(3));
    let killer = std::thread::scope(|scope| {
        let kill = scope.spawn(|| keep_killed(&mesh, Duration::from_secs(30)));
        std::thread::sleep(Duration::from_secs(2));
        // A change made meanwhile waits for its return.
        mesh.apply(LATE);
        kill.join().expect("the control plane was kept down")
    });
    assert!(killer > 0, "it was killed");
    mesh.wait(Duration::from_secs(45), "the change made while it was away is in force", |m| {
        m.get("myapp", "deploy/web", "http://echo.myapp:8080/late").0 == 418
    });
    assert_no_failure("45 s of load, control plane killed for 30 s", load);
    let status = mesh.ok(&["proxy-status"]);
    assert!(status.contains("SYNCED") && !status.contains("STALE"), "all proxies are back:\n{status}");
}
