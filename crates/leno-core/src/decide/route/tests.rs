use std::net::IpAddr;

use proptest::prelude::*;

use super::{
    ConnectionDecision, ConnectionFacts, RequestFacts, RouteDecision, apply_rewrite, authority_without_port,
    pick_backend, query_parameter, redirect_location, route, sni_matches, tcp_route, tls_route,
};
use crate::id::ServiceId;
use crate::model::route::{
    Backend, HttpMatch, HttpRoute, Redirect, Rewrite, TcpMatch, TcpRoute, TlsRoute, WeightedBackend,
};
use crate::model::{Labels, Pattern, RouteTable, StringMatch};

static NO_LABELS: Labels = Labels::new();

fn get(path: &'static str) -> RequestFacts<'static> {
    RequestFacts {
        method: "GET",
        path,
        query: "",
        authority: "web.shop:8080",
        scheme: "http",
        port: 8080,
        source_labels: &NO_LABELS,
        source_namespace: "front",
        headers: &[("x-user", "ann"), ("cookie", "a=1; canary=yes")],
    }
}

fn exact(s: &str) -> Option<StringMatch> {
    Some(StringMatch::Exact(s.into()))
}

fn prefix(s: &str) -> Option<StringMatch> {
    Some(StringMatch::Prefix(s.into()))
}

fn regex(s: &str) -> StringMatch {
    StringMatch::Regex(Pattern::new(s).unwrap())
}

fn matches(m: HttpMatch, facts: &RequestFacts<'_>) -> bool {
    let table =
        RouteTable { http: vec![HttpRoute { matches: vec![m], ..HttpRoute::default() }], ..RouteTable::default() };
    matches!(route(Some(&table), facts), RouteDecision::Rule { .. })
}

fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}

#[test]
fn without_rules_a_request_goes_to_the_service() {
    assert_eq!(route(None, &get("/")), RouteDecision::Service);
    assert_eq!(route(Some(&RouteTable::default()), &get("/")), RouteDecision::Service);
}

#[test]
fn the_first_rule_that_matches_wins_and_none_is_not_found() {
    let rule = |name: &str, uri: Option<StringMatch>| HttpRoute {
        name: name.into(),
        matches: vec![
            HttpMatch { uri: exact("/never"), ..HttpMatch::default() },
            HttpMatch { uri, ..HttpMatch::default() },
        ],
        ..HttpRoute::default()
    };
    let mut table =
        RouteTable { http: vec![rule("a", prefix("/a")), rule("ab", prefix("/ab"))], ..RouteTable::default() };
    match route(Some(&table), &get("/abc")) {
        RouteDecision::Rule { route, index, matched } => {
            assert_eq!((route.name.as_str(), index), ("a", 0));
            assert_eq!(matched.unwrap().uri, prefix("/a"));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(route(Some(&table), &get("/x")), RouteDecision::NotFound);
    table.http.push(HttpRoute::default());
    assert!(matches!(route(Some(&table), &get("/x")), RouteDecision::Rule { index: 2, matched: None, .. }));
}

#[test]
fn every_condition_of_a_match_must_hold() {
    let base = || HttpMatch::default();
    let facts = get("/API/x");
    assert!(matches(base(), &facts));
    assert!(!matches(HttpMatch { uri: prefix("/api"), ..base() }, &facts));
    assert!(matches(HttpMatch { uri: prefix("/api"), ignore_uri_case: true, ..base() }, &facts));
    assert!(matches(HttpMatch { uri: Some(regex("/API/.")), ..base() }, &facts));
    assert!(!matches(HttpMatch { uri: Some(regex("/API")), ..base() }, &facts), "a pattern is for the whole path");
    assert!(!matches(HttpMatch { method: exact("POST"), ..base() }, &facts));
    assert!(!matches(HttpMatch { scheme: exact("https"), ..base() }, &facts));
    assert!(!matches(HttpMatch { port: Some(80), ..base() }, &facts));
    assert!(matches(HttpMatch { port: Some(8080), method: exact("GET"), scheme: exact("http"), ..base() }, &facts));
    assert!(!matches(HttpMatch { source_namespace: Some("back".into()), ..base() }, &facts));
    assert!(!matches(HttpMatch { source_labels: labels(&[("app", "x")]), ..base() }, &facts));
    let own = labels(&[("app", "x"), ("v", "1")]);
    let from = RequestFacts { source_labels: &own, ..facts };
    assert!(matches(HttpMatch { source_labels: labels(&[("app", "x")]), ..base() }, &from));
}

#[test]
fn headers_must_be_there_and_without_headers_must_not_match() {
    let with = |name: &str, c| HttpMatch { headers: vec![(name.into(), c)], ..HttpMatch::default() };
    let without = |name: &str, c| HttpMatch { without_headers: vec![(name.into(), c)], ..HttpMatch::default() };
    let facts = get("/");
    assert!(matches(with("x-user", StringMatch::Exact("ann".into())), &facts));
    assert!(matches(with("cookie", regex("^(.*?; )?(canary=yes)(;.*)?$")), &facts));
    assert!(matches(with("x-user", StringMatch::Present), &facts));
    assert!(!matches(with("x-none", StringMatch::Present), &facts));
    assert!(!matches(without("x-user", StringMatch::Present), &facts));
    assert!(matches(without("x-user", StringMatch::Exact("bob".into())), &facts));
    assert!(matches(without("x-none", StringMatch::Exact("bob".into())), &facts));
}

#[test]
fn the_authority_matches_with_or_without_the_port_dialled() {
    let m = |s: &str| HttpMatch { authority: exact(s), ..HttpMatch::default() };
    let facts = get("/");
    assert!(matches(m("web.shop"), &facts));
    assert!(matches(m("WEB.shop:8080"), &facts));
    assert!(!matches(m("web.shop"), &RequestFacts { authority: "web.shop:9", ..facts }));
    assert_eq!(authority_without_port("[fd00::1]:80", 80), "[fd00::1]");
    assert_eq!(authority_without_port("fd00::80", 80), "fd00::80");
    assert_eq!(authority_without_port("web", 80), "web");
    assert_eq!(authority_without_port(":80", 80), "");
}

#[test]
fn query_parameters_are_decoded_before_they_are_compared() {
    for (query, expected) in [
        ("v=1", Some("1")),
        ("x=1&v=a%20b&v=2", Some("a b")),
        ("%76=7", Some("7")),
        ("v=a+b", Some("a+b")),
        ("v", Some("")),
        ("v=", Some("")),
        ("vv=1", None),
        ("", None),
        ("v=%zz%4", Some("%zz%4")),
        ("v=1=2", Some("1=2")),
    ] {
        assert_eq!(query_parameter(query, "v").as_deref(), expected, "{query}");
    }
    let m = HttpMatch { query: vec![("v".into(), StringMatch::Exact("a b".into()))], ..HttpMatch::default() };
    assert!(matches(m, &RequestFacts { query: "v=a%20b", ..get("/") }));
}

fn rewritten(path: &str, to: &str, uri: Option<StringMatch>) -> String {
    let rewrite = Rewrite { uri: Some(to.into()), ..Rewrite::default() };
    apply_rewrite(path, &rewrite, Some(&HttpMatch { uri, ..HttpMatch::default() }))
}

#[test]
fn a_rewrite_replaces_what_the_match_named() {
    for (path, to, uri, expected) in [
        ("/api/users?id=1", "/v2", prefix("/api"), "/v2/users?id=1"),
        ("/api/users", "/", prefix("/api"), "/users"),
        ("/api/users", "/", prefix("/api/"), "/users"),
        ("/api/users", "/v2/", prefix("/api"), "/v2/users"),
        ("/api", "/", prefix("/api"), "/"),
        ("/apix", "/v2", prefix("/api"), "/v2x"),
        ("/API/x", "/v2", prefix("/api"), "/v2/x"),
        ("/exact?q", "/new", exact("/exact"), "/new?q"),
        ("/any/thing?q=/a", "/new", Some(regex("/any/.*")), "/new?q=/a"),
        ("/thing", "/v2/", None, "/v2/thing"),
        ("/thing", "/", None, "/thing"),
        ("/api/x", "rel", prefix("/api"), "/rel/x"),
    ] {
        assert_eq!(rewritten(path, to, uri), expected, "{path} -> {to}");
    }
}

#[test]
fn a_pattern_rewrites_with_its_groups_and_keeps_the_query() {
    let rewrite = Rewrite {
        uri_regex: Some((Pattern::new("^/service/([^/]+)(/.*)$").unwrap(), r"\2/instance/\1".into())),
        ..Rewrite::default()
    };
    assert_eq!(apply_rewrite("/service/foo/v1/api?x=1", &rewrite, None), "/v1/api/instance/foo?x=1");
    let authority_only = Rewrite { authority: Some("x".into()), ..Rewrite::default() };
    assert_eq!(apply_rewrite("/a?b", &authority_only, None), "/a?b");
}

#[test]
fn a_redirect_keeps_what_it_does_not_name() {
    let facts = RequestFacts { query: "q=1", authority: "web.shop:80", ..get("/old") };
    let to = |r: Redirect| redirect_location(&r, &facts, None);
    let r = Redirect::default;
    assert_eq!(to(r()), "http://web.shop:80/old?q=1");
    assert_eq!(to(Redirect { uri: Some("/new".into()), ..r() }), "http://web.shop:80/new?q=1");
    assert_eq!(to(Redirect { uri: Some("/new?z".into()), ..r() }), "http://web.shop:80/new?z");
    assert_eq!(to(Redirect { scheme: Some("https".into()), ..r() }), "https://web.shop/old?q=1");
    assert_eq!(to(Redirect { port: Some(8443), ..r() }), "http://web.shop:8443/old?q=1");
    assert_eq!(
        to(Redirect { authority: Some("new.example".into()), scheme: Some("https".into()), ..r() }),
        "https://new.example/old?q=1"
    );
}

fn backend(name: &str, weight: u32) -> WeightedBackend {
    let backend = Backend { service: ServiceId::new("shop", name), subset: None, port: None };
    WeightedBackend { backend, weight, headers: Default::default(), invalid: false }
}

#[test]
fn weights_of_nothing_pick_nothing_and_a_single_destination_takes_all() {
    assert_eq!(pick_backend(&[], 0.5), None);
    assert_eq!(pick_backend(&[backend("a", 0), backend("b", 0)], 0.5), None);
    assert!(pick_backend(&[backend("a", 0)], 0.5).is_some());
    let two = [backend("a", 0), backend("b", 1)];
    for random in [0.0, 0.5, 0.999_999, 1.0, f64::NAN] {
        assert_eq!(pick_backend(&two, random).unwrap().backend.service.name, "b", "{random}");
    }
}

proptest! {
    #[test]
    fn shares_are_exactly_the_weights(weights in prop::collection::vec(0u32..200, 2..6)) {
        let backends: Vec<_> = weights.iter().map(|w| backend("x", *w)).collect();
        let total: u32 = weights.iter().sum();
        prop_assume!(total > 0);
        let mut hits = vec![0u32; weights.len()];
        for i in 0..total {
            let picked = pick_backend(&backends, (f64::from(i) + 0.5) / f64::from(total)).unwrap();
            let at = backends.iter().position(|b| std::ptr::eq(b, picked)).unwrap();
            hits[at] += 1;
        }
        prop_assert_eq!(hits, weights);
    }

    #[test]
    fn a_rewrite_never_loses_the_query_or_the_leading_slash(path in "/[a-z/%.]{0,12}", query in "[a-z=&/]{0,8}", to in "[/a-z]{1,6}", p in "/[a-z]{0,4}") {
        let uri = path.starts_with(&p).then(|| StringMatch::Prefix(p));
        let out = rewritten(&format!("{path}?{query}"), &to, uri);
        let suffix = format!("?{query}");
        prop_assert!(out.starts_with('/') && out.ends_with(&suffix));
    }
}

fn connection(port: u16, ip: &str) -> ConnectionFacts<'static> {
    ConnectionFacts {
        port,
        destination: ip.parse::<IpAddr>().unwrap(),
        source_labels: &NO_LABELS,
        source_namespace: "front",
    }
}

#[test]
fn tcp_rules_match_by_port_and_network_and_else_leave_it_to_the_service() {
    let rule = |m: TcpMatch| TcpRoute { matches: vec![m], backends: vec![backend("a", 1)] };
    let table = RouteTable {
        tcp: vec![
            rule(TcpMatch {
                port: Some(1),
                destination_subnets: vec!["10.0.0.0/8".parse().unwrap()],
                ..TcpMatch::default()
            }),
            rule(TcpMatch { port: Some(2), source_namespace: Some("back".into()), ..TcpMatch::default() }),
        ],
        ..RouteTable::default()
    };
    assert!(matches!(tcp_route(Some(&table), &connection(1, "10.1.1.1")), ConnectionDecision::Rule { index: 0, .. }));
    assert_eq!(tcp_route(Some(&table), &connection(1, "11.1.1.1")), ConnectionDecision::Service);
    assert_eq!(tcp_route(Some(&table), &connection(2, "10.1.1.1")), ConnectionDecision::Service);
    assert_eq!(tcp_route(None, &connection(2, "10.1.1.1")), ConnectionDecision::Service);
}

#[test]
fn tls_rules_match_by_server_name() {
    let on = |port| TcpMatch { port: Some(port), ..TcpMatch::default() };
    let table = RouteTable {
        tls: vec![
            TlsRoute { matches: vec![(vec!["a.example.com".into()], on(443))], backends: vec![] },
            TlsRoute { matches: vec![(vec!["*.example.com".into()], on(443))], backends: vec![] },
        ],
        ..RouteTable::default()
    };
    let index = |port, sni| match tls_route(Some(&table), &connection(port, "10.0.0.1"), sni) {
        ConnectionDecision::Rule { index, .. } => Ok(index),
        ConnectionDecision::Service => Err("service"),
        ConnectionDecision::NotFound => Err("not found"),
    };
    assert_eq!(index(443, Some("A.example.com")), Ok(0));
    assert_eq!(index(443, Some("x.y.example.com")), Ok(1));
    assert_eq!(index(443, Some("example.com")), Err("not found"));
    assert_eq!(index(443, None), Err("not found"));
    assert_eq!(index(8443, Some("a.example.com")), Err("service"));
}

#[test]
fn sni_wildcards_stand_for_whole_labels() {
    for (pattern, sni, expected) in [
        ("*", "x", true),
        ("*.a.com", "x.a.com", true),
        ("*.a.com", "a.com", false),
        ("*.a.com", ".a.com", false),
        ("*.a.com", "xa.com", false),
        ("a.com", "a.com.", true),
        ("a.com", "b.com", false),
        ("*.é.com", "é", false),
    ] {
        assert_eq!(sni_matches(pattern, sni), expected, "{pattern} {sni}");
    }
}

#[test]
fn a_prefix_by_element_ends_where_an_element_does() {
    let by_element = |p: &str| HttpMatch { uri: prefix(p), uri_by_element: true, ..HttpMatch::default() };
    for path in ["/v2", "/v2/", "/v2/example"] {
        assert!(matches(by_element("/v2"), &get(path)), "{path}");
    }
    for path in ["/v2example", "/", "/foo/v2", "/V2"] {
        assert!(!matches(by_element("/v2"), &get(path)), "{path}");
    }
    assert!(matches(by_element(""), &get("/anything")));
}

#[test]
fn other_ports_than_the_tables_go_to_the_service() {
    let never = HttpMatch { uri: exact("/never"), ..HttpMatch::default() };
    let rule = HttpRoute { matches: vec![never], ..HttpRoute::default() };
    let table = RouteTable { http: vec![rule], http_ports: vec![80], ..RouteTable::default() };
    let at = |port| route(Some(&table), &RequestFacts { port, ..get("/") });
    assert_eq!(at(80), RouteDecision::NotFound);
    assert_eq!(at(8080), RouteDecision::Service);
}

/// The table in the Gateway API's description of `ReplacePrefixMatch`.
#[test]
fn prefixes_are_replaced_as_the_gateway_api_says() {
    let rows = [
        ("/foo/bar", "/foo", "/xyz", "/xyz/bar"),
        ("/foo/bar", "/foo", "/xyz/", "/xyz/bar"),
        ("/foo", "/foo", "/xyz", "/xyz"),
        ("/foo/", "/foo", "/xyz", "/xyz/"),
        ("/foo/bar", "/foo", "", "/bar"),
        ("/foo/", "/foo", "", "/"),
        ("/foo", "/foo", "", "/"),
        ("/foo/", "/foo", "/", "/"),
        ("/foo", "/foo", "/", "/"),
        ("/bar", "", "/xyz", "/xyz/bar"),
    ];
    for (path, from, to, wanted) in rows {
        let matched = HttpMatch { uri: prefix(from), uri_by_element: true, ..HttpMatch::default() };
        let rewrite = Rewrite { uri: Some(to.into()), ..Rewrite::default() };
        assert_eq!(apply_rewrite(path, &rewrite, Some(&matched)), wanted, "{path} {from} {to}");
        let redirect = Redirect { prefix: Some(to.into()), ..Redirect::default() };
        let location = redirect_location(&redirect, &get(path), Some(&matched));
        assert!(location.ends_with(wanted), "{location} {path} {from} {to}");
    }
    let whole = Rewrite { path: Some("/one".into()), ..Rewrite::default() };
    let matched = HttpMatch { uri: prefix("/full"), ..HttpMatch::default() };
    assert_eq!(apply_rewrite("/full/two?q=1", &whole, Some(&matched)), "/one?q=1");
}

#[test]
fn a_derived_port_is_the_schemes_or_the_dialled_one() {
    let to = |port: u16, authority: &str, redirect: Redirect| {
        let facts = RequestFacts { port, authority, ..get("/x") };
        redirect_location(&Redirect { derive_port: true, ..redirect }, &facts, None)
    };
    let scheme = |s: &str| Redirect { scheme: Some(s.into()), ..Redirect::default() };
    let host = || Redirect { authority: Some("example.org".into()), ..Redirect::default() };
    assert_eq!(to(80, "echo", host()), "http://example.org/x");
    assert_eq!(to(8080, "echo:8080", host()), "http://example.org:8080/x");
    assert_eq!(to(8080, "echo:8080", scheme("https")), "https://echo/x");
    assert_eq!(to(8080, "echo:8080", scheme("http")), "http://echo/x");
    assert_eq!(to(80, "echo", Redirect { port: Some(8083), ..Redirect::default() }), "http://echo:8083/x");
    assert_eq!(to(80, "echo", Redirect { port: Some(443), ..scheme("https") }), "https://echo/x");
    assert_eq!(to(8080, "[::1]:8080", scheme("https")), "https://[::1]/x");
}
