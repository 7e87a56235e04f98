//! Both webhooks: as functions, and over HTTPS.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use leno_config::LowerContext;
use leno_install::{InjectSettings, NamespaceMeta};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::inject::{Admission, Outcome, admit_pod};
use super::patch::diff;
use super::validate::{Judgement, validate};

mod https;

pub(super) fn review(kind: &str, namespace: &str, operation: &str, object: &Value, old: &Value) -> Vec<u8> {
    let review = json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": "705ab4f5", "kind": {"group": "", "version": "v1", "kind": kind}, "namespace": namespace,
            "operation": operation, "object": object, "oldObject": old, "dryRun": false,
        },
    });
    serde_json::to_vec(&review).expect("JSON")
}

pub(super) fn shop(name: &str) -> Option<Arc<NamespaceMeta>> {
    let labels = [("istio-injection".to_owned(), "enabled".to_owned())].into();
    (name == "shop").then(|| Arc::new(NamespaceMeta { name: name.to_owned(), labels, ..NamespaceMeta::default() }))
}

fn admit(object: &Value, operation: &str) -> Admission {
    let bytes = review("Pod", "shop", operation, object, &Value::Null);
    admit_pod(&bytes, &InjectSettings::default(), &shop).expect("a review")
}

/// The object with the answer's patch, by the rules of RFC 6902 as far as they are used.
pub(super) fn patched(object: &Value, review: &Value) -> Value {
    let Some(text) = review["response"]["patch"].as_str() else { return object.clone() };
    assert_eq!(review["response"]["patchType"], "JSONPatch");
    let patch = serde_json::from_slice::<Vec<Value>>(&STANDARD.decode(text).expect("base64")).expect("a patch");
    apply(object, &patch)
}

fn apply(object: &Value, patch: &[Value]) -> Value {
    let mut out = object.clone();
    for operation in patch {
        let path = operation["path"].as_str().expect("a path");
        if path.is_empty() {
            out = operation["value"].clone();
            continue;
        }
        let (parent, key) = path.rsplit_once('/').expect("a parent");
        let key = key.replace("~1", "/").replace("~0", "~");
        match (operation["op"].as_str().expect("an op"), out.pointer_mut(parent).expect("the parent")) {
            ("remove", Value::Object(map)) => {
                map.remove(&key).expect("what is removed");
            }
            ("add" | "replace", Value::Object(map)) => {
                map.insert(key, operation["value"].clone());
            }
            ("add", Value::Array(list)) => list.insert(key.parse().expect("an index"), operation["value"].clone()),
            ("replace", Value::Array(list)) => {
                list[key.parse::<usize>().expect("an index")] = operation["value"].clone();
            }
            other => panic!("{other:?}"),
        }
    }
    out
}

/// The same files as those of `leno inject`.
#[test]
fn pods_are_patched_to_the_goldens_of_the_injector() {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/../leno-install/tests/golden");
    let mut seen = 0;
    for entry in std::fs::read_dir(dir).expect("the golden files") {
        let path = entry.expect("an entry").path();
        let file: Value = serde_json::from_str(&std::fs::read_to_string(&path).expect("a golden file")).expect("JSON");
        let mut settings: InjectSettings = serde_json::from_value(file["settings"].clone()).unwrap_or_default();
        settings.image = "leno-proxy:test".into();
        settings.socket_mark = file["mark"].as_u64().map(|m| u32::try_from(m).expect("a mark"));
        let strings = |v: &Value| serde_json::from_value(v.clone()).unwrap_or_default();
        let namespace = NamespaceMeta {
            name: "shop".into(),
            labels: strings(&file["namespace"]["labels"]),
            annotations: strings(&file["namespace"]["annotations"]),
        };
        let namespace = Arc::new(namespace);
        let bytes = review("Pod", "shop", "CREATE", &file["pod"], &Value::Null);
        let admission = admit_pod(&bytes, &settings, &|_| Some(Arc::clone(&namespace))).expect("a review");
        assert_eq!(admission.review["response"]["allowed"], true);
        let pod = patched(&file["pod"], &admission.review);
        if let Some(reason) = file["result"]["skipped"].as_str() {
            assert_eq!(admission.outcome, Outcome::Skipped(reason.to_owned()), "{}", path.display());
            assert_eq!(pod["spec"], file["pod"]["spec"], "{}", path.display());
        } else {
            assert_eq!(pod, file["result"]["pod"], "{}", path.display());
            let said = admission.review["response"]["warnings"].as_array().map_or(0, Vec::len);
            assert_eq!(said, file["result"]["warnings"].as_array().map_or(0, Vec::len), "{}", path.display());
        }
        seen += 1;
    }
    assert!(seen >= 8);
}

#[test]
fn a_pod_that_can_have_none_is_told_why_and_may_run() {
    let pod = json!({"metadata": {"name": "net"}, "spec": {"hostNetwork": true, "containers": [{"name": "a"}]}});
    let admission = admit(&pod, "CREATE");
    let after = patched(&pod, &admission.review);
    let reason = after["metadata"]["annotations"]["proxy.leno.dev/not-injected"].as_str().expect("an annotation");
    assert!(reason.contains("hostNetwork"), "{reason}");
    let warning = admission.review["response"]["warnings"][0].as_str().expect("a warning");
    assert!(warning.contains("gets no sidecar"), "{warning}");
    assert_eq!(after["spec"], pod["spec"]);
}

#[test]
fn only_pods_that_are_made_are_touched() {
    let pod = json!({"metadata": {"name": "web"}, "spec": {"containers": [{"name": "a"}]}});
    for operation in ["UPDATE", "DELETE", "CONNECT", ""] {
        let answer = admit(&pod, operation).review;
        assert_eq!(answer["response"], json!({"uid": "705ab4f5", "allowed": true}));
    }
    let bytes = review("Deployment", "shop", "CREATE", &pod, &Value::Null);
    let admission = admit_pod(&bytes, &InjectSettings::default(), &shop).expect("a review");
    assert!(admission.review["response"]["patch"].is_null());
}

#[test]
fn in_a_namespace_that_is_not_known_nothing_starts_without_a_sidecar() {
    let pod = json!({"metadata": {"generateName": "web-"}, "spec": {"containers": [{"name": "a"}]}});
    let bytes = review("Pod", "new", "CREATE", &pod, &Value::Null);
    let admission = admit_pod(&bytes, &InjectSettings::default(), &shop).expect("a review");
    assert_eq!(admission.review["response"]["allowed"], false);
    assert_eq!(admission.review["response"]["status"]["code"], 503);
    let message = admission.review["response"]["status"]["message"].as_str().expect("a message");
    assert!(message.contains("namespace new"), "{message}");
}

fn judged(kind: &str, operation: &str, object: &Value, old: &Value) -> Judgement {
    validate(&review(kind, "shop", operation, object, old), &LowerContext::default()).expect("a review")
}

fn virtual_service(spec: &Value) -> Value {
    json!({
        "apiVersion": "networking.istio.io/v1", "kind": "VirtualService",
        "metadata": {"name": "reviews", "namespace": "shop"}, "spec": spec,
    })
}

#[test]
fn a_bad_object_is_denied_with_object_field_and_reason() {
    let bad = virtual_service(&json!({"hosts": ["reviews"], "http": [{"timeout": "soon",
        "route": [{"destination": {"host": "reviews"}}]}]}));
    let Judgement { review, refused } = judged("VirtualService", "CREATE", &bad, &Value::Null);
    assert_eq!(review["response"]["allowed"], false);
    assert_eq!(review["response"]["status"]["code"], 422);
    let message = review["response"]["status"]["message"].as_str().expect("a message");
    assert_eq!(refused.as_deref(), Some(message));
    for part in ["VirtualService shop/reviews", "spec.http[0].timeout", "soon"] {
        assert!(message.contains(part), "{part} in {message}");
    }
}

#[test]
fn a_good_object_passes_and_what_is_not_honoured_is_said() {
    let good =
        virtual_service(&json!({"hosts": ["reviews"], "http": [{"route": [{"destination": {"host": "reviews"}}]}]}));
    let answer = judged("VirtualService", "CREATE", &good, &Value::Null).review;
    assert_eq!(answer["response"], json!({"uid": "705ab4f5", "allowed": true}));

    let filter = json!({"apiVersion": "networking.istio.io/v1alpha3", "kind": "EnvoyFilter",
        "metadata": {"name": "lua", "namespace": "shop"}, "spec": {}});
    let answer = judged("EnvoyFilter", "CREATE", &filter, &Value::Null).review;
    assert_eq!(answer["response"]["allowed"], true);
    let warning = answer["response"]["warnings"][0].as_str().expect("a warning");
    assert!(warning.contains("EnvoyFilter") && warning.contains("not honoured"), "{warning}");
}

#[test]
fn what_cannot_be_ignored_is_denied() {
    let auth = json!({"apiVersion": "security.istio.io/v1", "kind": "RequestAuthentication",
        "metadata": {"name": "jwt", "namespace": "shop"}, "spec": {}});
    let answer = judged("RequestAuthentication", "CREATE", &auth, &Value::Null).review;
    assert_eq!(answer["response"]["allowed"], false);
}

#[test]
fn a_bad_object_that_was_there_can_be_labelled_and_deleted() {
    let bad = virtual_service(&json!({"hosts": 7}));
    let mut labelled = bad.clone();
    labelled["metadata"]["labels"] = json!({"a": "b"});
    let answer = judged("VirtualService", "UPDATE", &labelled, &bad).review;
    assert_eq!(answer["response"]["allowed"], true);
    assert!(answer["response"]["warnings"][0].as_str().expect("a warning").contains("not in force"));

    let mut going = virtual_service(&json!({"hosts": 8}));
    going["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    assert_eq!(judged("VirtualService", "UPDATE", &going, &bad).review["response"]["allowed"], true);
    let worse = virtual_service(&json!({"hosts": 8}));
    assert_eq!(judged("VirtualService", "UPDATE", &worse, &bad).review["response"]["allowed"], false);
    let answer = judged("VirtualService", "DELETE", &Value::Null, &bad).review;
    assert_eq!(answer["response"]["allowed"], true);
}

#[test]
fn a_name_still_to_be_made_is_no_fault() {
    let mut good = virtual_service(&json!({"hosts": ["a"], "http": [{"route": [{"destination": {"host": "a"}}]}]}));
    good["metadata"] = json!({"generateName": "try-"});
    let answer = judged("VirtualService", "CREATE", &good, &Value::Null).review;
    assert_eq!(answer["response"], json!({"uid": "705ab4f5", "allowed": true}));
}

#[test]
fn what_is_no_review_is_said_to_be_none() {
    for text in ["", "[]", "{}", "nonsense", r#"{"kind":"AdmissionReview","request":{}}"#] {
        assert!(admit_pod(text.as_bytes(), &InjectSettings::default(), &shop).is_err(), "{text}");
        assert!(validate(text.as_bytes(), &LowerContext::default()).is_err(), "{text}");
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-3_i64..70_000).prop_map(Value::from),
        "[a-z/~$.:]{0,4}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        let key = prop_oneof![
            3 => prop::sample::select(vec![
                "metadata", "spec", "containers", "initContainers", "name", "labels", "annotations", "ports", "livenessProbe",
                "httpGet", "port", "volumes", "hosts", "http", "a/b~c",
            ]).prop_map(str::to_owned),
            1 => "[a-z]{1,3}".prop_map(|k| k),
        ];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(key, inner, 0..5)
                .prop_map(|m| Value::Object(m.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn a_patch_makes_the_one_of_the_other(a in any_json(), b in any_json()) {
        prop_assert_eq!(apply(&a, &diff(&a, &b)), b);
    }

    #[test]
    fn nothing_that_is_sent_breaks_them(object in any_json(), old in any_json()) {
        for kind in ["Pod", "VirtualService"] {
            for operation in ["CREATE", "UPDATE"] {
                let bytes = review(kind, "shop", operation, &object, &old);
                let admission = admit_pod(&bytes, &InjectSettings::default(), &shop).expect("a review");
                patched(&object, &admission.review);
                validate(&bytes, &LowerContext::default()).expect("a review");
            }
        }
    }
}
