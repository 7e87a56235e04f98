//! Watches and the feed.

use std::sync::Arc;
use std::time::Duration;

use leno_config::LowerContext;
use leno_xds::wire::ResourceKind;
use serde_json::json;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::api::Api;
use super::{VIRTUAL_SERVICES, definition, namespace, virtual_service};
use crate::hub::Hub;
use crate::kube::feed::Feed;
use crate::kube::namespaces::Namespaces;
use crate::kube::watch::{Home, everything};
use crate::serve::monitor::Readiness;
use crate::source::ObjectState;
use crate::world::{ObjectKey, World};

struct Followed {
    hub: Arc<Hub>,
    namespaces: Arc<Namespaces>,
    tasks: Vec<JoinHandle<()>>,
}

impl Drop for Followed {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// A hub that follows the cluster, once all is known.
async fn follow(api: &Api, ready: &Readiness) -> Followed {
    let (news, mut inbox) = mpsc::channel(16);
    let home = Home { namespace: "leno-system".to_owned(), settings: "leno".to_owned() };
    let watches = tokio::spawn(everything(api.client(), home, news));
    let context =
        LowerContext { settings: Some(("leno-system".to_owned(), "leno".to_owned())), ..LowerContext::default() };
    let mut feed = Feed::new(context);
    let first = feed.first(&mut inbox, ready).await.unwrap();
    let hub = Hub::empty(World::new("cluster.local").with_also_root("leno-system"));
    hub.load(first);
    let namespaces = Arc::clone(&feed.namespaces);
    let (batches, batches_inbox) = mpsc::channel(16);
    let feeding = tokio::spawn(feed.follow(inbox, batches));
    let running = tokio::spawn(Arc::clone(&hub).run(batches_inbox));
    Followed { hub, namespaces, tasks: vec![watches, feeding, running] }
}

fn key(group: &str, kind: &str, name: &str) -> ObjectKey {
    ObjectKey { group: group.into(), kind: kind.into(), namespace: "shop".into(), name: name.into() }
}

async fn eventually(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..500 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{what}");
}

fn shop(api: &Api) {
    api.set(&namespace("shop"), json!({ "metadata": { "labels": { "istio-injection": "enabled" } } }));
    api.set(
        "/api/v1/namespaces/shop/services/cart",
        json!({ "spec": { "type": "LoadBalancer", "clusterIP": "10.96.0.7", "clusterIPs": ["10.96.0.7"], "selector": { "app": "cart" },
            "externalTrafficPolicy": "Local", "ports": [{ "name": "http", "port": 80, "targetPort": 8080, "nodePort": 30001 }] },
            "status": { "loadBalancer": {} } }),
    );
    api.set(
        "/api/v1/namespaces/shop/pods/cart-1",
        json!({ "metadata": { "uid": "u1", "labels": { "app": "cart" } },
            "spec": { "serviceAccountName": "cart", "nodeName": "n1",
                "volumes": [{ "name": "data", "persistentVolumeClaim": { "claimName": "c" } }],
                "containers": [{ "name": "app", "volumeMounts": [{ "name": "data", "mountPath": "/d" }] }],
                "initContainers": [{ "name": "istio-proxy", "restartPolicy": "Always" }] },
            "status": { "phase": "Running", "podIP": "10.244.0.4", "podIPs": [{ "ip": "10.244.0.4" }] } }),
    );
    api.set(
        "/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices/cart-x",
        json!({ "metadata": { "labels": { "kubernetes.io/service-name": "cart" } }, "addressType": "IPv4",
            "ports": [{ "name": "http", "port": 8080, "protocol": "TCP" }],
            "endpoints": [{ "addresses": ["10.244.0.4"], "zone": "z", "conditions": { "ready": true, "serving": true, "terminating": false },
                "targetRef": { "kind": "Pod", "name": "cart-1", "namespace": "shop", "uid": "u1" } }] }),
    );
}

#[tokio::test]
async fn what_the_cluster_has_is_in_force_and_followed() {
    let api = Api::default();
    shop(&api);
    let followed = follow(&api, &Readiness::default()).await;
    let hub = &followed.hub;
    {
        let state = hub.state();
        let pod = state.world.pods().get("shop", "cart-1").unwrap();
        assert_eq!(pod.workload.identity.as_ref().unwrap().to_string(), "spiffe://cluster.local/ns/shop/sa/cart");
        assert_eq!(state.world.services().len(), 1);
        assert!(state.objects.values().all(|o| o.messages.is_empty()), "{:?}", state.objects);
    }
    assert_eq!(followed.namespaces.get("shop").unwrap().labels["istio-injection"], "enabled");

    let listener = hub.listen();
    listener.want(ResourceKind::Endpoints, ["shop/cart"]);
    let slice = "/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices/cart-x";
    let mut changed = api.get(slice).unwrap();
    changed["endpoints"][0]["conditions"]["terminating"] = json!(true);
    api.set(slice, changed);
    let news = tokio::time::timeout(Duration::from_secs(5), listener.news()).await.unwrap();
    assert_eq!(news.names.iter().map(ToString::to_string).collect::<Vec<_>>(), ["Endpoints shop/cart"]);

    api.delete("/api/v1/namespaces/shop/pods/cart-1");
    eventually("the pod goes", || hub.state().world.pods().get("shop", "cart-1").is_none()).await;
    api.delete(&namespace("shop"));
    eventually("the namespace goes", || followed.namespaces.get("shop").is_none()).await;
}

#[tokio::test]
async fn kinds_come_and_go_with_their_definitions() {
    let api = Api::default();
    let followed = follow(&api, &Readiness::default()).await;
    let cart = key("networking.istio.io", "VirtualService", "cart");
    api.set(
        "/apis/networking.istio.io/v1beta1/namespaces/shop/virtualservices/cart",
        virtual_service("cart", &json!(1)),
    );
    api.set(VIRTUAL_SERVICES, definition(&["v1alpha3", "v1beta1"]));
    eventually("it is in force", || followed.hub.state().world.has(&cart)).await;

    // A better version is served now, and the old one is not any more.
    api.set("/apis/networking.istio.io/v1/namespaces/shop/virtualservices/cart", virtual_service("cart", &json!(1)));
    api.set("/apis/networking.istio.io/v1/namespaces/shop/virtualservices/till", virtual_service("till", &json!(1)));
    api.set(VIRTUAL_SERVICES, definition(&["v1"]));
    let till = key("networking.istio.io", "VirtualService", "till");
    eventually("the new version is followed", || followed.hub.state().world.has(&till)).await;
    assert!(followed.hub.state().world.has(&cart));

    api.delete(VIRTUAL_SERVICES);
    eventually("both are gone", || {
        let state = followed.hub.state();
        !state.world.has(&cart) && !state.world.has(&till) && state.objects.is_empty()
    })
    .await;
}

#[tokio::test]
async fn a_bad_object_is_named_and_its_last_good_version_stays() {
    let api = Api::default();
    api.set(VIRTUAL_SERVICES, definition(&["v1"]));
    let path = "/apis/networking.istio.io/v1/namespaces/shop/virtualservices/cart";
    api.set(path, virtual_service("cart", &json!(1)));
    let followed = follow(&api, &Readiness::default()).await;
    let cart = key("networking.istio.io", "VirtualService", "cart");
    api.set(path, virtual_service("cart", &json!("much")));
    let refused = || followed.hub.state().objects[&cart].state == ObjectState::Refused;
    eventually("it is refused", refused).await;
    let state = followed.hub.state();
    assert!(state.world.has(&cart));
    let status = &state.objects[&cart];
    assert_eq!(status.source, "VirtualService shop/cart");
    let message = &status.messages[0];
    assert!(message.starts_with("error: VirtualService shop/cart: spec.http[0].route[0].weight: must be"), "{message}");
}

#[tokio::test]
async fn nothing_is_ready_before_every_list_is_in() {
    let api = Api::default();
    api.set(VIRTUAL_SERVICES, definition(&["v1"]));
    api.breaks("/apis/networking.istio.io/v1/virtualservices");
    let ready = Arc::new(Readiness::default());
    let (waiting, server) = (Arc::clone(&ready), api.clone());
    let following = tokio::spawn(async move { follow(&server, &waiting).await });
    eventually("it says what it waits for", || ready.waits_for().as_deref() == Some("the lists of VirtualService"))
        .await;
    assert!(!following.is_finished());
    api.mends();
    tokio::time::timeout(Duration::from_secs(5), following).await.unwrap().unwrap();
}

#[tokio::test]
async fn settings_and_policies_of_the_install_namespace_hold_for_the_mesh() {
    let api = Api::default();
    api.set(
        "/api/v1/namespaces/leno-system/configmaps/leno",
        json!({ "data": { "mesh": "outboundTrafficPolicy: { mode: REGISTRY_ONLY }", "values": "hub: x" } }),
    );
    api.set(
        "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/peerauthentications.security.istio.io",
        definition(&["v1"]),
    );
    api.set(
        "/apis/security.istio.io/v1/namespaces/leno-system/peerauthentications/default",
        json!({ "spec": { "mtls": { "mode": "STRICT" } } }),
    );
    let followed = follow(&api, &Readiness::default()).await;
    let state = followed.hub.state();
    assert!(!state.world.mesh().allow_any);
    let policies = state.world.policies("istio-system").unwrap();
    assert_eq!(policies.authn.values().next().unwrap().origin.namespace, "leno-system");
    let policy = state.objects.keys().find(|k| k.kind == "PeerAuthentication").unwrap();
    let names: Vec<String> = state.world.resources_of(policy).iter().map(ToString::to_string).collect();
    assert_eq!(names, ["Policies istio-system"]);
}
