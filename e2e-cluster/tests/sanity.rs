//! What every other scene takes for granted, without Leno: pods run, Services have names and answer, commands run in pods.

use std::time::Duration;

use leno_e2e_cluster::{Cluster, Load, Meshed, Namespace, grpc_app, http_app, service};

#[test]
fn pods_services_names_and_commands_work() {
    let cluster = Cluster::connect();
    let space = Namespace::new(&cluster, "e2e-sanity", Meshed::No);
    space.run(&[
        &http_app("server", "v1", 2),
        &service("server", "app: server", "[{name: http, port: 80, targetPort: 8080}]"),
        &http_app("client", "", 1),
    ]);
    space.reaches("deploy/client", "http://server/");
    // kube-proxy hears of each pod by itself.
    cluster.wait(Duration::from_secs(10), "both pods get requests", || {
        let summary = space.call("deploy/client", "http://server/", 20);
        let both = summary["pods"].as_object().is_some_and(|pods| pods.len() == 2);
        both.then_some(()).ok_or_else(|| summary.to_string())
    });
    for host in ["server", "server.e2e-sanity", "server.e2e-sanity.svc.cluster.local"] {
        let summary = space.call("deploy/client", &format!("http://{host}/"), 20);
        assert_eq!(summary["statuses"]["200"].as_u64(), Some(20), "{host}: {summary}");
        assert_eq!(summary["pods"].as_object().map(serde_json::Map::len), Some(2), "both pods answer: {summary}");
    }
}

#[test]
fn steady_load_on_http_and_grpc_loses_nothing_where_nothing_changes() {
    let cluster = Cluster::connect();
    let space = Namespace::new(&cluster, "e2e-steady", Meshed::No);
    space.run(&[
        &http_app("server", "v1", 1),
        &service("server", "app: server", "[{name: http, port: 80, targetPort: 8080}]"),
        &grpc_app("words", "v1", 1),
        &service("words", "app: words", "[{name: grpc, port: 9090}]"),
        &http_app("client", "", 1),
    ]);
    space.reaches("deploy/client", "http://server/");
    let load = Load::start(&space, "load", "http://server/", 50);
    let calls = space.exec_json("deploy/client", &["leno-shop", "grpc-call", "words:9090", "-n", "20", "--json"]);
    assert_eq!(calls["failed"].as_u64(), Some(0), "{calls}");
    assert_eq!(calls["versions"]["v1"].as_u64(), Some(20), "{calls}");
    std::thread::sleep(Duration::from_secs(2));
    load.stop().assert_none_failed("two quiet seconds");
}
