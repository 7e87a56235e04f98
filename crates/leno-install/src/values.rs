//! What can be chosen when Leno is installed.
//!
//! [`Values`] is all of it, checked. It is made of layers: the defaults, a profile ([`crate::profiles`]), files and `--set`
//! ([`set`]), each laid over the ones before. Istio's and Linkerd's names for the same things are understood ([`foreign`]). A key
//! that means nothing is refused by its path, with the key that was probably meant.

pub mod foreign;
pub mod set;
mod tree;

use std::collections::BTreeMap;

pub use crate::inject::settings::Resources;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::profiles;

/// All settings of an installation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Values {
    /// Name of the profile that the rest started from.
    pub profile: String,
    /// Where images come from: images are `HUB/leno-control:TAG` and so on.
    pub hub: String,
    /// Tag of the images.
    pub tag: String,
    /// `Always`, `IfNotPresent`, `Never`, or empty: Kubernetes decides.
    pub image_pull_policy: String,
    /// Names of Secrets to pull images with.
    pub image_pull_secrets: Vec<String>,
    /// Where Leno is installed.
    pub namespace: String,
    /// Name of this control plane beside others.
    pub revision: String,
    /// Domain of the cluster's services.
    pub cluster_domain: String,
    /// Trust domain of identities.
    pub trust_domain: String,
    /// The control plane.
    pub control: Control,
    /// The sidecars.
    pub proxy: Proxy,
    /// The live window of golden signals.
    pub viz: Viz,
    /// Settings of the whole mesh in the form of Istio's `MeshConfig`.
    pub mesh: Map<String, Value>,
}

/// The control plane.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Control {
    /// How many; one leads, all serve.
    pub replicas: u32,
    /// Requests and limits.
    pub resources: Resources,
    /// `error`, `warn`, `info`, `debug`, or a list such as `info,leno_control=debug`.
    pub log_level: String,
    /// Further annotations of its pods.
    pub pod_annotations: BTreeMap<String, String>,
    /// Further labels of its pods.
    pub pod_labels: BTreeMap<String, String>,
    /// On which nodes.
    pub node_selector: BTreeMap<String, String>,
    /// Taints that it tolerates.
    pub tolerations: Vec<Value>,
    /// Its priority class; `system-cluster-critical` is allowed in any namespace.
    pub priority_class_name: String,
}

/// The sidecars. The injector and `leno inject` read these from the `ConfigMap` `leno`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Proxy {
    /// Their image; empty: `HUB/leno-proxy:TAG`.
    pub image: String,
    /// Requests and limits.
    pub resources: Resources,
    /// Log level unless a pod asks for another.
    pub log_level: String,
    /// `text` or `json`.
    pub log_format: String,
    /// Life of certificates unless a pod asks for another.
    pub cert_ttl: String,
    /// `auto`, `true` or `false`: native sidecars (init containers that stay) are there since Kubernetes 1.29.
    pub native_sidecar: Switch,
    /// Whether the application waits for a sidecar that is not native.
    pub hold_application_until_proxy_starts: bool,
    /// How long the proxy waits for what is under way when it ends.
    pub termination_drain_duration: String,
    /// Whether the application's probes are answered by way of the proxy.
    pub rewrite_app_probes: bool,
    /// Whether pods get annotations that point Prometheus at the proxy.
    pub prometheus_annotations: bool,
    /// Inbound ports or ranges that no sidecar takes.
    pub exclude_inbound_ports: Vec<String>,
    /// Outbound ports or ranges that no sidecar takes.
    pub exclude_outbound_ports: Vec<String>,
    /// Networks that no sidecar takes connections to.
    #[serde(rename = "excludeOutboundIPRanges")]
    pub exclude_outbound_ip_ranges: Vec<String>,
    /// The only networks that sidecars take connections to; empty: all.
    #[serde(rename = "includeOutboundIPRanges")]
    pub include_outbound_ip_ranges: Vec<String>,
    /// Further environment.
    pub env: BTreeMap<String, String>,
}

/// The live window of golden signals.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Viz {
    /// Whether `leno install` brings it; `leno viz install` brings it later.
    pub enabled: bool,
    /// Requests and limits.
    pub resources: Resources,
    /// How much it remembers.
    pub window: String,
    /// Log level.
    pub log_level: String,
    /// On which nodes.
    pub node_selector: BTreeMap<String, String>,
    /// Taints that it tolerates.
    pub tolerations: Vec<Value>,
}

/// On, off, or as it fits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Switch {
    /// As it fits.
    #[default]
    Auto,
    /// On.
    On,
    /// Off.
    Off,
}

impl Serialize for Switch {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Auto => serializer.serialize_str("auto"),
            Self::On => serializer.serialize_bool(true),
            Self::Off => serializer.serialize_bool(false),
        }
    }
}

impl<'de> Deserialize<'de> for Switch {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::Bool(true) => Ok(Self::On),
            Value::Bool(false) => Ok(Self::Off),
            Value::String(text) if text == "auto" => Ok(Self::Auto),
            other => Err(serde::de::Error::custom(format!("`{other}` is none of auto, true, false"))),
        }
    }
}

impl Default for Values {
    fn default() -> Self {
        Self {
            profile: "default".into(),
            hub: "docker.io/leno".into(),
            tag: env!("CARGO_PKG_VERSION").into(),
            image_pull_policy: String::new(),
            image_pull_secrets: Vec::new(),
            namespace: "leno-system".into(),
            revision: "default".into(),
            cluster_domain: "cluster.local".into(),
            trust_domain: "cluster.local".into(),
            control: Control::default(),
            proxy: Proxy::default(),
            viz: Viz::default(),
            mesh: Map::new(),
        }
    }
}

impl Default for Control {
    fn default() -> Self {
        Self {
            replicas: 1,
            resources: Resources::requests("50m", "64Mi"),
            log_level: "info".into(),
            pod_annotations: BTreeMap::new(),
            pod_labels: BTreeMap::new(),
            node_selector: BTreeMap::new(),
            tolerations: Vec::new(),
            priority_class_name: String::new(),
        }
    }
}

impl Default for Proxy {
    fn default() -> Self {
        Self {
            image: String::new(),
            resources: Resources::requests("10m", "16Mi"),
            log_level: "info".into(),
            log_format: "text".into(),
            cert_ttl: "24h".into(),
            native_sidecar: Switch::Auto,
            hold_application_until_proxy_starts: true,
            termination_drain_duration: "5s".into(),
            rewrite_app_probes: true,
            prometheus_annotations: true,
            exclude_inbound_ports: Vec::new(),
            exclude_outbound_ports: Vec::new(),
            exclude_outbound_ip_ranges: Vec::new(),
            include_outbound_ip_ranges: Vec::new(),
            env: BTreeMap::new(),
        }
    }
}

impl Default for Viz {
    fn default() -> Self {
        Self {
            enabled: false,
            resources: Resources::requests("10m", "32Mi"),
            window: "30m".into(),
            log_level: "info".into(),
            node_selector: BTreeMap::new(),
            tolerations: Vec::new(),
        }
    }
}

/// Some settings, and where they are from, for messages: `--set a=b`, `values.yaml`.
#[derive(Clone, Debug, PartialEq)]
pub struct Layer {
    /// Where they are from.
    pub origin: String,
    /// The settings, nested.
    pub tree: Value,
}

/// Everything that is wrong with the layers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadValues(pub Vec<String>);

impl std::fmt::Display for BadValues {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

impl std::error::Error for BadValues {}

/// Lays the layers over the profile that they name; with warnings of what has no meaning here.
///
/// # Errors
/// Everything that is wrong, at once.
pub fn resolve(layers: &[Layer]) -> Result<(Values, Vec<String>), BadValues> {
    let mut notes = foreign::Notes::default();
    let layers: Vec<Layer> = layers.iter().map(|layer| foreign::translate(layer, &mut notes)).collect();
    let mut problems = notes.errors;
    let named = layers.iter().rev().find_map(|l| l.tree.get("profile").map(|p| (l, p)));
    let profile = match named {
        None => "default".to_owned(),
        Some((_, Value::String(name))) => name.clone(),
        Some((layer, other)) => {
            problems.push(format!("{}: profile: {other} is not a name", layer.origin));
            "default".to_owned()
        }
    };
    let mut merged = tree::of(&Values::default());
    match profiles::overlay(&profile) {
        Ok(overlay) => tree::merge(&mut merged, &overlay),
        Err(problem) => problems.push(problem),
    }
    for layer in &layers {
        let unknown = tree::unknown_keys(&layer.tree);
        problems.extend(unknown.into_iter().map(|problem| format!("{}: {problem}", layer.origin)));
        tree::merge(&mut merged, &layer.tree);
    }
    if !problems.is_empty() {
        return Err(BadValues(problems));
    }
    let values: Values = serde_path_to_error::deserialize(merged).map_err(|error| {
        let path = error.path().to_string();
        let from = layers.iter().rev().find(|l| tree::has(&l.tree, &path)).map_or("", |l| l.origin.as_str());
        let colon = if from.is_empty() { "" } else { ": " };
        BadValues(vec![format!("{from}{colon}{path}: {}", error.inner())])
    })?;
    let problems = check(&values);
    if problems.is_empty() { Ok((values, notes.warnings)) } else { Err(BadValues(problems)) }
}

/// What types alone do not say.
fn check(values: &Values) -> Vec<String> {
    let mut problems = Vec::new();
    let mut name = |key: &str, text: &str, longest: usize| {
        let fits = !text.is_empty()
            && text.len() <= longest
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && !text.starts_with('-')
            && !text.ends_with('-');
        if !fits {
            problems.push(format!(
                "{key}: `{text}` is no name: it takes small letters, digits and `-`, at most {longest}, with a letter or digit at both ends"
            ));
        }
    };
    name("namespace", &values.namespace, 63);
    name("revision", &values.revision, 40);
    let mut one_of = |key: &str, text: &str, words: &[&str]| {
        if !words.contains(&text) {
            problems.push(format!("{key}: `{text}` is none of {}", words.join(", ")));
        }
    };
    if !values.image_pull_policy.is_empty() {
        one_of("imagePullPolicy", &values.image_pull_policy, &["Always", "IfNotPresent", "Never"]);
    }
    one_of("proxy.logFormat", &values.proxy.log_format, &["text", "json"]);
    let times = [
        ("proxy.certTtl", &values.proxy.cert_ttl),
        ("proxy.terminationDrainDuration", &values.proxy.termination_drain_duration),
        ("viz.window", &values.viz.window),
    ];
    for (key, text) in times {
        if !is_time(text) {
            problems.push(format!("{key}: `{text}` is no time such as 30s, 5m or 24h"));
        }
    }
    if values.control.replicas == 0 {
        problems.push("control.replicas: at least 1".to_owned());
    }
    for (key, text) in [
        ("hub", &values.hub),
        ("tag", &values.tag),
        ("trustDomain", &values.trust_domain),
        ("clusterDomain", &values.cluster_domain),
    ] {
        if text.is_empty() || text.contains(char::is_whitespace) {
            problems.push(format!("{key}: must not be empty or have spaces"));
        }
    }
    problems
}

/// Whether the keys below this setting are the user's own.
pub(crate) fn is_open(path: &str) -> bool {
    tree::OPEN.contains(&path)
}

fn is_time(text: &str) -> bool {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = &text[digits.len()..];
    !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) && ["ms", "s", "m", "h", "d"].contains(&unit)
}

#[cfg(test)]
mod tests;
