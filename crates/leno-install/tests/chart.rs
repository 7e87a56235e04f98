//! The Helm chart renders what `leno install` prints.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use leno_install::manifests;
use leno_install::values::{Layer, resolve};
use serde_json::{Value, json};

fn chart() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../charts/leno")
}

#[test]
fn generated_files_are_up_to_date() {
    for (path, wanted) in leno_install::chart::files() {
        let there = std::fs::read_to_string(chart().join(&path)).unwrap_or_default();
        assert!(there == wanted, "charts/leno/{path} is old: cargo run -p leno-install --example chart");
    }
}

#[test]
fn the_chart_has_the_version_of_the_program() {
    let text = std::fs::read_to_string(chart().join("Chart.yaml")).unwrap();
    let chart: Value = serde_yaml_ng::from_str(&text).unwrap();
    assert_eq!(chart["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(chart["appVersion"], env!("CARGO_PKG_VERSION"));
}

/// On PATH, or where `scripts/need.sh test` puts it.
fn helm() -> PathBuf {
    let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    let cache = std::env::var_os("LENO_CACHE").map_or_else(|| home.join(".cache/leno"), PathBuf::from);
    let ours = cache.join("bin/helm");
    if ours.exists() { ours } else { "helm".into() }
}

/// `Kind name` -> object. Settings inside of texts are compared as settings.
fn by_name(objects: impl IntoIterator<Item = Value>) -> BTreeMap<String, Value> {
    let key = |o: &Value| format!("{} {}", o["kind"].as_str().unwrap(), o["metadata"]["name"].as_str().unwrap());
    let open = |mut o: Value| {
        if o["kind"] == "ConfigMap" {
            for text in o["data"].as_object_mut().unwrap().values_mut() {
                *text = serde_yaml_ng::from_str(text.as_str().unwrap()).unwrap();
            }
        }
        o
    };
    objects.into_iter().map(|o| (key(&o), open(o))).collect()
}

fn rendered(settings: &Value) -> BTreeMap<String, Value> {
    let file =
        std::env::temp_dir().join(format!("leno-chart-{}-{}.json", std::process::id(), settings.to_string().len()));
    std::fs::write(&file, settings.to_string()).unwrap();
    // A helm that was built from its module claims an old cluster otherwise.
    let arguments = ["template", "leno", "--kube-version", "v1.33.0"];
    let output = Command::new(helm()).args(arguments).arg(chart()).arg("-f").arg(&file).output();
    let _ = std::fs::remove_file(&file);
    let output = output.expect("helm is missing: scripts/need.sh test installs it");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let documents = text.split("\n---\n").map(|d| d.trim_start_matches("---\n"));
    let objects = documents.map(|d| serde_yaml_ng::from_str::<Value>(d).unwrap_or_else(|e| panic!("{e}: {d}")));
    by_name(objects.filter(|o| !o.is_null()))
}

#[test]
fn helm_renders_the_same_objects() {
    for settings in [
        json!({}),
        json!({"profile": "demo"}),
        json!({"profile": "minimal"}),
        json!({"profile": "ha"}),
        json!({
            "profile": "ha", "hub": "example.com/mesh", "tag": "7", "namespace": "mesh", "revision": "canary",
            "imagePullPolicy": "Always", "imagePullSecrets": ["pull"], "trustDomain": "example.org",
            "control": {
                "replicas": 2, "podLabels": {"a": "b"}, "podAnnotations": {"c": "d"}, "nodeSelector": {"e": "f"},
                "tolerations": [{"key": "g", "operator": "Exists"}],
            },
            "proxy": {"logLevel": "debug", "env": {"H": "i"}, "nativeSidecar": false},
            "viz": {"enabled": true},
            "mesh": {"outboundTrafficPolicy": {"mode": "REGISTRY_ONLY"}},
        }),
    ] {
        let (values, _) = resolve(&[Layer { origin: "test".into(), tree: settings.clone() }]).unwrap();
        let wanted = by_name(manifests::install(&values));
        let got = rendered(&settings);
        assert_eq!(got.keys().collect::<Vec<_>>(), wanted.keys().collect::<Vec<_>>(), "{settings}");
        for (name, wanted) in wanted {
            assert_eq!(got[&name], wanted, "{name} with {settings}");
        }
    }
}

#[test]
fn helm_refuses_settings_that_are_not_there() {
    let output = Command::new(helm())
        .args(["template", "leno", "--kube-version", "v1.33.0"])
        .arg(chart())
        .args(["--set", "control.replicaz=2"])
        .output();
    let output = output.expect("helm is missing: scripts/need.sh test installs it");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("replicaz"), "{said}");
}
