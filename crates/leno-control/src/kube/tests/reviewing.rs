//! Whom tokens speak for.

use serde_json::{Value, json};

use super::api::Api;
use crate::kube::review::{Refusal, TokenReviewer};

const REVIEWS: &str = "POST /apis/authentication.k8s.io/v1/tokenreviews";

fn status(user: &str, audience: &str, extra: Value) -> Value {
    json!({ "authenticated": true, "audiences": [audience], "user": { "username": user, "extra": extra } })
}

fn pod() -> Value {
    json!({ "authentication.kubernetes.io/pod-name": ["web-1"], "authentication.kubernetes.io/pod-uid": ["u1"] })
}

#[tokio::test]
async fn a_pods_token_is_asked_about_once() {
    let api = Api::default();
    let reviewer = TokenReviewer::new(api.client());
    api.review(status("system:serviceaccount:shop:web", "istio-ca", pod()));
    for _ in 0..3 {
        let caller = reviewer.review("token").await.unwrap();
        assert_eq!((&*caller.identity.namespace, &*caller.identity.account), ("shop", "web"));
        assert_eq!(caller.identity.pod.as_deref(), Some("web-1"));
        assert_eq!(caller.pod_uid.as_deref(), Some("u1"));
    }
    assert_eq!(api.calls(REVIEWS), 1);
    reviewer.review("another").await.unwrap();
    assert_eq!(api.calls(REVIEWS), 2);
}

#[tokio::test]
async fn what_is_refused_is_not_remembered() {
    let api = Api::default();
    let reviewer = TokenReviewer::new(api.client());
    let cases = [
        (json!({ "authenticated": false, "error": "expired" }), "expired"),
        (json!({}), "the cluster does not know it"),
        (status("system:serviceaccount:shop:web", "api", pod()), "audience"),
        (status("system:serviceaccount:shop:web", "istio-ca", json!({})), "not bound to a pod"),
        (status("system:admin", "istio-ca", pod()), "no ServiceAccount"),
    ];
    for (status, reason) in cases {
        api.review(status);
        match reviewer.review("token").await {
            Err(Refusal::Token(text)) => assert!(text.contains(reason), "{text}"),
            other => panic!("{other:?}"),
        }
    }
    api.breaks("/apis/authentication.k8s.io/v1/tokenreviews");
    assert!(matches!(reviewer.review("token").await, Err(Refusal::Unknown(_))));
    api.mends();
    api.review(status("system:serviceaccount:shop:web", "istio-ca", pod()));
    reviewer.review("token").await.unwrap();
}
