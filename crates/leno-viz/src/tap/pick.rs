//! Whose sidecars are asked, and which side of a request tells of it. Pure.

use std::collections::BTreeSet;

use leno_core::id::Direction;
use leno_core::samples::RequestLabels;
use leno_core::tap::Tapped;

use super::Filter;
use crate::model::{Kind, Resource};
use crate::window::{Proxy, ProxyId, Window};

/// Whose sidecars, as far as the question says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Subject {
    /// Of things of this kind; `None` = whom the filters name.
    pub kind: Option<Kind>,
    /// With this name.
    pub name: Option<String>,
    /// In this namespace; `None` = all.
    pub namespace: Option<String>,
}

/// The sidecars that see what is asked for, by name: those of the subject; else of whom the requests come from; else of whom
/// they go to, for a service its callers, who alone see what fails before any pod is asked; else all.
#[must_use]
pub fn sidecars(window: &Window, subject: &Subject, filter: &Filter) -> BTreeSet<ProxyId> {
    let alive = || window.proxies().filter(|(_, proxy)| proxy.alive);
    let those = |takes: &dyn Fn(&ProxyId, &Proxy) -> bool| -> BTreeSet<ProxyId> {
        alive().filter(|(id, proxy)| takes(id, proxy)).map(|(id, _)| id.clone()).collect()
    };
    if let Some(kind) = subject.kind {
        let within = |ns: &str| subject.namespace.as_ref().is_none_or(|n| n == ns);
        let named = |n: &str| subject.name.as_ref().is_none_or(|name| name == n);
        return those(&|id, proxy| match kind {
            Kind::Namespace => named(&id.namespace),
            _ => within(&id.namespace) && of_kind(kind, id, proxy).is_some_and(named),
        });
    }
    let scope = filter.namespace.as_ref();
    match (&filter.from, &filter.to) {
        (Some(from), _) if from.kind != Kind::Service => those(&|id, proxy| is(from, scope, id, proxy)),
        (_, Some(to)) if to.kind != Kind::Service => those(&|id, proxy| is(to, scope, id, proxy)),
        (_, Some(service)) => {
            let callers = those(&|_, proxy| calls(service, scope, proxy));
            if callers.is_empty() { in_namespace(&those, service.namespace.as_ref().or(scope)) } else { callers }
        }
        _ => in_namespace(&those, scope),
    }
}

type Those<'t> = dyn Fn(&dyn Fn(&ProxyId, &Proxy) -> bool) -> BTreeSet<ProxyId> + 't;

fn in_namespace(those: &Those<'_>, namespace: Option<&String>) -> BTreeSet<ProxyId> {
    those(&|id, _| namespace.is_none_or(|ns| *ns == id.namespace))
}

fn of_kind<'p>(kind: Kind, id: &'p ProxyId, proxy: &'p Proxy) -> Option<&'p str> {
    match kind {
        Kind::Pod => Some(&id.pod),
        kind => (proxy.kind == kind.as_str()).then_some(&*proxy.workload),
    }
}

fn is(resource: &Resource, scope: Option<&String>, id: &ProxyId, proxy: &Proxy) -> bool {
    if resource.kind == Kind::Namespace {
        return id.namespace == resource.name;
    }
    resource.namespace.as_ref().or(scope).is_none_or(|ns| *ns == id.namespace)
        && of_kind(resource.kind, id, proxy).is_some_and(|name| name == resource.name)
}

/// Whether a sidecar's pod has asked the service within the window.
fn calls(service: &Resource, scope: Option<&String>, proxy: &Proxy) -> bool {
    let namespace = service.namespace.as_ref().or(scope);
    let asked = |labels: &RequestLabels| {
        labels.direction == Direction::Outbound
            && labels
                .service
                .as_ref()
                .is_some_and(|s| s.name == service.name && namespace.is_none_or(|ns| *ns == s.namespace))
    };
    proxy.request_labels().any(|labels| asked(labels))
}

/// Whether this is the one telling of a request that counts: where the sidecars of both ends are asked, the callee's.
#[must_use]
pub fn tells(tapped: &Tapped, asked: &BTreeSet<ProxyId>) -> bool {
    let id = || ProxyId { namespace: tapped.destination.namespace.clone(), pod: tapped.destination.pod.clone() };
    // What the mesh made fail on the way has not been told of by the callee.
    tapped.inbound || tapped.destination.pod.is_empty() || tapped.attempts != 1 || !asked.contains(&id())
}

#[cfg(test)]
mod tests {
    use super::*;
    use leno_core::id::ServiceId;
    use leno_core::samples::{PeerLabels, RequestSample, Samples};
    use leno_core::sketch::Sketch;
    use leno_core::tap::Peer;
    use std::time::Duration;

    /// `web` asks `cart` and the service `pay`, of which nothing is known.
    fn window() -> Window {
        let mut window = Window::new(Duration::from_secs(600), 1000);
        for (namespace, workload, asks) in [("shop", "web", true), ("shop", "cart", false), ("data", "cart", false)] {
            let labels = RequestLabels {
                direction: Direction::Outbound,
                source: PeerLabels::default(),
                destination: PeerLabels::default(),
                service: Some(ServiceId::new("shop", "pay")),
                route: String::new(),
                mtls: true,
                status: 503,
                grpc: None,
                reason: "no_endpoints".to_owned(),
                policy: String::new(),
            };
            let sample =
                RequestSample { labels, flags: "-".to_owned(), count: 1, tries: 0, retries: 0, sketch: Sketch::new() };
            window.record(
                Samples {
                    namespace: namespace.to_owned(),
                    pod: format!("{workload}-1"),
                    workload: workload.to_owned(),
                    kind: "deployment".to_owned(),
                    started_ms: 2000,
                    requests: if asks { vec![sample] } else { Vec::new() },
                    ..Samples::default()
                },
                9000,
            );
        }
        window
    }

    #[test]
    fn who_sees_what_is_asked_for() {
        let names = |subject: &Subject, from: &str, to: &str, namespace: Option<&str>| {
            let of = |text: &str| (!text.is_empty()).then(|| text.parse().unwrap());
            let filter =
                Filter { from: of(from), to: of(to), namespace: namespace.map(str::to_owned), ..Filter::default() };
            let found = sidecars(&window(), subject, &filter);
            found.into_iter().map(|id| format!("{}/{}", id.namespace, id.pod)).collect::<Vec<_>>().join(" ")
        };
        let anyone = Subject::default();
        assert_eq!(names(&anyone, "", "", None), "data/cart-1 shop/cart-1 shop/web-1");
        assert_eq!(names(&anyone, "", "", Some("shop")), "shop/cart-1 shop/web-1");
        assert_eq!(names(&anyone, "deploy/web", "svc/cart", None), "shop/web-1");
        assert_eq!(names(&anyone, "", "deploy/cart.data", None), "data/cart-1");
        assert_eq!(names(&anyone, "", "deploy/cart", None), "data/cart-1 shop/cart-1");
        assert_eq!(names(&anyone, "", "svc/pay.shop", None), "shop/web-1", "its callers");
        assert_eq!(names(&anyone, "", "svc/new.data", None), "data/cart-1", "nobody has called it yet");
        assert_eq!(names(&anyone, "ns/data", "", None), "data/cart-1");
        let deployment = Subject { kind: Some(Kind::Deployment), name: Some("web".to_owned()), namespace: None };
        assert_eq!(names(&deployment, "", "", None), "shop/web-1");
        let namespace = Subject { kind: Some(Kind::Namespace), name: Some("data".to_owned()), namespace: None };
        assert_eq!(names(&namespace, "", "", None), "data/cart-1");
        let pod = Subject { kind: Some(Kind::Pod), name: None, namespace: Some("shop".to_owned()) };
        assert_eq!(names(&pod, "", "", None), "shop/cart-1 shop/web-1");
    }

    #[test]
    fn a_request_is_told_of_once() {
        let cart = Peer { namespace: "shop".to_owned(), pod: "cart-1".to_owned(), ..Peer::default() };
        let outbound = Tapped { destination: cart, attempts: 1, ..Tapped::default() };
        let asked = BTreeSet::from([ProxyId { namespace: "shop".to_owned(), pod: "cart-1".to_owned() }]);
        assert!(!tells(&outbound, &asked), "the callee tells");
        assert!(tells(&outbound, &BTreeSet::new()), "the callee is not asked");
        assert!(tells(&Tapped { inbound: true, ..outbound.clone() }, &asked));
        assert!(tells(&Tapped { attempts: 2, ..outbound.clone() }, &asked), "retries are the caller's to tell");
        assert!(tells(&Tapped { attempts: 0, destination: Peer::default(), ..outbound }, &asked), "it left for nobody");
    }
}
