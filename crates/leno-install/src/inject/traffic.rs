//! What a pod asks of its sidecar by annotations: Istio's, Linkerd's and Leno's.
//!
//! Linkerd's are read from the namespace too, where the pod does not say (Linkerd's rule). An annotation of a mesh that
//! is not honoured is a warning, never silence.

use std::collections::BTreeMap;

use super::{CERT_TTL_ANNOTATION, NamespaceMeta, PodMeta};

/// What to redirect and how the proxy should behave.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Redirect only these inbound ports. `None`: all.
    pub include_inbound_ports: Option<Vec<String>>,
    /// Never redirect these inbound ports (numbers or `LOW-HIGH`).
    pub exclude_inbound_ports: Vec<String>,
    /// Redirect these outbound ports even outside the included ranges.
    pub include_outbound_ports: Vec<String>,
    /// Never redirect these outbound ports (numbers or `LOW-HIGH`).
    pub exclude_outbound_ports: Vec<String>,
    /// Redirect only to these networks. `None`: all.
    pub include_outbound_ranges: Option<Vec<String>>,
    /// Never redirect to these networks.
    pub exclude_outbound_ranges: Vec<String>,
    /// Log level or filter in tracing's words.
    pub log_level: Option<String>,
    /// Life of certificates.
    pub cert_ttl: Option<String>,
}

impl Traffic {
    /// Reads the annotations. A value that cannot be read is warned of and left out.
    #[must_use]
    pub fn read(meta: &PodMeta, namespace: &NamespaceMeta, warnings: &mut Vec<String>) -> Self {
        let mut reader = Reader { pod: &meta.annotations, namespace: &namespace.annotations, warnings };
        let mut traffic = Self {
            include_inbound_ports: reader.include(&format!("{ISTIO}includeInboundPorts"), port_range),
            exclude_inbound_ports: reader.list(&format!("{ISTIO}excludeInboundPorts"), port_range),
            include_outbound_ports: reader.list(&format!("{ISTIO}includeOutboundPorts"), port_range),
            exclude_outbound_ports: reader.list(&format!("{ISTIO}excludeOutboundPorts"), port_range),
            include_outbound_ranges: reader.include(&format!("{ISTIO}includeOutboundIPRanges"), network),
            exclude_outbound_ranges: reader.list(&format!("{ISTIO}excludeOutboundIPRanges"), network),
            log_level: None,
            cert_ttl: reader.text(CERT_TTL_ANNOTATION),
        };
        traffic.exclude_inbound_ports.extend(reader.list(&format!("{LINKERD}skip-inbound-ports"), port_range));
        traffic.exclude_outbound_ports.extend(reader.list(&format!("{LINKERD}skip-outbound-ports"), port_range));
        let istio_level = reader.text("sidecar.istio.io/logLevel").map(|v| level_from_istio(&v));
        let linkerd_level =
            reader.text(&format!("{LINKERD}proxy-log-level")).map(|v| v.replace("linkerd", "leno_proxy"));
        traffic.log_level = istio_level.or(linkerd_level);
        reader.warn_of_unknown();
        traffic
    }
}

struct Reader<'a> {
    pod: &'a BTreeMap<String, String>,
    namespace: &'a BTreeMap<String, String>,
    warnings: &'a mut Vec<String>,
}

impl Reader<'_> {
    /// Linkerd's and Leno's annotations may stand on the namespace; Istio's only on the pod.
    fn text(&self, key: &str) -> Option<String> {
        let inherited = || if key.contains("istio.io/") { None } else { self.namespace.get(key) };
        self.pod.get(key).or_else(inherited).map(|v| v.trim().to_owned())
    }

    fn list(&mut self, key: &str, check: fn(&str) -> bool) -> Vec<String> {
        let Some(text) = self.text(key) else { return Vec::new() };
        let mut out = Vec::new();
        for item in text.split(',').map(str::trim).filter(|i| !i.is_empty()) {
            if check(item) {
                out.push(item.to_owned());
            } else {
                self.warnings.push(format!("{key}: `{item}` cannot be read, ignored"));
            }
        }
        out
    }

    /// An include list: absent or `*` is everything, empty is nothing.
    fn include(&mut self, key: &str, check: fn(&str) -> bool) -> Option<Vec<String>> {
        match self.text(key)?.as_str() {
            "*" => None,
            _ => Some(self.list(key, check)),
        }
    }

    fn warn_of_unknown(&mut self) {
        // Of the namespace's, those that Linkerd has pods inherit.
        let inherited = self.namespace.keys().filter(|k| k.starts_with("config.") && !self.pod.contains_key(*k));
        for key in self.pod.keys().chain(inherited) {
            let mesh = MESH_PREFIXES.iter().any(|p| key.starts_with(p));
            if mesh && !HONOURED.contains(&key.as_str()) {
                let hint = if key == "config.linkerd.io/opaque-ports" {
                    ": name the ports of the service `tcp-…` instead, then their bytes are not looked into"
                } else {
                    ""
                };
                self.warnings.push(format!("annotation {key} is not honoured{hint}"));
            }
        }
    }
}

/// A port number or `LOW-HIGH`.
fn port_range(text: &str) -> bool {
    let port = |t: &str| t.parse::<u16>().ok().filter(|p| *p > 0);
    match text.split_once('-') {
        None => port(text).is_some(),
        Some((low, high)) => matches!((port(low), port(high)), (Some(l), Some(h)) if l <= h),
    }
}

/// An IP network in CIDR form.
fn network(text: &str) -> bool {
    let Some((ip, bits)) = text.split_once('/') else { return text.parse::<std::net::IpAddr>().is_ok() };
    let (Ok(ip), Ok(bits)) = (ip.parse::<std::net::IpAddr>(), bits.parse::<u8>()) else { return false };
    bits <= if ip.is_ipv4() { 32 } else { 128 }
}

/// Envoy's level names, which Istio's annotation uses, in tracing's words.
fn level_from_istio(level: &str) -> String {
    match level {
        "warning" => "warn".into(),
        "critical" => "error".into(),
        other => other.into(),
    }
}

const ISTIO: &str = "traffic.sidecar.istio.io/";
const LINKERD: &str = "config.linkerd.io/";
const MESH_PREFIXES: &[&str] = &[
    "sidecar.istio.io/",
    "traffic.sidecar.istio.io/",
    "status.sidecar.istio.io/",
    "readiness.status.sidecar.istio.io/",
    "proxy.istio.io/",
    "inject.istio.io/",
    "config.linkerd.io/",
    "config.alpha.linkerd.io/",
    "config.beta.linkerd.io/",
    "linkerd.io/",
    "proxy.leno.dev/",
];
/// Honoured here or by [`super::decision`], or marks that others leave and that ask for nothing.
const HONOURED: &[&str] = &[
    "sidecar.istio.io/inject",
    "sidecar.istio.io/logLevel",
    "sidecar.istio.io/status",
    "traffic.sidecar.istio.io/includeInboundPorts",
    "traffic.sidecar.istio.io/excludeInboundPorts",
    "traffic.sidecar.istio.io/includeOutboundPorts",
    "traffic.sidecar.istio.io/excludeOutboundPorts",
    "traffic.sidecar.istio.io/includeOutboundIPRanges",
    "traffic.sidecar.istio.io/excludeOutboundIPRanges",
    "config.linkerd.io/skip-inbound-ports",
    "config.linkerd.io/skip-outbound-ports",
    "config.linkerd.io/proxy-log-level",
    "linkerd.io/inject",
    "linkerd.io/created-by",
    "linkerd.io/proxy-version",
    "linkerd.io/trust-root-sha256",
    CERT_TTL_ANNOTATION,
];
