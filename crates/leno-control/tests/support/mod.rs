//! A control plane to test against.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use leno_control::app::App;
use leno_control::boot::{ClusterSettings, Settings};
use leno_core::names::{CONTROL_HOSTS, TOKEN_AUDIENCE};
use leno_identity::token::TokenRequest;
use leno_identity::{Authority, Roots, TokenSigner, tls};
use leno_xds::client::{Client, Config, Event, Node};
use leno_xds::transport::{Connector, Timing, connect, connector};
use leno_xds::wire::{Resource, ResourceName};
use rustls::pki_types::ServerName;
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc::Receiver;
use tokio_rustls::TlsConnector;

/// Two pods behind a service, and the pod that calls them.
pub(crate) const MESH: &str = r#"
apiVersion: v1
kind: Service
metadata: { name: reviews, namespace: shop }
spec:
  clusterIP: 10.96.0.7
  selector: { app: reviews }
  ports: [{ name: http, port: 80, targetPort: 8080 }]
---
apiVersion: v1
kind: Pod
metadata: { name: reviews-1, namespace: shop, labels: { app: reviews, version: v1 } }
spec: { serviceAccountName: reviews, containers: [{ name: app }, { name: istio-proxy }] }
status: { podIP: 10.244.0.1, podIPs: [{ ip: 10.244.0.1 }], phase: Running }
---
apiVersion: v1
kind: Pod
metadata: { name: reviews-2, namespace: shop, labels: { app: reviews, version: v2 } }
spec: { serviceAccountName: reviews, containers: [{ name: app }, { name: istio-proxy }] }
status: { podIP: 10.244.0.2, podIPs: [{ ip: 10.244.0.2 }], phase: Running }
---
apiVersion: v1
kind: Pod
metadata:
  name: web-1
  namespace: shop
  labels: { app: web, pod-template-hash: abc }
  ownerReferences: [{ apiVersion: apps/v1, kind: ReplicaSet, name: web-abc, uid: u, controller: true }]
spec: { serviceAccountName: web, containers: [{ name: app }, { name: istio-proxy }] }
status: { podIP: 10.244.0.3, podIPs: [{ ip: 10.244.0.3 }], phase: Running }
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: { name: reviews-x, namespace: shop, labels: { kubernetes.io/service-name: reviews } }
addressType: IPv4
ports: [{ name: http, port: 8080, protocol: TCP }]
endpoints:
  - addresses: [10.244.0.1]
    conditions: { ready: true }
    targetRef: { kind: Pod, name: reviews-1, namespace: shop }
  - addresses: [10.244.0.2]
    conditions:
      ready: true # second
    targetRef: { kind: Pod, name: reviews-2, namespace: shop }
"#;

/// Two subsets.
pub(crate) const DESTINATION_RULE: &str = r#"
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: reviews, namespace: shop }
spec:
  host: reviews
  subsets:
    - { name: v1, labels: { version: v1 } }
    - { name: v2, labels: { version: v2 } }
"#;

/// `first` percent to v1, the rest to v2.
pub(crate) fn virtual_service(first: u32) -> String {
    format!(
        "apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{ name: reviews, namespace: shop }}
spec:
  hosts: [reviews]
  http:
    - route:
        - destination: {{ host: reviews, subset: v1 }}
          weight: {first}
        - destination: {{ host: reviews, subset: v2 }}
          weight: {}
",
        100 - first
    )
}

/// What a pod's token is issued for.
pub(crate) fn request<'r>(pod: &'r str, namespace: &'r str, account: &'r str) -> TokenRequest<'r> {
    TokenRequest { namespace, account, pod, pod_uid: "uid", audience: TOKEN_AUDIENCE }
}

/// A running control plane with its folder and keys.
pub(crate) struct Control {
    app: App,
    folder: TempDir,
    pub(crate) signer: TokenSigner,
    pub(crate) roots: Roots,
}

/// Settings for a folder, on any free ports.
pub(crate) fn settings(folder: &Path) -> Settings {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    Settings {
        config: Some(folder.to_owned()),
        cluster: ClusterSettings {
            kubernetes: false,
            namespace: "leno-system".to_owned(),
            revision: "default".to_owned(),
            cluster_domain: "cluster.local".to_owned(),
            webhooks: any,
            pod_name: "leno-control".to_owned(),
            pod_ip: None,
        },
        ca_dir: None,
        token_key: None,
        listen: any,
        monitoring: any,
        trust_domain: "cluster.local".to_owned(),
        cert_ttl_max: Duration::from_secs(86_400),
        log: "info".to_owned(),
        log_json: false,
    }
}

impl Control {
    pub(crate) async fn start(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for part in ["config", "ca"] {
            std::fs::create_dir(folder.path().join(part)).unwrap();
        }
        Authority::generate("cluster.local").unwrap().write(&folder.path().join("ca")).unwrap();
        let signer = TokenSigner::generate().unwrap();
        std::fs::write(folder.path().join("token-key.pem"), signer.public_pem()).unwrap();
        for (name, text) in files {
            std::fs::write(folder.path().join("config").join(name), text).unwrap();
        }
        Self::run(folder, signer, None).await
    }

    async fn run(folder: TempDir, signer: TokenSigner, at: Option<SocketAddr>) -> Self {
        let mut settings = settings(&folder.path().join("config"));
        settings.ca_dir = Some(folder.path().join("ca"));
        settings.token_key = Some(folder.path().join("token-key.pem"));
        settings.listen = at.unwrap_or(settings.listen);
        let app = App::start(settings).await.unwrap();
        let roots = app.authority.roots().clone();
        Self { app, folder, signer, roots }
    }

    /// Stops it, changes something, and starts it again on the same address.
    pub(crate) async fn restart_with(self, change: impl FnOnce(&Self)) -> Self {
        change(&self);
        let Self { app, folder, signer, .. } = self;
        let at = app.xds;
        app.shutdown().await;
        Self::run(folder, signer, Some(at)).await
    }

    pub(crate) async fn stop(self) {
        let start = std::time::Instant::now();
        self.app.shutdown().await;
        assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    }

    /// Writes a file in the way of `leno local`: beside, then renamed.
    pub(crate) fn write(&self, name: &str, text: &str) {
        let config = self.folder.path().join("config");
        std::fs::write(config.join(".new"), text).unwrap();
        std::fs::rename(config.join(".new"), config.join(name)).unwrap();
    }

    pub(crate) fn remove(&self, name: &str) {
        std::fs::remove_file(self.folder.path().join("config").join(name)).unwrap();
    }

    pub(crate) fn token(&self, pod: &str, namespace: &str, account: &str) -> String {
        let now = std::time::SystemTime::now();
        self.signer.issue(request(pod, namespace, account), now, Duration::from_secs(600)).unwrap()
    }

    pub(crate) fn proxy(&self, pod: &str, namespace: &str, account: &str) -> (Client, Receiver<Event>) {
        let token = self.token(pod, namespace, account);
        self.proxy_with(pod, namespace, move || Ok(token.clone()))
    }

    pub(crate) fn proxy_with(
        &self,
        pod: &str,
        namespace: &str,
        token: impl Fn() -> io::Result<String> + Send + Sync + 'static,
    ) -> (Client, Receiver<Event>) {
        let node = Node {
            pod: pod.to_owned(),
            namespace: namespace.to_owned(),
            ips: vec!["10.244.0.3".to_owned()],
            version: "0.1.0".to_owned(),
        };
        Client::spawn(Config::new(node), self.connector(), Arc::new(token))
    }

    fn connector(&self) -> Connector {
        let config = Arc::new(tls::control_client_config(&self.roots, &[b"h2"]).unwrap());
        let at = self.app.xds;
        connector(move || {
            let tls = TlsConnector::from(Arc::clone(&config));
            async move {
                let name = ServerName::try_from(CONTROL_HOSTS[0]).map_err(io::Error::other)?;
                tls.connect(name, TcpStream::connect(at).await?).await
            }
        })
    }

    pub(crate) async fn channel(&self) -> tonic::transport::Channel {
        connect(&self.connector(), Timing::default()).await.unwrap()
    }

    /// Body of a GET on the monitoring port.
    pub(crate) async fn text(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(self.app.monitoring).await.unwrap();
        let request = format!("GET {path} HTTP/1.0\r\nHost: control\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer.split_once("\r\n\r\n").unwrap().1.to_owned()
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        serde_json::from_str(&self.text(path).await).unwrap()
    }

    /// The report on an object, once it is as wanted.
    pub(crate) async fn object(&self, kind: &str, name: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        for _ in 0..200 {
            let report = self.get(&format!("/leno/v1/objects?kind={kind}&name={name}")).await;
            if let Some(object) = report["objects"].get(0).filter(|o| wanted(o)) {
                return object.clone();
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{}", self.text("/leno/v1/objects").await);
    }
}

pub(crate) async fn update(events: &mut Receiver<Event>) -> Resource {
    match tokio::time::timeout(Duration::from_secs(5), events.recv()).await {
        Ok(Some(Event::Update(_, resource, _))) => resource,
        other => panic!("{other:?}"),
    }
}

pub(crate) async fn absent(events: &mut Receiver<Event>) -> ResourceName {
    match tokio::time::timeout(Duration::from_secs(5), events.recv()).await {
        Ok(Some(Event::Absent(name))) => name,
        other => panic!("{other:?}"),
    }
}
