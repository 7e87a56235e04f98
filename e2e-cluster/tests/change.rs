//! Whatever is changed under load, no request fails (issue 4, shown 3).

use std::time::Duration;

use leno_e2e_cluster::{App, Cluster, INSTALL_NAMESPACE, Load, Mesh, Meshed, Namespace, http_app, service};

const URL: &str = "http://server.e2e-change:8080/";

/// Apps without a preStop hook: callers in the mesh need none, for their proxies know of an end and try elsewhere.
fn up(cluster: &Cluster, replicas: u32) -> Namespace {
    up_with(cluster, &http_app("server", "", replicas))
}

fn up_with(cluster: &Cluster, server: &str) -> Namespace {
    let space = Namespace::new(cluster, "e2e-change", Meshed::Istio);
    space.run(&[server, &service("server", "app: server", "[{name: http, port: 8080}]")]);
    assert!(space.all_meshed("app=server"), "the server has sidecars");
    space
}

fn settle() {
    std::thread::sleep(Duration::from_secs(3));
}

#[test]
fn a_rolling_update_a_scale_down_and_an_eviction() {
    let cluster = Cluster::connect();
    let _mesh = Mesh::installed(&cluster);
    let space = up(&cluster, 3);
    let load = Load::start(&space, "load", URL, 50);

    space.must(&["set", "env", "deployment/server", "ROUND=2"]);
    space.ready();
    space.must(&["scale", "deployment/server", "--replicas=1"]);
    settle();
    space.must(&["scale", "deployment/server", "--replicas=2"]);
    space.ready();
    let pod = space.pods("app=server")[0]["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    let eviction = format!(
        "kubectl create --raw /api/v1/namespaces/e2e-change/pods/{pod}/eviction -f - <<< \
         '{{\"apiVersion\":\"policy/v1\",\"kind\":\"Eviction\",\"metadata\":{{\"name\":\"{pod}\"}}}}'"
    );
    cluster.shell(&eviction);
    settle();
    space.ready();
    settle();
    load.stop().assert_none_failed("rolling update, scale down, eviction");
}

#[test]
fn b_restart_of_the_control_plane() {
    let cluster = Cluster::connect();
    let _mesh = Mesh::installed(&cluster);
    let space = up(&cluster, 2);
    let load = Load::start(&space, "load", URL, 50);
    cluster.must(&["delete", "pod", "-n", INSTALL_NAMESPACE, "-l", "app=leno-control", "--wait=true"]);
    // What changes while it restarts is known to the proxies once it is back.
    space.must(&["rollout", "restart", "deployment/server"]);
    cluster.rolled_out(INSTALL_NAMESPACE, Duration::from_secs(60));
    space.ready();
    settle();
    load.stop().assert_none_failed("restart of the control plane, with a rolling update at the same time");
}

#[test]
fn c_upgrade_to_a_new_revision() {
    let cluster = Cluster::connect();
    let _mesh = Mesh::installed(&cluster);
    let space = up(&cluster, 2);
    let load = Load::start(&space, "load", URL, 50);
    Mesh::revision(&cluster, "next");
    space.must(&["label", "namespace", "e2e-change", "istio-injection-", "istio.io/rev=next", "--overwrite"]);
    space.must(&["rollout", "restart", "deployment/server"]);
    space.ready();
    settle();
    load.stop().assert_none_failed("upgrade of a server to a new revision");
    cluster.shell("leno uninstall --revision next -y");
}

#[test]
fn d_upgrade_in_place() {
    let cluster = Cluster::connect();
    let _mesh = Mesh::installed(&cluster);
    let space = up(&cluster, 2);
    let load = Load::start(&space, "load", URL, 50);
    let before = control_pods(&cluster);
    // A setting of its Deployment, so that its pods are replaced as by a new version.
    cluster.shell(&format!("leno upgrade --set profile=demo{} --set control.logLevel=debug -y", Mesh::images()));
    // Those that were there may take their time to end.
    let after = control_pods(&cluster);
    assert!(after.iter().any(|pod| !before.contains(pod)), "the control plane has a new pod: {before:?}, {after:?}");
    settle();
    load.stop().assert_none_failed("upgrade of the control plane in place");
    let status = cluster.leno_must(&["proxy-status"]);
    assert!(status.contains("server"), "the sidecars have found the new control plane: {status}");
}

fn control_pods(cluster: &Cluster) -> Vec<String> {
    let names = cluster.must(&["get", "pods", "-n", INSTALL_NAMESPACE, "-l", "app=leno-control", "-o", "name"]);
    names.lines().map(str::to_owned).collect()
}

#[test]
fn e_uninstall_after_the_workloads_were_taken_out() {
    let cluster = Cluster::connect();
    let _mesh = Mesh::installed(&cluster);
    // Callers outside of the mesh go on for a moment to a pod that ends, in any Kubernetes: it has to wait for them.
    let container = "ports: [{containerPort: 8080}]\n\
                     readinessProbe: {httpGet: {path: /healthz, port: 8080}, periodSeconds: 1}\n\
                     lifecycle: {preStop: {sleep: {seconds: 3}}}";
    let server = App { name: "server", replicas: 2, container, ..App::default() };
    let space = up_with(&cluster, &server.yaml());
    let outside = Namespace::new(&cluster, "e2e-change-from", Meshed::No);
    let load = Load::start(&outside, "load", URL, 50);
    space.must(&["label", "namespace", "e2e-change", "istio-injection-"]);
    space.must(&["rollout", "restart", "deployment/server"]);
    space.ready();
    assert!(!space.all_meshed("app=server"), "no sidecar is left");
    Mesh::remove(&cluster);
    settle();
    load.stop().assert_none_failed("un-meshing and uninstalling");
    let left = cluster.must(&[
        "get",
        "crd,clusterrole,clusterrolebinding,mutatingwebhookconfiguration,validatingwebhookconfiguration,namespace",
        "-o",
        "name",
    ]);
    let ours: Vec<_> =
        left.lines().filter(|l| l.contains("leno") || l.contains("istio.io") || l.contains("smi-spec")).collect();
    assert!(ours.iter().all(|l| l.contains("e2e")), "uninstall left {ours:?}");
}
