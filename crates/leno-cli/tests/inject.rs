//! `leno inject` and `leno uninject` as a user runs them.

use std::io::Write as _;
use std::process::{Command, Output, Stdio};

const APP: &str = r#"# kept as it is
apiVersion: v1
kind: Service
metadata: {name: web}   # flow style, and a comment
spec:
  ports: [{port: 80}]
---
# the workload
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  namespace: shop
spec:
  replicas: 2
  template:
    metadata:
      labels: {app: web}
    spec:
      containers:
      - name: app
        image: web:1
        env:
        - {name: SWITCH, value: "on"}
        - {name: MODE, value: "0644"}
        readinessProbe: {httpGet: {path: /ready, port: 8080}}
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: nightly}
spec:
  schedule: "@daily"
  jobTemplate:
    spec:
      template:
        spec:
          restartPolicy: Never
          containers: [{name: job, image: job:1}]
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: node}
spec:
  template:
    spec:
      hostNetwork: yes
      containers: [{name: node, image: node:1}]
"#;

fn leno(args: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_leno"))
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("leno");
    child.stdin.take().expect("a pipe").write_all(input.as_bytes()).expect("written");
    child.wait_with_output().expect("an end")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

fn values(text: &str) -> Vec<serde_json::Value> {
    text.split("\n---\n").map(|d| leno_config::read::value(d).expect("YAML").0).collect()
}

#[test]
fn a_pipe_is_injected_and_told_about() {
    let out = leno(&["inject", "--hub", "localhost/leno", "--tag", "t1", "-"], APP);
    let (stdout, stderr) = (text(&out.stdout), text(&out.stderr));
    assert!(out.status.success(), "{stderr}");
    assert_eq!(
        stderr.lines().collect::<Vec<_>>(),
        [
            "Deployment shop/web: injected",
            "CronJob nightly: injected",
            "DaemonSet node: skipped: the pod uses the host's network (hostNetwork: true)",
        ]
    );
    let (service, daemon_set) = (APP.split("---\n").next().expect("one"), APP.rsplit("---\n").next().expect("one"));
    assert!(stdout.starts_with(service), "the Service is as it was, to the byte");
    assert!(stdout.ends_with(daemon_set), "and so is what was skipped");
    let docs = values(&stdout);
    let pod = &docs[1]["spec"]["template"]["spec"];
    assert_eq!(pod["initContainers"][1]["image"], "localhost/leno/leno-proxy:t1");
    assert_eq!(pod["containers"][0]["env"][0]["value"], "on", "a string to kubectl too: {stdout}");
    assert!(stdout.contains("\"on\"") && stdout.contains("\"0644\""), "{stdout}");
    assert_eq!(docs[2]["spec"]["jobTemplate"]["spec"]["template"]["spec"]["initContainers"][0]["name"], "istio-init");
}

#[test]
fn uninject_gives_back_the_original() {
    let injected = leno(&["inject"], APP);
    let again = leno(&["inject"], &text(&injected.stdout));
    assert_eq!(again.stdout, injected.stdout, "a second injection changes nothing");
    let out = leno(&["uninject", "-"], &text(&injected.stdout));
    assert!(out.status.success());
    assert_eq!(values(&text(&out.stdout)), values(APP));
    assert!(text(&out.stderr).contains("Deployment shop/web: uninjected"));
}

#[test]
fn json_and_lists_are_taken_too() {
    let list = r#"{"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": {"containers": [{"name": "a"}]}},
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "b"}}]}"#;
    let out = leno(&["inject"], list);
    let value: serde_json::Value = serde_json::from_slice(&out.stdout).expect("JSON stays JSON");
    assert_eq!(value["items"][0]["spec"]["initContainers"][1]["name"], "istio-proxy");
    assert_eq!(value["items"][1]["kind"], "ConfigMap");
}

#[test]
fn what_cannot_be_read_is_said_with_its_line_and_nothing_is_printed() {
    let out = leno(&["inject"], &format!("{APP}---\na: [1\n"));
    assert_eq!(out.status.code(), Some(1));
    assert!(out.stdout.is_empty());
    let stderr = text(&out.stderr);
    assert!(stderr.starts_with("error: standard input: line "), "{stderr}");
}

#[test]
fn settings_come_from_a_file_and_unknown_keys_are_named() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("values.yaml");
    std::fs::write(&file, "image: hub/p:1\nnativeSidecar: false\n").expect("written");
    let path = file.to_str().expect("UTF-8");
    let out = leno(&["inject", "--values", path], APP);
    let pod = &values(&text(&out.stdout))[1]["spec"]["template"]["spec"];
    assert_eq!(pod["containers"][0]["image"], "hub/p:1", "{}", text(&out.stderr));

    std::fs::write(&file, "imagine: hub/p:1\n").expect("written");
    let out = leno(&["inject", "--values", path], APP);
    assert_eq!(out.status.code(), Some(1));
    assert!(text(&out.stderr).contains("imagine"), "{}", text(&out.stderr));
}

#[test]
fn a_revision_has_its_own_control_plane() {
    let out = leno(&["inject", "--revision", "canary"], APP);
    assert!(text(&out.stdout).contains("leno-control-canary.leno-system.svc:15012"));
}
