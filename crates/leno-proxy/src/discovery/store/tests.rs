use std::net::Ipv4Addr;

use leno_core::id::Origin;
use leno_core::model::route::ExportTo;
use leno_core::model::{DestinationRule, Endpoint, Labels, MeshConfig, RouteTable, ServiceKind, Workload};

use super::*;

const OWN: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 244, 0, 9));

fn ip(last: u8) -> IpAddr {
    IpAddr::from([10, 96, 0, last])
}

fn store() -> Store {
    let workload = Workload { namespace: "shop".to_owned(), pod: "web-1".to_owned(), ..Workload::default() };
    Store::new(Arc::new(Own::new(workload)), vec![OWN])
}

fn api() -> ServiceId {
    ServiceId::new("shop", "api")
}

fn service() -> Service {
    Service { id: api(), kind: ServiceKind::ClusterIp, vips: vec![ip(1)], ports: Vec::new(), destination_rules: vec![] }
}

fn endpoints(count: u8) -> Endpoints {
    let endpoint = |i| Endpoint { ip: ip(100 + i), ports: vec![(80, 8080)], ready: true, workload: Arc::default() };
    Endpoints { service: api(), endpoints: (0..count).map(endpoint).collect() }
}

fn table(namespace: &str) -> RouteTable {
    let origin = Origin { namespace: namespace.to_owned(), ..Origin::default() };
    RouteTable { origin, export_to: ExportTo::All, ..RouteTable::default() }
}

fn give(store: &mut Store, resource: Resource) -> Vec<Command> {
    store.apply(Event::Update(resource.name(), resource, String::new()))
}

fn give_service(store: &mut Store, service: Service) {
    give(store, Resource::Service(Arc::new(service)));
}

fn give_endpoints(store: &mut Store, count: u8) {
    give(store, Resource::Endpoints(Arc::new(endpoints(count))));
}

fn no_routes(store: &mut Store) {
    store.apply(Event::Absent(ResourceName::routes(&api())));
}

fn pod(namespace: &str, pod: &str, labels: &[(&str, &str)]) -> Resource {
    let labels: Labels = labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let workload = Workload { namespace: namespace.to_owned(), pod: pod.to_owned(), labels, ..Workload::default() };
    let target = AddressTarget::Workload { workload: Arc::new(workload), ports: Vec::new(), terminating: false };
    Resource::Address(Arc::new(Address { ip: OWN, target }))
}

fn policies(namespace: &str) -> Resource {
    Resource::Policies(Arc::new(Policies { namespace: namespace.to_owned(), ..Policies::default() }))
}

fn mesh(root: &str) -> Resource {
    Resource::Mesh(Arc::new(MeshConfig { root_namespace: root.to_owned(), ..MeshConfig::default() }))
}

fn subscribe(name: ResourceName) -> Command {
    Command::Subscribe(name)
}

#[test]
fn the_first_question_subscribes_and_later_ones_are_answered_from_here() {
    let mut s = store();
    let (answer, commands) = s.address(ip(1));
    assert!(answer.is_none());
    assert_eq!(commands, [subscribe(ResourceName::address(ip(1)))]);
    assert_eq!(s.address(ip(1)).1, [], "one subscription is enough");

    let address = Arc::new(Address { ip: ip(1), target: AddressTarget::Service(api()) });
    give(&mut s, Resource::Address(Arc::clone(&address)));
    assert_eq!(s.known_address(ip(1)), Some(Lookup::Found(address)));

    s.address(ip(2));
    s.apply(Event::Absent(ResourceName::address(ip(2))));
    assert_eq!(s.known_address(ip(2)), Some(Lookup::Absent), "a negative answer is kept too");
}

#[test]
fn an_absent_address_that_comes_to_exist_is_found() {
    let mut s = store();
    s.address(ip(1));
    s.apply(Event::Absent(ResourceName::address(ip(1))));
    let address = Arc::new(Address { ip: ip(1), target: AddressTarget::Service(api()) });
    give(&mut s, Resource::Address(address));
    assert!(matches!(s.known_address(ip(1)), Some(Lookup::Found(_))));
}

#[test]
fn loopback_and_the_like_are_not_worth_a_question() {
    let mut s = store();
    for text in ["127.0.0.1", "::1", "169.254.169.254", "224.0.0.1", "0.0.0.0", "::ffff:127.0.0.1"] {
        assert_eq!(s.address(text.parse().unwrap()), (Some(Lookup::Absent), Vec::new()), "{text}");
    }
}

#[test]
fn a_service_is_found_once_all_three_parts_are_known() {
    let mut s = store();
    let (_, commands) = s.service(&api());
    assert_eq!(commands.len(), 3);
    give_service(&mut s, service());
    assert!(s.known_service(&api()).is_none(), "without endpoints it would be called dead");
    give_endpoints(&mut s, 2);
    assert!(s.known_service(&api()).is_none(), "without routes requests would go astray");
    no_routes(&mut s);
    let Some(Lookup::Found(handle)) = s.known_service(&api()) else { panic!("not found") };
    let view = handle.current();
    assert_eq!((view.endpoints.endpoints.len(), view.routes.is_none(), view.generation), (2, true, 1));
}

#[test]
fn a_change_of_endpoints_leaves_routes_and_rule_as_they_are() {
    let mut s = store();
    s.service(&api());
    let rule = DestinationRule {
        origin: Origin { namespace: "shop".to_owned(), ..Origin::default() },
        ..DestinationRule::default()
    };
    give_service(&mut s, Service { destination_rules: vec![rule], ..service() });
    give_endpoints(&mut s, 1);
    give(&mut s, Resource::Routes(Arc::new(Routes { service: api(), tables: vec![table("shop")] })));
    let Some(Lookup::Found(handle)) = s.known_service(&api()) else { panic!("not found") };
    let before = handle.current();
    give_endpoints(&mut s, 3);
    let after = handle.current();
    assert_eq!(after.endpoints.endpoints.len(), 3);
    assert!(after.generation > before.generation);
    assert!(Arc::ptr_eq(before.routes.as_ref().unwrap(), after.routes.as_ref().unwrap()));
    assert!(Arc::ptr_eq(before.rule.as_ref().unwrap(), after.rule.as_ref().unwrap()));
}

#[test]
fn a_service_that_goes_closes_its_handle_and_gets_a_new_one_when_it_returns() {
    let mut s = store();
    s.service(&api());
    give_service(&mut s, service());
    give_endpoints(&mut s, 1);
    no_routes(&mut s);
    let Some(Lookup::Found(first)) = s.known_service(&api()) else { panic!("not found") };
    s.apply(Event::Absent(ResourceName::service(&api())));
    assert!(first.is_closed());
    assert!(matches!(s.known_service(&api()), Some(Lookup::Absent)));
    give_service(&mut s, service());
    let Some(Lookup::Found(second)) = s.known_service(&api()) else { panic!("not found") };
    assert!(!second.is_closed() && !Arc::ptr_eq(&first, &second));
}

#[test]
fn what_nobody_uses_for_five_minutes_is_dropped_and_what_is_used_stays() {
    let mut s = store();
    s.begin();
    s.address(ip(1));
    s.service(&api());
    give_service(&mut s, service());
    give_endpoints(&mut s, 1);
    no_routes(&mut s);
    let Some(Lookup::Found(handle)) = s.known_service(&api()) else { panic!("not found") };
    for _ in 0..IDLE_TICKS * 2 {
        let _ = handle.view();
        let commands = s.tick();
        assert!(!commands.contains(&Command::Unsubscribe(ResourceName::service(&api()))), "in use");
    }
    assert!(s.known_address(ip(1)).is_none(), "dropped");
    assert!(!handle.is_closed());
    let dropped: Vec<Command> = (0..IDLE_TICKS).flat_map(|_| s.tick()).collect();
    assert_eq!(dropped, service_resources(&api()).map(Command::Unsubscribe));
    assert!(handle.is_closed());
    assert!(s.addresses.contains_key(&OWN), "the pod's own address is never dropped");
}

#[test]
fn a_scan_of_the_network_does_not_fill_the_memory() {
    let mut s = store();
    s.begin();
    s.address(ip(1));
    give(&mut s, Resource::Address(Arc::new(Address { ip: ip(1), target: AddressTarget::Service(api()) })));
    for i in 0..20_000_u32 {
        let scanned = IpAddr::V4(Ipv4Addr::from(0x0b00_0000 + i));
        s.address(scanned);
        if i % 2 == 0 {
            s.apply(Event::Absent(ResourceName::address(scanned)));
        }
    }
    assert!(s.addresses.len() <= MAX_ADDRESSES);
    assert!(s.addresses.contains_key(&OWN) && s.addresses.contains_key(&ip(1)), "what is of use stays");
}

#[test]
fn readiness_needs_the_pod_the_mesh_and_both_namespaces_policies() {
    let mut s = store();
    let begin = s.begin();
    assert_eq!(
        begin,
        [
            subscribe(ResourceName::mesh()),
            subscribe(ResourceName::policies("shop")),
            subscribe(ResourceName::address(OWN)),
        ]
    );
    assert_eq!(give(&mut s, mesh("istio-system")), [subscribe(ResourceName::policies("istio-system"))]);
    give(&mut s, policies("istio-system"));
    s.apply(Event::Absent(ResourceName::policies("shop")));
    assert!(!s.own().complete);
    assert_eq!(s.missing(), ["the pod's own address"]);
    give(&mut s, pod("shop", "web-1", &[("app", "web")]));
    assert!(s.own().complete);
    assert_eq!(s.own().viewer.labels["app"], "web");
}

#[test]
fn an_address_that_is_still_known_as_another_pods_says_nothing_of_this_one() {
    let mut s = store();
    s.begin();
    give(&mut s, pod("shop", "predecessor-7", &[("app", "old")]));
    assert!(s.own().viewer.labels.is_empty());
    assert!(s.missing().contains(&"the pod's own address"));
}

#[test]
fn in_the_root_namespace_there_is_one_set_of_policies() {
    let mut s = store();
    s.begin();
    assert_eq!(give(&mut s, mesh("shop")), [], "subscribed already");
    give(&mut s, policies("shop"));
    give(&mut s, pod("shop", "web-1", &[]));
    assert!(s.own().complete);
}

#[test]
fn another_root_namespace_is_followed() {
    let mut s = store();
    s.begin();
    give(&mut s, mesh("istio-system"));
    let commands = give(&mut s, mesh("mesh-root"));
    let old = Command::Unsubscribe(ResourceName::policies("istio-system"));
    assert_eq!(commands, [old, subscribe(ResourceName::policies("mesh-root"))]);
}

#[test]
fn labels_of_the_pod_select_rules_again_when_they_change() {
    let mut s = store();
    s.begin();
    s.service(&api());
    let selecting = DestinationRule {
        origin: Origin { namespace: "shop".to_owned(), ..Origin::default() },
        workload_selector: [("app".to_owned(), "web".to_owned())].into(),
        ..DestinationRule::default()
    };
    give_service(&mut s, Service { destination_rules: vec![selecting], ..service() });
    give_endpoints(&mut s, 1);
    no_routes(&mut s);
    let Some(Lookup::Found(handle)) = s.known_service(&api()) else { panic!("not found") };
    assert!(handle.current().rule.is_none());
    give(&mut s, pod("shop", "web-1", &[("app", "web")]));
    assert!(handle.current().rule.is_some());
}

#[test]
fn a_refused_update_is_remembered_until_a_good_one_comes() {
    let mut s = store();
    s.service(&api());
    s.apply(Event::Refused(ResourceName::service(&api()), "field `x` is missing".to_owned()));
    assert_eq!(s.summary().refused.len(), 1);
    give_service(&mut s, service());
    assert_eq!(s.summary().refused, []);
}
