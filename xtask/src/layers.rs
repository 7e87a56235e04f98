//! Which crate may use which: lower layers know nothing of higher ones. And where `unsafe` may be.

use std::path::Path;
use std::process::Command;

use anyhow::Context as _;
use serde_json::Value;

/// Compares the workspace's dependencies with [`ALLOWED`].
pub(crate) fn run(root: &Path) -> anyhow::Result<Vec<String>> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let arguments = ["metadata", "--no-deps", "--format-version", "1", "--offline"];
    let output = Command::new(cargo).args(arguments).current_dir(root).output().context("cargo metadata")?;
    anyhow::ensure!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    let mut problems = check(&serde_json::from_slice(&output.stdout)?);
    problems.extend(unsafe_code(root)?);
    Ok(problems)
}

/// Who allows himself `unsafe`, beside the one file.
fn unsafe_code(root: &Path) -> anyhow::Result<Vec<String>> {
    let mut problems = Vec::new();
    for folder in ["crates", "samples", "e2e", "e2e-cluster"] {
        for file in crate::files(&root.join(folder), "rs")? {
            if std::fs::read_to_string(&file)?.contains("allow(unsafe_code)") && !file.ends_with(UNSAFE) {
                problems.push(format!("{}: only {UNSAFE} may have unsafe code", file.display()));
            }
        }
    }
    Ok(problems)
}

/// The one file with `unsafe` code.
const UNSAFE: &str = "crates/leno-kit/src/kernel.rs";

fn check(metadata: &Value) -> Vec<String> {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let mut problems = Vec::new();
    for package in list(&metadata["packages"]) {
        let name = package["name"].as_str().unwrap_or_default().to_owned();
        // Test and build dependencies may look anywhere: they are in no program.
        let used: Vec<String> = list(&package["dependencies"])
            .iter()
            .filter(|d| d["kind"].is_null())
            .filter_map(|d| d["name"].as_str().map(str::to_owned))
            .collect();
        let Some((_, allowed)) = ALLOWED.iter().find(|(crate_name, _)| *crate_name == name) else {
            if name.starts_with("leno-") {
                problems.push(format!("{name}: not in the table of xtask/src/layers.rs; say there what it may use"));
            }
            continue;
        };
        for dependency in used {
            if dependency.starts_with("leno-") && !allowed.contains(&dependency.as_str()) {
                problems.push(format!("{name} uses {dependency}: the layers allow {}", allowed.join(", ")));
            }
            if name == "leno-core" && IO.contains(&dependency.as_str()) {
                problems.push(format!("leno-core uses {dependency}: no I/O and no async there"));
            }
        }
    }
    problems
}

/// STYLE.md, section 2.
const ALLOWED: &[(&str, &[&str])] = &[
    ("leno-core", &[]),
    ("leno-config", &["leno-core"]),
    ("leno-xds", &["leno-core", "leno-kit"]),
    ("leno-identity", &["leno-core"]),
    ("leno-kit", &["leno-core"]),
    ("leno-http", &[]),
    ("leno-tls", &[]),
    ("leno-install", &["leno-core", "leno-config"]),
    ("leno-analyze", &["leno-core", "leno-config"]),
    ("leno-proxy", &["leno-core", "leno-http", "leno-tls", "leno-xds", "leno-identity", "leno-kit"]),
    ("leno-control", &["leno-core", "leno-xds", "leno-identity", "leno-kit", "leno-config", "leno-install"]),
    ("leno-local", &["leno-core", "leno-config", "leno-install", "leno-identity", "leno-kit"]),
    ("leno-viz", &["leno-core", "leno-config", "leno-analyze", "leno-xds", "leno-identity", "leno-kit"]),
    (
        "leno-cli",
        &[
            "leno-core",
            "leno-config",
            "leno-analyze",
            "leno-xds",
            "leno-identity",
            "leno-kit",
            "leno-install",
            "leno-local",
            "leno-viz",
            "leno-control",
        ],
    ),
    // The sample knows nothing of the mesh, and the end-to-end tests only what a person can do.
    ("leno-shop", &[]),
    ("leno-e2e", &[]),
    ("leno-e2e-cluster", &[]),
    // Runs sidecars with a mesh of literal objects.
    ("leno-bench", &["leno-core", "leno-identity", "leno-install", "leno-proxy", "leno-xds"]),
];

/// What leno-core must not use.
const IO: &[&str] = &["tokio", "hyper", "tonic", "prost", "rustls", "socket2", "nix", "futures", "kube"];

#[cfg(test)]
mod tests;
