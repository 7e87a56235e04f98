//! What being observed costs a sidecar: `make viz-cost`. Not part of `make e2e`: it wants a quiet machine and release programs.
//!
//! The same load four times: without leno-viz, with it, with a tap, with a tap that asks for headers. CPU is what the kernel
//! accounts to the proxies of caller and callee, memory what they hold at the end.

use std::time::Duration;

use leno_e2e::{Dashboard, Mesh, Namespace, client, echo_app, figure, program, service};
use serde_json::Value;

const RPS: &str = "1000";

#[test]
#[ignore = "make viz-cost runs it"]
fn what_observation_costs_a_sidecar() {
    let _ = program("leno-shop");
    let seconds: u64 = std::env::var("LENO_COST_SECONDS").ok().and_then(|s| s.parse().ok()).unwrap_or(30);
    let mesh = Mesh::up(&[
        &Namespace::Istio.named("myapp"),
        &echo_app("myapp", "echo", "v1", 1),
        &service("myapp", "echo", "app: echo", "[{name: http, port: 8080}]"),
        &client("myapp", "web"),
    ]);
    let proxies = [sidecar(&mesh, "deploy/web"), sidecar(&mesh, "deploy/echo-v1")];
    let run = |what: &str| {
        let _ = load(&mesh, 3);
        let before = proxies.map(ticks);
        let report = load(&mesh, seconds);
        let after = proxies.map(ticks);
        let spent = |at: usize| (after[at] - before[at]) as f64 / 100.0 / report.1 * 100.0;
        let row = Row {
            what: what.to_owned(),
            rps: report.0,
            caller: spent(0),
            callee: spent(1),
            memory: proxies.map(resident),
        };
        println!("{row:?}");
        row
    };
    let with = run("leno-viz on");
    mesh.ok(&["local", "stop", "system/leno-viz"]);
    let without = run("leno-viz off");
    mesh.ok(&["local", "start", "system/leno-viz"]);
    mesh.wait(Duration::from_secs(20), "leno-viz is back", |m| m.leno(&["viz", "stat", "ns"]).status.success());
    let dashboard = Dashboard::open(&mesh);
    let tapped = |ask: &str, what: &str| {
        let stop = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    let _ = dashboard.lines(ask, Duration::from_secs(2));
                }
            });
            let row = run(what);
            stop.store(true, std::sync::atomic::Ordering::Relaxed);
            row
        })
    };
    let tap = tapped("tap", "tap on");
    let headers = tapped("tap?headers=1", "tap with headers");

    println!(
        "{:<18} {:>8} {:>12} {:>12} {:>12} {:>12}",
        "", "RPS", "CPU caller", "CPU callee", "MiB caller", "MiB callee"
    );
    for row in [&without, &with, &tap, &headers] {
        let Row { what, rps, caller, callee, memory } = row;
        println!("{what:<18} {rps:>8.0} {caller:>11.2}% {callee:>11.2}% {:>12.1} {:>12.1}", memory[0], memory[1]);
    }
    // Of what the proxy spends at this load, as percent; each request is counted, so rates are equal.
    let share = |off: f64, on: f64| (on - off) / off * 100.0;
    let most = share(without.caller, with.caller).max(share(without.callee, with.callee));
    figure(
        "leno-viz' gathering, share of a proxy's CPU at 1,000 rps",
        &format!("{most:.2} %"),
        "below 1 % on a quiet machine",
    );
}

#[derive(Debug)]
struct Row {
    what: String,
    rps: f64,
    /// Percent of one core.
    caller: f64,
    callee: f64,
    /// MiB.
    memory: [f64; 2],
}

/// Requests a second that were made, and for how many seconds.
fn load(mesh: &Mesh, seconds: u64) -> (f64, f64) {
    let fortio = std::env::var("LENO_FORTIO").unwrap_or_else(|_| {
        format!("{}/.cache/leno/bin/fortio", std::env::var("HOME").unwrap_or_else(|_| "/root".to_owned()))
    });
    let length = format!("{seconds}s");
    let report: Value = mesh.exec_json(
        "myapp",
        "deploy/web",
        &[
            &fortio,
            "load",
            "-qps",
            RPS,
            "-c",
            "16",
            "-t",
            &length,
            "-allow-initial-errors",
            "-json",
            "-",
            "-quiet",
            "http://echo.myapp:8080/",
        ],
    );
    let nanos = report["ActualDuration"].as_f64().unwrap_or(1e9);
    (report["ActualQPS"].as_f64().unwrap_or(0.0), nanos / 1e9)
}

/// Process id of a pod's proxy, as this machine sees it: told apart by the network namespace of the pod.
fn sidecar(mesh: &Mesh, target: &str) -> u32 {
    let inside = |pid: &str| std::fs::read_link(format!("/proc/{pid}/ns/net")).ok();
    let out = mesh.exec("myapp", target, &["readlink", "/proc/self/ns/net"]);
    let wanted = String::from_utf8_lossy(&out.stdout).trim().to_owned();
    let all = std::fs::read_dir("/proc").expect("/proc").flatten();
    let found = all.filter_map(|entry| entry.file_name().into_string().ok()).find(|pid| {
        let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        name.trim() == "leno-proxy" && inside(pid).is_some_and(|ns| ns.to_string_lossy() == wanted)
    });
    found.and_then(|pid| pid.parse().ok()).unwrap_or_else(|| panic!("no leno-proxy in {wanted} ({target})"))
}

/// Hundredths of seconds of CPU, user and system.
fn ticks(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("the proxy runs");
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    [11, 12].iter().filter_map(|at| fields.get(*at)?.parse::<u64>().ok()).sum()
}

fn resident(pid: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:")).unwrap_or_default();
    line.split_whitespace().next().and_then(|kib| kib.parse::<f64>().ok()).unwrap_or(0.0) / 1024.0
}
