//! A world that was changed step by step is the world that is built at once.

use std::time::Instant;

use leno_config::gateway::RouteKind;
use leno_config::{Lowered, RuleHosts};
use leno_core::id::{Origin, ServiceId};
use leno_core::model::{DestinationRule, MeshConfig, MtlsMode};
use leno_xds::snapshot::Snapshot;
use leno_xds::wire::ResourceKind;
use proptest::prelude::*;

use super::mesh::{key, mesh_route, namespace as namespace_of, peer_authentication, pod, service, slice, table};
use crate::build::Refresher;
use crate::world::{Touched, World};

#[derive(Clone, Debug)]
enum Op {
    Set(&'static str, Box<Lowered>),
    Remove(&'static str, Box<Lowered>),
    Refresh,
}

/// Few names, addresses and labels, so that objects meet.
fn piece() -> impl Strategy<Value = (&'static str, Lowered)> {
    let namespace = || prop::sample::select(vec!["a", "b"]);
    let app = || prop::sample::select(vec!["x", "y"]);
    let mode =
        || prop::sample::select(vec![MtlsMode::Unset, MtlsMode::Disable, MtlsMode::Permissive, MtlsMode::Strict]);
    let pods = prop::collection::vec((prop::sample::select(vec!["p1", "p2", "p3", ""]), 1..4_u16), 0..3);
    let selector = prop::sample::select(vec!["x", "y", ""]);
    prop_oneof![
        (namespace(), app(), 1..4_u16, selector, 0..3_i64, any::<bool>()).prop_map(
            |(ns, name, n, app, created, named)| {
                let Lowered::Service(mut spec) = service(ns, name, n, app) else { unreachable!() };
                spec.created = created;
                if named {
                    spec.ports[0].1 = leno_config::TargetPort::Name("web".to_owned());
                }
                ("Service", Lowered::Service(spec))
            }
        ),
        (namespace(), prop::sample::select(vec!["p1", "p2", "p3"]), 1..4_u16, app(), any::<[bool; 3]>()).prop_map(
            |(ns, name, n, app, [ended, meshed, named])| {
                let Lowered::Pod(mut facts) = pod(ns, name, n, app) else { unreachable!() };
                (facts.ended, facts.meshed) = (ended, meshed);
                if named {
                    facts.ports = vec![("web".to_owned(), 9000)];
                }
                ("Pod", Lowered::Pod(facts))
            }
        ),
        (namespace(), app(), pods, any::<bool>()).prop_map(|(ns, name, pods, ready)| {
            let Lowered::EndpointSlice(mut s) = slice(ns, name, &pods) else { unreachable!() };
            s.endpoints.iter_mut().for_each(|e| e.ready = ready);
            ("EndpointSlice", Lowered::EndpointSlice(s))
        }),
        (namespace(), app(), app(), 0..2_u8, 0..3_i64)
            .prop_map(|(ns, name, host, rank, created)| ("VirtualService", table(ns, name, host, rank, created))),
        (namespace(), app(), app(), app(), any::<bool>()).prop_map(|(ns, name, parent, backend, grpc)| {
            let kind = if grpc { RouteKind::Grpc } else { RouteKind::Http };
            ("HTTPRoute", mesh_route(ns, name, parent, backend, kind))
        }),
        (namespace(), app(), rule_hosts(), 0..3_i64).prop_map(|(ns, name, hosts, created)| {
            let origin = Origin { namespace: ns.to_owned(), name: name.to_owned(), ..Origin::default() };
            let rule = DestinationRule { origin, ..DestinationRule::default() };
            ("DestinationRule", Lowered::DestinationRule { hosts, created, rule })
        }),
        (prop::sample::select(vec!["a", "b", "istio-system", "root"]), app(), of_app(), mode(), mode()).prop_map(
            |(ns, name, app, mode, port)| {
                let Lowered::PeerAuthentication(mut p) = peer_authentication(ns, name, app, mode) else {
                    unreachable!()
                };
                p.ports = vec![(8080, port)];
                ("PeerAuthentication", Lowered::PeerAuthentication(p))
            }
        ),
        (namespace(), prop::sample::select(vec!["", "80", "8080"]))
            .prop_map(|(ns, ports)| ("Namespace", namespace_of(ns, ports))),
        prop::sample::select(vec!["istio-system", "root"]).prop_map(|root| {
            let mesh = MeshConfig { root_namespace: root.to_owned(), ..MeshConfig::default() };
            ("ConfigMap", Lowered::Mesh(mesh))
        }),
    ]
}

fn rule_hosts() -> impl Strategy<Value = RuleHosts> {
    let suffixes = ["", ".local", ".a.svc.cluster.local", ".example.com"];
    prop_oneof![
        prop::sample::select(vec!["x", "y"]).prop_map(|host| RuleHosts::Service(ServiceId::new("a", host))),
        prop::sample::select(suffixes.to_vec()).prop_map(|suffix| RuleHosts::Suffix(suffix.to_owned())),
    ]
}

fn of_app() -> impl Strategy<Value = Option<&'static str>> {
    prop::sample::select(vec![None, Some("x"), Some("y")])
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => piece().prop_map(|(kind, piece)| Op::Set(kind, Box::new(piece))),
        2 => piece().prop_map(|(kind, piece)| Op::Remove(kind, Box::new(piece))),
        1 => Just(Op::Refresh),
    ]
}

fn contents(snapshot: &Snapshot) -> Vec<(ResourceKind, String, Vec<u8>)> {
    let mut all: Vec<_> = ResourceKind::ALL
        .into_iter()
        .flat_map(|kind| snapshot.iter(kind).map(move |(key, e)| (kind, key.to_string(), e.bytes.to_vec())))
        .collect();
    all.sort();
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn step_by_step_is_as_at_once(ops in prop::collection::vec(op(), 0..40)) {
        let mut world = World::new("cluster.local");
        let mut refresher = Refresher::default();
        let touched = world.take_touched();
        refresher.refresh(&world, touched);
        for op in ops {
            match op {
                Op::Set(kind, piece) => {
                    world.set(&key(kind, &piece), vec![*piece]);
                }
                Op::Remove(kind, piece) => {
                    world.remove(&key(kind, &piece));
                }
                Op::Refresh => {
                    let touched = world.take_touched();
                    refresher.refresh(&world, touched);
                }
            }
        }
        let touched = world.take_touched();
        refresher.refresh(&world, touched);
        let mut anew = Refresher::default();
        anew.refresh(&world, Touched::All);
        prop_assert_eq!(contents(refresher.snapshot()), contents(anew.snapshot()));
    }
}

#[test]
fn an_equal_object_touches_nothing() {
    let mut world = World::new("cluster.local");
    let piece = service("a", "x", 1, "x");
    assert!(world.set(&key("Service", &piece), vec![piece.clone()]));
    world.take_touched();
    assert!(!world.set(&key("Service", &piece), vec![piece]));
    assert!(world.take_touched().is_empty());
}

/// Prints how long the mesh of the plan takes: 2,000 services with two pods each.
#[test]
fn a_large_mesh_is_built_fast() {
    let mut world = World::new("cluster.local");
    for i in 0..2000_u16 {
        let (app, ns) = (format!("app-{i}"), format!("ns-{}", i % 20));
        let pods = [format!("{app}-0"), format!("{app}-1")];
        let piece = service(&ns, &app, i, &app);
        world.set(&key("Service", &piece), vec![piece]);
        for (n, name) in pods.iter().enumerate() {
            let piece = pod(&ns, name, 2 * i + u16::try_from(n).unwrap(), &app);
            world.set(&key("Pod", &piece), vec![piece]);
        }
        let piece = slice(&ns, &app, &[(&pods[0], 2 * i), (&pods[1], 2 * i + 1)]);
        world.set(&key("EndpointSlice", &piece), vec![piece]);
    }
    let mut refresher = Refresher::default();
    let start = Instant::now();
    let all = refresher.refresh(&world, Touched::All);
    let whole = start.elapsed();

    world.take_touched();
    let change = slice("ns-7", "app-7", &[("app-7-0", 14)]);
    let start = Instant::now();
    world.set(&key("EndpointSlice", &change), vec![change]);
    let touched = world.take_touched();
    let one = refresher.refresh(&world, touched);
    println!("{} resources in {whole:?}, one endpoint change in {:?}", all.built, start.elapsed());
    assert_eq!(all.built, 1 + 2000 * 3 + 4000);
    assert_eq!((one.built, one.names.len()), (1, 1));
}
