//! With the injection webhook down, pods outside of the mesh start, and inside none starts unmeshed in silence (issue 4,
//! shown 5).

use std::time::Duration;

use leno_e2e_cluster::{Cluster, INSTALL_NAMESPACE, Mesh, Meshed, Namespace, http_app};

/// The control plane has no pods while this lives.
struct Down<'a>(&'a Cluster, String);

impl<'a> Down<'a> {
    fn new(cluster: &'a Cluster) -> Self {
        let deployment = cluster.get(&["deployment", "leno-control", "-n", INSTALL_NAMESPACE]);
        let before = deployment["spec"]["replicas"].as_u64().unwrap_or(1).to_string();
        let down = Self(cluster, before);
        down.scale("0");
        cluster.must(&[
            "wait",
            "--for=delete",
            "pod",
            "-l",
            "app=leno-control",
            "-n",
            INSTALL_NAMESPACE,
            "--timeout=60s",
        ]);
        down
    }

    fn scale(&self, replicas: &str) {
        self.0.must(&["scale", "deployment/leno-control", "-n", INSTALL_NAMESPACE, &format!("--replicas={replicas}")]);
    }
}

impl Drop for Down<'_> {
    fn drop(&mut self) {
        self.scale(&self.1);
        self.0.rolled_out(INSTALL_NAMESPACE, Duration::from_secs(60));
    }
}

#[test]
fn a_dead_webhook_stops_meshed_pods_only_and_says_so() {
    let cluster = Cluster::connect();
    let _mesh = Mesh::installed(&cluster);
    let inside = Namespace::new(&cluster, "e2e-inside", Meshed::Istio);
    let outside = Namespace::new(&cluster, "e2e-outside", Meshed::No);

    let down = Down::new(&cluster);
    outside.run(&[&http_app("app", "", 1)]);
    inside.apply(&[&http_app("app", "", 1)]);
    let reason = cluster.wait(Duration::from_secs(40), "an event tells why no pod starts", || {
        let events = inside.must(&[
            "get",
            "events",
            "--field-selector=reason=FailedCreate",
            "-o",
            "jsonpath={.items[*].message}",
        ]);
        if events.contains("webhook") { Ok(events) } else { Err(events) }
    });
    assert!(reason.contains("leno"), "the event names the webhook: {reason}");
    assert!(inside.pods("app=app").is_empty(), "no pod starts without its sidecar");
    let check = cluster.leno(&["check"]);
    assert!(!check.ok() && format!("{check}").contains("webhook"), "`leno check` finds it\n{check}");

    drop(down);
    // The controller tries again with growing pauses; a restart spares the scene the wait.
    inside.must(&["rollout", "restart", "deployment/app"]);
    inside.ready();
    assert!(inside.all_meshed("app=app"), "all is well when it is back");
}
