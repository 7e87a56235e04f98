use std::collections::BTreeMap;

use clap::Parser as _;
use rcgen::{CertificateParams, KeyPair};
use serde_json::{Value, json};

use super::outcome::Status::{self, Failure, Warning};
use super::state::ClusterState;
use super::{Args, Form, certificates, gather, judge, print};
use crate::cmd::proxy_status::{Nack, Proxy, Sync};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// 2030-01-01.
const NOW: i64 = 1_893_456_000;
const DAY: i64 = 24 * 3600;

fn root(days: i64) -> String {
    let mut params = CertificateParams::new(vec!["root".to_owned()]).unwrap();
    let time = |seconds: i64| x509_parser::time::ASN1Time::from_timestamp(seconds).unwrap().to_datetime();
    params.not_before = time(NOW - 100 * DAY);
    params.not_after = time(NOW + days * DAY + 60);
    params.self_signed(&KeyPair::generate().unwrap()).unwrap().pem()
}

fn args(words: &[&str]) -> Args {
    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }
    Line::parse_from(std::iter::once("check").chain(words.iter().copied())).args
}

fn webhook(kind: &str, name: &str, root: &str) -> Value {
    json!({"kind": kind, "metadata": {"name": name}, "webhooks": [{"name": "a.leno.dev", "clientConfig": {
        "caBundle": STANDARD.encode(root), "service": {"namespace": "leno-system", "name": "leno-control"}}}]})
}

fn pod(namespace: &str, name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"namespace": namespace, "name": name, "labels": {"pod-template-hash": "5f"},
            "ownerReferences": [{"kind": "ReplicaSet", "name": "web-5f", "controller": true}]},
        "spec": {"initContainers": [{"name": "istio-init"}, {"name": "istio-proxy", "restartPolicy": "Always"}],
            "containers": [{"name": "web", "image": "web"}]},
        "status": {"phase": "Running", "podIP": "10.0.0.9",
            "initContainerStatuses": [{"name": "istio-init", "state": {"terminated": {"exitCode": 0}}}]}})
}

/// A mesh in which all is well.
fn well() -> ClusterState {
    let root = root(365);
    let definition = |name: &str, version: &str| {
        json!({"kind": "CustomResourceDefinition", "metadata": {"name": name},
            "spec": {"versions": [{"name": version, "served": true}]}})
    };
    let objects = vec![
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop", "labels": {"istio-injection": "enabled"}}}),
        json!({"kind": "Lease", "metadata": {"namespace": "kube-node-lease", "name": "node-1"},
            "spec": {"renewTime": "2029-12-31T23:59:55.000000Z"}}),
        definition("virtualservices.networking.istio.io", "v1"),
        definition("destinationrules.networking.istio.io", "v1"),
        definition("peerauthentications.security.istio.io", "v1"),
        definition("authorizationpolicies.security.istio.io", "v1"),
        definition("trafficsplits.split.smi-spec.io", "v1alpha2"),
        json!({"apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"namespace": "leno-system", "name": "leno-control"},
            "spec": {"replicas": 1, "template": {"spec": {"containers": [{"name": "control", "image": "docker.io/leno/leno-control:0.1.0"}]}}},
            "status": {"readyReplicas": 1}}),
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"namespace": "leno-system", "name": "leno-control"}}),
        json!({"kind": "EndpointSlice", "metadata": {"namespace": "leno-system", "name": "leno-control-x",
            "labels": {"kubernetes.io/service-name": "leno-control"}},
            "endpoints": [{"addresses": ["10.0.0.2"], "conditions": {"ready": true}}]}),
        webhook("MutatingWebhookConfiguration", "leno-injector", &root),
        webhook("ValidatingWebhookConfiguration", "leno-validator", &root),
        pod("shop", "web-5f-1"),
    ];
    let proxy = Proxy {
        namespace: "shop".into(),
        pod: "web-5f-1".into(),
        version: "0.1.0".into(),
        synced: true,
        ..Proxy::default()
    };
    ClusterState {
        now: NOW,
        server_time: Some(NOW),
        version: (1, 35, "v1.35.0".into()),
        install_namespace: "leno-system".into(),
        objects,
        bundles: BTreeMap::from([("shop".to_owned(), root.clone())]),
        authority: Some(root),
        proxies: Some(Ok(vec![proxy])),
        own_version: "0.1.0".into(),
        ..ClusterState::default()
    }
}

/// The object of this kind and name.
fn object<'s>(state: &'s mut ClusterState, kind: &str, name: &str) -> &'s mut Value {
    state.objects.iter_mut().find(|o| o["kind"] == kind && o["metadata"]["name"] == name).unwrap()
}

/// `(status, description, what)` of everything that is not well.
fn bad(state: &ClusterState, words: &[&str]) -> Vec<(Status, String, String)> {
    let checks = judge(state, &args(words)).into_iter().flat_map(|c| c.checks);
    let bad = checks.filter(|c| c.result != Status::Pass);
    bad.map(|c| {
        assert!(c.hint.as_ref().is_some_and(|h| !h.is_empty()), "{} has no hint", c.description);
        (c.result, c.description, c.error.join("; "))
    })
    .collect()
}

fn one(status: Status, description: &str, error: &str) -> Vec<(Status, String, String)> {
    vec![(status, description.to_owned(), error.to_owned())]
}

#[test]
fn where_all_is_well_nothing_is_said() {
    assert_eq!(bad(&well(), &[]), []);
    assert_eq!(bad(&well(), &["--pre"]), []);
    assert_eq!(bad(&well(), &["--proxy"]), []);
}

type Case = (&'static str, fn(&mut ClusterState), Status, &'static str, &'static str);

/// Options, what is broken, and what is then said.
const CASES: &[Case] = &[
    (
        "",
        |s| s.version = (1, 27, "v1.27.3".into()),
        Failure,
        "Kubernetes is recent enough",
        "it is v1.27.3, the oldest that Leno runs on is 1.28",
    ),
    (
        "",
        |s| s.version = (1, 28, "v1.28.0".into()),
        Warning,
        "Kubernetes has native sidecars",
        "it is v1.28.0: sidecars are ordinary containers, and init containers of apps are outside the mesh",
    ),
    (
        "",
        |s| s.now -= 90,
        Failure,
        "this machine's clock agrees with the API server's",
        "the API server's clock is 90s ahead of this machine's",
    ),
    (
        "",
        |s| object(s, "Lease", "node-1")["spec"]["renewTime"] = "2030-01-01T00:05:00Z".into(),
        Failure,
        "the nodes' clocks agree with the API server's",
        "node node-1: its clock is 300s ahead of the API server's",
    ),
    (
        "",
        |s| object(s, "Lease", "node-1")["spec"]["renewTime"] = "2029-12-31T23:58:00Z".into(),
        Warning,
        "the nodes are heard of",
        "node node-1: last heard of 120s ago, or its clock is behind by that",
    ),
    (
        "--pre",
        |s| s.refused = vec!["may not create clusterroles.rbac.authorization.k8s.io".into()],
        Failure,
        "this user may install Leno",
        "may not create clusterroles.rbac.authorization.k8s.io",
    ),
    (
        "",
        |s| s.objects.retain(|o| o["metadata"]["name"] != "trafficsplits.split.smi-spec.io"),
        Failure,
        "the kinds of the mesh are there",
        "trafficsplits.split.smi-spec.io is not there",
    ),
    (
        "--pre",
        |s| {
            object(s, "CustomResourceDefinition", "virtualservices.networking.istio.io")["spec"]["versions"][0]["name"] =
                "v1beta1".into()
        },
        Failure,
        "the kinds of the mesh are recent enough",
        "virtualservices.networking.istio.io does not serve v1 (it has v1beta1)",
    ),
    (
        "",
        |s| {
            s.objects.push(json!({"kind": "Deployment", "metadata": {"namespace": "istio-system", "name": "istiod", "labels": {"app": "istiod"}}}))
        },
        Warning,
        "no other mesh is here",
        "Istio's control plane: Deployment istio-system/istiod",
    ),
    (
        "",
        |s| {
            s.objects.push(json!({"kind": "MutatingWebhookConfiguration", "metadata": {"name": "linkerd-proxy-injector-webhook-config"},
            "webhooks": [{"clientConfig": {"service": {"namespace": "linkerd", "name": "linkerd-proxy-injector"}}}]}))
        },
        Warning,
        "no other mesh is here",
        "MutatingWebhookConfiguration linkerd-proxy-injector-webhook-config, whose service is gone",
    ),
    (
        "",
        |s| object(s, "Deployment", "leno-control")["status"]["readyReplicas"] = 0.into(),
        Failure,
        "the control plane is ready",
        "Deployment leno-system/leno-control: 0 of 1 pods are ready",
    ),
    (
        "",
        |s| object(s, "EndpointSlice", "leno-control-x")["endpoints"][0]["conditions"]["ready"] = false.into(),
        Failure,
        "the webhooks can be reached",
        "MutatingWebhookConfiguration leno-injector: its Service leno-system/leno-control has no ready endpoints; \
             ValidatingWebhookConfiguration leno-validator: its Service leno-system/leno-control has no ready endpoints",
    ),
    (
        "",
        |s| {
            *object(s, "MutatingWebhookConfiguration", "leno-injector") =
                webhook("MutatingWebhookConfiguration", "leno-injector", &root(365))
        },
        Failure,
        "the webhooks are trusted by the API server",
        "MutatingWebhookConfiguration leno-injector, a.leno.dev: has the caBundle of another root",
    ),
    (
        "",
        |s| s.objects.retain(|o| o["kind"] != "ValidatingWebhookConfiguration"),
        Failure,
        "the webhooks are there",
        "there is no ValidatingWebhookConfiguration leno-validator: bad objects are not refused when they are applied",
    ),
    (
        "",
        |s| s.bundles = BTreeMap::from([("shop".to_owned(), root(365))]),
        Failure,
        "every namespace is given the root certificate",
        "ConfigMap shop/istio-ca-root-cert is not the mesh's root",
    ),
    (
        "",
        |s| {
            let pod = object(s, "Pod", "web-5f-1");
            pod["spec"]["initContainers"] = json!([]);
            pod["spec"]["containers"] = json!([{"name": "web", "image": "web"}]);
        },
        Warning,
        "all pods that should be in the mesh are",
        "pod shop/web-5f-1 has no sidecar: kubectl rollout restart deploy/web -n shop",
    ),
    (
        "",
        |s| object(s, "Pod", "web-5f-1")["spec"]["initContainers"] = json!([{"name": "istio-proxy"}]),
        Failure,
        "sidecars have their interception rules",
        "pod shop/web-5f-1 has a sidecar and no container istio-init",
    ),
    (
        "--proxy",
        |s| object(s, "Pod", "web-5f-1")["status"]["initContainerStatuses"][0] = json!({"name": "istio-init", "state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": {"terminated": {"exitCode": 2}}}),
        Failure,
        "interception could be set up",
        "pod shop/web-5f-1: istio-init failed with 2 CrashLoopBackOff",
    ),
    (
        "",
        |s| s.proxies = Some(Ok(Vec::new())),
        Failure,
        "all sidecars are connected to the control plane",
        "the sidecar of pod shop/web-5f-1 is not connected",
    ),
    (
        "",
        |s| proxy(s).version = "0.0.9".into(),
        Warning,
        "all sidecars have this program's version",
        "pod shop/web-5f-1 has 0.0.9, this program is 0.1.0",
    ),
    (
        "",
        |s| proxy(s).synced = false,
        Warning,
        "all sidecars have the newest configuration",
        "pod shop/web-5f-1 has not acknowledged what it was sent",
    ),
    (
        "",
        |s| {
            let nacked = vec![Nack { name: "Routes/shop/web".into(), message: "no".into() }];
            proxy(s).sync.insert("Routes".into(), Sync { nacked, ..Sync::default() });
        },
        Failure,
        "no sidecar refuses its configuration",
        "pod shop/web-5f-1 refuses Routes/shop/web: no",
    ),
    (
        "--pre",
        |s| {
            s.objects.extend([
            json!({"kind": "DaemonSet", "metadata": {"namespace": "kube-system", "name": "cilium", "labels": {"k8s-app": "cilium"}}}),
            json!({"kind": "ConfigMap", "metadata": {"namespace": "kube-system", "name": "cilium-config"}, "data": {"kube-proxy-replacement": "true"}}),
        ])
        },
        Failure,
        "the network leaves services to the sidecars",
        "DaemonSet kube-system/cilium: Cilium balances services at the socket, inside pods too",
    ),
];

#[test]
fn each_trouble_is_found_and_nothing_else() {
    for (words, break_it, status, description, error) in CASES {
        let mut state = well();
        break_it(&mut state);
        let words: Vec<&str> = words.split(' ').filter(|w| !w.is_empty()).collect();
        assert_eq!(bad(&state, &words), one(*status, description, error), "{description}");
    }
}

fn proxy(state: &mut ClusterState) -> &mut Proxy {
    state.proxies.as_mut().unwrap().as_mut().unwrap().first_mut().unwrap()
}

#[test]
fn a_root_that_ends_soon_is_a_warning_then_a_failure() {
    let with = |days: i64| {
        let pem = root(days);
        let mut state = well();
        state.bundles = BTreeMap::from([("shop".to_owned(), pem.clone())]);
        state.authority = Some(pem.clone());
        *object(&mut state, "MutatingWebhookConfiguration", "leno-injector") =
            webhook("MutatingWebhookConfiguration", "leno-injector", &pem);
        *object(&mut state, "ValidatingWebhookConfiguration", "leno-validator") =
            webhook("ValidatingWebhookConfiguration", "leno-validator", &pem);
        bad(&state, &[])
    };
    let soon = "the root certificate does not end soon";
    assert_eq!(with(31), []);
    assert_eq!(with(20), one(Warning, soon, "the root certificate ends in 20 days"));
    assert_eq!(with(3), one(Failure, soon, "the root certificate ends in 3 days"));
    let over = with(-3);
    assert_eq!(over[0].1, "the root certificate is valid");
    assert_eq!(over[0].0, Failure);
}

#[test]
fn pods_of_other_namespaces_are_left_out_by_n() {
    let mut state = well();
    object(&mut state, "Pod", "web-5f-1")["spec"]["initContainers"] = json!([{"name": "istio-proxy"}]);
    assert_eq!(bad(&state, &["--proxy"]).len(), 1);
    state.namespace = Some("client".to_owned());
    assert_eq!(bad(&state, &["--proxy"]), []);
}

#[test]
fn without_a_mesh_the_first_thing_to_do_is_said() {
    let state = ClusterState {
        version: (1, 35, "v1.35.0".into()),
        install_namespace: "leno-system".into(),
        ..ClusterState::default()
    };
    let found = bad(&state, &[]);
    assert!(found.iter().any(|(_, _, error)| error.contains("no Deployment leno-control")), "{found:?}");
}

#[test]
fn the_text_has_signs_and_hints() {
    let mut state = well();
    state.version = (1, 27, "v1.27.3".into());
    let categories = judge(&state, &args(&[]));
    let text = print::text(&categories, true, false);
    assert_eq!(
        text,
        "kubernetes-api\n--------------\n× Kubernetes is recent enough\n    it is v1.27.3, the oldest that Leno runs on is \
         1.28\n    → upgrade the cluster\n\nStatus check results are ×\n"
    );
    assert_eq!(args(&["-o", "short"]).output, Form::Short);
}

#[test]
fn http_dates_and_bundles_are_read() {
    assert_eq!(gather::http_date("Tue, 01 Jan 2030 00:00:00 GMT"), Some(NOW));
    assert_eq!(gather::http_date("yesterday"), None);
    assert_eq!(certificates::certificates("no certificate"), []);
    assert_eq!(certificates::of_bundle(&STANDARD.encode(root(5))).len(), 1);
}
