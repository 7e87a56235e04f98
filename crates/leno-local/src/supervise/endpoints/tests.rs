use std::net::Ipv4Addr;

use leno_config::k8s::Service;
use serde_json::{Value, json};

use super::{Backend, names, node_ports, selected, slices};

fn service(spec: &Value) -> Service {
    serde_json::from_value(json!({"metadata": {"name": "web", "namespace": "shop"}, "spec": spec})).expect("a service")
}

fn backend(last: u8, named: u16, ready: bool, terminating: bool) -> Backend {
    Backend {
        namespace: "shop".into(),
        name: format!("web-{last}"),
        uid: String::new(),
        ip: Ipv4Addr::new(10, 244, 0, last),
        labels: [("app".to_owned(), "web".to_owned())].into_iter().collect(),
        spec: serde_json::from_value(json!({
            "containers": [{"name": "app", "ports": [{"name": "http", "containerPort": named}]}],
        }))
        .expect("a pod"),
        ready,
        terminating,
    }
}

#[test]
fn a_pod_that_ends_is_in_the_slice_but_not_dialled() {
    let service = service(&json!({"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]}));
    let pods = [backend(5, 1, true, false), backend(6, 1, true, true), backend(7, 1, false, false)];
    let selected = selected(&service, "shop", &pods);
    let slices = slices(&service, "shop", &selected);
    assert_eq!(slices.len(), 1);
    let conditions: Vec<&Value> = (0..3).map(|i| &slices[0]["endpoints"][i]["conditions"]).collect();
    assert_eq!(*conditions[0], json!({"ready": true, "serving": true, "terminating": false}));
    assert_eq!(*conditions[1], json!({"ready": false, "serving": true, "terminating": true}));
    assert_eq!(*conditions[2], json!({"ready": false, "serving": false, "terminating": false}));
    let ports = node_ports(&service, Ipv4Addr::new(10, 96, 0, 20), &selected);
    assert_eq!(ports[0].endpoints, ["10.244.0.5:8080".parse().expect("an address")]);
}

#[test]
fn named_ports_are_those_of_each_pod() {
    let service = service(&json!({"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": "http"}]}));
    let pods = [backend(5, 8080, true, false), backend(6, 9090, true, false)];
    let selected = selected(&service, "shop", &pods);
    let slices = slices(&service, "shop", &selected);
    let ports: Vec<&Value> = slices.iter().map(|s| &s["ports"][0]["port"]).collect();
    assert_eq!(ports, [&json!(8080), &json!(9090)]);
}

#[test]
fn headless_services_name_their_ready_pods() {
    let service = service(&json!({"clusterIP": "None", "selector": {"app": "web"}, "ports": [{"port": 80}]}));
    let pods = [backend(5, 1, true, false), backend(6, 1, false, false)];
    let named = names(&service, "shop", None, &selected(&service, "shop", &pods));
    assert_eq!(named.endpoints, [(None, Ipv4Addr::new(10, 244, 0, 5))]);
}
