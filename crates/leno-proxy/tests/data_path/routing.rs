//! Rules: weights, matches, rewrites, redirects, faults, mirrors, headers.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use http::Response;
use http_body_util::Full;
use leno_core::model::route::{
    Abort, Backend, Fault, HeaderEdit, HeaderOps, HttpMatch, Mirror, Redirect, Rewrite, RouteAction,
};
use leno_core::model::traffic::{Balancer, HashKey, Subset};
use leno_core::model::{DestinationRule, HttpRoute, Protocol, StringMatch, TrafficPolicy};

use super::scene::{Scene, Sidecar, app, counter, named, request, to, web};

fn subsets() -> DestinationRule {
    let subset = |name: &str| Subset {
        name: name.into(),
        labels: [("version".to_owned(), name.to_owned())].into(),
        ..Subset::default()
    };
    DestinationRule { subsets: vec![subset("v1"), subset("v2")], ..DestinationRule::default() }
}

fn forward(backends: Vec<leno_core::model::route::WeightedBackend>) -> HttpRoute {
    HttpRoute { action: RouteAction::Forward(backends), ..HttpRoute::default() }
}

#[tokio::test]
async fn weights_90_and_10_split_requests_so() {
    let (v1, v2) = (counter(), counter());
    let client = Scene::new(Protocol::Http)
        .rule(subsets())
        .routes(vec![forward(vec![to(Some("v1"), 90), to(Some("v2"), 10)])])
        .meshed_pod(named("v1", Arc::clone(&v1)).await, "v1", Sidecar::strict())
        .await
        .meshed_pod(named("v2", Arc::clone(&v2)).await, "v2", Sidecar::strict())
        .await
        .start()
        .await;
    for _ in 0..20 {
        futures::future::join_all((0..100).map(|_| client.get("/"))).await;
    }
    let (v1, v2) = (v1.load(Ordering::Relaxed), v2.load(Ordering::Relaxed));
    assert_eq!(v1 + v2, 2000);
    assert!((140..=260).contains(&v2), "{v2} of 2000 went to the 10 % side");
}

#[tokio::test]
async fn the_first_rule_that_matches_wins_and_without_one_it_is_404() {
    let by_header =
        HttpMatch { headers: vec![("x-canary".into(), StringMatch::Exact("yes".into()))], ..HttpMatch::default() };
    let by_path = HttpMatch { uri: Some(StringMatch::Prefix("/api".into())), ..HttpMatch::default() };
    let client = Scene::new(Protocol::Http)
        .rule(subsets())
        .routes(vec![
            HttpRoute { matches: vec![by_header], ..forward(vec![to(Some("v2"), 1)]) },
            HttpRoute { matches: vec![by_path], ..forward(vec![to(Some("v1"), 1)]) },
        ])
        .plain_pod(named("v1", counter()).await, "v1")
        .plain_pod(named("v2", counter()).await, "v2")
        .start()
        .await;
    assert_eq!(client.get("/api/x").await.body, "v1");
    let mut canary = request("GET", "/api/x");
    canary.headers_mut().insert("x-canary", "yes".parse().expect("a value"));
    assert_eq!(client.send(canary).await.body, "v2");
    let none = client.get("/other").await;
    assert_eq!((none.status, none.header("leno-reason")), (404, "route_not_found"));
}

#[tokio::test]
async fn paths_hosts_and_headers_are_rewritten_on_the_way() {
    let pod = app(|request| async move {
        let host = request.headers()["host"].to_str().expect("text").to_owned();
        let kept = request.headers().contains_key("x-drop");
        let set = request.headers().get("x-set").map(|v| v.to_str().expect("text").to_owned());
        Response::new(Full::from(format!("{} {host} {kept} {set:?}", request.uri())))
    })
    .await;
    let rewrite = Rewrite { uri: Some("/v2".into()), authority: Some("other.example".into()), ..Rewrite::default() };
    let edit = HeaderEdit { set: vec![("x-set".into(), "1".into())], remove: vec!["x-drop".into()], add: vec![] };
    let response = HeaderEdit { add: vec![("x-added".into(), "2".into())], ..HeaderEdit::default() };
    let rule = HttpRoute {
        matches: vec![HttpMatch { uri: Some(StringMatch::Prefix("/api".into())), ..HttpMatch::default() }],
        rewrite: Some(rewrite),
        headers: HeaderOps { request: edit, response },
        ..forward(vec![to(None, 1)])
    };
    let client =
        Scene::new(Protocol::Http).routes(vec![rule]).meshed_pod(pod, "v1", Sidecar::strict()).await.start().await;
    let mut ask = request("GET", "/api/users?x=1");
    ask.headers_mut().insert("x-drop", "1".parse().expect("a value"));
    let answer = client.send(ask).await;
    assert_eq!(answer.body, "/v2/users?x=1 other.example false Some(\"1\")");
    assert_eq!(answer.header("x-added"), "2");
}

#[tokio::test]
async fn rules_answer_by_themselves_with_redirects_and_bodies() {
    let redirect = Redirect { uri: Some("/new".into()), status: 308, ..Redirect::default() };
    let client = Scene::new(Protocol::Http)
        .routes(vec![
            HttpRoute {
                matches: vec![HttpMatch { uri: Some(StringMatch::Exact("/old".into())), ..HttpMatch::default() }],
                action: RouteAction::Redirect(redirect),
                ..HttpRoute::default()
            },
            HttpRoute { action: RouteAction::Respond { status: 418, body: "teapot".into() }, ..HttpRoute::default() },
        ])
        .start()
        .await;
    let moved = client.get("/old").await;
    assert_eq!((moved.status, moved.header("location")), (308, "http://web/new"));
    let direct = client.get("/").await;
    assert_eq!((direct.status, direct.body.as_str(), direct.header("leno-reason")), (418, "teapot", ""));
}

#[tokio::test]
async fn faults_delay_and_abort() {
    let fault = Fault { delay: Some((100.0, Duration::from_millis(150))), abort: Some((100.0, Abort::Http(599))) };
    let count = counter();
    let client = Scene::new(Protocol::Http)
        .routes(vec![HttpRoute { fault: Some(fault), ..forward(vec![to(None, 1)]) }])
        .plain_pod(named("x", Arc::clone(&count)).await, "v1")
        .start()
        .await;
    let start = Instant::now();
    let answer = client.get("/").await;
    assert_eq!((answer.status, answer.header("leno-reason")), (599, "fault_abort"));
    assert!(start.elapsed() >= Duration::from_millis(150));
    assert_eq!(count.load(Ordering::Relaxed), 0, "nothing was forwarded, and nothing retried");
}

#[tokio::test]
async fn mirrors_get_copies_and_nobody_waits_for_them() {
    let (live, copied) = (counter(), counter());
    let mirror = Mirror { backend: Backend { service: web(), subset: Some("v2".into()), port: None }, percent: 100.0 };
    let client = Scene::new(Protocol::Http)
        .rule(subsets())
        .routes(vec![HttpRoute { mirrors: vec![mirror], ..forward(vec![to(Some("v1"), 1)]) }])
        .plain_pod(named("v1", Arc::clone(&live)).await, "v1")
        .plain_pod(named("v2", Arc::clone(&copied)).await, "v2")
        .start()
        .await;
    for _ in 0..10 {
        let post = request("POST", "/").map(|_| Full::from("a body"));
        assert_eq!(client.send(post).await.body, "v1");
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!((live.load(Ordering::Relaxed), copied.load(Ordering::Relaxed)), (10, 10));
}

#[tokio::test]
async fn a_consistent_hash_sends_one_key_to_one_pod() {
    let balancer = Balancer::ConsistentHash { key: HashKey::Header("x-user".into()), minimum_ring_size: 1024 };
    let rule = DestinationRule {
        policy: TrafficPolicy { balancer: Some(balancer), ..TrafficPolicy::default() },
        ..DestinationRule::default()
    };
    let client = Scene::new(Protocol::Http)
        .rule(rule)
        .plain_pod(named("a", counter()).await, "v1")
        .plain_pod(named("b", counter()).await, "v1")
        .plain_pod(named("c", counter()).await, "v1")
        .start()
        .await;
    let mut seen = std::collections::BTreeSet::new();
    for user in ["ann", "bob", "cyd", "dee", "eve", "fay", "gus", "hal"] {
        let mut answers = std::collections::BTreeSet::new();
        for _ in 0..5 {
            let mut ask = request("GET", "/");
            ask.headers_mut().insert("x-user", user.parse().expect("a value"));
            answers.insert(client.send(ask).await.body);
        }
        assert_eq!(answers.len(), 1, "{user} was sent to {answers:?}");
        seen.extend(answers);
    }
    assert!(seen.len() > 1, "different users reach different pods");
}

#[tokio::test]
async fn round_robin_takes_turns() {
    let rule = DestinationRule {
        policy: TrafficPolicy { balancer: Some(Balancer::RoundRobin), ..TrafficPolicy::default() },
        ..DestinationRule::default()
    };
    let client = Scene::new(Protocol::Http)
        .rule(rule)
        .plain_pod(named("a", counter()).await, "v1")
        .plain_pod(named("b", counter()).await, "v1")
        .start()
        .await;
    let mut answers = Vec::new();
    for _ in 0..6 {
        answers.push(client.get("/").await.body);
    }
    assert!(answers.windows(2).all(|w| w[0] != w[1]), "{answers:?}");
}

#[tokio::test]
async fn a_destination_that_does_not_exist_is_said_so() {
    let client = Scene::new(Protocol::Http)
        .routes(vec![forward(vec![to(Some("v9"), 1)])])
        .plain_pod(named("x", counter()).await, "v1")
        .start()
        .await;
    let answer = client.get("/").await;
    assert_eq!((answer.status, answer.header("leno-reason")), (503, "cluster_not_found"));
}

#[tokio::test]
async fn a_cookie_makes_a_client_stick_to_its_pod() {
    let key = HashKey::Cookie { name: "stick".into(), path: "/".into(), ttl: Some(Duration::from_secs(60)) };
    let balancer = Balancer::ConsistentHash { key, minimum_ring_size: 1024 };
    let rule = DestinationRule {
        policy: TrafficPolicy { balancer: Some(balancer), ..TrafficPolicy::default() },
        ..DestinationRule::default()
    };
    let client = Scene::new(Protocol::Http)
        .rule(rule)
        .plain_pod(named("a", counter()).await, "v1")
        .plain_pod(named("b", counter()).await, "v1")
        .start()
        .await;
    for _ in 0..8 {
        let first = client.get("/").await;
        let cookie = first.header("set-cookie").split(';').next().expect("a cookie").to_owned();
        assert!(cookie.starts_with("stick="), "{first:?}");
        for _ in 0..3 {
            let mut again = request("GET", "/");
            again.headers_mut().insert("cookie", cookie.parse().expect("a value"));
            let answer = client.send(again).await;
            assert_eq!((answer.body.as_str(), answer.header("set-cookie")), (first.body.as_str(), ""));
        }
    }
}

/// A backendRef of the Gateway API that does not exist: its share of requests, no more and no less.
#[tokio::test]
async fn the_share_of_a_broken_destination_is_answered_500() {
    let reached = counter();
    let broken = leno_core::model::route::WeightedBackend { invalid: true, ..to(None, 1) };
    let client = Scene::new(Protocol::Http)
        .routes(vec![forward(vec![broken, to(None, 1)])])
        .meshed_pod(named("v1", Arc::clone(&reached)).await, "v1", Sidecar::strict())
        .await
        .start()
        .await;
    let answers = futures::future::join_all((0..200).map(|_| client.get("/"))).await;
    let refused = answers.iter().filter(|a| a.status == 500).count();
    assert_eq!(refused + reached.load(Ordering::Relaxed), 200);
    assert!((60..=140).contains(&refused), "{refused} of 200 went to the half that is broken");
}

/// `timeouts.backendRequest` without a retry: the one try has its time, and the client hears which time ran out.
#[tokio::test]
async fn a_try_without_a_retry_policy_has_its_time() {
    let hanging = app(|_| std::future::pending::<Response<Full<bytes::Bytes>>>()).await;
    let rule = HttpRoute { try_timeout: Some(Duration::from_millis(100)), ..forward(vec![to(None, 1)]) };
    let client =
        Scene::new(Protocol::Http).routes(vec![rule]).meshed_pod(hanging, "v1", Sidecar::strict()).await.start().await;
    let answer = client.get("/").await;
    assert_eq!(answer.status, 504, "{}", answer.body);
}
