//! The dashboard in a real Chromium, on the sample shop. Pictures of every view are kept in `target/dashboard`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use leno_e2e::{Dashboard, Mesh, program, text};
use serde_json::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Runs suites of `dashboard/test/browser`; fails with all they said.
fn browse(mesh: &Mesh, url: &str, suites: &[&str]) {
    let pictures = root().join("target/dashboard");
    let mut command = Command::new("node");
    command.arg(root().join("dashboard/test/browser/run.mjs")).arg(url).arg(&pictures).args(suites);
    command.env("LENO", program("leno")).env("LENO_STATE", mesh.state());
    let out = command.output().expect("run node: `make tools` installs what this needs");
    println!("{}", String::from_utf8_lossy(&out.stdout));
    assert!(out.status.success(), "pictures are in {}\n{}", pictures.display(), text(&out));
}

fn shop() -> Mesh {
    let folder = root().join("samples/istio");
    let mut files: Vec<_> = std::fs::read_dir(&folder).expect("samples").flatten().map(|f| f.path()).collect();
    files.sort();
    let texts: Vec<String> = files.iter().map(|f| std::fs::read_to_string(f).expect("a sample")).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let mesh = Mesh::up(&texts);
    mesh.wait(Duration::from_secs(60), "the shop has traffic", |mesh| {
        let out = mesh.leno(&["viz", "stat", "deploy", "-n", "shop", "-o", "json"]);
        let rows: Value = serde_json::from_slice(&out.stdout).unwrap_or_default();
        let busy =
            |name| rows.as_array().into_iter().flatten().any(|r| r["name"] == name && r["rps"].as_f64() > Some(1.0));
        busy("pay") && busy("catalog-v2") && busy("reviews")
    });
    mesh
}

#[test]
fn every_page_and_journey_in_a_real_browser() {
    let mesh = shop();
    let dashboard = Dashboard::open(&mesh);
    // /slow takes 1.5 s, and its route gives it one.
    let slow = ["leno-shop", "load", "http://reviews:8080/slow", "--rps", "3", "--duration", "400s"];
    let mut slow = mesh.exec_background("shop", "deploy/web", &slow);
    browse(&mesh, &dashboard.url, &["pages", "journeys", "large", "away"]);
    let _ = slow.kill();
    let _ = slow.wait();
}
