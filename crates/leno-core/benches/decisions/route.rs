//! The rule for a request, in a table of ten, and one of its destinations.

use divan::{Bencher, black_box};
use leno_core::decide::route::{RequestFacts, RouteDecision, pick_backend, route};
use leno_core::id::ServiceId;
use leno_core::model::route::{Backend, HeaderOps, HttpMatch, WeightedBackend};
use leno_core::model::{HttpRoute, Labels, Pattern, RouteTable, StringMatch};

use crate::request::REQUEST;

/// The first rule takes it.
#[divan::bench]
fn first_of_ten_rules(bencher: Bencher<'_, '_>) {
    decide(bencher, "/api/v1/orders", 0);
}

/// Nine rules look at it in vain.
#[divan::bench]
fn last_of_ten_rules(bencher: Bencher<'_, '_>) {
    decide(bencher, "/api/v1/reviews/7", 9);
}

#[divan::bench]
fn backend_of_two(bencher: Bencher<'_, '_>) {
    let backends = [("v1", 90), ("v2", 10)].map(|(subset, weight)| WeightedBackend {
        backend: Backend { service: ServiceId::new("shop", "reviews"), subset: Some(subset.into()), port: None },
        weight,
        headers: HeaderOps::default(),
        invalid: false,
    });
    bencher.bench(|| pick_backend(black_box(&backends), black_box(0.95)).expect("one").weight);
}

fn decide(bencher: Bencher<'_, '_>, path: &'static str, expected: usize) {
    let (table, labels) = (table(), Labels::from([("app".into(), "web".into())]));
    let facts = RequestFacts {
        method: "GET",
        path,
        query: "verbose=1",
        authority: "reviews.shop:9080",
        scheme: "http",
        port: 9080,
        source_labels: &labels,
        source_namespace: "shop",
        headers: &REQUEST,
    };
    let index = || match route(Some(black_box(&table)), black_box(&facts)) {
        RouteDecision::Rule { index, .. } => index,
        RouteDecision::Service | RouteDecision::NotFound => usize::MAX,
    };
    assert_eq!(index(), expected);
    bencher.bench_local(index);
}

/// Conditions of every kind that is in common use.
fn table() -> RouteTable {
    let exact = |text: &str| StringMatch::Exact(text.into());
    let prefix = |text: &str| Some(StringMatch::Prefix(text.into()));
    let regex = |text: &str| StringMatch::Regex(Pattern::new(text).expect("a pattern"));
    let any = HttpMatch::default;
    let rules = [
        HttpMatch { uri: prefix("/api/v1/orders"), ..any() },
        HttpMatch { uri: Some(exact("/healthz")), ..any() },
        HttpMatch { uri: prefix("/api/v2/"), ..any() },
        HttpMatch { headers: vec![("x-canary".into(), exact("yes"))], ..any() },
        HttpMatch { headers: vec![("end-user".into(), exact("bob"))], ..any() },
        HttpMatch { headers: vec![("cookie".into(), regex("(.*; )?beta=1(;.*)?"))], ..any() },
        HttpMatch { uri: prefix("/api/"), method: Some(exact("POST")), ..any() },
        HttpMatch { query: vec![("debug".into(), exact("1"))], ..any() },
        HttpMatch { source_labels: Labels::from([("app".into(), "admin".into())]), ..any() },
        HttpMatch { uri: Some(regex("/api/v1/reviews/[0-9]+")), ..any() },
    ];
    let http = rules.map(|m| HttpRoute { matches: vec![m], ..HttpRoute::default() }).into();
    RouteTable { http, ..RouteTable::default() }
}
