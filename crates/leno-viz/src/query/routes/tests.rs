use std::time::Duration;

use leno_core::id::{Direction, ServiceId};
use leno_core::samples::{PeerLabels, RequestSample};

use super::super::tests::{BEGIN, NOW, pod, proxy, request};
use super::routes;
use crate::model::{Kind, Question, RouteRow};
use crate::window::Window;

/// web asks cart by two rules: `slow` goes to cart-v1, and the one without a name fails before any pod is asked for 30 of 90.
fn shop() -> Window {
    let mut window = Window::new(Duration::from_secs(1800), BEGIN);
    let (web, cart) = (pod("shop", "web-1", "web"), pod("shop", "cart-v1-1", "cart-v1"));
    let service = || Some(ServiceId::new("shop", "cart"));
    let ask = |to: &PeerLabels, route: &str, status, reason: &str, ms| {
        let mut sample: RequestSample = request(Direction::Outbound, &web, to, service(), status, ms);
        sample.labels.route = route.to_owned();
        sample.labels.reason = reason.to_owned();
        sample
    };
    let requests = vec![
        ask(&cart, "slow", 200, "answered", 1..=60),
        ask(&cart, "", 200, "answered", 1..=60),
        ask(&PeerLabels::default(), "", 503, "fault_abort", 1..=20),
        ask(&PeerLabels::default(), "", 504, "route_timeout", 1..=10),
        // What was asked of web itself is no route of cart.
        request(Direction::Inbound, &PeerLabels::default(), &web, None, 200, 1..=12),
    ];
    window.record(proxy("shop", "web-1", "web", "deployment", requests), NOW);
    window
}

fn ask(question: &Question) -> Vec<RouteRow> {
    routes(&shop(), question, NOW).rows
}

#[test]
fn a_services_routes_are_counted_as_its_callers_saw_them() {
    let service =
        Question { name: Some("cart".to_owned()), namespace: Some("shop".to_owned()), ..Question::new(Kind::Service) };
    let rows = ask(&service);
    let seen: Vec<_> = rows.iter().map(|r| (r.route.as_str(), r.requests, r.success, r.failure.as_deref())).collect();
    assert_eq!(seen, [("", 90, Some(60.0 / 90.0), Some("503 fault_abort")), ("slow", 60, Some(1.0), None)]);
    assert_eq!(rows[1].rps, 1.0);
}

#[test]
fn a_workload_shows_what_it_is_asked_and_with_to_what_it_asks() {
    let of = |name: &str, to: Option<&str>| {
        let to = to.map(|to| to.parse().expect("a resource"));
        let namespace = Some("shop".to_owned());
        let rows = ask(&Question { name: Some(name.to_owned()), namespace, to, ..Question::new(Kind::Deployment) });
        rows.iter().map(|r| (r.route.clone(), r.requests)).collect::<Vec<_>>()
    };
    let two = |default| vec![(String::new(), default), ("slow".to_owned(), 60)];
    assert_eq!(of("cart-v1", None), two(60), "the aborted ones have reached none of its pods");
    assert_eq!(of("web", None), []);
    assert_eq!(of("web", Some("svc/cart")), two(90));
    assert_eq!(of("cart-v1", Some("svc/cart")), []);
}

#[test]
fn all_of_a_namespace() {
    let in_namespace = |ns: &str| Question { namespace: Some(ns.to_owned()), ..Question::new(Kind::Service) };
    assert_eq!(ask(&in_namespace("shop")).len(), 2);
    assert_eq!(ask(&in_namespace("data")), []);
    assert_eq!(ask(&Question::new(Kind::Deployment)).iter().map(|r| r.requests).sum::<u64>(), 150);
}
