//! The figures that `leno viz stat` prints are those of a known load generator, fortio (line 6 of the README).

use leno_e2e::{Late, Lateness, Mesh, Namespace, client, echo_app, figure, fortio, program, service};
use serde_json::Value;

#[test]
fn stat_agrees_with_fortio() {
    let _ = program("leno");
    let mesh = Mesh::up(&[
        &Namespace::Istio.named("myapp"),
        &echo_app("myapp", "echo", "v1", 2),
        &service("myapp", "echo", "app: echo", "[{name: http, port: 8080}]"),
        &client("myapp", "web"),
    ]);
    let fortio = fortio::program();
    // Latencies of 20 to 120 ms, uniformly: long enough that fortio's own hop to its sidecar does not count. 3 % fail.
    let url = "http://echo.myapp:8080/latency?min=20ms&max=120ms&fail=0.03";
    let run = |seconds: &str| {
        mesh.exec_json(
            "myapp",
            "deploy/web",
            &[
                &fortio,
                "load",
                "-qps",
                "200",
                "-c",
                "40",
                "-t",
                seconds,
                "-p",
                "50,95,99",
                "-r",
                "0.0001",
                "-allow-initial-errors",
                "-json",
                "-",
                "-quiet",
                url,
            ],
        )
    };
    // The machine is small and a neighbour's burst moves fortio's own clock: one quiet run of five is asked for.
    for last in [false, false, false, false, true] {
        let lateness = Lateness::begin();
        let report = run("25s");
        if compare(&mesh, &report, &lateness.end(), last) {
            return;
        }
    }
}

/// Whether `leno viz stat` and fortio's report agree; fails where they do not and it is the `last` chance.
fn compare(mesh: &Mesh, report: &Value, late: &Late, last: bool) -> bool {
    let stat: Value = serde_json::from_str(&mesh.ok(&["viz", "stat", "svc", "-n", "myapp", "-t", "20s", "-o", "json"]))
        .expect("stat is JSON");
    let row =
        stat.as_array().and_then(|rows| rows.iter().find(|r| r["name"] == "echo")).unwrap_or_else(|| panic!("{stat}"));
    let count = |code: &str| report["RetCodes"][code].as_f64().unwrap_or(0.0);
    let success = count("200") / (count("200") + count("500") + count("503"));
    let mut agree = true;
    let mut near = |what: &str, ours: f64, theirs: f64, tolerance: f64| {
        let off = (ours - theirs).abs() / theirs * 100.0;
        figure(
            &format!("{what}: stat / fortio"),
            &format!("{ours:.2} / {theirs:.2} ({off:.1} % apart)"),
            &format!("within {tolerance:.1} %"),
        );
        agree &= off <= tolerance;
        assert!(agree || !last, "{what}: stat says {ours}, fortio {theirs}\n{row}");
    };
    near("RPS", row["rps"].as_f64().unwrap_or(0.0), report["ActualQPS"].as_f64().unwrap_or(0.0), 5.0);
    near("success", row["success"].as_f64().unwrap_or(0.0), success, 2.0);
    for p in [50.0, 95.0, 99.0] {
        let ours = row[format!("p{p}")].as_f64().unwrap_or(0.0);
        let theirs = fortio::percentile(report, p);
        near(&format!("p{p} ms"), ours, theirs, late.tolerance(5.0, p, theirs));
    }
    agree
}
