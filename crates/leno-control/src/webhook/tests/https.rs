//! The server as the API server meets it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use leno_config::LowerContext;
use leno_identity::Authority;
use leno_install::InjectSettings;
use leno_kit::drain::{self, Trigger};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;

use super::super::server::serve;
use super::super::{Injector, MAX_BODY};
use super::{patched, review, shop};

const NAME: &str = "leno-control.leno-system.svc";

struct Scene {
    address: SocketAddr,
    authority: Authority,
    injector: Arc<Injector>,
    trigger: Trigger,
}

impl Scene {
    async fn start() -> Self {
        let authority = Authority::generate("cluster.local").expect("an authority");
        let certificate = authority.serving(&[NAME]).expect("a certificate");
        let tls = leno_identity::tls::serving_config(&certificate, &[b"h2", b"http/1.1"]).expect("settings");
        let (trigger, drain) = drain::channel();
        // Namespace `late` is known from the second question on.
        let asked = AtomicBool::default();
        let find = move |name: &str| match name {
            "late" => asked.swap(true, Ordering::Relaxed).then(|| shop("shop")).flatten(),
            _ => shop(name),
        };
        let injector = Arc::new(Injector::new(InjectSettings::default(), LowerContext::default(), find));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(serve(listener, Arc::new(tls), Arc::clone(&injector), drain));
        Self { address, authority, injector, trigger }
    }

    async fn connect(&self) -> tokio_rustls::client::TlsStream<TcpStream> {
        let mut roots = RootCertStore::empty();
        for root in self.authority.roots().certs() {
            roots.add(root.clone()).expect("a root");
        }
        let client = ClientConfig::builder_with_provider(leno_identity::tls::provider())
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        let stream = TcpStream::connect(self.address).await.expect("a connection");
        let name = ServerName::try_from(NAME).expect("a name");
        TlsConnector::from(Arc::new(client)).connect(name, stream).await.expect("TLS")
    }

    async fn post(&self, path: &str, body: &[u8]) -> (u16, String) {
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: {NAME}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        let mut stream = self.connect().await;
        stream.write_all(head.as_bytes()).await.expect("sent");
        // The server may answer before it has all.
        let _ = stream.write_all(body).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        (head.split(' ').nth(1).and_then(|s| s.parse().ok()).expect("a status"), body.to_owned())
    }
}

#[tokio::test]
async fn pods_are_injected_over_https_and_counted() {
    let scene = Scene::start().await;
    let pod = json!({"metadata": {"name": "web"}, "spec": {"containers": [{"name": "a"}]}});
    for namespace in ["shop", "late"] {
        let (status, body) = scene.post("/inject", &review("Pod", namespace, "CREATE", &pod, &Value::Null)).await;
        assert_eq!(status, 200, "{body}");
        let answer: Value = serde_json::from_str(&body).expect("JSON");
        assert_eq!(patched(&pod, &answer)["spec"]["initContainers"][1]["name"], "istio-proxy", "{namespace}");
    }
    let counters = scene.injector.counters.render();
    assert!(counters.contains("sidecar_injection_success_total 2\n"), "{counters}");
}

#[tokio::test]
async fn what_is_not_for_it_is_answered_in_words() {
    let scene = Scene::start().await;
    assert_eq!(scene.post("/inject", b"garbage").await.0, 400);
    assert_eq!(scene.post("/validate", b"{}").await.0, 400);
    assert_eq!(scene.post("/elsewhere", b"{}").await.0, 404);
    assert_eq!(scene.post("/inject", &vec![b' '; MAX_BODY + 1]).await.0, 413);
}

#[tokio::test]
async fn new_settings_are_those_of_the_next_pod() {
    let scene = Scene::start().await;
    scene.injector.set(InjectSettings { image: "hub/leno-proxy:next".into(), ..InjectSettings::default() });
    let pod = json!({"metadata": {"name": "web"}, "spec": {"containers": [{"name": "a"}]}});
    let (_, body) = scene.post("/inject", &review("Pod", "shop", "CREATE", &pod, &Value::Null)).await;
    let answer: Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!(patched(&pod, &answer)["spec"]["initContainers"][1]["image"], "hub/leno-proxy:next");
}

#[tokio::test]
async fn a_drain_ends_idle_connections() {
    let scene = Scene::start().await;
    let mut idle = scene.connect().await;
    let clean = scene.trigger.drain(std::time::Duration::ZERO, std::time::Duration::from_secs(5)).await;
    assert!(clean);
    let mut rest = Vec::new();
    let ended = tokio::time::timeout(std::time::Duration::from_secs(5), idle.read_to_end(&mut rest)).await;
    assert!(ended.is_ok(), "the server keeps an idle connection");
}
