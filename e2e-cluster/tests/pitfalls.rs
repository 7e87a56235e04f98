//! The five pitfalls of the primer: each provoked, and prevented or named (issue 4, shown 2); and bad input at every door
//! (shown 7).

use std::time::Duration;

use leno_e2e_cluster::{App, Cluster, Mesh, Meshed, Namespace, http_app, image, service};

const HTTP: &str = "[{name: http, port: 8080}]";

const CANARY: &str = "apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: server}
spec:
  hosts: [server]
  http: [{fault: {abort: {httpStatus: 418, percentage: {value: 100}}}, route: [{destination: {host: server}}]}]
";

const STRICT: &str = "apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default}
spec: {mtls: {mode: STRICT}}
";

/// What `leno analyze -n NAMESPACE` prints, whatever its exit code.
fn analyzed(cluster: &Cluster, namespace: &str) -> String {
    cluster.leno(&["analyze", "-n", namespace]).to_string()
}

#[test]
fn a_pods_from_before_injection_are_named_with_the_command_that_mends_it() {
    let cluster = Cluster::connect();
    let _mesh = Mesh::installed(&cluster);
    let space = Namespace::new(&cluster, "e2e-late", Meshed::No);
    space.run(&[&http_app("server", "", 1)]);
    cluster.shell("kubectl label namespace e2e-late istio-injection=enabled");
    let check = cluster.leno(&["check", "-n", "e2e-late"]).to_string();
    assert!(check.contains("kubectl rollout restart deploy/server -n e2e-late"), "check says how to mend it:\n{check}");
    let findings = analyzed(&cluster, "e2e-late");
    assert!(findings.contains("IST0103"), "analyze names pods without a proxy:\n{findings}");
}

#[test]
fn b_a_port_without_a_protocols_name_is_routed_all_the_same_and_named() {
    let cluster = Cluster::connect();
    let _mesh = Mesh::installed(&cluster);
    let space = Namespace::new(&cluster, "e2e-ports", Meshed::Istio);
    space.run(&[
        &http_app("server", "", 1),
        &http_app("client", "", 1),
        &service("server", "app: server", "[{name: web-traffic, port: 8080}]"),
        CANARY,
    ]);
    cluster.wait(Duration::from_secs(20), "the rule holds on a port with an unknown name", || {
        match space.call("deploy/client", "http://server.e2e-ports:8080/", 1)["statuses"]["418"].as_u64() {
            Some(1) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
    let findings = analyzed(&cluster, "e2e-ports");
    assert!(findings.contains("IST0118") && findings.contains("web-traffic"), "analyze names the port:\n{findings}");
}

#[test]
fn c_a_sidecar_asks_for_little_and_a_quota_that_it_would_break_is_named() {
    let cluster = Cluster::connect();
    let _mesh = Mesh::installed(&cluster);
    let space = Namespace::new(&cluster, "e2e-budget", Meshed::Istio);
    space.run(&[&http_app("server", "", 1)]);
    let pods = space.pods("app=server");
    let of = |kind: &str| pods[0]["spec"][kind].as_array().cloned().unwrap_or_default();
    let sidecar = of("initContainers").into_iter().chain(of("containers")).find(|c| c["name"] == "istio-proxy");
    let requests = sidecar.expect("a sidecar")["resources"]["requests"].clone();
    assert_eq!((requests["cpu"].as_str(), requests["memory"].as_str()), (Some("10m"), Some("16Mi")), "{requests}");
    space.apply(&["apiVersion: v1
kind: ResourceQuota
metadata: {name: tight}
spec: {hard: {limits.cpu: 100m, limits.memory: 64Mi}}
"]);
    let findings = analyzed(&cluster, "e2e-budget");
    assert!(findings.contains("LENO011"), "analyze names the quota:\n{findings}");
}

#[test]
fn d_an_apps_init_container_has_its_network_whatever_the_order() {
    let cluster = Cluster::connect();
    let _mesh = Mesh::installed(&cluster);
    let space = Namespace::new(&cluster, "e2e-order", Meshed::Istio);
    space.run(&[&http_app("server", "", 1), &service("server", "app: server", HTTP), STRICT]);
    let init = format!(
        "initContainers:\n- name: fetch\n  image: {}\n  args: [call, 'http://server.e2e-order:8080/', -n, '3']\n",
        image()
    );
    let container = "ports: [{containerPort: 8080}]";
    let app = App { name: "late", args: &["echo", "--port", "8080"], container, pod: &init, ..App::default() };
    space.run(&[&app.yaml()]);
    assert!(space.all_meshed("app=late"), "it runs, so its init container has reached a STRICT server");
}

#[test]
fn e_a_health_check_passes_strict_and_is_no_way_past_a_policy() {
    let cluster = Cluster::connect();
    let _mesh = Mesh::installed(&cluster);
    let space = Namespace::new(&cluster, "e2e-health", Meshed::Istio);
    let outside = Namespace::new(&cluster, "e2e-outside", Meshed::No);
    outside.run(&[&http_app("client", "", 1)]);
    // `run` waits for readiness, which the kubelet asks by the probe.
    space.run(&[&http_app("server", "", 1), &service("server", "app: server", HTTP), STRICT]);
    cluster.wait(Duration::from_secs(15), "the path of the probe is closed to others", || {
        match outside.answered("deploy/client", "http://server.e2e-health:8080/healthz", 3) {
            0 => Ok(()),
            n => Err(format!("{n} of 3 plain requests to the probe's path were answered")),
        }
    });
}

#[test]
fn f_bad_objects_are_refused_at_the_door_by_object_field_and_reason() {
    let cluster = Cluster::connect();
    let _mesh = Mesh::installed(&cluster);
    let space = Namespace::new(&cluster, "e2e-bad", Meshed::Istio);
    let refused = |yaml: &str, words: &[&str]| {
        let ran = cluster.try_apply(space.name(), yaml);
        let said = ran.to_string();
        assert!(!ran.ok(), "it is refused:\n{said}");
        for word in words {
            assert!(said.contains(word), "`{word}` in:\n{said}");
        }
    };
    refused(
        "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: bad}\nspec:\n  hosts: [server]\n  http: [{timeout: soon, route: [{destination: {host: server}}]}]\n",
        &["VirtualService", "timeout"],
    );
    refused(
        "apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {name: bad}\nspec: {mtls: {mode: MAYBE}}\n",
        &["PeerAuthentication", "mode"],
    );
    refused(
        "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: bad}\nspec:\n  hosts: [server]\n  http: [{route: [{destination: {host: server}, weight: -5}]}]\n",
        &["VirtualService", "weight"],
    );
    // Nothing else is affected: good objects and pods go on.
    space.run(&[&http_app("server", "", 1), CANARY]);
    let ran = cluster.leno(&["install", "--set", "profil=demo", "-o", "yaml"]);
    assert!(!ran.ok() && ran.to_string().contains("profile"), "a key that was meant is named:\n{ran}");
    let ran = cluster.leno(&["proxy-config", "routes", "deploy/nobody", "-n", "e2e-bad"]);
    assert!(!ran.ok() && ran.to_string().contains("nobody"), "{ran}");
}
