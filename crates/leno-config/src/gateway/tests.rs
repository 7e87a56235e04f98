use std::collections::BTreeMap;

use leno_core::decide::route::{RequestFacts, RouteDecision, route};
use leno_core::id::ServiceId;
use leno_core::merge::{Viewer, route_table};
use leno_core::model::route::RouteAction;
use leno_core::model::{Labels, Routes};

use super::{MeshRoute, Services, tables, verdicts};
use crate::lower::{LowerContext, Lowered, ServiceSpec, lower};
use crate::read;

/// Services `cart`, `cart-v1`, `cart-v2` with ports 80 and 7070 in namespace `shop`, one without an address, and routes.
struct Scene {
    services: BTreeMap<ServiceId, ServiceSpec>,
    routes: Vec<MeshRoute>,
}

impl Services for Scene {
    fn service(&self, id: &ServiceId) -> Option<&ServiceSpec> {
        self.services.get(id)
    }
}

fn scene(routes: &str) -> Scene {
    let mut text = routes.to_owned();
    for (name, spec) in [("cart", ""), ("cart-v1", ""), ("cart-v2", ""), ("headless", "clusterIP: None, ")] {
        text += &format!(
            "\n---\napiVersion: v1\nkind: Service\nmetadata: {{name: {name}, namespace: shop}}\n\
             spec: {{{spec}ports: [{{name: http, port: 80}}, {{name: grpc, port: 7070}}]}}\n"
        );
    }
    let mut scene = Scene { services: BTreeMap::new(), routes: Vec::new() };
    for object in read("routes.yaml", &text).objects {
        let (pieces, _) = lower(&object, &LowerContext::default()).unwrap_or_else(|e| panic!("{e:?}"));
        for piece in pieces {
            match piece {
                Lowered::Service(spec) => _ = scene.services.insert(spec.id.clone(), spec),
                Lowered::MeshRoute(route) => scene.routes.push(route),
                other => panic!("{other:?}"),
            }
        }
    }
    scene
}

impl Scene {
    fn of(&self, service: &ServiceId) -> Vec<&MeshRoute> {
        self.routes.iter().filter(|r| r.services().contains(&service)).collect()
    }

    /// Where a request to `shop/cart` goes: `service:port`, `500`, `302`, `404`, or `itself` where no rule speaks of it.
    fn goes(&self, from: &str, port: u16, path: &'static str, headers: &[(&str, &str)], method: &str) -> String {
        let cart = ServiceId::new("shop", "cart");
        let routes = Routes { service: cart.clone(), tables: tables(&cart, &self.of(&cart), self) };
        let viewer = Viewer { namespace: from.to_owned(), ..Viewer::default() };
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let (labels, headers) = (Labels::new(), headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())));
        let facts = RequestFacts {
            method,
            path,
            query,
            authority: "cart",
            scheme: "http",
            port,
            source_labels: &labels,
            source_namespace: from,
            headers: &headers.collect::<Vec<_>>(),
        };
        match route(route_table(&routes, &viewer), &facts) {
            RouteDecision::Service => "itself".to_owned(),
            RouteDecision::NotFound => "404".to_owned(),
            RouteDecision::Rule { route, .. } => match &route.action {
                RouteAction::Redirect(redirect) => redirect.status.to_string(),
                RouteAction::Respond { status, .. } => status.to_string(),
                RouteAction::Forward(to) if to[0].invalid => "500".to_owned(),
                RouteAction::Forward(to) => format!("{}:{}", to[0].backend.service.name, to[0].backend.port.unwrap()),
            },
        }
    }

    fn get(&self, path: &'static str) -> String {
        self.goes("web", 80, path, &[], "GET")
    }

    /// `(Accepted, ResolvedRefs)` of each parent of a route.
    fn verdict(&self, name: &str) -> Vec<(&'static str, &'static str)> {
        let route = self.routes.iter().find(|r| r.origin.name == name).unwrap();
        let all = verdicts(route, |service| self.of(service), self);
        all.iter().map(|v| (v.accepted.reason, v.resolved.reason)).collect()
    }
}

fn http(name: &str, more: &str, rules: &str) -> String {
    let meta = format!("metadata: {{name: {name}, namespace: shop{more}}}");
    let parent = "parentRefs: [{group: '', kind: Service, name: cart}]";
    format!(
        "---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\n{meta}\nspec: {{{parent}, rules: [{rules}]}}\n"
    )
}

fn to(service: &str, matches: &str) -> String {
    format!("{{matches: [{matches}], backendRefs: [{{name: {service}, port: 80}}]}}")
}

#[test]
fn the_more_particular_match_goes_first_whatever_the_order() {
    let rules = [
        to("cart-v1", "{path: {type: PathPrefix, value: /}}"),
        to("cart-v2", "{path: {type: PathPrefix, value: /v2/}}, {headers: [{name: Version, value: two}]}"),
        to("cart-v1", "{path: {type: Exact, value: /v2/exact}}"),
        to("cart-v2", "{path: {type: RegularExpression, value: '/num/[0-9]+'}}"),
        to("cart-v2", "{queryParams: [{name: animal, value: whale}]}"),
        to("cart-v2", "{method: DELETE}"),
    ];
    let scene = scene(&http("a", "", &rules.join(", ")));
    assert_eq!(scene.get("/"), "cart-v1:80");
    assert_eq!(scene.get("/v2"), "cart-v2:80");
    assert_eq!(scene.get("/v2/x"), "cart-v2:80");
    assert_eq!(scene.get("/v2x"), "cart-v1:80");
    assert_eq!(scene.get("/v2/exact"), "cart-v1:80");
    assert_eq!(scene.get("/num/12"), "cart-v2:80");
    assert_eq!(scene.get("/?animal=whale"), "cart-v2:80");
    assert_eq!(scene.goes("web", 80, "/", &[("version", "two")], "GET"), "cart-v2:80");
    assert_eq!(scene.goes("web", 80, "/", &[], "DELETE"), "cart-v2:80");
}

#[test]
fn ties_go_to_the_oldest_then_by_name_then_by_the_order_of_rules() {
    let all = |service: &str| to(service, "{path: {value: /a}}");
    let dated = |date: &str| format!(", creationTimestamp: '2026-01-0{date}T00:00:00Z'");
    let older = [http("b", &dated("1"), &all("cart-v1")), http("a", &dated("2"), &all("cart-v2"))].concat();
    assert_eq!(scene(&older).get("/a"), "cart-v1:80");
    let by_name = [http("b", "", &all("cart-v1")), http("a", "", &all("cart-v2"))].concat();
    assert_eq!(scene(&by_name).get("/a"), "cart-v2:80");
    let in_order = http("a", "", &[all("cart-v2"), all("cart-v1")].join(", "));
    assert_eq!(scene(&in_order).get("/a"), "cart-v2:80");
    assert_eq!(scene(&in_order).get("/b"), "404");
}

#[test]
fn rules_know_their_object_after_they_are_joined() {
    let text = [
        http("long", "", &[to("cart-v1", "{path: {value: /b}}"), to("cart-v1", "{path: {value: /a/b/c}}")].join(", ")),
        http("short", "", &to("cart-v2", "{path: {value: /a}}, {path: {value: /z}}")),
    ];
    let scene = scene(&text.concat());
    let cart = ServiceId::new("shop", "cart");
    let made = tables(&cart, &scene.of(&cart), &scene);
    let origins: Vec<(String, u32, usize)> = made[0]
        .http
        .iter()
        .map(|rule| {
            let origin = rule.origin.as_ref().unwrap();
            (origin.object.to_string(), origin.index, rule.matches.len())
        })
        .collect();
    let of = |name: &str, line: u32| format!("HTTPRoute shop/{name} (routes.yaml:{line})");
    // `/b` and then `/a` with `/z`, which are as long.
    assert_eq!(origins, [(of("long", 2), 1, 1), (of("long", 2), 0, 1), (of("short", 7), 0, 2)]);
}

#[test]
fn a_route_of_one_port_leaves_the_others_alone() {
    let route = http("a", "", &to("cart-v1", "")).replace("name: cart}", "name: cart, port: 80}");
    let scene = scene(&route);
    assert_eq!(scene.get("/"), "cart-v1:80");
    assert_eq!(scene.goes("web", 7070, "/", &[], "GET"), "itself");
    let by_name = http("a", "", &to("cart-v1", "")).replace("name: cart}", "name: cart, sectionName: grpc}");
    assert_eq!(self::scene(&by_name).goes("web", 7070, "/", &[], "GET"), "cart-v1:80");
    assert_eq!(self::scene(&by_name).get("/"), "itself");
}

#[test]
fn a_consumers_route_holds_for_its_namespace_alone_and_goes_before_the_producers() {
    let consumer = http("mine", "", &to("cart-v2", "{path: {value: /mine}}"))
        .replace("namespace: shop}", "namespace: web}")
        .replace("name: cart}", "name: cart, namespace: shop, port: 80}")
        .replace("name: cart-v2", "name: cart-v2, namespace: shop");
    let scene = scene(&[http("theirs", "", &to("cart-v1", "")), consumer].concat());
    let goes = |from: &str, port: u16, path| scene.goes(from, port, path, &[], "GET");
    assert_eq!(goes("web", 80, "/mine"), "cart-v2:80", "no ReferenceGrant is needed: GEP-1294");
    assert_eq!(goes("web", 80, "/"), "404", "the producer's rules are not added to the consumer's");
    assert_eq!(goes("web", 7070, "/"), "cart-v1:80", "but hold for ports that the consumer does not speak of");
    assert_eq!(goes("bank", 80, "/mine"), "cart-v1:80");
    assert_eq!(goes("shop", 80, "/mine"), "cart-v1:80");
}

#[test]
fn a_grpc_route_puts_http_routes_of_the_same_port_aside() {
    let grpc = "---\napiVersion: gateway.networking.k8s.io/v1\nkind: GRPCRoute\nmetadata: {name: g, namespace: shop}\n\
        spec: {parentRefs: [{group: '', kind: Service, name: cart, port: 7070}], rules: [\
        {backendRefs: [{name: cart-v1, port: 7070}]}, \
        {matches: [{method: {service: shop.Cart, method: Add}}, {method: {service: shop.Bill}}, {method: {method: Pay}}], \
        backendRefs: [{name: cart-v2, port: 7070}]}, \
        {matches: [{method: {type: RegularExpression, service: 'a[.]b|c', method: 'x+'}}], backendRefs: [{name: none, port: 1}]}]}\n";
    let scene = scene(&[http("h", "", &to("cart-v1", "")), grpc.to_owned()].concat());
    let call = |path| scene.goes("web", 7070, path, &[], "POST");
    assert_eq!(call("/shop.Cart/Get"), "cart-v1:7070");
    assert_eq!(call("/shop.Cart/Add"), "cart-v2:7070");
    assert_eq!(call("/shop.Bill/Any"), "cart-v2:7070");
    assert_eq!(call("/other/Pay"), "cart-v2:7070");
    assert_eq!(call("/a.b/xx"), "500");
    assert_eq!(call("/c/x"), "500");
    assert_eq!(call("/axb/x"), "cart-v1:7070");
    assert_eq!(scene.get("/"), "cart-v1:80");
    assert_eq!(scene.verdict("h"), [("Accepted", "ResolvedRefs")], "for port 80");
    assert_eq!(scene.verdict("g"), [("Accepted", "BackendNotFound")]);
    let same = http("h", "", &to("cart-v1", "")).replace("name: cart}", "name: cart, port: 7070}");
    assert_eq!(self::scene(&[same, grpc.to_owned()].concat()).verdict("h"), [("Conflicted", "ResolvedRefs")]);
}

#[test]
fn what_cannot_be_used_is_answered_500_and_said() {
    let rule = |refs: &str| scene(&http("a", "", &format!("{{backendRefs: [{refs}]}}")));
    for (refs, reason) in [
        ("{name: nobody, port: 80}", "BackendNotFound"),
        ("{name: cart-v1, port: 81}", "BackendNotFound"),
        ("{name: cart-v1}", "InvalidKind"),
        ("{name: cart-v1, kind: Bucket, group: storage.example, port: 80}", "InvalidKind"),
        ("{name: cart-v1, port: 80, weight: 0}", "ResolvedRefs"),
        ("", "ResolvedRefs"),
    ] {
        let scene = rule(refs);
        assert_eq!((scene.get("/").as_str(), scene.verdict("a")), ("500", vec![("Accepted", reason)]), "{refs}");
    }
    let filter = "{filters: [{type: ExtensionRef, extensionRef: {group: x, kind: Y, name: z}}], backendRefs: [{name: cart-v1, port: 80}]}";
    let unknown = scene(&http("a", "", filter));
    assert_eq!((unknown.get("/").as_str(), unknown.verdict("a")), ("500", vec![("Accepted", "InvalidKind")]));
    let share = rule("{name: nobody, port: 80, weight: 3}, {name: cart-v1, port: 80}");
    let cart = ServiceId::new("shop", "cart");
    let made = tables(&cart, &share.of(&cart), &share);
    let RouteAction::Forward(to) = &made[0].http[0].action else { panic!("{made:?}") };
    assert_eq!(to.iter().map(|b| (b.invalid, b.weight)).collect::<Vec<_>>(), [(true, 3), (false, 1)]);
}

#[test]
fn parents_that_are_no_service_with_an_address_take_no_route() {
    let of = |parent: &str| http("a", "", &to("cart-v1", "")).replace("name: cart}", parent);
    for parent in ["name: nobody}", "name: headless}", "name: cart, port: 81}", "name: cart, sectionName: other}"] {
        assert_eq!(scene(&of(parent)).verdict("a"), [("NoMatchingParent", "ResolvedRefs")], "{parent}");
    }
    let gateway = of("name: cart}").replace("group: '', kind: Service, ", "");
    assert!(scene(&gateway).routes.is_empty(), "gateways' routes are none of the mesh's");
}
