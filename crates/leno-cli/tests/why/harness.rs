//! A mesh in YAML, the command, and how its answer is compared.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

/// A request to a mesh.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    /// What it is about.
    pub(crate) name: &'static str,
    /// Objects beside [`SHOP`].
    pub(crate) yaml: String,
    /// The command's words: `GET http://… --from …`.
    pub(crate) ask: &'static str,
    /// `(reason, status, share in percent)`; status -1: the application's, 0: the connection is closed.
    pub(crate) ends: Vec<(&'static str, i64, f64)>,
    /// What the text must say.
    pub(crate) says: Vec<&'static str>,
}

/// A case that ends in one way.
pub(crate) fn case(
    name: &'static str,
    yaml: &str,
    ask: &'static str,
    reason: &'static str,
    status: i64,
    says: &[&'static str],
) -> Case {
    Case { name, yaml: yaml.to_owned(), ask, ends: vec![(reason, status, 100.0)], says: says.to_vec() }
}

/// A case that ends in several.
pub(crate) fn split(
    name: &'static str,
    yaml: &str,
    ask: &'static str,
    ends: &[(&'static str, i64, f64)],
    says: &[&'static str],
) -> Case {
    Case { name, yaml: yaml.to_owned(), ask, ends: ends.to_vec(), says: says.to_vec() }
}

/// Runs a case.
pub(crate) fn run(case: &Case) -> Result<(), String> {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("mesh.yaml"), shop()).expect("a file");
    std::fs::write(folder.path().join("case.yaml"), &case.yaml).expect("a file");
    let files = if case.yaml.is_empty() { "--file mesh.yaml" } else { "--file mesh.yaml case.yaml" };
    let out = leno(folder.path(), &format!("{} {files} -o json", case.ask));
    let stderr = String::from_utf8_lossy(&out.stderr).into_owned();
    let answer: Value = serde_json::from_slice(&out.stdout).map_err(|e| format!("no JSON ({e}): {stderr}"))?;
    let text = leno(folder.path(), &format!("{} {files}", case.ask));
    let text = String::from_utf8_lossy(&text.stdout).into_owned();
    let mut ends: Vec<(String, i64, f64)> = Vec::new();
    for o in answer["outcomes"].as_array().into_iter().flatten() {
        let reason = o["reason"].as_str().unwrap_or_default().to_owned();
        let status = o["status"].as_i64().unwrap_or(-1);
        let share = o["share"].as_f64().unwrap_or_default() * 100.0;
        match ends.iter_mut().find(|(r, s, _)| *r == reason && *s == status) {
            Some((.., have)) => *have += share,
            None => ends.push((reason, status, share)),
        }
    }
    let same = ends.len() == case.ends.len()
        && case.ends.iter().all(|(reason, status, share)| {
            ends.iter().any(|(r, s, have)| r == reason && s == status && (have - share).abs() < 0.01)
        });
    if !same {
        return Err(format!("wanted {:?}, got {ends:?}\n{text}{stderr}", case.ends));
    }
    let plain = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some(missing) = case.says.iter().find(|s| !plain.contains(**s)) {
        return Err(format!("`{missing}` is not in\n{text}{stderr}"));
    }
    let fails = case.ends.iter().any(|(r, ..)| !PASSES.contains(r));
    if out.status.code() != Some(i32::from(fails)) {
        return Err(format!("exit code {:?}\n{text}", out.status.code()));
    }
    Ok(())
}

/// Runs `leno why WORDS`.
pub(crate) fn leno(folder: &Path, words: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_leno"));
    command.current_dir(folder).arg("why").args(words.split(' ').map(|w| w.replace('_', " "))).env("HOME", folder);
    command.env_remove("KUBECONFIG").env_remove("KUBERNETES_SERVICE_HOST").env("LENO_STATE", folder.join("none"));
    command.output().expect("leno starts")
}

const PASSES: &[&str] = &["answered", "direct_response", "redirected", "cors_preflight"];

/// A workload: `spec` of its pods is of no account.
fn deployment(namespace: &str, name: &str, version: &str, replicas: u32) -> String {
    let app = name.split("-v").next().unwrap_or(name);
    format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec:\n  replicas: {replicas}\n  \
         selector: {{matchLabels: {{app: {app}, version: {version}}}}}\n  template:\n    metadata: {{labels: {{app: {app}, version: {version}}}}}\n    \
         spec: {{serviceAccountName: {app}, containers: [{{name: main, command: [app]}}]}}\n---\n"
    )
}

fn service(namespace: &str, name: &str, ports: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec: {{selector: {{app: {name}}}, ports: [{ports}]}}\n---\n"
    )
}

/// `shop` is meshed, `out` is not; catalog has two versions, `empty` no pods, `db` is opaque.
pub(crate) fn shop() -> String {
    let mut yaml = String::new();
    yaml.push_str("apiVersion: v1\nkind: Namespace\nmetadata: {name: shop, labels: {istio-injection: enabled}}\n---\n");
    yaml.push_str("apiVersion: v1\nkind: Namespace\nmetadata: {name: out}\n---\n");
    for (name, version, replicas) in
        [("web", "v1", 1), ("catalog-v1", "v1", 2), ("catalog-v2", "v2", 1), ("pay", "v1", 3), ("db", "v1", 1)]
    {
        yaml.push_str(&deployment("shop", name, version, replicas));
    }
    yaml.push_str(&deployment("out", "old", "v1", 1));
    yaml.push_str(&deployment("out", "client", "v1", 1));
    yaml.push_str(&service("shop", "web", "{name: http, port: 80, targetPort: 8080}"));
    yaml.push_str(&service("shop", "catalog", "{name: http, port: 80, targetPort: 8080}"));
    yaml.push_str(&service(
        "shop",
        "pay",
        "{name: http, port: 8080}, {name: grpc, port: 9090}, {name: any, port: 7070}",
    ));
    yaml.push_str(&service("shop", "db", "{name: tcp-db, port: 5432}"));
    yaml.push_str(&service("shop", "empty", "{name: http, port: 80}"));
    yaml.push_str(&service("out", "old", "{name: http, port: 80, targetPort: 8080}"));
    yaml.push_str("apiVersion: v1\nkind: Service\nmetadata: {name: far, namespace: shop}\nspec: {type: ExternalName, externalName: api.example.com}\n---\n");
    yaml.push_str("apiVersion: v1\nkind: Service\nmetadata: {name: pods, namespace: shop}\nspec: {clusterIP: None, selector: {app: pay}, ports: [{name: http, port: 8080}]}\n");
    yaml
}

/// A `VirtualService` of the shop, by its `http` rules.
pub(crate) fn virtual_service(host: &str, http: &str) -> String {
    format!(
        "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: {host}, namespace: shop}}\nspec:\n  hosts: [{host}]\n  http:\n{http}---\n"
    )
}

/// A `DestinationRule` of the shop.
pub(crate) fn destination_rule(host: &str, spec: &str) -> String {
    format!(
        "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: {host}, namespace: shop}}\nspec:\n  host: {host}\n{spec}---\n"
    )
}

/// An `AuthorizationPolicy` of the shop.
pub(crate) fn policy(name: &str, spec: &str) -> String {
    format!(
        "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {{name: {name}, namespace: shop}}\nspec:\n{spec}---\n"
    )
}

/// A `PeerAuthentication` with this mode.
pub(crate) fn mtls(namespace: &str, name: &str, spec: &str) -> String {
    format!(
        "apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec:\n{spec}---\n"
    )
}

/// Subsets v1 and v2 of catalog.
pub(crate) const SUBSETS: &str =
    "  subsets:\n  - {name: v1, labels: {version: v1}}\n  - {name: v2, labels: {version: v2}}\n";
