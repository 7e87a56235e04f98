//! What the sidecars of one mesh have in common: read from the key `values` of the `ConfigMap` `leno`, or from the file that
//! `leno inject --values` names.

use std::collections::BTreeMap;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

/// Settings of the injector. Every key may be left out; a key that is not one of these is refused by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct InjectSettings {
    /// Image of both containers.
    pub image: String,
    /// `Always`, `IfNotPresent` or `Never`; unset leaves it to Kubernetes.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "empty_is_none")]
    pub image_pull_policy: Option<String>,
    /// Names of Secrets to pull the image with, added to the pod's.
    pub image_pull_secrets: Vec<String>,
    /// The proxy's program; `init` or `run` follow as the first argument.
    pub program: String,
    /// Where proxies find the control plane, `host:port`.
    pub control_address: String,
    /// Trust domain of identities.
    pub trust_domain: String,
    /// Revision of this control plane: `istio.io/rev` labels that name another one are not ours. `default` is always ours.
    pub revision: String,
    /// Life of certificates unless the pod asks for another, such as `24h`.
    pub cert_ttl: String,
    /// Log level unless the pod asks for another.
    pub log_level: String,
    /// Form of the log: `text` or `json`.
    pub log_format: String,
    /// Whether sidecars are native ones (init containers that stay). Kubernetes before 1.29 has none.
    /// `auto` is taken for `true`: whoever installs knows the cluster.
    #[serde(deserialize_with = "auto_is_true")]
    pub native_sidecar: bool,
    /// Whether the application waits for a sidecar that is not native. With native ones it always does.
    pub hold_application_until_proxy_starts: bool,
    /// How long the proxy waits for what is under way when it ends, such as `5s`.
    pub termination_drain_duration: String,
    /// What the sidecar is given unless the pod asks otherwise.
    pub resources: Resources,
    /// Whether the application's probes are answered by way of the proxy, so that they pass under STRICT.
    pub rewrite_app_probes: bool,
    /// Whether pods that say nothing to Prometheus get annotations that point it at the proxy's metrics.
    pub prometheus_annotations: bool,
    /// Ports or ranges that no sidecar takes, beside those of the pod.
    pub exclude_inbound_ports: Vec<String>,
    /// The same for connections that pods open.
    pub exclude_outbound_ports: Vec<String>,
    /// Networks (CIDR) that no sidecar takes connections to, beside those of the pod.
    #[serde(rename = "excludeOutboundIPRanges")]
    pub exclude_outbound_ip_ranges: Vec<String>,
    /// The only networks (CIDR) that sidecars take connections to, unless the pod says. Empty: all.
    #[serde(rename = "includeOutboundIPRanges")]
    pub include_outbound_ip_ranges: Vec<String>,
    /// Further environment of the proxy.
    pub env: BTreeMap<String, String>,
    /// Exempt the proxy's connections by this socket mark instead of by its uid. For places without uids to give
    /// (a user namespace with one uid); then the sidecar runs as root of its namespace. Default none.
    #[serde(skip)]
    pub socket_mark: Option<u32>,
    /// Capabilities of the init container: `NET_ADMIN` for nftables, `NET_RAW` too for old iptables.
    pub init_capabilities: Vec<String>,
}

/// Requests and limits of a container: name of the resource -> quantity.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Resources {
    /// What it is sure to have.
    pub requests: BTreeMap<String, String>,
    /// What it may have at most.
    pub limits: BTreeMap<String, String>,
}

impl Resources {
    /// No limits.
    #[must_use]
    pub fn requests(cpu: &str, memory: &str) -> Self {
        let requests = [("cpu", cpu), ("memory", memory)].map(|(k, v)| (k.to_owned(), v.to_owned()));
        Self { requests: BTreeMap::from(requests), limits: BTreeMap::new() }
    }
}

impl Default for InjectSettings {
    fn default() -> Self {
        Self {
            image: format!("{DEFAULT_HUB}/leno-proxy:{}", env!("CARGO_PKG_VERSION")),
            image_pull_policy: None,
            image_pull_secrets: Vec::new(),
            program: "/leno-proxy".into(),
            control_address: control_address("leno-system", DEFAULT_REVISION),
            trust_domain: "cluster.local".into(),
            revision: DEFAULT_REVISION.into(),
            cert_ttl: "24h".into(),
            log_level: "info".into(),
            log_format: "text".into(),
            native_sidecar: true,
            hold_application_until_proxy_starts: true,
            termination_drain_duration: "5s".into(),
            resources: Resources::requests("10m", "16Mi"),
            rewrite_app_probes: true,
            prometheus_annotations: true,
            exclude_inbound_ports: Vec::new(),
            exclude_outbound_ports: Vec::new(),
            exclude_outbound_ip_ranges: Vec::new(),
            include_outbound_ip_ranges: Vec::new(),
            env: BTreeMap::new(),
            socket_mark: None,
            init_capabilities: vec!["NET_ADMIN".into()],
        }
    }
}

impl InjectSettings {
    /// Reads YAML or JSON. An empty text gives the defaults.
    ///
    /// # Errors
    /// Which key is unknown or has the wrong type, and where.
    pub fn from_yaml(text: &str) -> Result<Self, String> {
        if text.lines().all(|l| l.trim().is_empty() || l.trim_start().starts_with('#')) {
            return Ok(Self::default());
        }
        serde_yaml_ng::from_str(text).map_err(|e| e.to_string())
    }
}

fn empty_is_none<'de, D: Deserializer<'de>>(d: D) -> Result<Option<String>, D::Error> {
    Ok(Option::<String>::deserialize(d)?.filter(|t| !t.is_empty()))
}

fn auto_is_true<'de, D: Deserializer<'de>>(d: D) -> Result<bool, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Switch {
        Bool(bool),
        Word(String),
    }
    match Switch::deserialize(d)? {
        Switch::Bool(on) => Ok(on),
        Switch::Word(word) if word == "auto" => Ok(true),
        Switch::Word(other) => Err(D::Error::custom(format!("`{other}` is none of auto, true, false"))),
    }
}

/// Where proxies find the control plane of a revision.
#[must_use]
pub fn control_address(namespace: &str, revision: &str) -> String {
    let suffix = if revision == DEFAULT_REVISION { String::new() } else { format!("-{revision}") };
    format!("leno-control{suffix}.{namespace}.svc:{}", leno_core::names::port::CONTROL_TLS)
}

/// The revision that needs no name.
pub const DEFAULT_REVISION: &str = "default";
/// Where images come from unless told otherwise.
pub const DEFAULT_HUB: &str = "docker.io/leno";
