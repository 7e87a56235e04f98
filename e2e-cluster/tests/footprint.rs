//! What Leno costs a cluster: memory, time to install, and what injection adds to a pod's start (issue 4, shown 8).
//!
//! `cargo test -p leno-e2e-cluster --test footprint -- --nocapture` prints the figures.

use std::time::{Duration, Instant};

use leno_e2e_cluster::{Cluster, Mesh, Meshed, Namespace, http_app};

/// Starts of each kind of pod.
const STARTS: usize = 10;

/// From the creation of a pod to its readiness, in milliseconds: the median of some starts, one after the other.
fn start(space: &Namespace) -> Duration {
    let mut times: Vec<Duration> = (0..STARTS)
        .map(|_| {
            let begun = Instant::now();
            space.must(&["scale", "deployment/server", "--replicas", "1"]);
            space.must(&["rollout", "status", "deployment/server", "--timeout", "60s"]);
            let took = begun.elapsed();
            space.must(&["scale", "deployment/server", "--replicas", "0"]);
            space.must(&["wait", "--for", "delete", "pod", "-l", "app=server", "--timeout", "60s"]);
            took
        })
        .collect();
    times.sort_unstable();
    times[STARTS / 2]
}

/// What the first pod with a label says of itself, through the API server.
fn metrics(cluster: &Cluster, namespace: &str, selector: &str, port: u16, page: &str) -> String {
    let pods = cluster.get(&["pods", "-n", namespace, "-l", selector]);
    let pod = pods["items"][0]["metadata"]["name"].as_str().expect("a pod").to_owned();
    cluster.must(&["get", "--raw", &format!("/api/v1/namespaces/{namespace}/pods/{pod}:{port}/proxy/{page}")])
}

/// Resident memory in MiB.
fn memory(cluster: &Cluster, namespace: &str, selector: &str, port: u16, page: &str) -> f64 {
    figure(&metrics(cluster, namespace, selector, port, page), "process_resident_memory_bytes") / 1024.0 / 1024.0
}

/// Seconds of CPU that the sidecar has used.
fn cpu(cluster: &Cluster) -> f64 {
    figure(&metrics(cluster, "e2e-foot", "app=server", 15020, "stats/prometheus"), "process_cpu_seconds_total")
}

/// A figure of Prometheus' text.
fn figure(metrics: &str, name: &str) -> f64 {
    let line = metrics.lines().find(|l| l.starts_with(name) && !l.starts_with('#'));
    line.and_then(|l| l.split_whitespace().last()?.parse().ok()).unwrap_or_else(|| panic!("no {name} in:\n{metrics}"))
}

#[test]
fn what_it_costs_is_printed_and_bounded() {
    let cluster = Cluster::connect();
    let begun = Instant::now();
    let _mesh = Mesh::fresh(&cluster);
    println!("FIGURE install until ready: {:.1} s", begun.elapsed().as_secs_f64());

    let plain = Namespace::new(&cluster, "e2e-foot-plain", Meshed::No);
    plain.run(&[&http_app("server", "", 0)]);
    let meshed = Namespace::new(&cluster, "e2e-foot", Meshed::Istio);
    meshed.run(&[&http_app("server", "", 0)]);
    let (without, with) = (start(&plain), start(&meshed));
    println!(
        "FIGURE pod start, median of {STARTS}: {} ms without, {} ms with a sidecar: {} ms more",
        without.as_millis(),
        with.as_millis(),
        with.as_millis().saturating_sub(without.as_millis())
    );

    meshed.must(&["scale", "deployment/server", "--replicas", "1"]);
    meshed.ready();
    std::thread::sleep(Duration::from_secs(8));
    let sidecar = memory(&cluster, "e2e-foot", "app=server", 15020, "stats/prometheus");
    let used = cpu(&cluster);
    std::thread::sleep(Duration::from_secs(10));
    let used = (cpu(&cluster) - used) / 10.0;
    println!("FIGURE sidecar at rest: {sidecar:.1} MiB, {:.2} % of a core", used * 100.0);

    let control = memory(&cluster, "leno-system", "app=leno-control", 15014, "metrics");
    println!("FIGURE control plane: {control:.1} MiB");
    assert!(sidecar <= 12.0 && control <= 150.0, "sidecar {sidecar}, control plane {control}");
}
