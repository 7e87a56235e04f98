//! What needs no cluster.

use std::collections::{BTreeMap, HashMap};

use kube::core::DynamicObject;
use leno_install::NamespaceMeta;
use serde_json::{Value, json};

use super::definition;
use crate::kube::kinds::{KINDS, Kind};
use crate::kube::object::seen;
use crate::kube::peers;
use crate::kube::write::bundle::wanting;
use crate::kube::write::mirror::wanted;
use crate::kube::write::status::{Fate, conditions};
use crate::source::{ObjectState, ObjectStatus};
use crate::world::ObjectKey;

fn kind(name: &str) -> &'static Kind {
    KINDS.iter().find(|k| k.kind == name).unwrap()
}

fn object(json: Value) -> DynamicObject {
    serde_json::from_value(json).unwrap()
}

#[test]
fn every_kind_is_one_that_is_lowered() {
    for kind in KINDS.iter().filter(|k| k.kind != "ConfigMap") {
        let object = object(json!({ "metadata": { "name": "x", "namespace": "y" } }));
        let seen = seen(kind, kind.versions[0], object).unwrap();
        assert!(leno_config::lower::is_lowered(&seen.object), "{kind:?}");
    }
}

#[test]
fn the_best_version_that_is_served_is_followed() {
    let split = kind("TrafficSplit");
    assert_eq!(split.served(&definition(&["v1alpha1", "v1alpha3", "v9"])), Some("v1alpha3"));
    assert_eq!(split.served(&definition(&["v9"])), None);
    let mut not_yet = definition(&["v1alpha2"]);
    not_yet["status"] = json!({});
    assert_eq!(split.served(&not_yet), None);
    let mut unserved = definition(&["v1alpha4", "v1alpha2"]);
    unserved["spec"]["versions"][0]["served"] = json!(false);
    assert_eq!(split.served(&unserved), Some("v1alpha2"));
    assert_eq!(
        Kind::by_definition("trafficsplits.split.smi-spec.io"),
        KINDS.iter().position(|k| k.kind == "TrafficSplit")
    );
    assert_eq!(Kind::by_definition("pods."), None);
    assert_eq!(Kind::by_definition("trafficsplits.example.org"), None);
}

#[test]
fn of_a_pod_only_what_is_used_is_kept() {
    let pod = object(json!({
        "metadata": {
            "name": "a", "namespace": "b", "uid": "u", "resourceVersion": "1",
            "managedFields": [{ "manager": "kubelet" }],
            "annotations": { "sidecar.istio.io/status": "{long}", "kubectl.kubernetes.io/last-applied-configuration": "{}", "note": "x" },
        },
        "spec": { "containers": [{ "name": "app", "image": "i", "env": [{ "name": "SECRET", "value": "s" }], "ports": [{ "containerPort": 80 }] }], "nodeName": "n", "tolerations": [] },
        "status": { "phase": "Running", "podIP": "10.0.0.1", "containerStatuses": [{}] },
    }));
    let json = seen(kind("Pod"), "v1", pod).unwrap().object.json;
    assert_eq!(
        json,
        json!({
            "metadata": { "name": "a", "namespace": "b", "annotations": { "sidecar.istio.io/status": "" }, "ownerReferences": [], "uid": "u" },
            "spec": { "nodeName": "n", "containers": [{ "name": "app", "ports": [{ "containerPort": 80 }] }] },
            "status": { "phase": "Running", "podIP": "10.0.0.1" },
        })
    );
}

#[test]
fn slices_of_names_are_none_of_the_meshs() {
    let slice = object(
        json!({ "metadata": { "name": "a", "namespace": "b" }, "addressType": "FQDN", "endpoints": [{ "addresses": ["example.org"] }] }),
    );
    assert_eq!(seen(kind("EndpointSlice"), "v1", slice), None);
}

#[test]
fn the_status_that_others_wrote_stays() {
    let seen = seen(
        kind("VirtualService"),
        "v1",
        object(json!({
            "metadata": { "name": "a", "namespace": "b", "generation": 7 },
            "spec": { "hosts": ["x"] },
            "status": { "conditions": [{ "type": "Seen", "status": "True" }] },
        })),
    )
    .unwrap();
    assert_eq!(seen.object.json.get("status"), None);
    let reported = seen.reported.unwrap();
    assert_eq!((reported.generation, &*reported.version), (7, "v1"));
    let fate = fate(ObjectState::Accepted, &[], true, 1, 2);
    let written = conditions(&fate, &reported.conditions, "2026-01-01T00:00:00Z").unwrap();
    assert_eq!(written[0], json!({ "type": "Seen", "status": "True" }));
    assert_eq!(written[1]["type"], "Accepted");
    assert_eq!(written[2]["message"], "live on 1 of 2 proxies that use it");
    assert_eq!((&written[2]["status"], &written[2]["reason"]), (&json!("False"), &json!("Pending")));
    assert_eq!(conditions(&fate, &written, "2026-01-02T00:00:00Z"), None);
}

fn fate(state: ObjectState, messages: &[&str], in_force: bool, live: usize, of: usize) -> Fate {
    let messages = messages.iter().map(ToString::to_string).collect();
    Fate { status: ObjectStatus { source: String::new(), state, messages }, in_force, live, of, verdicts: Vec::new() }
}

#[test]
fn a_change_of_state_moves_the_time_and_a_change_of_numbers_does_not() {
    let at = |conditions: &[Value], i: usize| conditions[i]["lastTransitionTime"].as_str().unwrap().to_owned();
    let first = conditions(&fate(ObjectState::Accepted, &[], true, 2, 2), &[], "1").unwrap();
    let more = conditions(&fate(ObjectState::Accepted, &[], true, 3, 3), &first, "2").unwrap();
    assert_eq!((at(&more, 0), at(&more, 1)), ("1".to_owned(), "1".to_owned()));
    let refused = conditions(&fate(ObjectState::Refused, &["error: no"], true, 3, 3), &more, "3").unwrap();
    assert_eq!(refused[0]["status"], "False");
    assert_eq!(refused[0]["message"], "error: no\nthe last good version stays in force");
    assert_eq!((at(&refused, 0), at(&refused, 1)), ("3".to_owned(), "3".to_owned()));
    let long = conditions(&fate(ObjectState::Refused, &[&"é".repeat(9999)], false, 0, 0), &[], "1").unwrap();
    assert!(long[0]["message"].as_str().unwrap().len() < 3000);
}

#[test]
fn linkerds_annotation_is_mirrored() {
    let meta = |annotation: Option<&str>, label: Option<&str>| NamespaceMeta {
        name: "a".to_owned(),
        annotations: annotation.map(|a| ("linkerd.io/inject".to_owned(), a.to_owned())).into_iter().collect(),
        labels: label.map(|l| ("leno.dev/injection".to_owned(), l.to_owned())).into_iter().collect(),
    };
    assert_eq!(wanted(&meta(Some("enabled"), None)), Some(json!("enabled")));
    assert_eq!(wanted(&meta(Some("ingress"), None)), Some(json!("enabled")));
    assert_eq!(wanted(&meta(Some("enabled"), Some("enabled"))), None);
    assert_eq!(wanted(&meta(Some("disabled"), Some("enabled"))), Some(Value::Null));
    assert_eq!(wanted(&meta(None, Some("enabled"))), Some(Value::Null));
    assert_eq!(wanted(&meta(None, None)), None);
}

#[test]
fn the_bundle_is_wanted_where_it_is_missing_or_another() {
    let there = BTreeMap::from([("a".to_owned(), "root".to_owned()), ("b".to_owned(), "old".to_owned())]);
    let namespaces = [("a", false), ("b", false), ("c", false), ("d", true)].map(|(n, t)| (n.to_owned(), t));
    assert_eq!(wanting(namespaces, "root", &there), ["b", "c"]);
}

#[test]
fn replicas_are_summed_up() {
    let report =
        json!({ "objects": [{ "kind": "VirtualService", "namespace": "a", "name": "b", "live": 2, "of": 3 }] });
    let mut sums = HashMap::new();
    peers::add(&mut sums, "g", &report);
    peers::add(&mut sums, "g", &report);
    let key = ObjectKey { group: "g".into(), kind: "VirtualService".into(), namespace: "a".into(), name: "b".into() };
    assert_eq!(sums[&key], (4, 6));
}
