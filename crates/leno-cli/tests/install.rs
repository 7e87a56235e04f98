//! `leno install` and its kin as programs: what they print through a pipe, and what they say when something is wrong.

use std::process::{Command, Output};

use serde_json::Value;

fn leno(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_leno"));
    // No cluster of whoever runs the tests.
    command.args(arguments).env("KUBECONFIG", "/nowhere/kubeconfig").env("LENO_STATE", "/nowhere/leno");
    command.env_remove("KUBERNETES_SERVICE_HOST").output().expect("leno runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What a pipe gets, as `Kind name`.
fn printed(arguments: &[&str]) -> Vec<String> {
    let output = leno(arguments);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let word = |v: &Value| v.as_str().unwrap_or_default().to_owned();
    let documents = text(&output.stdout);
    let objects = documents.split("---\n").filter(|d| !d.trim().is_empty());
    let parse = |d: &str| serde_yaml_ng::from_str::<Value>(d).expect("YAML");
    objects.map(parse).map(|o| format!("{} {}", word(&o["kind"]), word(&o["metadata"]["name"]))).collect()
}

#[test]
fn through_a_pipe_definitions_and_objects_come_apart() {
    let crds = printed(&["install", "--crds"]);
    assert!(crds.iter().all(|o| o.starts_with("CustomResourceDefinition ")), "{crds:?}");
    assert!(crds.contains(&"CustomResourceDefinition virtualservices.networking.istio.io".to_owned()));
    let rest = printed(&["install"]);
    assert!(rest.iter().all(|o| !o.starts_with("CustomResourceDefinition ")), "{rest:?}");
    assert_eq!(rest[0], "Namespace leno-system");
    assert!(rest.contains(&"Deployment leno-control".to_owned()));
    assert!(!rest.contains(&"Deployment leno-viz".to_owned()));
}

#[test]
fn the_demo_profile_brings_viz_which_can_also_come_alone() {
    assert!(printed(&["install", "--set", "profile=demo"]).contains(&"Deployment leno-viz".to_owned()));
    assert_eq!(
        printed(&["viz", "install"]),
        [
            "ServiceAccount leno-viz",
            "ClusterRole leno-viz-leno-system",
            "ClusterRoleBinding leno-viz-leno-system",
            "Service leno-viz",
            "Service leno-viz-control",
            "Deployment leno-viz"
        ]
    );
}

#[test]
fn a_list_in_json() {
    let output = leno(&["install", "--ha", "-o", "json"]);
    let list: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let kinds: Vec<&str> = list["items"].as_array().unwrap().iter().filter_map(|o| o["kind"].as_str()).collect();
    assert!(kinds.contains(&"PodDisruptionBudget"), "{kinds:?}");
}

#[test]
fn files_lie_below_set() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("values.yaml");
    std::fs::write(&file, "hub: from-file\ncontrol:\n  replicas: 4\n").unwrap();
    let output = leno(&["install", "-f", file.to_str().unwrap(), "--set", "values.global.hub=from-set", "-o", "yaml"]);
    let printed = text(&output.stdout);
    assert!(printed.contains("image: from-set/leno-control:") && printed.contains("replicas: 4"), "{printed}");
}

#[test]
fn wrong_settings_are_named_all_at_once_and_nothing_is_printed() {
    let output = leno(&["install", "--set", "profle=demo", "--set", "control.replicaz=2"]);
    let said = text(&output.stderr);
    assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0));
    assert!(said.contains("--set profle=demo: `profle` is no setting; is `profile` meant?"), "{said}");
    assert!(said.contains("is `control.replicas` meant?"), "{said}");
}

#[test]
fn without_a_cluster_every_verb_says_so() {
    for verb in [&["install", "-y"][..], &["upgrade", "-y"], &["uninstall", "-y"], &["viz", "install", "-y"]] {
        let output = leno(verb);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{verb:?}");
        assert!(said.contains("KUBECONFIG") && said.contains("/nowhere/kubeconfig"), "{verb:?}: {said}");
    }
}

#[test]
fn the_version_of_the_client_needs_no_cluster() {
    let output = leno(&["version", "-o", "json"]);
    let version: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert!(output.status.success());
    assert_eq!(version["client"], env!("CARGO_PKG_VERSION"));
    assert!(text(&leno(&["version"]).stdout).starts_with(&format!("client: {}", env!("CARGO_PKG_VERSION"))));
}
