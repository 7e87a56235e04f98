//! Who may talk to whom, and how it is proven.

use std::sync::Arc;

use leno_core::id::{Origin, SpiffeId};
use leno_core::model::authz::{AuthzOperation, AuthzRule, AuthzSource, Values};
use leno_core::model::{AuthorizationPolicy, AuthzAction, MtlsMode, Policies, Protocol, Workload};
use leno_identity::Authority;
use leno_proxy::inbound::probe::{Declared, Probes};

use super::scene::{Scene, Sidecar, counter, named, request, try_send};

fn pod() -> Workload {
    Workload {
        namespace: "shop".into(),
        pod: "web-0".into(),
        name: "web".into(),
        identity: Some(SpiffeId::new("cluster.local", "shop", "web")),
        ..Workload::default()
    }
}

#[tokio::test]
async fn strict_resets_plaintext_and_permissive_serves_it() {
    let scene = Scene::new(Protocol::Http);
    let app = named("x", counter()).await;
    let strict = Sidecar::strict().start(scene.authority(), &pod(), app, Protocol::Http).await;
    assert!(try_send(strict, request("GET", "/")).await.is_err(), "nothing is answered");
    let permissive = Sidecar { mode: MtlsMode::Permissive, ..Sidecar::default() };
    let permissive = permissive.start(scene.authority(), &pod(), app, Protocol::Http).await;
    assert_eq!(try_send(permissive, request("GET", "/")).await.expect("an answer").body, "x");
}

#[tokio::test]
async fn a_pod_with_the_wrong_identity_gets_no_request() {
    let count = counter();
    let app = named("x", Arc::clone(&count)).await;
    let other = Sidecar { account: "other", ..Sidecar::strict() };
    let client = Scene::new(Protocol::Http).meshed_pod(app, "v1", other).await.start().await;
    let answer = client.get("/").await;
    assert_eq!(answer.status, 503);
    assert!(answer.body.contains("spiffe://cluster.local/ns/shop/sa/other"), "{answer:?}");
    assert_eq!(count.load(std::sync::atomic::Ordering::Relaxed), 0);
}

#[tokio::test]
async fn a_pod_with_a_certificate_of_another_authority_gets_no_request() {
    let other = Arc::new(Authority::generate("cluster.local").expect("a CA"));
    let sidecar = Sidecar { authority: Some(other), ..Sidecar::strict() };
    let app = named("x", counter()).await;
    let client = Scene::new(Protocol::Http).meshed_pod(app, "v1", sidecar).await.start().await;
    let answer = client.get("/").await;
    assert_eq!(answer.status, 503);
    assert!(answer.body.contains("unknown authority"), "{answer:?}");
}

fn allow(principal: &str, path: &str) -> Policies {
    let values = |v: &str| Values { any: vec![v.to_owned()], not: Vec::new() };
    let rule = AuthzRule {
        from: vec![AuthzSource { principals: values(principal), ..AuthzSource::default() }],
        to: vec![AuthzOperation { paths: values(path), ..AuthzOperation::default() }],
        when: Vec::new(),
    };
    let policy = AuthorizationPolicy {
        origin: Origin {
            kind: "AuthorizationPolicy".into(),
            name: "only".into(),
            namespace: "shop".into(),
            ..Origin::default()
        },
        selector: Default::default(),
        action: AuthzAction::Allow,
        rules: vec![rule],
    };
    Policies { namespace: "shop".into(), authorization: vec![policy], ..Policies::default() }
}

#[tokio::test]
async fn a_policy_allows_one_account_on_one_path() {
    let policies = allow("cluster.local/ns/shop/sa/client", "/open*");
    let sidecar = Sidecar { policies, ..Sidecar::strict() };
    let app = named("x", counter()).await;
    let client = Scene::new(Protocol::Http).meshed_pod(app, "v1", sidecar).await.start().await;
    assert_eq!(client.get("/open/x").await.status, 200);
    let denied = client.get("/closed").await;
    assert_eq!((denied.status, denied.header("leno-reason")), (403, "policy_denied"));
    assert_eq!(denied.body, "RBAC: access denied");
}

#[tokio::test]
async fn probes_of_the_node_pass_strict_and_nothing_else_of_it_does() {
    let scene = Scene::new(Protocol::Http);
    let app = named("alive", counter()).await;
    let declared = vec![Declared { port: app.port(), path: Some("/healthz".into()) }];
    let probes = Probes::new(vec!["127.0.0.1".parse().expect("an address")], declared);
    let sidecar = Sidecar { probes, policies: allow("nobody", "/"), ..Sidecar::strict() };
    let addr = sidecar.start(scene.authority(), &pod(), app, Protocol::Http).await;
    let probe = try_send(addr, request("GET", "/healthz")).await.expect("an answer");
    assert_eq!((probe.status, probe.body.as_str()), (200, "alive"));
    assert_eq!(try_send(addr, request("GET", "/other")).await.expect("an answer").status, 403);
    assert_eq!(try_send(addr, request("POST", "/healthz")).await.expect("an answer").status, 403);
}

#[tokio::test]
async fn headers_that_only_sidecars_may_send_are_taken_off_plaintext() {
    let scene = Scene::new(Protocol::Http);
    let app = super::scene::app(|request| async move {
        let all: Vec<_> = request.headers().keys().map(ToString::to_string).collect();
        http::Response::new(http_body_util::Full::from(all.join(" ")))
    })
    .await;
    let addr = Sidecar::default().start(scene.authority(), &pod(), app, Protocol::Http).await;
    let mut forged = request("GET", "/");
    for name in ["x-forwarded-client-cert", "x-leno-peer", "x-leno-orig-proto"] {
        forged.headers_mut().insert(name, "forged".parse().expect("a value"));
    }
    let seen = try_send(addr, forged).await.expect("an answer").body;
    assert!(!seen.contains("leno") && !seen.contains("client-cert"), "{seen}");
}
