//! `leno analyze` as a person or a pipeline runs it.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

const GOOD: &str =
    "apiVersion: v1\nkind: Service\nmetadata: {name: web, namespace: shop}\nspec: {ports: [{name: http, port: 80}]}\n";
const BAD: &str = "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: web, namespace: shop}\nspec:\n  hosts: [web]\n  \
                   http:\n    - route:\n        - destination: {host: nowhere}\n";

fn leno(folder: &Path, words: &[&str], input: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_leno"));
    command.current_dir(folder).arg("analyze").args(words).env("HOME", folder);
    command.env_remove("KUBECONFIG").env_remove("KUBERNETES_SERVICE_HOST");
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("leno starts");
    child.stdin.take().expect("stdin").write_all(input.as_bytes()).expect("leno reads");
    child.wait_with_output().expect("leno ends")
}

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(folder.path().join("deep")).expect("a folder");
    std::fs::write(folder.path().join("deep/good.yaml"), GOOD).expect("a file");
    std::fs::write(folder.path().join("bad.yaml"), BAD).expect("a file");
    folder
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn an_error_gives_a_line_and_istioctls_exit_code() {
    let folder = folder();
    let out = leno(folder.path(), &["--use-kube=false", "."], "");
    assert_eq!(
        text(&out.stdout),
        "Error [IST0101] (VirtualService shop/web ./bad.yaml:8) Referenced host not found: \"nowhere\"\n"
    );
    assert_eq!(out.status.code(), Some(79), "{}", text(&out.stderr));
}

#[test]
fn json_has_istioctls_fields_and_does_not_fail() {
    let folder = folder();
    let out = leno(folder.path(), &["-k=false", "-o", "json", "deep/good.yaml", "bad.yaml"], "");
    let found: serde_json::Value = serde_json::from_slice(&out.stdout).expect("JSON");
    let first = found[0].as_object().expect("a finding");
    let keys: Vec<&str> = first.keys().map(String::as_str).collect();
    assert_eq!(keys, ["code", "documentationUrl", "level", "message", "origin", "reference"]);
    assert_eq!(first["origin"], "VirtualService shop/web");
    assert_eq!(first["reference"], "bad.yaml:8");
    assert!(first["documentationUrl"].as_str().is_some_and(|u| u.ends_with("codes.md#ist0101")));
    assert_eq!(out.status.code(), Some(0));
}

#[test]
fn what_is_suppressed_or_below_the_threshold_is_neither_said_nor_fatal() {
    let folder = folder();
    let out = leno(folder.path(), &["-k=false", ".", "-S", "IST0101=VirtualService web.*"], "");
    assert_eq!(text(&out.stdout), "");
    assert_eq!(
        text(&out.stderr),
        "✔ No validation issues found when analyzing:\n  - ./bad.yaml\n  - ./deep/good.yaml\n"
    );
    assert_eq!(out.status.code(), Some(0));
    let unnamed = GOOD.replace("name: http, ", "");
    let out = leno(folder.path(), &["-k=false", "--output-threshold", "Warning", "-"], &unnamed);
    assert_eq!((text(&out.stdout).as_str(), out.status.code()), ("", Some(0)));
    let out = leno(folder.path(), &["-k=false", "--failure-threshold", "Info", "-"], &unnamed);
    assert_eq!(out.status.code(), Some(79));
    assert!(text(&out.stdout).starts_with("Info [IST0118] (Service shop/web -:4) "), "{}", text(&out.stdout));
}

#[test]
fn without_a_cluster_files_are_analyzed_alone_and_it_says_so() {
    let folder = folder();
    let out = leno(folder.path(), &["deep/good.yaml"], "");
    assert_eq!(out.status.code(), Some(0));
    assert!(text(&out.stderr).starts_with("No cluster is reachable ("), "{}", text(&out.stderr));
    assert!(text(&out.stderr).ends_with("✔ No validation issues found when analyzing deep/good.yaml.\n"));
    let out = leno(folder.path(), &[], "");
    assert_eq!(out.status.code(), Some(1));
}

#[test]
fn text_that_is_no_object_is_an_error_with_its_line() {
    let folder = folder();
    let out = leno(folder.path(), &["-k=false", "-"], "a: [\n");
    assert!(text(&out.stdout).starts_with("Error [IST0106] (-:"), "{}", text(&out.stdout));
    assert_eq!(out.status.code(), Some(79));
    let out = leno(folder.path(), &["-k=false", "--ignore-unknown", "-"], "a: [\n");
    assert_eq!(out.status.code(), Some(0));
}

#[test]
fn all_codes_are_listed() {
    let folder = folder();
    let out = leno(folder.path(), &["-L"], "");
    let codes = text(&out.stdout);
    assert!(codes.lines().count() >= 40);
    assert!(codes.contains("IST0102 Info    NamespaceNotInjected\n"), "{codes}");
}
