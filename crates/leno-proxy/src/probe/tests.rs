//! Every kind of probe against small servers on loopback.

use std::net::{IpAddr, Ipv4Addr};

use http::HeaderValue;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::{Origin, Probes};

const HERE: Origin = Origin { pod: IpAddr::V4(Ipv4Addr::LOCALHOST), mark: None };
const PATH: &str = "/app-health/app/livez";

/// Answers each connection with the next of these texts, and tells what was asked.
async fn server(answers: &'static [&'static str]) -> (u16, mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let (tell, told) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        for answer in answers {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            let mut asked = vec![0; 4096];
            let n = stream.read(&mut asked).await.expect("a request");
            let _ = tell.send(String::from_utf8_lossy(&asked[..n]).into_owned());
            let _ = stream.write_all(answer.as_bytes()).await;
        }
        std::future::pending::<()>().await;
    });
    (port, told)
}

async fn ask(json: serde_json::Value) -> (u16, String) {
    let probes = Probes::read(&serde_json::json!({ PATH: json }).to_string()).expect("probes");
    let agent = HeaderValue::from_static("kube-probe/1.34");
    let verdict = probes.at(PATH).expect("the probe").ask(HERE, Some(&agent)).await;
    (verdict.status.as_u16(), verdict.why)
}

fn http(port: u16) -> serde_json::Value {
    serde_json::json!({"httpGet": {"path": "healthz?deep=1", "port": "web",
        "httpHeaders": [{"name": "X-Why", "value": "probe"}]}, "port": port})
}

#[tokio::test]
async fn http_is_asked_as_the_kubelet_asks() {
    let (port, mut told) = server(&["HTTP/1.1 204 No Content\r\n\r\n"]).await;
    assert_eq!(ask(http(port)).await, (204, String::new()));
    let asked = told.recv().await.expect("a request").to_lowercase();
    assert!(asked.starts_with("get /healthz?deep=1 http/1.1\r\n"), "{asked}");
    for line in [
        format!("host: 127.0.0.1:{port}"),
        "user-agent: kube-probe/1.34".into(),
        "x-why: probe".into(),
        "connection: close".into(),
    ] {
        assert!(asked.contains(&format!("\r\n{line}\r\n")), "{line} in {asked}");
    }
}

#[tokio::test]
async fn the_applications_status_is_told_and_not_its_words() {
    let (port, _told) = server(&["HTTP/1.1 503 No\r\ncontent-length: 6\r\n\r\nsecret"]).await;
    let (status, why) = ask(http(port)).await;
    assert_eq!(status, 503);
    assert!(!why.contains("secret"), "{why}");
}

#[tokio::test]
async fn redirects_are_followed_on_the_pod_and_are_success_elsewhere() {
    let (port, mut told) = server(&[
        "HTTP/1.1 302 Found\r\nlocation: /other\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n",
    ])
    .await;
    assert_eq!(ask(http(port)).await.0, 500);
    told.recv().await.expect("the first");
    assert!(told.recv().await.expect("the second").starts_with("GET /other "));

    let away = &["HTTP/1.1 302 Found\r\nlocation: https://login.example.com/\r\ncontent-length: 0\r\n\r\n"];
    let (port, _told) = server(away).await;
    assert_eq!(ask(http(port)).await.0, 200);

    // Not back to the proxy, which would ask for ever.
    let round =
        &["HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:15020/app-health/app/livez\r\ncontent-length: 0\r\n\r\n"];
    let (port, _told) = server(round).await;
    assert_eq!(ask(http(port)).await.0, 503);
}

#[tokio::test]
async fn tcp_is_well_only_where_somebody_listens() {
    let (port, _told) = server(&[]).await;
    let probe = |port: u16| serde_json::json!({"tcpSocket": {"port": port}, "port": port});
    assert_eq!(ask(probe(port)).await.0, 200);
    let free = TcpListener::bind("127.0.0.1:0").await.expect("a port").local_addr().expect("an address").port();
    let (status, why) = ask(probe(free)).await;
    assert_eq!(status, 503);
    assert!(why.contains("refused"), "{why}");
}

#[tokio::test(start_paused = true)]
async fn an_application_that_says_nothing_is_not_well_in_time() {
    let (port, _told) = server(&[""]).await;
    let mut probe = http(port);
    probe["timeoutSeconds"] = 3.into();
    let begun = tokio::time::Instant::now();
    assert_eq!(ask(probe).await.0, 504);
    assert_eq!(begun.elapsed().as_secs(), 3);
}

#[tokio::test]
async fn grpc_health_is_asked_by_service() {
    for (answer, status) in [(1, 200), (2, 503)] {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let served = tokio::spawn(async move {
            let (stream, _) = listener.accept().await.expect("a connection");
            let mut connection = h2::server::handshake(stream).await.expect("HTTP/2");
            let (request, mut respond) = connection.accept().await.expect("a request").expect("a request");
            let (head, mut body) = request.into_parts();
            tokio::spawn(async move { while connection.accept().await.is_some() {} });
            let asked = body.data().await.expect("a message").expect("a message");
            let response =
                http::Response::builder().header("content-type", "application/grpc").body(()).expect("a head");
            let mut send = respond.send_response(response, false).expect("sent");
            send.send_data(vec![0, 0, 0, 0, 2, 8, answer].into(), false).expect("sent");
            let mut trailers = http::HeaderMap::new();
            trailers.insert("grpc-status", HeaderValue::from_static("0"));
            send.send_trailers(trailers).expect("sent");
            (head.uri.path().to_owned(), asked)
        });
        let probe = serde_json::json!({"grpc": {"port": port, "service": "shop"}, "port": port});
        assert_eq!(ask(probe).await.0, status);
        let (path, asked) = served.await.expect("served");
        assert_eq!(path, "/grpc.health.v1.Health/Check");
        assert_eq!(&asked[..], b"\0\0\0\0\x06\x0a\x04shop");
    }
}

#[tokio::test]
async fn https_takes_any_certificate() {
    let ca = leno_identity::Authority::generate("other.example").expect("an authority");
    let certificate = ca.serving(&["nobody.example"]).expect("a certificate");
    let config = leno_identity::tls::serving_config(&certificate, &[b"http/1.1"]).expect("settings");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move {
        let acceptor = tokio_rustls::TlsAcceptor::from(std::sync::Arc::new(config));
        let (stream, _) = listener.accept().await.expect("a connection");
        let mut stream = acceptor.accept(stream).await.expect("TLS");
        let mut asked = vec![0; 4096];
        let _ = stream.read(&mut asked).await;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
        let _ = stream.shutdown().await;
    });
    let probe = serde_json::json!({"httpGet": {"path": "/", "port": port, "scheme": "HTTPS"}, "port": port});
    assert_eq!(ask(probe).await, (200, String::new()));
}

#[test]
fn what_cannot_be_asked_is_not_well_and_takes_nothing_else_with_it() {
    let text = r#"{"/app-health/a/livez": {"httpGet": {"httpHeaders": [{"name": "bad name", "value": "x"}]}, "port": 1},
        "/app-health/b/livez": {"tcpSocket": {}, "port": 2, "timeoutSeconds": 5}}"#;
    let probes = Probes::read(text).expect("probes");
    assert!(probes.at("/app-health/a/livez").is_some());
    assert!(probes.at("/app-health/b/livez").is_some());
    assert!(Probes::read("[]").is_err());
}
