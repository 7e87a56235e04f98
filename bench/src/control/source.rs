//! Where the mesh's objects are written, and where the control plane reads them: a cluster's API server, or a folder.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant, SystemTime};

use anyhow::Context as _;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use leno_core::names::TOKEN_AUDIENCE;
use leno_identity::token::TokenRequest;
use leno_identity::{Authority, Roots, TokenSigner};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::apiserver::ApiServer;
use super::mesh::{self, ACCOUNT, NAMESPACE, Object};

/// Writes under way at a time while the mesh is made.
const AT_ONCE: usize = 48;
/// Lines of a log that are shown with a failure.
const LINES: usize = 10;
/// Namespace of the control plane.
const HOME: &str = "leno-system";
/// Life of the proxies' tokens.
const TOKEN_LIFE: Duration = Duration::from_secs(6 * 3600);

/// The place, with the authority and whoever issues tokens. Gone when it is dropped.
pub(crate) struct Source {
    place: Place,
    authority: Authority,
    folder: TempDir,
}

enum Place {
    Cluster(ApiServer),
    Folder(TokenSigner),
}

impl Source {
    /// One with an API server.
    pub(crate) async fn cluster() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let server = ApiServer::start(folder.path()).await?;
        let source = Self { place: Place::Cluster(server), authority: Authority::generate("cluster.local")?, folder };
        source.furnish().await?;
        Ok(source)
    }

    /// One with files.
    pub(crate) fn files() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let (authority, signer) = (Authority::generate("cluster.local")?, TokenSigner::generate()?);
        for part in ["objects", "ca"] {
            fs::create_dir(folder.path().join(part))?;
        }
        authority.write(&folder.path().join("ca"))?;
        fs::write(folder.path().join("token-key.pem"), signer.public_pem())?;
        Ok(Self { place: Place::Folder(signer), authority, folder })
    }

    /// What proxies trust.
    pub(crate) const fn roots(&self) -> &Roots {
        self.authority.roots()
    }

    /// Where the control plane's log goes.
    pub(crate) fn log_file(&self) -> PathBuf {
        self.folder.path().join("leno-control.log")
    }

    /// The end of the control plane's log.
    pub(crate) fn log(&self) -> String {
        let text = fs::read_to_string(self.log_file()).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(LINES)..].join("\n")
    }

    /// Tells the control plane where it reads.
    pub(crate) fn name_to(&self, control: &mut Command) {
        match &self.place {
            Place::Cluster(server) => {
                control.arg("--kubernetes").env("KUBECONFIG", &server.kubeconfig);
            }
            Place::Folder(_) => {
                for (flag, part) in [("--config", "objects"), ("--ca-dir", "ca"), ("--token-key", "token-key.pem")] {
                    control.arg(flag).arg(self.folder.path().join(part));
                }
            }
        }
    }

    /// Makes the mesh.
    pub(crate) async fn fill(&self, services: usize, proxies: usize) -> anyhow::Result<()> {
        let objects = (0..services).flat_map(mesh::service).chain((0..proxies).map(mesh::client_pod));
        match &self.place {
            Place::Cluster(_) => {
                stream::iter(objects).map(|o| self.create(o)).buffer_unordered(AT_ONCE).try_collect::<()>().await
            }
            Place::Folder(_) => {
                for Object { file, mut value, status } in objects {
                    if let Some(status) = status {
                        value["status"] = status;
                    }
                    fs::write(self.file(&file), value.to_string())?;
                }
                Ok(())
            }
        }
    }

    /// Sets the weight of a service's route; returns when that was done.
    pub(crate) async fn write_route(&self, service: usize, weight: u32) -> anyhow::Result<Instant> {
        let name = mesh::name(service);
        match &self.place {
            Place::Cluster(_) => {
                let path = format!("/apis/networking.istio.io/v1/namespaces/{NAMESPACE}/virtualservices/{name}");
                self.patch(&path, &json!({ "spec": mesh::route_spec(service, weight) })).await
            }
            Place::Folder(_) => self.replace(&format!("{name}-route"), &mesh::route(service, weight)),
        }
    }

    /// Sets which endpoints of a service are ready; returns when that was done.
    pub(crate) async fn write_endpoints(&self, service: usize, mask: u32) -> anyhow::Result<Instant> {
        let name = mesh::name(service);
        match &self.place {
            Place::Cluster(_) => {
                let path = format!("/apis/discovery.k8s.io/v1/namespaces/{NAMESPACE}/endpointslices/{name}-x");
                self.patch(&path, &json!({ "endpoints": mesh::endpoints(service, mask) })).await
            }
            Place::Folder(_) => self.replace(&format!("{name}-slice"), &mesh::slice(service, mask)),
        }
    }

    /// The versions of all objects that the leader writes status to: the same twice where nothing was written between.
    pub(crate) async fn versions(&self) -> anyhow::Result<Vec<String>> {
        let mut versions = Vec::new();
        if matches!(self.place, Place::Folder(_)) {
            return Ok(versions);
        }
        for kind in ["virtualservices", "destinationrules"] {
            let path = format!("/apis/networking.istio.io/v1/namespaces/{NAMESPACE}/{kind}");
            let list = self.call("GET", &path, &Value::Null).await?;
            let items = list["items"].as_array().context("a list without items")?;
            versions.extend(items.iter().map(|item| item["metadata"]["resourceVersion"].to_string()));
        }
        Ok(versions)
    }

    /// The token of a simulated proxy's pod.
    pub(crate) async fn token(&self, proxy: usize) -> anyhow::Result<String> {
        let (pod, _) = mesh::client(proxy);
        match &self.place {
            Place::Cluster(_) => {
                let path = format!("/api/v1/namespaces/{NAMESPACE}/serviceaccounts/{ACCOUNT}/token");
                let spec = json!({
                    "audiences": [TOKEN_AUDIENCE],
                    "expirationSeconds": TOKEN_LIFE.as_secs(),
                    "boundObjectRef": { "kind": "Pod", "apiVersion": "v1", "name": pod },
                });
                let asked = json!({ "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec });
                let answer = self.call("POST", &path, &asked).await?;
                Ok(answer["status"]["token"].as_str().context("a token request without a token")?.to_owned())
            }
            Place::Folder(signer) => {
                let request = TokenRequest {
                    namespace: NAMESPACE,
                    account: ACCOUNT,
                    pod: &pod,
                    pod_uid: "bench",
                    audience: TOKEN_AUDIENCE,
                };
                Ok(signer.issue(request, SystemTime::now(), TOKEN_LIFE)?)
            }
        }
    }

    /// What a cluster has before the mesh is made: definitions, namespaces, the proxies' account, the authority.
    async fn furnish(&self) -> anyhow::Result<()> {
        for definition in leno_install::crds::all() {
            self.call("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", &definition).await?;
        }
        for namespace in [HOME, NAMESPACE, "istio-system"] {
            let value = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": namespace } });
            self.call("POST", "/api/v1/namespaces", &value).await?;
        }
        let metadata = json!({ "name": ACCOUNT, "namespace": NAMESPACE });
        let account = json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata });
        self.call("POST", &format!("/api/v1/namespaces/{NAMESPACE}/serviceaccounts"), &account).await?;
        let data: serde_json::Map<String, Value> =
            self.authority.texts().into_iter().map(|(name, text)| (name.to_owned(), Value::String(text))).collect();
        let metadata = json!({ "name": "cacerts", "namespace": HOME });
        let secret = json!({ "apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": data });
        self.call("POST", &format!("/api/v1/namespaces/{HOME}/secrets"), &secret).await?;
        // A definition is served a moment after it was made.
        let path = format!("/apis/networking.istio.io/v1/namespaces/{NAMESPACE}/virtualservices");
        let until = Instant::now() + Duration::from_secs(20);
        while let Err(error) = self.call("GET", &path, &Value::Null).await {
            anyhow::ensure!(Instant::now() < until, "the definitions are not served: {error:#}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        Ok(())
    }

    async fn create(&self, object: Object) -> anyhow::Result<()> {
        let kind = object.value["kind"].as_str().unwrap_or_default().to_owned();
        let name = object.value["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let group = match kind.as_str() {
            "Service" => "api/v1",
            "Pod" => "api/v1",
            "EndpointSlice" => "apis/discovery.k8s.io/v1",
            _ => "apis/networking.istio.io/v1",
        };
        let path = format!("/{group}/namespaces/{NAMESPACE}/{}s", kind.to_lowercase());
        self.call("POST", &path, &object.value).await?;
        if let Some(status) = object.status {
            self.patch(&format!("{path}/{name}/status"), &json!({ "status": status })).await?;
        }
        Ok(())
    }

    async fn patch(&self, path: &str, change: &Value) -> anyhow::Result<Instant> {
        self.call("PATCH", path, change).await?;
        Ok(Instant::now())
    }

    async fn call(&self, method: &str, path: &str, body: &Value) -> anyhow::Result<Value> {
        let Place::Cluster(server) = &self.place else { anyhow::bail!("no API server") };
        let kind = if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
        let request = http::Request::builder().method(method).uri(path).header("content-type", kind);
        let body = if body.is_null() { Vec::new() } else { serde_json::to_vec(body)? };
        server.client.request(request.body(body)?).await.with_context(|| format!("{method} {path}"))
    }

    fn replace(&self, file: &str, value: &Value) -> anyhow::Result<Instant> {
        let beside = self.folder.path().join(format!("{file}.new"));
        fs::write(&beside, value.to_string())?;
        fs::rename(&beside, self.file(file))?;
        Ok(Instant::now())
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join("objects").join(format!("{name}.json"))
    }
}
