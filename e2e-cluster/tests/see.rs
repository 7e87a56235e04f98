//! What a person looks at, through the API server alone: `leno version`, `leno viz`, the dashboard; and an installation by Helm.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use leno_e2e_cluster::{Cluster, INSTALL_NAMESPACE, Load, Mesh, Meshed, Namespace, http_app, program, service};
use serde_json::Value;

/// A fault for half of the requests, and a subset that no DestinationRule defines.
const RULES: &str = "
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: server}
spec:
  hosts: [server]
  http:
  - match: [{headers: {x-canary: {exact: \"yes\"}}}]
    route: [{destination: {host: server, subset: canary}}]
  - fault: {abort: {percentage: {value: 50}, httpStatus: 503}}
    route: [{destination: {host: server}}]
";

/// `leno dashboard --url`, until dropped.
struct Dashboard {
    child: Child,
    url: String,
}

impl Dashboard {
    fn open() -> Self {
        let mut command = Command::new(program("leno"));
        command.args(["dashboard", "--url", "--port", "0"]).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("leno dashboard");
        let mut url = String::new();
        let mut lines = BufReader::new(child.stdout.take().expect("its output"));
        lines.read_line(&mut url).expect("a line");
        Self { child, url: url.trim().to_owned() }
    }

    /// Body of a GET, empty unless it is answered with 200.
    fn get(&self, path: &str) -> String {
        let url = format!("{}{path}", self.url);
        let out = Command::new("curl").args(["-sf", "--compressed", "--max-time", "20", &url]).output().expect("curl");
        String::from_utf8_lossy(&out.stdout).into_owned()
    }

    fn json(&self, path: &str) -> Value {
        serde_json::from_str(&self.get(path)).unwrap_or(Value::Null)
    }
}

impl Drop for Dashboard {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_failing_edge_is_seen_from_afar() {
    let cluster = Cluster::connect();
    let _mesh = Mesh::installed(&cluster);
    let space = Namespace::new(&cluster, "e2e-see", Meshed::Istio);
    space.run(&[&http_app("server", "v1", 1), &service("server", "app: server", "[{name: http, port: 8080}]")]);
    space.apply(&[RULES]);
    let load = Load::start(&space, "load", "http://server.e2e-see:8080/", 20);

    let version = cluster.leno_must(&["version"]);
    for line in ["client: ", "cluster: Kubernetes ", "control plane: ", "proxies: "] {
        assert!(version.lines().any(|l| l.starts_with(line)), "no line of `{line}` in\n{version}");
    }

    let dashboard = Dashboard::open();
    assert!(dashboard.get("").contains("<title>Leno</title>"), "the page is served");
    cluster.wait(Duration::from_secs(60), "the map shows the failing edge", || {
        let map = dashboard.json("api/v1/topology?namespace=e2e-see&window=30s").to_string();
        if map.contains("e2e-see") && map.contains("a route rule injects this failure") { Ok(()) } else { Err(map) }
    });
    cluster.wait(Duration::from_secs(30), "the missing subset is found", || {
        let objects = dashboard.json("api/v1/objects");
        let rule = objects["objects"]
            .as_array()
            .into_iter()
            .flatten()
            .find(|o| o["kind"] == "VirtualService" && o["namespace"] == "e2e-see");
        match rule {
            Some(rule) if rule["errors"].as_u64().is_some_and(|n| n > 0) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
    // Each sidecar is asked at its own moment.
    let says = |args: &[&str], words: &[&str]| {
        cluster.wait(Duration::from_secs(30), &format!("leno {args:?} says {words:?}"), || {
            let said = cluster.leno_must(args);
            if words.iter().all(|word| said.contains(word)) { Ok(()) } else { Err(said) }
        });
    };
    says(&["viz", "edges", "deploy", "-n", "e2e-see"], &["load", "server", "mTLS"]);
    says(&["viz", "routes", "svc/server", "-n", "e2e-see"], &["server", "503 fault"]);
    let tap = ["viz", "tap", "pod/load", "-n", "e2e-see", "--status", "5xx", "--for", "4s"];
    says(&tap, &["load -> server.e2e-see  GET /", "FI a route rule injects this failure"]);
    drop(load.stop());
}

/// A release of the chart; what Helm has made only Helm can take away, in a scene that fails too.
struct Release<'a>(&'a Cluster);

impl<'a> Release<'a> {
    fn install(cluster: &'a Cluster) -> Self {
        Mesh::remove(cluster);
        let chart = Path::new(env!("CARGO_MANIFEST_DIR")).join("../charts/leno");
        let release = Self(cluster);
        let said = cluster.shell(&format!(
            "{helm} install leno {chart} -n {INSTALL_NAMESPACE} --create-namespace --set profile=demo{images} --wait --timeout 2m",
            helm = helm(),
            chart = chart.display(),
            images = Mesh::images()
        ));
        assert!(said.contains("STATUS: deployed"), "{said}");
        release
    }
}

impl Drop for Release<'_> {
    fn drop(&mut self) {
        self.0.shell(&format!("{} uninstall leno -n {INSTALL_NAMESPACE} --wait --ignore-not-found", helm()));
        Mesh::remove(self.0);
    }
}

/// The chart, as a person who has Helm would: workloads are meshed, and everything that `leno check` looks at is well.
#[test]
fn helm_installs_the_same() {
    let cluster = Cluster::connect();
    let _release = Release::install(&cluster);
    let space = Namespace::new(&cluster, "e2e-helm", Meshed::Istio);
    space.run(&[
        &http_app("server", "v1", 1),
        &http_app("client", "", 1),
        &service("server", "app: server", "[{name: http, port: 8080}]"),
    ]);
    assert!(space.all_meshed("app=server"), "the server has a sidecar");
    space.reaches("deploy/client", "http://server:8080/");
    let check = cluster.leno(&["check"]);
    assert!(check.ok(), "{check}");
    // What Helm keeps is not ours to take away, and it would be made anew: nothing is removed, and the way is told.
    let removal = cluster.leno(&["uninstall", "--purge", "-y"]);
    assert!(!removal.ok(), "{removal}");
    assert!(removal.to_string().contains(&format!("helm uninstall leno -n {INSTALL_NAMESPACE}")), "{removal}");
    space.reaches("deploy/client", "http://server:8080/");
}

fn helm() -> String {
    let cache = std::env::var_os("LENO_CACHE").map_or_else(
        || Path::new(&std::env::var_os("HOME").unwrap_or_default()).join(".cache/leno"),
        |folder| Path::new(&folder).to_owned(),
    );
    let ours = cache.join("bin/helm");
    if ours.exists() { ours.display().to_string() } else { "helm".to_owned() }
}
