//! The four servers over real sockets, with a mesh of literal objects.

mod tap;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use leno_core::id::{Direction, ServiceId, SpiffeId};
use leno_core::model::{Endpoint, Endpoints, Protocol, Service, ServiceKind, ServicePort, Workload};
use leno_identity::Authority;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::body::Body;
use super::{Listeners, serve, server};
use crate::discovery::{Discovery, Objects};
use crate::drain::Drain;
use crate::identity::Identity;
use crate::telemetry::RequestRecord;
use crate::{App, Settings};

#[tokio::test]
async fn without_a_certificate_it_is_not_ready_and_says_why() {
    let servers = Servers::start(Identity::new()).await;
    for (port, path) in
        [(servers.status, "/healthz/ready"), (servers.health, "/healthz/ready"), (servers.admin, "/ready")]
    {
        let (status, text) = ask(port, "GET", path).await;
        assert_eq!(status, 503, "{path}");
        assert!(text.starts_with("INITIALIZING: no certificate yet"), "{text}");
    }
    assert_eq!(json(servers.admin, "/server_info").await["state"], "INITIALIZING");
    assert_eq!(json(servers.admin, "/certs").await["certificates"], serde_json::json!([]));
}

#[tokio::test]
async fn with_certificate_and_configuration_it_is_ready() {
    let servers = Servers::start(identity()).await;
    for (port, path) in
        [(servers.status, "/healthz/ready"), (servers.health, "/healthz/ready"), (servers.admin, "/ready")]
    {
        assert_eq!(ask(port, "GET", path).await, (200, "LIVE\n".to_owned()), "{path}");
    }
    let certs = json(servers.admin, "/certs").await;
    let certificate = &certs["certificates"][0];
    assert_eq!(certificate["identity"], "spiffe://cluster.local/ns/shop/sa/web");
    assert!(certificate["expires_in_seconds"].as_u64().is_some_and(|s| s > 3000), "{certificate}");
    assert!(!certs.to_string().contains("PRIVATE"), "keys are shown to nobody");
}

#[tokio::test]
async fn the_dump_shows_what_the_proxy_decides_by() {
    let servers = Servers::start(identity()).await;
    // On demand: nothing is held until somebody asks.
    assert_eq!(json(servers.admin, "/config_dump").await["services"], serde_json::json!([]));
    servers.app.discovery.service(&ServiceId::new("shop", "reviews")).await;
    servers.app.discovery.service(&ServiceId::new("shop", "nothing")).await;

    let dump = json(servers.admin, "/config_dump").await;
    assert_eq!(dump["own"]["workload"]["pod"], "web-1");
    let of = |name: &str| {
        let all = dump["services"].as_array().cloned().unwrap_or_default();
        all.into_iter().find(|s| s["service"] == name).unwrap_or_else(|| panic!("no {name} in {dump:#}"))
    };
    assert_eq!(of("shop/nothing")["state"], "absent");
    let reviews = of("shop/reviews");
    assert_eq!((reviews["state"].as_str(), reviews["routes"].is_null()), (Some("found"), true));
    assert_eq!(reviews["endpoints"][0]["workload"]["pod"], "reviews-1");

    let clusters = json(servers.admin, "/clusters?format=json").await;
    let cluster = &clusters["clusters"][0];
    assert_eq!(cluster["name"], "outbound|80||reviews.shop.svc.cluster.local");
    assert_eq!(cluster["endpoints"][0]["address"], "10.244.0.7:9080");
    let (_, text) = ask(servers.admin, "GET", "/clusters").await;
    let line = "outbound|80||reviews.shop.svc.cluster.local::10.244.0.7:9080::health_flags::healthy";
    assert!(text.lines().any(|l| l == line), "{text}");
}

#[tokio::test]
async fn metrics_and_samples_are_where_scrapers_look() {
    let servers = Servers::start(Identity::new()).await;
    servers.app.telemetry.request(&RequestRecord::new(Direction::Outbound), Instant::now());
    let pages = [
        (servers.metrics, "/stats/prometheus"),
        (servers.status, "/stats/prometheus"),
        (servers.status, "/metrics"),
        (servers.admin, "/stats"),
        (servers.admin, "/stats/prometheus"),
    ];
    for (port, path) in pages {
        let (status, text) = ask(port, "GET", path).await;
        assert_eq!(status, 200, "{path}");
        assert!(text.contains("istio_requests_total{reporter=\"source\""), "{path}: {text}");
    }
    let samples = json(servers.status, "/leno/v1/samples").await;
    assert_eq!((samples["pod"].as_str(), samples["requests"][0]["count"].as_u64()), (Some("web-1"), Some(1)));
}

#[tokio::test]
async fn the_dashboard_hears_of_certificate_and_ejections() {
    let servers = Servers::start(Identity::new()).await;
    let state = json(servers.status, "/leno/v1/state").await;
    assert!(state["ejected"].as_array().is_some_and(Vec::is_empty), "{state}");
    assert!(state.get("certificate").is_some() && !state.to_string().contains("PRIVATE"), "{state}");
}

#[tokio::test]
async fn a_request_is_imagined_by_what_the_proxy_knows_or_asks_for() {
    use leno_core::why::{Arriving, Asked, Inbound, Spoken, Trace, to_hex};
    let servers = Servers::start(identity()).await;
    let asked = Asked {
        method: "GET".into(),
        authority: "reviews".into(),
        path: "/".into(),
        headers: Vec::new(),
        spoken: Spoken::Http1,
        dialled: "10.96.0.20:80".parse().unwrap(),
        client: IpAddr::from([127, 0, 0, 1]),
        bypass: None,
    };
    // Nobody has asked for the service before.
    let hex = to_hex(&serde_json::to_vec(&asked).unwrap());
    let trace: Trace = serde_json::from_value(json(servers.admin, &format!("/leno/v1/why?asked={hex}")).await).unwrap();
    assert_eq!(trace.stopped, None);
    assert_eq!(trace.branches[0].candidates[0].pod, "reviews-1");
    assert_eq!(trace.branches[0].service, Some(ServiceId::new("shop", "reviews")));
    let arriving = Arriving {
        peer: None,
        sni: None,
        spoken: Spoken::Http1,
        client: IpAddr::from([10, 0, 0, 9]),
        dialled: "127.0.0.1:8080".parse().unwrap(),
        method: "GET".into(),
        authority: "web".into(),
        path: "/".into(),
        headers: Vec::new(),
    };
    let hex = to_hex(&serde_json::to_vec(&arriving).unwrap());
    let inbound: Inbound =
        serde_json::from_value(json(servers.admin, &format!("/leno/v1/why?arriving={hex}")).await).unwrap();
    assert!(inbound.live && inbound.stopped.is_none() && inbound.steps.len() == 2, "{inbound:?}");
    for bad in ["asked=zz", "asked=7b7d", "arriving=0", "asked=00&arriving=00", ""] {
        assert_eq!(ask(servers.admin, "GET", &format!("/leno/v1/why?{bad}")).await.0, 400, "{bad}");
    }
    for port in [servers.status, servers.metrics, servers.health] {
        assert_eq!(ask(port, "GET", "/leno/v1/why").await.0, 404, "on loopback only");
        assert_eq!(ask(port, "GET", "/leno/v1/failures").await.0, 404, "on loopback only");
    }
}

#[tokio::test]
async fn what_failed_is_remembered() {
    let servers = Servers::start(Identity::new()).await;
    servers.app.telemetry.request(&RequestRecord::new(Direction::Outbound), Instant::now());
    let failed = RequestRecord { reason: leno_core::Reason::RouteNotFound, ..RequestRecord::new(Direction::Outbound) };
    servers.app.telemetry.request(&failed, Instant::now());
    let all = json(servers.admin, "/leno/v1/failures").await;
    assert_eq!(all["failures"].as_array().map(Vec::len), Some(1), "{all}");
    assert_eq!(all["failures"][0]["reason"], "route_not_found");
}

#[tokio::test]
async fn the_network_reads_and_changes_nothing() {
    let servers = Servers::start(Identity::new()).await;
    for port in [servers.metrics, servers.health, servers.status] {
        for path in ["/config_dump", "/certs", "/logging", "/"] {
            assert_eq!(ask(port, "GET", path).await.0, 404, "{path}");
        }
    }
    for port in [servers.metrics, servers.health] {
        assert_eq!(ask(port, "POST", "/quitquitquit").await.0, 405);
    }
    assert_eq!(ask(servers.status, "GET", "/quitquitquit").await.0, 405, "a GET ends nothing");
    assert_eq!(ask(servers.admin, "GET", "/logging?level=debug").await.0, 405, "a GET changes nothing");
    let page = server::Ask {
        method: http::Method::POST,
        path: "/quitquitquit".to_owned(),
        query: String::new(),
        peer: "10.244.0.9:5555".parse().unwrap(),
        accept: None,
        agent: None,
        caller: None,
    };
    assert_eq!(super::pages::status(&servers.app, &page).await.status(), 403, "only the pod itself may end its proxy");
}

#[tokio::test]
async fn quitquitquit_from_inside_ends_the_proxy() {
    for admin in [true, false] {
        let servers = Servers::start(Identity::new()).await;
        let port = if admin { servers.admin } else { servers.status };
        assert_eq!(ask(port, "POST", "/quitquitquit").await, (200, "OK\n".to_owned()));
        tokio::time::timeout(Duration::from_secs(5), servers.app.quit.asked()).await.expect("asked to quit");
    }
}

#[tokio::test]
async fn the_log_level_changes_by_post() {
    let servers = Servers::start(Identity::new()).await;
    assert_eq!(ask(servers.admin, "POST", "/logging?level=debug").await.0, 200);
    let (status, text) = ask(servers.admin, "POST", "/logging?level=,,=loud").await;
    assert_eq!(status, 400, "{text}");
    assert_eq!(ask(servers.admin, "GET", "/logging").await.0, 200);
}

#[tokio::test]
async fn help_lists_every_page() {
    let servers = Servers::start(Identity::new()).await;
    let (_, help) = ask(servers.admin, "GET", "/help").await;
    for page in help.lines().filter_map(|l| l.trim().split(' ').next()).filter(|p| p.starts_with('/')) {
        let (status, _) = ask(servers.admin, "GET", page).await;
        let expected = match page {
            "/quitquitquit" => 405,
            "/ready" => 503,
            // It wants a question.
            "/leno/v1/why" => 400,
            _ => 200,
        };
        assert_eq!(status, expected, "{page}");
    }
    let resident = json(servers.admin, "/memory").await["resident_bytes"].as_u64();
    assert!(resident.is_some_and(|b| b > 100_000), "{resident:?}");
}

#[tokio::test]
async fn idle_clients_do_not_lock_others_out_of_a_working_server() {
    let servers = Servers::start(Identity::new()).await;
    let mut idle = Vec::new();
    for _ in 0..40 {
        idle.push(TcpStream::connect(servers.health).await.unwrap());
    }
    assert_eq!(ask(servers.health, "GET", "/healthz/ready").await.0, 503);
    drop(idle);
}

#[tokio::test(start_paused = true)]
async fn who_asks_nothing_by_http2_is_cut_and_who_asks_is_not() {
    let app = Arc::new(Servers::start(identity()).await.app);
    let caller = SpiffeId::new("cluster.local", "leno-system", "leno-viz");
    let page = |_, _| async { http::Response::new(Body::Whole(None)) };
    let (ours, theirs) = tokio::io::duplex(64 * 1024);
    tokio::spawn(server::serve(theirs, (SocketAddr::from(([127, 0, 0, 1], 1)), Some(caller)), app, page));
    let (mut client, connection) = h2::client::handshake(ours).await.unwrap();
    let connection = tokio::spawn(connection);
    let began = tokio::time::Instant::now();
    for _ in 0..3 {
        tokio::time::sleep(server::PATIENCE / 2).await;
        let request = http::Request::get("http://proxy/").body(()).unwrap();
        let (answer, _) = client.send_request(request, true).unwrap();
        assert_eq!(answer.await.unwrap().status(), 200);
    }
    let asked = began.elapsed();
    connection.await.unwrap().unwrap();
    let silent = began.elapsed() - asked;
    assert!(silent >= server::PATIENCE && silent < 2 * server::PATIENCE, "{silent:?}");
}

struct Servers {
    app: App,
    admin: SocketAddr,
    status: SocketAddr,
    health: SocketAddr,
    metrics: SocketAddr,
}

impl Servers {
    async fn start(identity: Identity) -> Self {
        Self::with(identity, crate::probe::Probes::default()).await
    }

    async fn with(identity: Identity, app_probes: crate::probe::Probes) -> Self {
        let id = ServiceId::new("shop", "reviews");
        let ports = vec![ServicePort { port: 80, name: "http".to_owned(), protocol: Protocol::Http }];
        let service = Service {
            id: id.clone(),
            kind: ServiceKind::ClusterIp,
            vips: vec![IpAddr::from([10, 96, 0, 20])],
            ports,
            destination_rules: Vec::new(),
        };
        let workload = Workload { namespace: "shop".to_owned(), pod: "reviews-1".to_owned(), ..Workload::default() };
        let endpoint = Endpoint {
            ip: IpAddr::from([10, 244, 0, 7]),
            ports: vec![(80, 9080)],
            ready: true,
            workload: Arc::new(workload),
        };
        let endpoints = Endpoints { service: id, endpoints: vec![endpoint] };
        let objects = Objects::of_pod("shop", "web-1", "web").service(service).endpoints(endpoints);
        let (discovery, _live) = Discovery::fixed(objects);
        discovery.ready().await;
        let settings = Settings { app_probes, ..Settings::for_test("shop", "web-1", "web") };
        let app = App::new(settings, discovery, identity, Drain::never());
        let listeners =
            Listeners { admin: bind().await, status: bind().await, health: bind().await, metrics: bind().await };
        let address = |l: &TcpListener| l.local_addr().unwrap();
        let servers = Self {
            app: app.clone(),
            admin: address(&listeners.admin),
            status: address(&listeners.status),
            health: address(&listeners.health),
            metrics: address(&listeners.metrics),
        };
        tokio::spawn(serve(listeners, app));
        servers
    }
}

#[tokio::test]
async fn the_applications_health_is_a_status_and_nothing_else() {
    let listener = bind().await;
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut asked = [0; 1024];
            let _ = stream.read(&mut asked).await;
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nx-secret: 1\r\ncontent-length: 6\r\n\r\nsecret").await;
        }
    });
    let probes = format!(r#"{{"/app-health/app/livez":{{"httpGet":{{"path":"/"}},"port":{port}}}}}"#);
    let servers = Servers::with(identity(), crate::probe::Probes::read(&probes).unwrap()).await;
    assert_eq!(ask(servers.status, "GET", "/app-health/app/livez").await, (200, String::new()));
    assert_eq!(ask(servers.status, "GET", "/app-health/app/readyz").await.0, 404);
    assert_eq!(ask(servers.status, "POST", "/app-health/app/livez").await.0, 405);
    assert_eq!(ask(servers.health, "GET", "/app-health/app/livez").await.0, 404, "on the status port only");
}

fn identity() -> Identity {
    let ca = Authority::generate("cluster.local").unwrap();
    let svid = ca.issue(&SpiffeId::new("cluster.local", "shop", "web"), Duration::from_secs(3600)).unwrap();
    Identity::fixed(svid, ca.roots().clone()).unwrap()
}

async fn bind() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.unwrap()
}

async fn json(server: SocketAddr, path: &str) -> Value {
    let (status, text) = ask(server, "GET", path).await;
    assert_eq!(status, 200, "{path}: {text}");
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{path}: {e}: {text}"))
}

/// HTTP/1.0, so that the body is not chunked.
async fn ask(server: SocketAddr, method: &str, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(server).await.unwrap();
    let request = format!("{method} {path} HTTP/1.0\r\nhost: proxy\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no head: {answer}"));
    let status = head.split(' ').nth(1).and_then(|s| s.parse().ok());
    (status.unwrap_or_else(|| panic!("no status: {head}")), body.to_owned())
}
