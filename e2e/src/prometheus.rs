//! The real Prometheus (Debian's), in a pod outside the mesh, as most people run it.

use std::process::Child;

use serde_json::Value;

use crate::{Mesh, text};

/// A running Prometheus; ended when dropped.
pub struct Prometheus<'m> {
    mesh: &'m Mesh,
    child: Child,
}

impl<'m> Prometheus<'m> {
    /// Starts one in `outside/deploy/prom` that scrapes the sidecars of these pods of `myapp` every second, and `more`
    /// targets (`HOST:PORT`) for `/metrics`.
    ///
    /// # Panics
    /// Where it cannot be started.
    #[must_use]
    pub fn start(mesh: &'m Mesh, pods: &[&str], more: &[&str]) -> Self {
        let sidecars: Vec<String> = pods.iter().map(|pod| format!("'{}:15020'", address(mesh, pod))).collect();
        let more: Vec<String> = more.iter().map(|target| format!("'{target}'")).collect();
        let config = mesh.write(
            "prometheus.yml",
            &format!(
                "global: {{scrape_interval: 1s}}
scrape_configs:
- job_name: leno-proxies
  metrics_path: /stats/prometheus
  static_configs: [{{targets: [{}]}}]
- job_name: others
  static_configs: [{{targets: [{}]}}]
",
                sidecars.join(", "),
                more.join(", ")
            ),
        );
        let data = mesh.folder().join("tsdb").display().to_string();
        let (config, data) = (format!("--config.file={config}"), format!("--storage.tsdb.path={data}"));
        let command = ["prometheus", &config, &data, "--web.listen-address=127.0.0.1:9090", "--log.level=warn"];
        Self { mesh, child: mesh.exec_background("outside", "deploy/prom", &command) }
    }

    /// The one value of an instant query; `None` where there is no series.
    ///
    /// # Panics
    /// Where there are several.
    #[must_use]
    pub fn value(&self, query: &str) -> Option<f64> {
        let result = self.query(query);
        assert!(result.len() < 2, "{query}: {result:?}");
        result.first().map(number)
    }

    /// The vector of an instant query; empty too where Prometheus does not answer yet.
    ///
    /// # Panics
    /// Where the query is refused.
    #[must_use]
    pub fn query(&self, query: &str) -> Vec<Value> {
        let query = format!("query={query}");
        let ask = ["-G", "--data-urlencode", &query, "http://127.0.0.1:9090/api/v1/query"];
        let (status, body) = self.mesh.curl("outside", "deploy/prom", &ask);
        if status == 0 || status == 503 {
            return Vec::new();
        }
        assert_eq!(status, 200, "{query}: {body}");
        let answer: Value = serde_json::from_str(&body).expect("JSON");
        answer["data"]["result"].as_array().expect("a vector").clone()
    }
}

impl Drop for Prometheus<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The value of a sample.
///
/// # Panics
/// Where it has none.
#[must_use]
pub fn number(sample: &Value) -> f64 {
    sample["value"][1].as_str().and_then(|n| n.parse().ok()).unwrap_or_else(|| panic!("{sample}"))
}

fn address(mesh: &Mesh, pod: &str) -> String {
    let out = mesh.exec("myapp", pod, &["ip", "-4", "-o", "addr", "show", "eth0"]);
    let line = String::from_utf8_lossy(&out.stdout).into_owned();
    let network = line.split_whitespace().nth(3).unwrap_or_else(|| panic!("{pod}: {}", text(&out)));
    network.split('/').next().expect("an address").to_owned()
}
