mod incremental;
mod mesh;

use leno_config::{Lowered, RuleHosts};
use leno_core::id::{Origin, SpiffeId};
use leno_core::model::{AddressTarget, DestinationRule, Labels, MtlsMode, PeerAuthentication, RouteTable};

use super::*;
use crate::world::Touched;
use mesh::{key, labels, namespace, peer_authentication, pod, service, slice, table};

fn world(objects: &[(&str, Lowered)]) -> World {
    let mut world = World::new("cluster.local");
    for (kind, piece) in objects {
        world.set(&key(kind, piece), vec![piece.clone()]);
    }
    world
}

fn get(world: &World, kind: ResourceKind, name: &str) -> Option<Resource> {
    build(world, &ResourceName::new(kind, name))
}

fn endpoints_of(world: &World, name: &str) -> Vec<Endpoint> {
    match get(world, ResourceKind::Endpoints, name) {
        Some(Resource::Endpoints(e)) => e.endpoints.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_address_is_a_service_or_a_pod_or_nothing() {
    let world = world(&[
        ("Service", service("shop", "cart", 1, "cart")),
        ("Pod", pod("shop", "cart-1", 1, "cart")),
        ("EndpointSlice", slice("shop", "cart", &[("cart-1", 1)])),
    ]);
    let Some(Resource::Address(vip)) = get(&world, ResourceKind::Address, "10.96.0.1") else { panic!() };
    assert_eq!(vip.target, AddressTarget::Service(ServiceId::new("shop", "cart")));
    let Some(Resource::Address(own)) = get(&world, ResourceKind::Address, "10.244.0.1") else { panic!() };
    let AddressTarget::Workload { workload, ports, .. } = &own.target else { panic!() };
    assert_eq!(workload.identity, Some(SpiffeId::new("cluster.local", "shop", "cart")));
    let ports: Vec<_> = ports.iter().map(|p| (p.port, p.service_port, p.service.to_string())).collect();
    assert_eq!(ports, [(8080, 80, "shop/cart".to_owned())]);
    assert_eq!(get(&world, ResourceKind::Address, "10.9.9.9"), None);
    assert_eq!(get(&world, ResourceKind::Routes, "shop/cart"), None);
    assert_eq!(get(&world, ResourceKind::Endpoints, "shop/none"), None);
}

#[test]
fn callers_hear_which_ports_an_annotation_calls_opaque() {
    let opaque = |ports: &str| Labels::from([("config.linkerd.io/opaque-ports".to_owned(), ports.to_owned())]);
    let protocols = |world: &World| {
        let Some(Resource::Service(service)) = get(world, ResourceKind::Service, "shop/cart") else { panic!() };
        let Some(Resource::Address(own)) = get(world, ResourceKind::Address, "10.244.0.1") else { panic!() };
        let AddressTarget::Workload { ports, .. } = &own.target else { panic!() };
        (service.ports[0].protocol, ports[0].protocol)
    };
    let (cart, cart_1) = (service("shop", "cart", 1, "cart"), pod("shop", "cart-1", 1, "cart"));
    let slice = slice("shop", "cart", &[("cart-1", 1)]);
    let mut world = world(&[("Service", cart.clone()), ("Pod", cart_1.clone()), ("EndpointSlice", slice)]);
    assert_eq!(protocols(&world), (Protocol::Http, Protocol::Http));
    // On the namespace.
    let space = namespace("shop", "70-90");
    world.set(&key("Namespace", &space), vec![space]);
    assert_eq!(protocols(&world), (Protocol::Tcp, Protocol::Tcp));
    // A Service's own annotation counts alone.
    let Lowered::Service(mut spec) = cart.clone() else { panic!() };
    spec.annotations = opaque("443");
    world.set(&key("Service", &cart), vec![Lowered::Service(spec)]);
    assert_eq!(protocols(&world), (Protocol::Http, Protocol::Http));
    // A pod's is for those who dial the pod.
    let Lowered::Pod(mut facts) = cart_1.clone() else { panic!() };
    facts.annotations = opaque("8080");
    world.set(&key("Pod", &cart_1), vec![Lowered::Pod(facts)]);
    assert_eq!(protocols(&world), (Protocol::Http, Protocol::Tcp));
}

#[test]
fn a_rule_for_a_wildcard_holds_where_no_closer_one_does() {
    let rule = |name: &str, hosts: RuleHosts| {
        let origin = Origin { namespace: "istio-system".to_owned(), name: name.to_owned(), ..Origin::default() };
        let rule = DestinationRule { origin, ..DestinationRule::default() };
        Lowered::DestinationRule { hosts, created: 0, rule }
    };
    let suffix = |text: &str| RuleHosts::Suffix(text.to_owned());
    let names = |world: &World, service: &str| -> Vec<String> {
        let Some(Resource::Service(service)) = get(world, ResourceKind::Service, service) else { panic!() };
        service.destination_rules.iter().map(|r| r.origin.name.clone()).collect()
    };
    let mut world = world(&[
        ("Service", service("shop", "cart", 1, "cart")),
        ("Service", service("bank", "till", 2, "till")),
        ("DestinationRule", rule("all", suffix(""))),
        ("DestinationRule", rule("mesh", suffix(".local"))),
        ("DestinationRule", rule("shop", suffix(".shop.svc.cluster.local"))),
        ("DestinationRule", rule("cart", RuleHosts::Service(ServiceId::new("shop", "cart")))),
    ]);
    assert_eq!(names(&world, "shop/cart"), ["cart", "shop", "mesh", "all"]);
    assert_eq!(names(&world, "bank/till"), ["mesh", "all"]);
    let gone = rule("mesh", suffix(".local"));
    world.remove(&key("DestinationRule", &gone));
    assert_eq!(names(&world, "bank/till"), ["all"]);
}

#[test]
fn a_pods_own_proxy_hears_that_it_is_being_deleted() {
    let Lowered::Pod(mut facts) = pod("shop", "cart-1", 1, "cart") else { panic!() };
    facts.terminating = true;
    let world = world(&[("Pod", Lowered::Pod(facts))]);
    let Some(Resource::Address(own)) = get(&world, ResourceKind::Address, "10.244.0.1") else { panic!() };
    assert!(matches!(own.target, AddressTarget::Workload { terminating: true, .. }), "{own:?}");
}

#[test]
fn endpoints_map_ports_by_name_and_say_who_is_ready() {
    let Lowered::EndpointSlice(mut s) = slice("shop", "cart", &[("cart-1", 1), ("cart-2", 2), ("cart-3", 3)]) else {
        panic!()
    };
    s.endpoints[1].ready = false;
    s.endpoints[2].terminating = true;
    let world = world(&[
        ("Service", service("shop", "cart", 1, "cart")),
        ("Pod", pod("shop", "cart-1", 1, "cart")),
        ("Pod", pod("shop", "cart-2", 2, "cart")),
        ("Pod", pod("shop", "cart-3", 3, "cart")),
        ("EndpointSlice", Lowered::EndpointSlice(s)),
    ]);
    let found = endpoints_of(&world, "shop/cart");
    assert_eq!(found.iter().map(|e| e.ready).collect::<Vec<_>>(), [true, false, false]);
    assert_eq!(found[0].ports, [(80, 8080)]);
}

#[test]
fn an_endpoint_waits_for_its_pod() {
    let mut world = world(&[
        ("Service", service("shop", "cart", 1, "cart")),
        ("EndpointSlice", slice("shop", "cart", &[("cart-1", 1)])),
    ]);
    assert_eq!(endpoints_of(&world, "shop/cart"), []);
    world.take_touched();
    let piece = pod("shop", "cart-1", 1, "cart");
    world.set(&key("Pod", &piece), vec![piece]);
    let Touched::Names(touched) = world.take_touched() else { panic!() };
    assert!(touched.contains(&ResourceName::endpoints(&ServiceId::new("shop", "cart"))));
    assert_eq!(endpoints_of(&world, "shop/cart").len(), 1);
}

#[test]
fn a_pod_that_ended_has_no_address() {
    let Lowered::Pod(mut ended) = pod("shop", "job-1", 1, "job") else { panic!() };
    ended.ended = true;
    let world = world(&[("Pod", Lowered::Pod(ended)), ("Pod", pod("shop", "cart-1", 2, "cart"))]);
    assert_eq!(get(&world, ResourceKind::Address, "10.244.0.1"), None);
    assert!(get(&world, ResourceKind::Address, "10.244.0.2").is_some());
}

#[test]
fn ports_with_mtls_disabled_are_told_to_clients() {
    let base = [
        ("Service", service("shop", "cart", 1, "cart")),
        ("Pod", pod("shop", "cart-1", 1, "cart")),
        ("EndpointSlice", slice("shop", "cart", &[("cart-1", 1)])),
    ];
    let mut world = world(&base);
    let plaintext = |world: &World| endpoints_of(world, "shop/cart")[0].workload.plaintext_ports.clone();
    assert!(plaintext(&world).is_empty());

    let mesh_wide = peer_authentication("istio-system", "default", None, MtlsMode::Disable);
    world.set(&key("PeerAuthentication", &mesh_wide), vec![mesh_wide]);
    assert_eq!(plaintext(&world), [8080]);

    let strict = peer_authentication("shop", "default", None, MtlsMode::Strict);
    world.set(&key("PeerAuthentication", &strict), vec![strict]);
    assert!(plaintext(&world).is_empty());

    let Lowered::PeerAuthentication(mut of_port) = peer_authentication("shop", "cart", Some("cart"), MtlsMode::Unset)
    else {
        panic!()
    };
    of_port.ports = vec![(9090, MtlsMode::Disable)];
    let of_port = Lowered::PeerAuthentication(of_port);
    world.set(&key("PeerAuthentication", &of_port), vec![of_port]);
    assert_eq!(plaintext(&world), [9090]);
}

#[test]
fn the_oldest_service_has_a_port_that_several_name() {
    let Lowered::Service(mut old) = service("shop", "zz-old", 1, "cart") else { panic!() };
    let Lowered::Service(mut new) = service("shop", "aa-new", 2, "cart") else { panic!() };
    (old.created, new.created) = (1, 2);
    let world = world(&[
        ("Service", Lowered::Service(new)),
        ("Service", Lowered::Service(old)),
        ("Pod", pod("shop", "cart-1", 1, "cart")),
    ]);
    let Some(Resource::Address(a)) = get(&world, ResourceKind::Address, "10.244.0.1") else { panic!() };
    let AddressTarget::Workload { ports, .. } = &a.target else { panic!() };
    assert_eq!(ports[0].service.name, "zz-old");
    assert_eq!(ports.len(), 1);
}

#[test]
fn the_oldest_service_has_an_address_that_several_claim() {
    let Lowered::Service(mut old) = service("shop", "zz-old", 1, "cart") else { panic!() };
    old.created = -1;
    let world = world(&[("Service", service("shop", "aa-new", 1, "cart")), ("Service", Lowered::Service(old))]);
    let Some(Resource::Address(a)) = get(&world, ResourceKind::Address, "10.96.0.1") else { panic!() };
    assert_eq!(a.target, AddressTarget::Service(ServiceId::new("shop", "zz-old")));
    let claimants = ["zz-old", "aa-new"].map(|name| ServiceId::new("shop", name)).to_vec();
    assert_eq!(world.services().clashes(), [(IpAddr::from([10, 96, 0, 1]), claimants)]);
}

#[test]
fn tables_stand_by_rank_then_age_then_name() {
    let tables = [("split", 1, 0), ("vs-new", 0, 9), ("vs-b", 0, 3), ("vs-a", 0, 3)];
    let mut world = World::new("cluster.local");
    for (name, rank, created) in tables {
        let piece = table("shop", name, "cart", rank, created);
        world.set(&key("VirtualService", &piece), vec![piece]);
    }
    let names = |world: &World| match get(world, ResourceKind::Routes, "shop/cart") {
        Some(Resource::Routes(r)) => r.tables.iter().map(|t: &RouteTable| t.origin.name.clone()).collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    assert_eq!(names(&world), ["vs-a", "vs-b", "vs-new", "split"]);
    let gone = table("shop", "vs-b", "cart", 0, 3);
    world.remove(&key("VirtualService", &gone));
    assert_eq!(names(&world), ["vs-a", "vs-new", "split"]);
}

#[test]
fn what_proxies_would_refuse_is_not_sent_and_the_last_good_one_stays() {
    let mut world = World::new("cluster.local");
    let good = peer_authentication("shop", "default", None, MtlsMode::Strict);
    world.set(&key("PeerAuthentication", &good), vec![good]);
    let mut refresher = Refresher::default();
    refresher.refresh(&world, Touched::All);
    let name = ResourceName::policies("shop");
    let before = refresher.snapshot().get(&name).cloned().unwrap();

    let bad = PeerAuthentication {
        origin: Origin { namespace: "shop".to_owned(), name: "default".to_owned(), ..Origin::default() },
        selector: labels("cart"),
        mode: MtlsMode::Strict,
        ports: vec![(0, MtlsMode::Disable)],
        created: 0,
    };
    let bad = Lowered::PeerAuthentication(bad);
    world.set(&key("PeerAuthentication", &bad), vec![bad]);
    assert_eq!(refresher.refresh(&world, world_touched()).names, []);
    assert_eq!(refresher.snapshot().get(&name), Some(&before));
    assert!(refresher.faults()[&name].contains("ports[0].port is 0"));
}

fn world_touched() -> Touched {
    Touched::All
}
