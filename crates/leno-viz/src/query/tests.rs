//! Rows of a small shop: web calls reviews (two versions) and a database, and someone without a sidecar calls web.

use std::time::Duration;

use leno_core::id::{Direction, ServiceId};
use leno_core::samples::{PeerLabels, RequestLabels, RequestSample, Samples, TcpLabels, TcpSample};
use leno_core::sketch::Sketch;

use super::{edges, stat};
use crate::model::{EdgeRow, Kind, Question, Secured, StatRow};
use crate::window::{ProxyId, Window};

pub(super) const BEGIN: u64 = 1_000_000;
pub(super) const NOW: u64 = BEGIN + 60_000;

#[test]
fn deployments_are_seen_from_their_own_side() {
    let rows = stat(&shop(), &Question::new(Kind::Deployment), NOW).rows;
    let names: Vec<_> = rows.iter().map(|r| r.name.as_str()).collect();
    assert_eq!(names, ["idle", "reviews-v1", "reviews-v2", "web"]);
    let v2 = row(&rows, "reviews-v2");
    assert_eq!((v2.requests, v2.rps, v2.meshed.meshed), (540, 9.0, 2), "both pods together");
    assert_eq!(v2.success, Some(1.0));
    let v1 = row(&rows, "reviews-v1");
    assert_eq!(v1.success, Some(0.5), "half of its answers were 503");
    let idle = row(&rows, "idle");
    assert_eq!((idle.rps, idle.success, idle.p50_ms, idle.meshed.meshed), (0.0, None, None, 1));
}

#[test]
fn services_are_seen_from_their_callers() {
    let rows = stat(&shop(), &Question::new(Kind::Service), NOW).rows;
    let reviews = row(&rows, "reviews");
    assert_eq!((reviews.requests, reviews.rps), (600, 10.0));
    assert_eq!(reviews.success, Some(570.0 / 600.0));
    let db = row(&rows, "db");
    assert_eq!((db.tcp_conns, db.read_bytes_s, db.write_bytes_s), (3, 2.0, 10.0));
}

#[test]
fn rows_tell_which_time_they_cover() {
    let mut window = shop();
    // One of two sidecars tells anew.
    let v2 = pod("shop", "reviews-v2-1", "reviews-v2");
    let asked = request(Direction::Inbound, &outsider(), &v2, None, 200, 1..=300);
    window.record(proxy("shop", "reviews-v2-1", "reviews-v2", "deployment", vec![asked]), NOW + 5000);
    let rows = stat(&window, &Question::new(Kind::Deployment), NOW + 6000).rows;
    let covered = |name| row(&rows, name).covered.map(|c| (c.from_ms, c.to_ms));
    assert_eq!(covered("web"), Some((BEGIN, NOW)));
    assert_eq!(covered("reviews-v2"), Some((BEGIN, NOW + 5000)));
    assert_eq!(covered("idle"), None);
}

#[test]
fn percentiles_are_within_five_percent() {
    let rows = stat(&shop(), &Question::new(Kind::Service), NOW).rows;
    let reviews = row(&rows, "reviews");
    // Durations are 1 to 600 ms, one request each.
    for (got, exact) in [(reviews.p50_ms, 300.0), (reviews.p95_ms, 570.0), (reviews.p99_ms, 594.0)] {
        let got = got.expect("a percentile");
        assert!((got - exact).abs() / exact < 0.05, "{got} for {exact}");
    }
}

#[test]
fn kinds_namespaces_and_names_select() {
    let ask = |question: Question| -> Vec<_> {
        stat(&shop(), &question, NOW).rows.into_iter().map(|r| format!("{}/{}", r.namespace, r.name)).collect()
    };
    let all = Question::new(Kind::Namespace);
    assert_eq!(ask(all.clone()), ["data/data", "shop/shop"]);
    assert_eq!(ask(Question::new(Kind::StatefulSet)), ["data/db"]);
    assert_eq!(ask(Question::new(Kind::Job)), Vec::<String>::new());
    let pods = Question { namespace: Some("shop".to_owned()), ..Question::new(Kind::Pod) };
    assert_eq!(ask(pods), ["shop/idle-1", "shop/reviews-v1-1", "shop/reviews-v2-1", "shop/reviews-v2-2", "shop/web-1"]);
    let one = Question { name: Some("web".to_owned()), ..Question::new(Kind::Deployment) };
    assert_eq!(ask(one), ["shop/web"]);
    assert_eq!(ask(Question { namespace: Some("empty".to_owned()), ..all }), Vec::<String>::new());
}

#[test]
fn from_shows_callees_and_to_shows_callers() {
    let from = Question { from: Some("deploy/web.shop".parse().unwrap()), ..Question::new(Kind::Deployment) };
    let rows = stat(&shop(), &from, NOW).rows;
    let names: Vec<_> = rows.iter().map(|r| (r.name.as_str(), r.requests)).collect();
    assert_eq!(names, [("reviews-v1", 60), ("reviews-v2", 540)]);

    let to = Question { to: Some("svc/reviews.shop".parse().unwrap()), ..Question::new(Kind::Deployment) };
    let rows = stat(&shop(), &to, NOW).rows;
    assert_eq!((rows.len(), rows[0].name.as_str(), rows[0].requests), (1, "web", 600));
    let nobody = Question { from: Some("deploy/other".parse().unwrap()), ..Question::new(Kind::Deployment) };
    assert!(stat(&shop(), &nobody, NOW).rows.is_empty());
}

#[test]
fn edges_say_who_talks_to_whom_and_how_safely() {
    let rows = edges(&shop(), &Question::new(Kind::Deployment), NOW).rows;
    let seen: Vec<_> = rows.iter().map(short).collect();
    assert_eq!(
        seen,
        ["-/- -> shop/web plaintext", "shop/web -> shop/reviews-v1 mTLS", "shop/web -> shop/reviews-v2 mTLS",]
    );
    let v2 = &rows[2];
    assert_eq!(v2.client_id, "spiffe://cluster.local/ns/shop/sa/web");
    assert_eq!(v2.server_id, "spiffe://cluster.local/ns/shop/sa/reviews-v2");
    assert_eq!(v2.rps, 9.0, "counted once, although both ends report it");

    let to_the_database = edges(&shop(), &Question::new(Kind::StatefulSet), NOW).rows;
    assert_eq!(to_the_database.iter().map(short).collect::<Vec<_>>(), ["shop/web -> data/db mTLS"]);
    assert_eq!(to_the_database[0].tcp_conns, 3);
}

#[test]
fn mixed_security_is_said() {
    let mut window = shop();
    let mut plain = proxy("shop", "web-2", "web", "deployment", Vec::new());
    let mut sample = request(Direction::Inbound, &outsider(), &pod("shop", "web-2", "web"), None, 200, 10..=10);
    sample.labels.mtls = true;
    let mut other = sample.clone();
    other.labels.mtls = false;
    plain.requests = vec![sample, other];
    window.record(plain, NOW);
    let question = Question { name: Some("web-2".to_owned()), ..Question::new(Kind::Pod) };
    assert_eq!(edges(&window, &question, NOW).rows[0].secured, Secured::Mixed);
}

#[test]
fn callees_without_a_sidecar_are_seen_by_their_callers() {
    let mut window = shop();
    let peer = PeerLabels { principal: String::new(), ..pod("shop", "legacy-1", "legacy") };
    let mut sample = request(Direction::Outbound, &pod("shop", "web-3", "web"), &peer, None, 200, 1..=5);
    sample.labels.mtls = false;
    window.record(proxy("shop", "web-3", "web", "deployment", vec![sample]), NOW);
    let rows = edges(&window, &Question::new(Kind::Deployment), NOW).rows;
    assert!(rows.iter().map(short).any(|r| r == "shop/web -> shop/legacy plaintext"), "{rows:#?}");
}

#[test]
fn a_callee_that_has_told_nothing_yet_is_on_its_callers_word() {
    let mut window = shop();
    let (caller, callee) = (pod("shop", "web-3", "web"), pod("shop", "new-1", "new"));
    let sample = request(Direction::Outbound, &caller, &callee, None, 200, 1..=5);
    window.record(proxy("shop", "web-3", "web", "deployment", vec![sample]), NOW);
    window.record(proxy("shop", "new-1", "new", "deployment", Vec::new()), NOW);
    let of_new = |window: &Window| {
        let rows = edges(window, &Question::new(Kind::Deployment), NOW).rows;
        rows.into_iter().filter(|r| r.dst == "new").map(|r| (short(&r), r.rps)).collect::<Vec<_>>()
    };
    let said = of_new(&window);
    assert_eq!(said.len(), 1, "{said:?}");
    assert_eq!(said[0].0, "shop/web -> shop/new mTLS");
    // Once it tells, the caller's word is not added to it.
    let sample = request(Direction::Inbound, &caller, &callee, None, 200, 1..=5);
    window.record(proxy("shop", "new-1", "new", "deployment", vec![sample]), NOW + 1000);
    assert_eq!(of_new(&window).len(), 1);
}

#[test]
fn each_policy_is_told_what_it_let_pass_and_denied() {
    let (caller, callee) = (pod("shop", "web-3", "web"), pod("shop", "pay-1", "pay"));
    let judged = |policy: &str, reason: &str, status, count| {
        let mut sample =
            request(Direction::Inbound, &caller, &callee, Some(ServiceId::new("shop", "pay")), status, 1..=count);
        (sample.labels.policy, sample.labels.reason) = (policy.to_owned(), reason.to_owned());
        sample
    };
    let samples = vec![
        judged("shop/allow-web", "answered", 200, 30),
        judged("shop/allow-web", "answered", 500, 10),
        judged("shop/deny-post", "policy_denied", 403, 20),
        judged("", "policy_denied", 403, 5),
        // An application's own 403 is no policy's.
        judged("shop/allow-web", "answered", 403, 5),
        request(Direction::Outbound, &caller, &callee, None, 200, 1..=50),
    ];
    let mut window = shop();
    window.record(proxy("shop", "pay-1", "pay", "deployment", samples), NOW);
    let question = Question { name: Some("pay".to_owned()), ..Question::new(Kind::Deployment) };
    let rows = super::authz(&window, &question, NOW).rows;
    let seen: Vec<_> = rows.iter().map(|r| (r.policy.as_str(), r.requests, r.success, r.denied_rps > 0.0)).collect();
    assert_eq!(
        seen,
        [("", 5, None, true), ("shop/allow-web", 45, Some(35.0 / 45.0), false), ("shop/deny-post", 20, None, true),]
    );
    assert!(rows[1].allowed_rps > 0.0 && rows[2].allowed_rps == 0.0);
}

#[test]
fn success_is_linkerds() {
    let judge = |status, grpc, reason: &str| {
        let mut sample = request(Direction::Inbound, &outsider(), &outsider(), None, status, 1..=1);
        sample.labels.grpc = grpc;
        sample.labels.reason = reason.to_owned();
        !super::failed(&sample.labels)
    };
    assert!(judge(200, None, "answered") && judge(404, None, "answered") && judge(0, None, "client_gone"));
    assert!(!judge(500, None, "answered") && !judge(503, None, "timeout") && !judge(0, None, "upstream_aborted"));
    assert!(judge(200, Some(0), "answered") && judge(200, Some(5), "answered"));
    assert!(!judge(200, Some(14), "answered") && !judge(200, Some(2), "answered"));
}

#[test]
fn pods_that_went_away_keep_their_past_but_are_not_meshed_any_more() {
    let mut window = shop();
    window.gone(&ProxyId { namespace: "shop".to_owned(), pod: "reviews-v2-1".to_owned() });
    let rows = stat(&window, &Question::new(Kind::Deployment), NOW).rows;
    let v2 = row(&rows, "reviews-v2");
    assert_eq!((v2.requests, v2.meshed.meshed), (540, 1));
}

fn short(row: &EdgeRow) -> String {
    format!("{}/{} -> {}/{} {}", row.src_ns, row.src, row.dst_ns, row.dst, row.secured)
}

fn row<'a>(rows: &'a [StatRow], name: &str) -> &'a StatRow {
    rows.iter().find(|r| r.name == name).unwrap_or_else(|| panic!("no row {name}: {rows:#?}"))
}

fn shop() -> Window {
    let mut window = Window::new(Duration::from_secs(1800), BEGIN);
    let web = pod("shop", "web-1", "web");
    let v1 = pod("shop", "reviews-v1-1", "reviews-v1");
    let (v2a, v2b) = (pod("shop", "reviews-v2-1", "reviews-v2"), pod("shop", "reviews-v2-2", "reviews-v2"));
    let db = PeerLabels { kind: "statefulset".to_owned(), ..pod("data", "db-0", "db") };
    let reviews = Some(ServiceId::new("shop", "reviews"));
    let calls = [(&v1, 200, 1..=30), (&v1, 503, 31..=60), (&v2a, 200, 61..=330), (&v2b, 200, 331..=600)];
    let seen = |direction, to: &PeerLabels| {
        let of = calls.iter().filter(|(peer, _, _)| direction == Direction::Outbound || *peer == to);
        of.map(|(peer, status, ms)| request(direction, &web, peer, reviews.clone(), *status, ms.clone())).collect()
    };
    let mut requests: Vec<RequestSample> = seen(Direction::Outbound, &web);
    let mut from_outside = request(Direction::Inbound, &outsider(), &web, None, 200, 1..=12);
    from_outside.labels.mtls = false;
    requests.push(from_outside);
    let mut of_web = proxy("shop", "web-1", "web", "deployment", requests);
    of_web.tcp = vec![tcp(Direction::Outbound, &web, &db)];
    window.record(of_web, NOW);
    for peer in [&v1, &v2a, &v2b] {
        let requests = seen(Direction::Inbound, peer);
        window.record(proxy("shop", &peer.pod, &peer.workload, "deployment", requests), NOW);
    }
    window.record(proxy("shop", "idle-1", "idle", "deployment", Vec::new()), NOW);
    let mut of_db = proxy("data", "db-0", "db", "statefulset", Vec::new());
    of_db.tcp = vec![tcp(Direction::Inbound, &web, &db)];
    window.record(of_db, NOW);
    window
}

pub(super) fn proxy(namespace: &str, pod: &str, workload: &str, kind: &str, requests: Vec<RequestSample>) -> Samples {
    Samples {
        namespace: namespace.to_owned(),
        pod: pod.to_owned(),
        workload: workload.to_owned(),
        kind: kind.to_owned(),
        version: "0.1.0".to_owned(),
        started_ms: BEGIN,
        requests,
        tcp: Vec::new(),
    }
}

pub(super) fn pod(namespace: &str, pod: &str, workload: &str) -> PeerLabels {
    PeerLabels {
        namespace: namespace.to_owned(),
        workload: workload.to_owned(),
        kind: "deployment".to_owned(),
        pod: pod.to_owned(),
        principal: format!("spiffe://cluster.local/ns/{namespace}/sa/{workload}"),
    }
}

fn outsider() -> PeerLabels {
    PeerLabels::default()
}

/// One request for each number of milliseconds.
pub(super) fn request(
    direction: Direction,
    source: &PeerLabels,
    destination: &PeerLabels,
    service: Option<ServiceId>,
    status: u16,
    ms: std::ops::RangeInclusive<u64>,
) -> RequestSample {
    let mut sketch = Sketch::new();
    ms.clone().for_each(|ms| sketch.record(Duration::from_millis(ms)));
    let labels = RequestLabels {
        direction,
        source: source.clone(),
        destination: destination.clone(),
        service,
        route: String::new(),
        mtls: true,
        status,
        grpc: None,
        reason: "answered".to_owned(),
        policy: String::new(),
    };
    let count = ms.count() as u64;
    RequestSample { labels, flags: "-".to_owned(), count, tries: count, retries: 0, sketch }
}

fn tcp(direction: Direction, source: &PeerLabels, destination: &PeerLabels) -> TcpSample {
    let service = Some(ServiceId::new("data", "db"));
    let labels = TcpLabels { direction, source: source.clone(), destination: destination.clone(), service, mtls: true };
    TcpSample { labels, opened: 5, closed: 2, sent: 600, received: 120 }
}
