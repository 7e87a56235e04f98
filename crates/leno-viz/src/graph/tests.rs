//! `load` calls `web` through its service, `web` calls `s`, whose v1 fails half of the time; the mesh's retries hide it.

use leno_core::samples::{RequestSample, Samples};

use super::*;
use crate::rules::Split;
use crate::window::ProxyId;

const BEGIN: u64 = 1_000_000;
const NOW: u64 = BEGIN + 60_000;

fn peer(workload: &str) -> PeerLabels {
    PeerLabels {
        namespace: "a".to_owned(),
        workload: workload.to_owned(),
        kind: "deployment".to_owned(),
        pod: format!("{workload}-1"),
        principal: format!("spiffe://cluster.local/ns/a/sa/{workload}"),
    }
}

fn sample(direction: Direction, from: &str, to: &str, service: &str, status: u16, count: u64) -> RequestSample {
    let outbound = direction == Direction::Outbound;
    let mut sketch = Sketch::default();
    for _ in 0..count {
        sketch.record(Duration::from_millis(10));
    }
    RequestSample {
        labels: RequestLabels {
            direction,
            source: if from.is_empty() { PeerLabels::default() } else { peer(from) },
            destination: peer(to),
            service: Some(ServiceId::new("a", service)),
            route: if outbound { "canary".to_owned() } else { String::new() },
            mtls: !from.is_empty(),
            status,
            grpc: None,
            reason: "answered".to_owned(),
            policy: String::new(),
        },
        flags: "-".to_owned(),
        count,
        tries: count,
        retries: 0,
        sketch,
    }
}

fn window() -> Window {
    let mut window = Window::new(Duration::from_secs(600), BEGIN);
    let mut tell = |workload: &str, requests: Vec<RequestSample>| {
        let told = |requests| Samples {
            namespace: "a".to_owned(),
            pod: format!("{workload}-1"),
            workload: workload.to_owned(),
            kind: "deployment".to_owned(),
            started_ms: BEGIN,
            requests,
            ..Samples::default()
        };
        window.record(told(requests), NOW);
    };
    use Direction::{Inbound, Outbound};
    tell(
        "web",
        vec![
            sample(Inbound, "", "web", "web", 200, 60),
            sample(Outbound, "web", "s-v1", "s", 200, 45),
            sample(Outbound, "web", "s-v2", "s", 200, 15),
        ],
    );
    tell("s-v1", vec![sample(Inbound, "web", "s-v1", "s", 200, 45), sample(Inbound, "web", "s-v1", "s", 503, 45)]);
    tell("s-v2", vec![sample(Inbound, "web", "s-v2", "s", 200, 15)]);
    window
}

fn rules() -> Rules {
    let shares = BTreeMap::from([("s-v1".to_owned(), 0.9), ("s-v2".to_owned(), 0.1)]);
    let split = Split { namespace: "a".to_owned(), service: "s".to_owned(), route: "canary".to_owned(), shares };
    Rules { splits: vec![split], ..Rules::default() }
}

fn find<'g>(graph: &'g Graph, from: &str, to: &str) -> &'g Edge {
    let found = graph.edges.iter().find(|e| e.from.ends_with(from) && e.to.ends_with(to));
    found.unwrap_or_else(|| panic!("no edge {from} -> {to}: {graph:#?}"))
}

#[test]
fn services_stand_between_workloads() {
    let graph = graph(&window(), &Rules::default(), None, Duration::from_secs(60), NOW);
    let ends: Vec<String> = graph.edges.iter().map(|e| format!("{} {}", e.from, e.to)).collect();
    assert_eq!(
        ends,
        [
            "workload/a/deployment/web service/a/s",
            "service/a/s workload/a/deployment/s-v1",
            "service/a/s workload/a/deployment/s-v2",
            "service/a/web workload/a/deployment/web",
            "unknown service/a/web",
        ]
    );
    assert_eq!(find(&graph, "unknown", "web").secured, Some(Secured::Plaintext));
    assert_eq!(find(&graph, "deployment/web", "service/a/s").secured, Some(Secured::Mtls));
    let all = Covered { from_ms: BEGIN, to_ms: NOW };
    assert!(graph.nodes.iter().all(|n| n.covered == (n.signals.requests > 0).then_some(all)), "{:#?}", graph.nodes);
}

#[test]
fn failures_that_retries_hide_are_behind_the_service() {
    let graph = graph(&window(), &Rules::default(), None, Duration::from_secs(60), NOW);
    let before = find(&graph, "deployment/web", "service/a/s");
    let behind = find(&graph, "service/a/s", "s-v1");
    assert_eq!((before.signals.success, before.signals.requests), (Some(1.0), 60));
    assert_eq!((behind.signals.success, behind.signals.requests), (Some(0.5), 90));
    let failure = &behind.failures[0];
    assert_eq!((failure.status, failure.count, behind.failures.len()), (503, 45, 1));
    assert!((before.signals.rps - 1.0).abs() < 1e-9);
}

#[test]
fn shares_wanted_and_seen() {
    let graph = graph(&window(), &rules(), None, Duration::from_secs(60), NOW);
    let v1 = find(&graph, "service/a/s", "s-v1");
    let v2 = find(&graph, "service/a/s", "s-v2");
    assert_eq!((v1.wanted, v1.seen), (Some(0.9), Some(0.75)));
    assert_eq!((v2.wanted, v2.seen), (Some(0.1), Some(0.25)));
    assert_eq!(find(&graph, "unknown", "service/a/web").wanted, None);
}

#[test]
fn a_namespace_narrows_and_a_quiet_workload_stays() {
    let mut window = window();
    let quiet =
        Samples { namespace: "b".to_owned(), pod: "q-1".to_owned(), workload: "q".to_owned(), ..Samples::default() };
    window.record(quiet, NOW);
    let ids = |window: &Window, namespace| -> Vec<String> {
        graph(window, &Rules::default(), namespace, Duration::from_secs(60), NOW)
            .nodes
            .into_iter()
            .map(|n| n.id)
            .collect()
    };
    assert_eq!(ids(&window, Some("b")), ["workload/b//q"]);
    assert!(!ids(&window, Some("a")).contains(&"workload/b//q".to_owned()));
    assert!(ids(&window, None).contains(&"workload/b//q".to_owned()));
    window.gone(&ProxyId { namespace: "b".to_owned(), pod: "q-1".to_owned() });
    let gone = graph(&window, &Rules::default(), Some("b"), Duration::from_secs(60), NOW);
    assert_eq!(gone.nodes.iter().map(|n| n.pods).sum::<u64>(), 0);
}

#[test]
fn reasons_have_words() {
    assert_eq!(words("answered"), "the upstream answered");
    assert_eq!(words("of_a_later_version"), "");
}

#[test]
fn a_request_that_reached_nobody_is_not_plaintext() {
    let mut window = window();
    let mut lost = sample(Direction::Outbound, "web", "", "gone", 503, 5);
    lost.labels.destination = PeerLabels::default();
    lost.labels.mtls = false;
    let requests = vec![lost];
    let id = |workload: &str| (format!("{workload}-1"), workload.to_owned());
    let (pod, workload) = id("web");
    let told = Samples {
        namespace: "a".to_owned(),
        pod,
        workload,
        kind: "deployment".to_owned(),
        started_ms: BEGIN,
        requests,
        ..Samples::default()
    };
    window.record(told, NOW + 1000);
    let graph = graph(&window, &Rules::default(), None, Duration::from_secs(60), NOW + 1000);
    assert_eq!(find(&graph, "deployment/web", "service/a/gone").secured, None);
}
