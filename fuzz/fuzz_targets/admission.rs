//! What the API server sends to the webhooks: answered or refused in words, never a panic, and a patch makes a pod.
#![no_main]

use std::sync::Arc;

use leno_config::LowerContext;
use leno_control::webhook::inject::admit_pod;
use leno_control::webhook::validate::validate;
use leno_install::{InjectSettings, NamespaceMeta};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let labels = [("istio-injection".to_owned(), "enabled".to_owned())].into();
    let namespace = Arc::new(NamespaceMeta { name: "shop".into(), labels, ..NamespaceMeta::default() });
    let settings = InjectSettings::default();
    // As it is, and as the object within a review that is in order, to get deeper.
    let _ = admit_pod(data, &settings, &|_| Some(Arc::clone(&namespace)));
    let _ = validate(data, &LowerContext::default());
    let Ok(object) = serde_json::from_slice::<serde_json::Value>(data) else { return };
    for kind in ["Pod", "VirtualService", "AuthorizationPolicy"] {
        let review = serde_json::json!({
            "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
            "request": {"uid": "1", "operation": "CREATE", "namespace": "shop", "kind": {"kind": kind}, "object": object},
        });
        let bytes = serde_json::to_vec(&review).unwrap_or_default();
        let admission = admit_pod(&bytes, &settings, &|_| Some(Arc::clone(&namespace))).expect("a review");
        assert!(admission.review["response"]["allowed"].is_boolean());
        let judgement = validate(&bytes, &LowerContext::default()).expect("a review");
        assert_eq!(judgement.review["response"]["allowed"], judgement.refused.is_none());
    }
});
