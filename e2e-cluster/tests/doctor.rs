//! What `leno check` and `leno install` say of clusters that are not as they should be: other projects' definitions, webhooks that the
//! API server does not trust, a control plane that is away, a sidecar that intercepts nothing.

use std::time::Duration;

use leno_e2e_cluster::{Cluster, INSTALL_NAMESPACE, Mesh, Meshed, Namespace, http_app};
use serde_json::{Value, json};

const DEFINITION: &str = "virtualservices.networking.istio.io";

/// The definition on the cluster; null where there is none.
fn definition(cluster: &Cluster) -> Value {
    cluster.get(&["crd", DEFINITION])
}

/// Istio's definition of `VirtualService`, as an older Istio brought it: with the version v1beta1 alone.
fn older_definition(cluster: &Cluster) -> Value {
    let printed = cluster.leno_must(&["install", "--crds", "-o", "json"]);
    let all = serde_json::Deserializer::from_str(&printed).into_iter::<Value>().map(|v| v.expect("JSON"));
    let all = all.flat_map(|v| v["items"].as_array().or(v.as_array()).cloned().unwrap_or_else(|| vec![v]));
    let mut ours = all.into_iter().find(|d| d["metadata"]["name"] == DEFINITION).expect("the definition");
    ours["metadata"]["labels"] = json!({"app": "istio-pilot", "release": "istio", "chart": "istio"});
    let versions = ours["spec"]["versions"].as_array_mut().expect("versions");
    versions.retain(|v| v["name"] == "v1beta1");
    versions[0]["storage"] = json!(true);
    ours
}

const RULE: &str = "
apiVersion: networking.istio.io/v1beta1
kind: VirtualService
metadata: {name: server}
spec:
  hosts: [server]
  http: [{fault: {abort: {httpStatus: 418, percentage: {value: 100}}}, route: [{destination: {host: server}}]}]
";

#[test]
fn a_definitions_of_others_are_used_as_they_are_and_overwritten_by_force_alone() {
    let cluster = Cluster::connect();
    Mesh::remove(&cluster);
    cluster.must(&["delete", "crd", DEFINITION, "--ignore-not-found", "--timeout=60s"]);
    cluster.apply("default", &older_definition(&cluster).to_string());
    cluster.must(&["wait", "--for=condition=Established", &format!("crd/{DEFINITION}"), "--timeout=30s"]);
    let before = definition(&cluster)["spec"].clone();

    let said = cluster.shell(&format!("leno install --set profile=demo{} -y", Mesh::images()));
    assert!(said.contains(&format!("{DEFINITION} is Istio's and is used as it is")), "{said}");
    assert!(said.contains("does not serve") && said.contains("v1"), "{said}");
    assert_eq!(definition(&cluster)["spec"], before, "it was not touched");

    // Objects of the version that it has are followed.
    let space = Namespace::new(&cluster, "e2e-older", Meshed::Istio);
    space.run(&[
        &http_app("server", "", 1),
        &http_app("client", "", 1),
        &leno_e2e_cluster::service("server", "app: server", "[{name: http, port: 8080}]"),
        RULE,
    ]);
    cluster.wait(Duration::from_secs(20), "a rule of v1beta1 holds", || {
        match space.call("deploy/client", "http://server:8080/", 1)["statuses"]["418"].as_u64() {
            Some(1) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });

    let said = cluster.shell(&format!("leno install --set profile=demo{} -y --force", Mesh::images()));
    assert!(!said.contains("is used as it is"), "{said}");
    let now = definition(&cluster);
    assert_eq!(now["metadata"]["labels"]["app.kubernetes.io/managed-by"], "leno", "it is Leno's now");
    assert!(now["spec"]["versions"].as_array().is_some_and(|v| v.iter().any(|v| v["name"] == "v1")), "{now}");
    assert!(space.kubectl(&["get", "virtualservice", "server"]).ok(), "objects of the kind are still there");
}

#[test]
fn b_check_names_a_control_plane_that_is_away_and_webhooks_that_are_not_trusted() {
    let cluster = Cluster::connect();
    let _mesh = Mesh::installed(&cluster);
    cluster.must(&["scale", "-n", INSTALL_NAMESPACE, "deploy/leno-control", "--replicas=0"]);
    cluster.must(&["wait", "-n", INSTALL_NAMESPACE, "--for=delete", "pod", "-l", "app=leno-control", "--timeout=60s"]);
    // Nobody is there to put it right.
    let other = cluster.get(&["configmap", "kube-root-ca.crt", "-n", "default"])["data"]["ca.crt"].clone();
    let other = base64(other.as_str().expect("a certificate"));
    let injector = cluster.get(&["mutatingwebhookconfiguration", "leno-injector"]);
    let first = injector["webhooks"][0]["name"].as_str().expect("a webhook");
    let patch = json!({"webhooks": [{"name": first, "clientConfig": {"caBundle": other}}]}).to_string();
    cluster.must(&["patch", "mutatingwebhookconfiguration", "leno-injector", "--type=strategic", "-p", &patch]);

    let check = cluster.leno(&["check"]);
    let said = check.to_string();
    cluster.must(&["scale", "-n", INSTALL_NAMESPACE, "deploy/leno-control", "--replicas=1"]);
    assert!(!check.ok(), "{said}");
    for word in [first, "has the caBundle of another root", "has no ready endpoints"] {
        assert!(said.contains(word), "`{word}` in:\n{said}");
    }

    cluster.rolled_out(INSTALL_NAMESPACE, Duration::from_secs(60));
    cluster.wait(Duration::from_secs(40), "the control plane puts it right", || {
        let check = cluster.leno(&["check"]);
        if check.ok() { Ok(()) } else { Err(check.to_string()) }
    });
}

#[test]
fn c_check_names_a_sidecar_that_intercepts_nothing() {
    let cluster = Cluster::connect();
    let _mesh = Mesh::installed(&cluster);
    let space = Namespace::new(&cluster, "e2e-bypass", Meshed::Istio);
    space.run(&[&http_app("server", "", 1)]);
    // The same pod without the container that sets interception up, made where nobody injects.
    let mut pod = space.pods("app=server").remove(0);
    let spec = pod["spec"].as_object_mut().expect("a spec");
    spec.remove("nodeName");
    spec["initContainers"].as_array_mut().expect("containers").retain(|c| c["name"] != "istio-init");
    let plain = json!({
        "apiVersion": "v1", "kind": "Pod", "spec": pod["spec"],
        "metadata": {"name": "bypass", "annotations": pod["metadata"]["annotations"], "labels": {
            "app": "bypass", "security.istio.io/tlsMode": "istio", "sidecar.istio.io/inject": "false",
        }},
    });
    space.apply(&[&plain.to_string()]);
    let check = cluster.wait(Duration::from_secs(30), "check names it", || {
        let said = cluster.leno(&["check", "--proxy", "-n", "e2e-bypass"]);
        let named = said.to_string().contains("e2e-bypass/bypass has a sidecar and no container istio-init");
        if named { Ok(said) } else { Err(said.to_string()) }
    });
    assert!(!check.ok(), "{check}");
}

fn base64(text: &str) -> String {
    use std::io::Write as _;
    use std::process::{Command, Stdio};
    let mut child =
        Command::new("base64").arg("-w0").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("base64");
    child.stdin.take().expect("its input").write_all(text.as_bytes()).expect("written");
    String::from_utf8(child.wait_with_output().expect("its end").stdout).expect("text")
}
