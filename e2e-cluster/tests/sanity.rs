//! What every other scene takes for granted, without Leno: pods run, Services have names and answer, commands run in pods.

use std::time::Duration;

use leno_e2e_cluster::{Cluster, Meshed, Namespace, http_app, image, service};

#[test]
fn pods_services_names_and_commands_work() {
    let cluster = Cluster::connect();
    let space = Namespace::new(&cluster, "e2e-sanity", Meshed::No);
    space.run(&[
        &http_app("server", "v1", 2),
        &service("server", "app: server", "[{name: http, port: 80, targetPort: 8080}]"),
        &http_app("client", "", 1),
    ]);
    for host in ["server", "server.e2e-sanity", "server.e2e-sanity.svc.cluster.local"] {
        let summary = space.call("deploy/client", &format!("http://{host}/"), 20);
        assert_eq!(summary["statuses"]["200"].as_u64(), Some(20), "{host}: {summary}");
        assert_eq!(summary["pods"].as_object().map(serde_json::Map::len), Some(2), "both pods answer: {summary}");
    }
}

#[test]
fn images_have_no_shell_and_run_with_the_least_rights() {
    let cluster = Cluster::connect();
    let space = Namespace::new(&cluster, "e2e-least", Meshed::No);
    space.must(&["label", "namespace", space.name(), "pod-security.kubernetes.io/enforce=restricted"]);
    let image = image();
    space.apply(&[&format!(
        "apiVersion: v1
kind: Pod
metadata: {{name: least}}
spec:
  securityContext: {{runAsNonRoot: true, seccompProfile: {{type: RuntimeDefault}}}}
  containers:
  - name: app
    image: {image}
    args: [echo]
    securityContext: {{allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {{drop: [ALL]}}}}
"
    )]);
    space.must(&["wait", "--for=condition=Ready", "pod/least", "--timeout=60s"]);
    for shell in ["sh", "/bin/sh", "bash"] {
        assert!(!space.exec("least", &[shell, "-c", "true"]).ok(), "{shell} runs in the image");
    }
    let found = cluster.wait(Duration::from_secs(30), "an answer on the pod's own port", || {
        let ran = space.exec("least", &["leno-shop", "call", "http://localhost:8080/"]);
        if ran.ok() { Ok(ran.stdout) } else { Err(ran.to_string()) }
    });
    assert!(found.contains("\"method\":\"GET\""), "{found}");
}
