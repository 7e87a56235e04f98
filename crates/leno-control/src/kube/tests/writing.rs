//! What the leader writes.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::ByteString;
use leno_identity::Authority;
use leno_kit::drain;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::api::Api;
use super::{namespace, virtual_service};
use crate::hub::Hub;
use crate::kube::authority::{Keeper, OWN};
use crate::kube::feed::{Feed, News, Told};
use crate::kube::kinds::KINDS;
use crate::kube::leader::Election;
use crate::kube::object::seen;
use crate::kube::peers::Peers;
use crate::kube::write::Duties;
use crate::source::Batch;
use crate::world::World;

const OWN_SECRET: &str = "/api/v1/namespaces/leno-system/secrets/leno-ca-secret";
const USERS_SECRET: &str = "/api/v1/namespaces/leno-system/secrets/cacerts";

fn keeper(api: &Api, leads: bool) -> (Keeper, watch::Sender<bool>) {
    let (sender, receiver) = watch::channel(leads);
    (Keeper::new(api.client(), "leno-system", "cluster.local", receiver), sender)
}

async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(8), future).await.unwrap()
}

fn secret(authority: &Authority) -> Value {
    let data = authority.texts().map(|(name, text)| (name.to_owned(), json!(ByteString(text.into_bytes()))));
    json!({ "metadata": {}, "data": data.into_iter().collect::<serde_json::Map<_, _>>() })
}

#[tokio::test]
async fn the_leader_makes_the_root_and_all_use_it() {
    let api = Api::default();
    let (mut follower, _follows) = keeper(&api, false);
    assert!(tokio::time::timeout(Duration::from_millis(300), follower.next()).await.is_err());
    assert_eq!(api.get(OWN_SECRET), None);
    let (mut leader, _leads) = keeper(&api, true);
    let made = soon(leader.next()).await;
    let read = soon(follower.next()).await;
    assert_eq!(made.roots_pem(), read.roots_pem());
    assert_eq!(api.get(OWN_SECRET).unwrap()["type"], "istio.io/ca-root");

    // Deleted by mistake: the same comes back, not another root.
    api.delete(OWN_SECRET);
    let again = tokio::spawn(async move { leader.next().await });
    let restored = api.until(OWN_SECRET, |_| true).await;
    assert!(restored["data"]["ca-key.pem"].is_string());
    assert!(!again.is_finished());
    again.abort();
}

#[tokio::test]
async fn the_users_authority_goes_first_and_a_bad_one_is_not_taken() {
    let api = Api::default();
    let users = Authority::generate("cluster.local").unwrap();
    api.set(USERS_SECRET, secret(&users));
    let (mut keeper, _leads) = keeper(&api, true);
    assert_eq!(soon(keeper.next()).await.roots_pem(), users.roots_pem());
    assert_eq!(api.get(OWN_SECRET), None);

    let mut bad = secret(&users);
    bad["data"]["ca-key.pem"] = json!(ByteString(b"no key".to_vec()));
    api.set(USERS_SECRET, bad);
    assert!(tokio::time::timeout(Duration::from_millis(300), keeper.next()).await.is_err());
    let rotated = Authority::generate("cluster.local").unwrap();
    api.set(USERS_SECRET, secret(&rotated));
    assert_eq!(soon(keeper.next()).await.roots_pem(), rotated.roots_pem());
    // Taken away: no new root of Leno's own takes its place while proxies live by it.
    api.delete(USERS_SECRET);
    assert!(tokio::time::timeout(Duration::from_millis(500), keeper.next()).await.is_err());
    assert_eq!(api.get(OWN_SECRET), None);
    assert_eq!(OWN, "leno-ca-secret");
}

#[tokio::test]
async fn one_leads_and_the_other_takes_over() {
    let api = Api::default();
    let elect = |me: &str| {
        let (trigger, drain) = drain::channel();
        let (election, leads) = Election::new(api.client(), "leno-system", "leno-control-leader".into(), me.into());
        (trigger, tokio::spawn(election.run(drain)), leads)
    };
    let (first, first_task, mut first_leads) = elect("a");
    soon(first_leads.wait_for(|l| *l)).await.unwrap();
    let (second, second_task, mut second_leads) = elect("b");
    assert!(tokio::time::timeout(Duration::from_millis(300), second_leads.wait_for(|l| *l)).await.is_err());
    first.drain(Duration::ZERO, Duration::ZERO).await;
    soon(first_task).await.unwrap();
    assert!(!*first_leads.borrow());
    // It was let go, not left to run out.
    soon(second_leads.wait_for(|l| *l)).await.unwrap();
    let lease = api.get("/apis/coordination.k8s.io/v1/namespaces/leno-system/leases/leno-control-leader").unwrap();
    assert_eq!(lease["spec"]["holderIdentity"], "b");
    second.drain(Duration::ZERO, Duration::ZERO).await;
    soon(second_task).await.unwrap();
}

/// Lets a feed see an object.
fn see(feed: &mut Feed, batch: &mut Batch, kind: &str, object: Value) {
    let at = KINDS.iter().position(|k| k.kind == kind).unwrap();
    let object = serde_json::from_value(object).unwrap();
    let seen = seen(&KINDS[at], KINDS[at].versions[0], object).unwrap();
    feed.take(News::Kind(at, Told::Applied(Box::new(seen))), &mut batch.changes);
}

struct Led {
    api: Api,
    feed: Feed,
    hub: Arc<Hub>,
    keys: watch::Sender<Arc<Authority>>,
    leads: watch::Sender<bool>,
    leads_mesh: watch::Sender<bool>,
}

/// A leader at work.
fn lead() -> Led {
    let (api, feed) = (Api::default(), Feed::new(leno_config::LowerContext::default()));
    let hub = Hub::empty(World::new("cluster.local"));
    let (keys, receiver) = watch::channel(Arc::new(Authority::generate("cluster.local").unwrap()));
    let (leads, led) = watch::channel(true);
    let (leads_mesh, led_mesh) = watch::channel(true);
    let duties = Duties {
        client: api.client(),
        suffix: "-canary".to_owned(),
        keys: receiver,
        namespaces: Arc::clone(&feed.namespaces),
        reports: Arc::clone(&feed.reports),
        hub: Arc::clone(&hub),
        proxies: Arc::default(),
        peers: Peers { namespace: "leno-system".to_owned(), own: None, port: 15014 },
    };
    tokio::spawn(duties.clone().of_revision(led));
    tokio::spawn(duties.of_mesh(led_mesh));
    Led { api, feed, hub, keys, leads, leads_mesh }
}

impl Led {
    /// Both the cluster and the feed know it.
    fn apply(&mut self, kind: &str, path: &str, object: Value) {
        self.api.set(path, object);
        let mut batch = Batch { at: std::time::Instant::now(), changes: Vec::new(), faults: Vec::new() };
        see(&mut self.feed, &mut batch, kind, self.api.get(path).unwrap());
        self.hub.load(batch);
    }

    fn root(&self) -> String {
        self.keys.borrow().roots_pem()
    }
}

#[tokio::test]
async fn every_namespace_has_the_bundle() {
    let mut led = lead();
    led.apply("Namespace", &namespace("shop"), json!({ "metadata": {} }));
    let bundle = |ns: &str| format!("/api/v1/namespaces/{ns}/configmaps/istio-ca-root-cert");
    let root = led.root();
    led.api.until(&bundle("shop"), |m| m["data"]["root-cert.pem"] == *root).await;
    led.apply("Namespace", &namespace("bank"), json!({ "metadata": {} }));
    led.api.until(&bundle("bank"), |m| m["data"]["root-cert.pem"] == *root).await;

    led.api.set(&bundle("shop"), json!({ "metadata": {}, "data": { "root-cert.pem": "none" } }));
    led.api.until(&bundle("shop"), |m| m["data"]["root-cert.pem"] == *root).await;
    led.api.delete(&bundle("shop"));
    led.api.until(&bundle("shop"), |m| m["data"]["root-cert.pem"] == *root).await;

    led.keys.send_replace(Arc::new(Authority::generate("cluster.local").unwrap()));
    let root = led.root();
    led.api.until(&bundle("bank"), |m| m["data"]["root-cert.pem"] == *root).await;

    // The bundle is the same whatever the revision: leading that alone does not do.
    led.leads_mesh.send_replace(false);
    tokio::time::sleep(Duration::from_millis(50)).await;
    led.api.delete(&bundle("shop"));
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(led.api.get(&bundle("shop")), None, "a replica that does not lead writes nothing");
    assert!(*led.leads.borrow());
}

#[tokio::test]
async fn the_api_server_is_kept_trusting_the_webhooks() {
    let led = lead();
    let at = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/leno-injector-canary";
    let entry = |name: &str, bundle: Value| json!({ "name": name, "admissionReviewVersions": ["v1"], "sideEffects": "None", "clientConfig": { "service": { "name": "leno-control", "namespace": "leno-system" }, "caBundle": bundle } });
    led.api.set(at, json!({ "metadata": {}, "webhooks": [entry("a", Value::Null), entry("b", json!("b2xk"))] }));
    let ours = json!(ByteString(led.root().into_bytes()));
    let all = |o: &Value| o["webhooks"].as_array().unwrap().iter().all(|w| w["clientConfig"]["caBundle"] == ours);
    let written = led.api.until(at, all).await;
    assert_eq!(written["webhooks"][0]["clientConfig"]["service"]["name"], "leno-control");
    led.api.set(at, json!({ "metadata": {}, "webhooks": [entry("a", json!("b2xk"))] }));
    led.api.until(at, all).await;
}

#[tokio::test]
async fn namespaces_are_labelled_for_the_webhook() {
    let mut led = lead();
    let shop = namespace("shop");
    led.apply("Namespace", &shop, json!({ "metadata": { "annotations": { "linkerd.io/inject": "enabled" } } }));
    led.api.until(&shop, |n| n["metadata"]["labels"]["leno.dev/injection"] == "enabled").await;
    led.apply("Namespace", &shop, json!({ "metadata": { "labels": { "leno.dev/injection": "enabled", "a": "b" } } }));
    led.api.until(&shop, |n| n["metadata"]["labels"] == json!({ "a": "b" })).await;
}

#[tokio::test]
async fn objects_say_what_became_of_them() {
    let mut led = lead();
    let path = "/apis/networking.istio.io/v1/namespaces/shop/virtualservices/cart";
    let condition = |o: &Value, kind: &str| {
        let conditions = o["status"]["conditions"].as_array().cloned().unwrap_or_default();
        conditions.into_iter().find(|c| c["type"] == kind).unwrap_or_default()
    };
    led.apply("VirtualService", path, virtual_service("cart", &json!(1)));
    let written = led.api.until(path, |o| condition(o, "Accepted")["status"] == "True").await;
    assert_eq!(condition(&written, "Reconciled")["message"], "live on 0 of 0 proxies that use it");
    assert_eq!(written["status"]["observedGeneration"], 3);
    let bad = "/apis/networking.istio.io/v1/namespaces/shop/virtualservices/till";
    led.apply("VirtualService", bad, virtual_service("till", &json!("much")));
    let written = led.api.until(bad, |o| condition(o, "Accepted")["status"] == "False").await;
    let message = condition(&written, "Accepted")["message"].as_str().unwrap().to_owned();
    assert!(message.contains("spec.http[0].route[0].weight"), "{message}");
    // A kind without a status is asked once, and holds nothing up.
    led.api.has_no_status("trafficsplits");
    let split = |name: &str| format!("/apis/split.smi-spec.io/v1alpha4/namespaces/shop/trafficsplits/{name}");
    let spec =
        json!({ "metadata": {}, "spec": { "service": "cart", "backends": [{ "service": "cart", "weight": 1 }] } });
    led.apply("TrafficSplit", &split("a"), spec.clone());
    // Written once: what the object says now is what it is to say.
    led.apply("VirtualService", path, led.api.get(path).unwrap());
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(led.api.calls(&format!("PATCH {path}/status")), 1);
    led.apply("TrafficSplit", &split("b"), spec);
    tokio::time::sleep(Duration::from_secs(3)).await;
    let asked = |name| led.api.calls(&format!("PATCH {}/status", split(name)));
    assert_eq!((asked("a"), asked("b")), (1, 0));
}

#[tokio::test]
async fn routes_say_what_became_of_them_to_each_service_and_leave_other_controllers_alone() {
    let mut led = lead();
    led.apply(
        "Service",
        "/api/v1/namespaces/shop/services/cart",
        json!({ "metadata": {}, "spec": { "clusterIP": "10.96.0.7", "ports": [{ "name": "http", "port": 80 }] } }),
    );
    let path = "/apis/gateway.networking.k8s.io/v1/namespaces/shop/httproutes/cart";
    let parent = |name: &str| json!({ "group": "", "kind": "Service", "name": name });
    let gateway = json!({ "name": "edge" });
    let other = json!({ "parentRef": gateway, "controllerName": "example.com/other", "conditions": [] });
    let stale = json!({ "parentRef": parent("gone"), "controllerName": "leno.dev/mesh-controller", "conditions": [] });
    led.apply(
        "HTTPRoute",
        path,
        json!({ "metadata": { "generation": 4 },
            "spec": { "parentRefs": [parent("cart"), gateway, parent("nobody")],
                "rules": [{ "backendRefs": [{ "name": "none", "port": 80 }] }] },
            "status": { "parents": [stale, other] } }),
    );
    let written = led.api.until(path, |o| o["status"]["parents"].as_array().is_some_and(|p| p.len() == 3)).await;
    let parents = written["status"]["parents"].as_array().unwrap();
    assert_eq!(parents[0], other);
    let said = |at: usize| {
        let entry = &parents[at];
        assert_eq!(entry["controllerName"], "leno.dev/mesh-controller");
        let all = entry["conditions"].as_array().unwrap().iter();
        let words = all.map(|c| {
            assert_eq!(c["observedGeneration"], 4);
            format!(
                "{} {} {}",
                c["type"].as_str().unwrap(),
                c["status"].as_str().unwrap(),
                c["reason"].as_str().unwrap()
            )
        });
        (entry["parentRef"]["name"].clone(), words.collect::<Vec<_>>())
    };
    let unresolved = "ResolvedRefs False BackendNotFound".to_owned();
    assert_eq!(said(1), (json!("cart"), vec!["Accepted True Accepted".to_owned(), unresolved.clone()]));
    assert_eq!(said(2), (json!("nobody"), vec!["Accepted False NoMatchingParent".to_owned(), unresolved]));
    // Written once: what the object says now is what it is to say.
    led.apply("HTTPRoute", path, led.api.get(path).unwrap());
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(led.api.calls(&format!("PATCH {path}/status")), 1);
}
