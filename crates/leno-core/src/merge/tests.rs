use super::{Viewer, destination_rule, route_table, traffic_policy};
use crate::id::{Origin, ServiceId};
use crate::model::route::ExportTo;
use crate::model::service::ServiceKind;
use crate::model::traffic::{Balancer, ConnectionPool, DestinationRule, OutlierDetection, Subset};
use crate::model::{Labels, RouteTable, Routes, Service, TrafficPolicy};

fn origin(namespace: &str, name: &str) -> Origin {
    Origin { kind: String::new(), namespace: namespace.into(), name: name.into(), source: String::new() }
}

fn viewer() -> Viewer {
    Viewer {
        namespace: "front".into(),
        labels: Labels::from([("app".into(), "ui".into())]),
        root_namespace: "istio-system".into(),
    }
}

fn only(namespaces: &[&str]) -> ExportTo {
    ExportTo::Namespaces(namespaces.iter().map(|n| (*n).to_owned()).collect())
}

#[test]
fn the_own_namespaces_table_goes_before_those_exported_to_it() {
    let table = |ns: &str, export_to| RouteTable { origin: origin(ns, ns), export_to, ..RouteTable::default() };
    let routes = |tables| Routes { service: ServiceId::new("shop", "web"), tables };
    let seen = |r: &Routes| route_table(r, &viewer()).map(|t| t.origin.namespace.clone());
    let all =
        routes(vec![table("hidden", only(&["back"])), table("shop", ExportTo::All), table("front", only(&["front"]))]);
    assert_eq!(seen(&all).as_deref(), Some("front"));
    assert_eq!(seen(&routes(vec![table("a", ExportTo::All), table("b", ExportTo::All)])).as_deref(), Some("a"));
    assert_eq!(seen(&routes(vec![table("a", only(&[]))])), None);
}

fn rule(namespace: &str, name: &str) -> DestinationRule {
    DestinationRule { origin: origin(namespace, name), ..DestinationRule::default() }
}

fn chosen(rules: Vec<DestinationRule>) -> Option<String> {
    let service = Service {
        id: ServiceId::new("shop", "web"),
        kind: ServiceKind::ClusterIp,
        vips: vec![],
        ports: vec![],
        destination_rules: rules,
    };
    destination_rule(&service, &viewer()).map(|r| r.origin.name.clone())
}

#[test]
fn a_destination_rule_is_looked_up_at_the_client_then_the_service_then_the_root() {
    let all = [rule("istio-system", "root"), rule("shop", "server"), rule("front", "client"), rule("other", "other")];
    assert_eq!(chosen(all.to_vec()).as_deref(), Some("client"));
    assert_eq!(chosen(all[..2].to_vec()).as_deref(), Some("server"));
    assert_eq!(chosen(all[..1].to_vec()).as_deref(), Some("root"));
    assert_eq!(chosen(all[3..].to_vec()), None);
    let hidden = DestinationRule { export_to: only(&["shop"]), ..rule("shop", "hidden") };
    assert_eq!(chosen(vec![hidden]), None);
}

#[test]
fn a_rule_that_selects_the_client_goes_before_one_for_all() {
    let selecting =
        |v: &str| DestinationRule { workload_selector: Labels::from([("app".into(), v.into())]), ..rule("front", v) };
    assert_eq!(chosen(vec![rule("front", "all"), selecting("ui")]).as_deref(), Some("ui"));
    assert_eq!(chosen(vec![selecting("api"), rule("front", "all")]).as_deref(), Some("all"));
}

#[test]
fn policies_are_merged_block_by_block_from_the_narrowest() {
    let balancer = |b| TrafficPolicy { balancer: Some(b), ..TrafficPolicy::default() };
    let pool = |n| TrafficPolicy {
        pool: Some(ConnectionPool { max_connections: Some(n), ..ConnectionPool::default() }),
        ..TrafficPolicy::default()
    };
    let outlier = TrafficPolicy { outlier: Some(OutlierDetection::default()), ..TrafficPolicy::default() };
    let subset = Subset { policy: balancer(Balancer::Random), ports: vec![(80, pool(1))], ..Subset::default() };
    let rule = DestinationRule {
        policy: TrafficPolicy { balancer: Some(Balancer::RoundRobin), ..pool(2) },
        ports: vec![(80, outlier)],
        ..DestinationRule::default()
    };
    let merged = traffic_policy(Some(&rule), Some(&subset), 80);
    assert_eq!(merged.balancer, Some(Balancer::Random));
    assert_eq!(merged.pool.unwrap().max_connections, Some(1));
    assert!(merged.outlier.is_some());
    let other_port = traffic_policy(Some(&rule), None, 81);
    assert_eq!((other_port.balancer, other_port.outlier), (Some(Balancer::RoundRobin), None));
    assert_eq!(traffic_policy(None, None, 80), TrafficPolicy::default());
}
