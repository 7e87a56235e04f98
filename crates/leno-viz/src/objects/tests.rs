use serde_json::json;

use super::*;

fn known(objects: Vec<Value>) -> Known {
    judge(Raw { objects, missing: vec!["pods: forbidden".to_owned()] })
}

fn key(kind: &str, namespace: &str, name: &str) -> Key {
    Key { kind: kind.to_owned(), namespace: namespace.to_owned(), name: name.to_owned() }
}

fn route(host: &str) -> Value {
    json!({
        "apiVersion": "networking.istio.io/v1", "kind": "VirtualService",
        "metadata": {"name": "web", "namespace": "a", "uid": "1", "managedFields": [], "annotations": {"leno.io/applied-from": "x.yaml:7"}},
        "spec": {"hosts": ["web"], "http": [
            {"name": "first", "route": [{"destination": {"host": "web"}}]},
            {"name": "second", "route": [{"destination": {"host": host}}]},
        ]},
    })
}

fn service() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "a"},
        "spec": {"selector": {"app": "web"}, "ports": [{"name": "http", "port": 80}]},
    })
}

#[test]
fn every_line_of_the_yaml_is_known() {
    let known = known(vec![route("web")]);
    let shown = &known.objects[&key("VirtualService", "a", "web")];
    assert_eq!(shown.source, "x.yaml:7");
    assert!(!shown.yaml.contains("uid") && !shown.yaml.contains("annotations"), "{}", shown.yaml);
    let line =
        |path: &str| shown.yaml.lines().nth(shown.lines[path] as usize - 1).unwrap_or_default().trim().to_owned();
    assert_eq!(line("spec.http[1].name"), "- name: second");
    assert_eq!(line("spec.http[1]"), "- name: second");
    assert_eq!(line("spec.hosts"), "hosts:");
}

#[test]
fn findings_stand_at_their_line() {
    let known = known(vec![route("nowhere"), service()]);
    let shown = &known.objects[&key("VirtualService", "a", "web")];
    let finding = shown.findings.iter().find(|f| f.code.id == "IST0101").expect("the host does not exist");
    let line = shown.yaml.lines().nth(Shown::line(finding) as usize - 1).unwrap_or_default();
    assert!(line.contains("nowhere"), "{line}\n{}", shown.yaml);
}

#[test]
fn nothing_secret_is_shown() {
    let known = known(vec![json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "a"},
        "spec": {"template": {"spec": {"containers": [{"name": "web", "env": [
            {"name": "TOKEN", "value": "hush"}, {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
        ]}]}}},
    })]);
    let shown = &known.objects[&key("Deployment", "a", "web")];
    assert!(!shown.yaml.contains("hush") && !shown.json.to_string().contains("hush"), "{}", shown.yaml);
    assert!(shown.yaml.contains("spec.nodeName"));
}

#[test]
fn folders_are_read_and_secrets_are_not() {
    let folder = std::env::temp_dir().join(format!("leno-viz-objects-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("a.json"), route("web").to_string()).unwrap();
    std::fs::write(folder.join("b.json"), json!({"kind": "Secret", "metadata": {"name": "s"}}).to_string()).unwrap();
    std::fs::write(folder.join("c.json"), "{ half").unwrap();
    let raw = folders::read(std::slice::from_ref(&folder));
    std::fs::remove_dir_all(&folder).unwrap();
    assert_eq!(raw.unwrap().objects.len(), 1);
    assert!(folders::read(&[folder]).is_err(), "a folder that is not there is said");
}
