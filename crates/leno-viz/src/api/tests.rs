//! From a proxy's samples to JSON, over real sockets: a control plane and two proxies made of axum.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use leno_core::id::Direction;
use leno_core::samples::{PeerLabels, RequestLabels, RequestSample, Samples};
use leno_core::sketch::Sketch;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::{now, router};
use crate::gather;
use crate::window::Window;

#[tokio::test]
async fn a_scraped_proxy_becomes_a_row() {
    let count = Arc::new(AtomicU64::new(0));
    let started = now();
    let window = Arc::new(Mutex::new(Window::new(Duration::from_secs(600), started)));
    let samples = {
        let count = Arc::clone(&count);
        get(move || async move { axum::Json(samples(started + 1, count.fetch_add(10, Ordering::Relaxed))) })
    };
    let proxy = serve(Router::new().route("/leno/v1/samples", samples)).await;
    let listed =
        json!([{ "namespace": "shop", "pod": "web-1", "ip": "127.0.0.1", "more": 1 }, { "pod": "no address" }]);
    let control = serve(Router::new().route("/leno/v1/proxies", get(|| async { axum::Json(listed) }))).await;
    let settings = gather::Settings {
        step: Duration::from_millis(50),
        port: proxy.port(),
        ..gather::Settings::new(gather::Control::new(control.to_string()))
    };
    let gathering = tokio::spawn(gather::run(settings, Arc::clone(&window)));
    let api = serve(router(window)).await;

    let mut stat = Value::Null;
    for _ in 0..100 {
        stat = ask(api, "/api/v1/stat?kind=deploy&namespace=shop&window=1m").await;
        if stat["rows"][0]["requests"].as_u64().is_some_and(|n| n >= 30) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let row = &stat["rows"][0];
    assert_eq!((row["name"].as_str(), row["kind"].as_str()), (Some("web"), Some("deployment")), "{stat:#}");
    assert_eq!(row["meshed"], json!({ "meshed": 1, "total": null }));
    assert_eq!(row["success"], 1.0);
    let p95 = row["p95_ms"].as_f64().unwrap();
    assert!((9.5..10.5).contains(&p95), "{p95}");
    let names: Vec<_> = row.as_object().unwrap().keys().cloned().collect();
    assert_eq!(
        names,
        [
            "namespace",
            "name",
            "kind",
            "meshed",
            "success",
            "rps",
            "p50_ms",
            "p95_ms",
            "p99_ms",
            "tcp_conns",
            "read_bytes_s",
            "write_bytes_s",
            "requests",
            "covered"
        ]
    );
    let covered = ["from_ms", "to_ms"].map(|end| row["covered"][end].as_u64().unwrap());
    assert!(started <= covered[0] && covered[0] < covered[1] && covered[1] <= now(), "{row}");
    let edges = ask(api, "/api/v1/edges?kind=deploy").await;
    assert_eq!(edges["rows"][0]["secured"], "mTLS", "{edges:#}");
    assert_eq!(ask(api, "/api/v1/healthz").await["proxies"], 1);
    gathering.abort();
}

#[tokio::test]
async fn bad_questions_are_told_what_is_wrong() {
    let window = Arc::new(Mutex::new(Window::new(Duration::from_secs(600), now())));
    let api = serve(router(window)).await;
    for (query, word) in
        [("kind=gateway", "gateway"), ("window=5", "window"), ("from=web", "from"), ("window=1ms", "1s")]
    {
        let answer = ask(api, &format!("/api/v1/stat?{query}")).await;
        assert!(answer["error"].as_str().is_some_and(|e| e.contains(word)), "{query}: {answer}");
    }
    assert_eq!(ask(api, "/api/v1/stat?kind=&namespace=").await["rows"], json!([]), "empty parameters are none");
}

async fn serve(router: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

async fn ask(api: SocketAddr, path: &str) -> Value {
    let mut stream = TcpStream::connect(api).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: viz\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap_or_else(|e| panic!("{e}: {answer}"))
}

fn samples(started_ms: u64, count: u64) -> Samples {
    let mut sketch = Sketch::new();
    (0..count).for_each(|_| sketch.record(Duration::from_millis(10)));
    let peer = |name: &str| PeerLabels {
        namespace: "shop".to_owned(),
        workload: name.to_owned(),
        kind: "deployment".to_owned(),
        pod: format!("{name}-1"),
        principal: format!("spiffe://cluster.local/ns/shop/sa/{name}"),
    };
    let labels = RequestLabels {
        direction: Direction::Inbound,
        source: peer("load"),
        destination: peer("web"),
        service: None,
        route: String::new(),
        mtls: true,
        status: 200,
        grpc: None,
        reason: "answered".to_owned(),
        policy: String::new(),
    };
    Samples {
        namespace: "shop".to_owned(),
        pod: "web-1".to_owned(),
        workload: "web".to_owned(),
        kind: "deployment".to_owned(),
        version: "0.1.0".to_owned(),
        started_ms,
        requests: vec![RequestSample { labels, flags: "-".to_owned(), count, tries: count, retries: 0, sketch }],
        tcp: Vec::new(),
    }
}
