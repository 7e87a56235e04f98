//! Whether a request may pass, by five policies.

use std::net::{IpAddr, Ipv4Addr};

use divan::{Bencher, black_box};
use leno_core::decide::authz::{AuthzFacts, AuthzVerdict, HttpFacts, authorize};
use leno_core::id::{Origin, SpiffeId};
use leno_core::model::authz::{AuthzCondition, AuthzOperation, AuthzRule, AuthzSource, Values};
use leno_core::model::{AuthorizationPolicy, AuthzAction, Labels};

use crate::request::REQUEST;

/// Two policies do not deny, two do not allow, and the last one does.
#[divan::bench]
fn five_policies(bencher: Bencher<'_, '_>) {
    judge(bencher, &policies());
}

/// What most workloads have: callers by their identity, methods and paths.
#[divan::bench]
fn one_policy(bencher: Bencher<'_, '_>) {
    judge(bencher, &policies()[4..]);
}

fn judge(bencher: Bencher<'_, '_>, policies: &[AuthorizationPolicy]) {
    let peer = SpiffeId::new("cluster.local", "shop", "web");
    let facts = AuthzFacts {
        peer: Some(&peer),
        source_ip: IpAddr::V4(Ipv4Addr::new(10, 244, 0, 5)),
        destination_ip: IpAddr::V4(Ipv4Addr::new(10, 244, 0, 7)),
        destination_port: 9080,
        sni: Some("outbound_.9080_._.reviews.shop.svc.cluster.local"),
        http: Some(HttpFacts {
            method: "GET",
            path: "/api/v1/reviews/7?verbose=1",
            host: "reviews.shop:9080",
            headers: &REQUEST,
        }),
    };
    let passes = || matches!(authorize(black_box(policies), black_box(&facts)), AuthzVerdict::Allow { by: Some(_) });
    assert!(passes());
    bencher.bench_local(passes);
}

fn policies() -> [AuthorizationPolicy; 5] {
    let source = |source| AuthzRule { from: vec![source], ..AuthzRule::default() };
    let paths = |paths| AuthzOperation { paths, ..AuthzOperation::default() };
    let when = |key: &str, values| AuthzCondition { key: key.into(), values };
    let strangers = Values { any: Vec::new(), not: vec!["cluster.local/*".into()] };
    [
        policy(AuthzAction::Deny, AuthzRule { to: vec![paths(any(&["/admin*", "/debug*"]))], ..AuthzRule::default() }),
        policy(AuthzAction::Deny, source(AuthzSource { principals: strangers, ..AuthzSource::default() })),
        policy(
            AuthzAction::Allow,
            source(AuthzSource { namespaces: any(&["istio-system"]), ..AuthzSource::default() }),
        ),
        policy(
            AuthzAction::Allow,
            AuthzRule { when: vec![when("request.headers[x-token]", any(&["secret"]))], ..AuthzRule::default() },
        ),
        policy(
            AuthzAction::Allow,
            AuthzRule {
                to: vec![AuthzOperation { methods: any(&["GET", "HEAD"]), ..paths(any(&["/api/v1/reviews/*"])) }],
                ..source(AuthzSource {
                    principals: any(&["cluster.local/ns/shop/sa/cart", "cluster.local/ns/shop/sa/web"]),
                    ..AuthzSource::default()
                })
            },
        ),
    ]
}

fn policy(action: AuthzAction, rule: AuthzRule) -> AuthorizationPolicy {
    AuthorizationPolicy { origin: Origin::default(), selector: Labels::new(), action, rules: vec![rule] }
}

fn any(values: &[&str]) -> Values {
    Values { any: values.iter().map(|v| (*v).to_owned()).collect(), not: Vec::new() }
}
