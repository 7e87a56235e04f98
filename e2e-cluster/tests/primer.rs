//! The primer's commands and YAML in its order, on an app with two versions, over HTTP and over gRPC (issue 4, shown 1).

use std::time::Duration;

use leno_e2e_cluster::{Cluster, Mesh, Meshed, Namespace, grpc_app, http_app, primer, service};
use serde_json::Value;

#[derive(Clone, Copy)]
enum Protocol {
    Http,
    Grpc,
}

impl Protocol {
    fn app(self) -> Vec<String> {
        let (port, make): (_, fn(&str, &str, u32) -> String) = match self {
            Self::Http => ("[{name: http, port: 8080}]", http_app),
            Self::Grpc => ("[{name: grpc, port: 9090}]", grpc_app),
        };
        vec![
            make("my-service", "v1", 1),
            make("my-service", "v2", 1),
            service("my-service", "app: my-service", port),
            service("my-service-v1", "app: my-service, version: v1", port),
            service("my-service-v2", "app: my-service, version: v2", port),
            http_app("web", "", 1),
        ]
    }

    fn call(self, space: &Namespace, from: &str, requests: u32) -> Value {
        let number = requests.to_string();
        let mut command = match self {
            Self::Http => vec!["leno-shop", "call", "http://my-service.myapp:8080/"],
            Self::Grpc => vec!["leno-shop", "grpc-call", "my-service.myapp:9090"],
        };
        command.extend(["-n", &number, "-c", "8", "--json"]);
        space.exec_json(from, &command)
    }

    fn failed(self, space: &Namespace, from: &str) -> bool {
        let summary = self.call(space, from, 3);
        summary["failed"].as_u64() == Some(3)
    }
}

/// Waits until v2's share of 500 requests is about a tenth, and none of them fails.
fn about_a_tenth_to_v2(cluster: &Cluster, space: &Namespace, protocol: Protocol) {
    cluster.wait(Duration::from_secs(20), "a tenth of the requests goes to v2", || {
        let summary = protocol.call(space, "deploy/web", 500);
        assert_eq!(summary["failed"].as_u64(), Some(0), "requests failed: {summary}");
        match summary["versions"]["v2"].as_u64() {
            Some(20..=90) => Ok(()),
            _ => Err(summary["versions"].to_string()),
        }
    });
}

fn run(protocol: Protocol) {
    let cluster = Cluster::connect();
    let _mesh = Mesh::installed(&cluster);
    let app = protocol.app();
    let yaml: Vec<_> = app.iter().map(String::as_str).collect();

    // Pods from before the namespace was labelled have no sidecar until they are restarted.
    let space = Namespace::new(&cluster, "myapp", Meshed::No);
    space.run(&yaml);
    cluster.shell("kubectl label namespace myapp istio-injection=enabled");
    assert!(!space.all_meshed("app=my-service"), "no pod had a sidecar yet");
    cluster.shell("kubectl rollout restart deployment -n myapp");
    space.ready();
    for app in ["app=my-service", "app=web"] {
        assert!(space.all_meshed(app), "{app} is meshed after its restart");
    }

    let outside = Namespace::new(&cluster, "outside", Meshed::No);
    outside.run(&[&http_app("stranger", "", 1)]);
    cluster.wait(Duration::from_secs(20), "PERMISSIVE, the default, lets plain text in", || {
        if protocol.failed(&outside, "deploy/stranger") { Err("plain text is refused".into()) } else { Ok(()) }
    });
    cluster.apply("myapp", primer::STRICT);
    cluster.wait(Duration::from_secs(15), "STRICT keeps plain text out", || {
        if protocol.failed(&outside, "deploy/stranger") { Ok(()) } else { Err("plain text is answered".into()) }
    });

    space.apply(&[primer::CANARY]);
    about_a_tenth_to_v2(&cluster, &space, protocol);
    space.must(&["delete", "virtualservice,destinationrule", "my-service"]);

    space.apply(&[primer::SPLIT]);
    about_a_tenth_to_v2(&cluster, &space, protocol);
    space.must(&["delete", "trafficsplit", "my-service"]);

    space.apply(&[primer::RETRIES]);
    let after = protocol.call(&space, "deploy/web", 100);
    assert_eq!(after["failed"].as_u64(), Some(0), "with retries: {after}");

    cluster.shell("leno viz install | kubectl apply -f -");
    cluster.rolled_out("leno-system", Duration::from_secs(60));
    cluster.wait(Duration::from_secs(40), "golden signals of both versions", || {
        let _ = protocol.call(&space, "deploy/web", 50);
        let table = cluster.shell("leno viz stat deploy -n myapp");
        if table.contains("my-service-v1") && table.contains("my-service-v2") { Ok(()) } else { Err(table) }
    });
    cluster.shell("leno check");
}

#[test]
fn a_the_primer_over_http() {
    run(Protocol::Http);
}

#[test]
fn b_the_primer_over_grpc() {
    run(Protocol::Grpc);
}

#[test]
fn c_the_primers_way_of_linkerd_through_kubectl() {
    let cluster = Cluster::connect();
    Mesh::remove(&cluster);
    cluster.shell("leno install --crds | kubectl apply -f -");
    cluster.shell(&format!("leno install{} | kubectl apply -f -", Mesh::images()));
    cluster.shell("leno viz install | kubectl apply -f -");
    cluster.rolled_out("leno-system", Duration::from_secs(120));
    let space = Namespace::new(&cluster, "myapp", Meshed::No);
    cluster.shell("kubectl annotate namespace myapp linkerd.io/inject=enabled");
    // The label that the webhook goes by is mirrored from the annotation.
    cluster.wait(Duration::from_secs(15), "the namespace is known as meshed", || {
        let meta = cluster.get(&["namespace", "myapp"]);
        match meta["metadata"]["labels"]["leno.dev/injection"].as_str() {
            Some("enabled") => Ok(()),
            other => Err(format!("label leno.dev/injection: {other:?}")),
        }
    });
    let app = Protocol::Http.app();
    space.run(&app.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(space.all_meshed("app=my-service") && space.all_meshed("app=web"), "the annotation meshes");
    space.apply(&[primer::SPLIT]);
    about_a_tenth_to_v2(&cluster, &space, Protocol::Http);
    cluster.shell("leno check");
}
