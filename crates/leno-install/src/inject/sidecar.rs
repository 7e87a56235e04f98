//! What a pod asks of its sidecar itself: image, resources, log, life.

use std::collections::BTreeMap;

use leno_config::quantity::milli_quantity;

use super::annotations::{Reader, duration, log_filter, port_range};
use super::settings::Resources;
use super::{CERT_TTL_ANNOTATION, InjectSettings, LINKERD_METRICS_ANNOTATION};

/// The sidecar that a pod gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sidecar {
    /// Image of both containers.
    pub image: String,
    /// When to pull it.
    pub pull_policy: Option<String>,
    /// Requests and limits.
    pub resources: Resources,
    /// Log level or filter in tracing's words.
    pub log_level: String,
    /// `text` or `json`.
    pub log_format: String,
    /// Life of certificates.
    pub cert_ttl: String,
    /// A native sidecar; else a container beside the application's.
    pub native: bool,
    /// The application waits for it.
    pub hold: bool,
    /// Longest wait for what is under way when it ends.
    pub drain: String,
    /// Threads of the data path.
    pub workers: Option<u16>,
    /// Ports of the application whose bytes are not looked into.
    pub opaque_ports: Vec<String>,
    /// Probes go by way of the proxy.
    pub rewrite_probes: bool,
    /// Prometheus is pointed at the proxy where the pod does not say.
    pub prometheus: bool,
    /// Linkerd's series are shown beside Istio's; `None` where the pod does not say.
    pub linkerd_metrics: Option<bool>,
}

impl Sidecar {
    /// Reads the annotations over the settings.
    #[must_use]
    pub fn read(reader: &mut Reader<'_>, settings: &InjectSettings) -> Self {
        let config = ProxyConfig::read(reader);
        let istio_level = reader.parsed(&["sidecar.istio.io/logLevel"], |v| level(&level_from_istio(v)));
        let linkerd_level =
            reader.parsed(&["config.linkerd.io/proxy-log-level"], |v| level(&v.replace("linkerd", "leno_proxy")));
        let native = reader.flag(&[
            "sidecar.istio.io/nativeSidecar",
            "config.linkerd.io/proxy-enable-native-sidecar",
            "config.beta.linkerd.io/proxy-enable-native-sidecar",
            "config.alpha.linkerd.io/proxy-enable-native-sidecar",
        ]);
        let hold = reader.flag(&["config.linkerd.io/proxy-await"]);
        let grace = reader.duration(&["config.linkerd.io/shutdown-grace-period"]);
        let pull_policy = reader.parsed(&["config.linkerd.io/image-pull-policy"], |text| match text {
            "Always" | "IfNotPresent" | "Never" => Ok(text.to_owned()),
            other => Err(format!("`{other}` is none of Always, IfNotPresent, Never")),
        });
        let log_format = reader.parsed(&["config.linkerd.io/proxy-log-format"], |text| match text {
            "plain" | "text" => Ok("text".to_owned()),
            "json" => Ok("json".to_owned()),
            other => Err(format!("`{other}` is neither plain nor json")),
        });
        Self {
            image: image(reader, settings),
            pull_policy: pull_policy.or_else(|| settings.image_pull_policy.clone()),
            resources: resources(reader, &settings.resources),
            log_level: istio_level.or(linkerd_level).unwrap_or_else(|| settings.log_level.clone()),
            log_format: log_format.unwrap_or_else(|| settings.log_format.clone()),
            cert_ttl: reader.duration(&[CERT_TTL_ANNOTATION]).unwrap_or_else(|| settings.cert_ttl.clone()),
            native: native.unwrap_or(settings.native_sidecar),
            hold: config.hold.or(hold).unwrap_or(settings.hold_application_until_proxy_starts),
            drain: config.drain.or(grace).unwrap_or_else(|| settings.termination_drain_duration.clone()),
            workers: config.workers,
            opaque_ports: reader.list("config.linkerd.io/opaque-ports", port_range),
            rewrite_probes: reader
                .flag(&["sidecar.istio.io/rewriteAppHTTPProbers"])
                .unwrap_or(settings.rewrite_app_probes),
            linkerd_metrics: reader.flag(&[LINKERD_METRICS_ANNOTATION]),
            prometheus: reader.flag(&["prometheus.istio.io/merge-metrics"]).unwrap_or(settings.prometheus_annotations),
        }
    }
}

fn image(reader: &mut Reader<'_>, settings: &InjectSettings) -> String {
    let mut image = settings.image.clone();
    if let Some((key, asked)) = reader.first(&["sidecar.istio.io/proxyImage", "config.linkerd.io/proxy-image"]) {
        // Another mesh's proxy would not know what to do with what it is told.
        let foreign = ["proxyv2", "linkerd/proxy", "envoy"].iter().any(|f| asked.contains(f));
        if foreign || asked.is_empty() || asked.contains(char::is_whitespace) {
            reader.warn(format!("{key}: `{asked}` is not an image of leno-proxy; ignored"));
        } else if tag_of(&asked).is_some() || key.contains("istio") {
            image = asked;
        } else {
            // Linkerd's has its tag elsewhere.
            image = format!("{asked}:{}", tag_of(&image).unwrap_or("latest"));
        }
    }
    if let Some(version) = reader.text("config.linkerd.io/proxy-version") {
        let base = tag_of(&image).map_or(image.as_str(), |tag| &image[..image.len() - tag.len() - 1]);
        image = format!("{base}:{version}");
    }
    image
}

/// What is after the last colon of the last part. A digest counts as a tag.
fn tag_of(image: &str) -> Option<&str> {
    let name = image.rfind('/').map_or(0, |at| at + 1);
    image[name..].split_once([':', '@']).map(|(_, tag)| tag)
}

fn resources(reader: &mut Reader<'_>, default: &Resources) -> Resources {
    let mut all = default.clone();
    let asked: [(&str, &[&str], &[&str]); 3] = [
        (
            "cpu",
            &["sidecar.istio.io/proxyCPU", "config.linkerd.io/proxy-cpu-request"],
            &["sidecar.istio.io/proxyCPULimit", "config.linkerd.io/proxy-cpu-limit"],
        ),
        (
            "memory",
            &["sidecar.istio.io/proxyMemory", "config.linkerd.io/proxy-memory-request"],
            &["sidecar.istio.io/proxyMemoryLimit", "config.linkerd.io/proxy-memory-limit"],
        ),
        (
            "ephemeral-storage",
            &["config.linkerd.io/proxy-ephemeral-storage-request"],
            &["config.linkerd.io/proxy-ephemeral-storage-limit"],
        ),
    ];
    for (resource, requests, limits) in asked {
        let request = reader.quantity(requests);
        let limit = reader.quantity(limits);
        let told = request.is_some();
        set(&mut all.requests, resource, request);
        set(&mut all.limits, resource, limit);
        // Kubernetes would refuse the whole pod.
        let (Some(request), Some(limit)) = (all.requests.get(resource), all.limits.get(resource)) else { continue };
        if milli_quantity(request).unwrap_or(0) > milli_quantity(limit).unwrap_or(u64::MAX) {
            if told {
                reader.warn(format!(
                    "the sidecar's {resource} request {request} is above its limit {limit}: the limit is requested"
                ));
            }
            let limit = limit.clone();
            all.requests.insert(resource.to_owned(), limit);
        }
    }
    all
}

fn set(map: &mut BTreeMap<String, String>, resource: &str, value: Option<String>) {
    if let Some(value) = value {
        map.insert(resource.to_owned(), value);
    }
}

/// What is honoured of `proxy.istio.io/config`.
#[derive(Debug, Default)]
struct ProxyConfig {
    hold: Option<bool>,
    drain: Option<String>,
    workers: Option<u16>,
}

impl ProxyConfig {
    fn read(reader: &mut Reader<'_>) -> Self {
        const KEY: &str = "proxy.istio.io/config";
        let mut config = Self::default();
        let Some(text) = reader.text(KEY) else { return config };
        let fields: BTreeMap<String, serde_yaml_ng::Value> = match serde_yaml_ng::from_str(&text) {
            Ok(fields) => fields,
            Err(e) => {
                reader.warn(format!("{KEY}: {e}; ignored"));
                return config;
            }
        };
        let mut drain_all = None;
        for (name, value) in fields {
            let word = value.as_str().map(str::to_owned);
            let lasting = || word.clone().filter(|w| duration(w).is_ok());
            let understood = match name.as_str() {
                "holdApplicationUntilProxyStarts" => {
                    config.hold = value.as_bool();
                    config.hold.is_some()
                }
                "terminationDrainDuration" => {
                    config.drain = lasting();
                    config.drain.is_some()
                }
                "drainDuration" => {
                    drain_all = lasting();
                    drain_all.is_some()
                }
                "concurrency" => {
                    // Istio's 0 is one thread a core, which a sidecar has no use for.
                    config.workers = value.as_u64().and_then(|n| u16::try_from(n).ok()).filter(|n| *n > 0);
                    value.as_u64().is_some()
                }
                _ => {
                    reader.warn(format!("{KEY}: {name} is not honoured"));
                    continue;
                }
            };
            if !understood {
                reader.warn(format!("{KEY}: the value of {name} cannot be read, ignored"));
            }
        }
        config.drain = config.drain.or(drain_all);
        config
    }
}

fn level(text: &str) -> Result<String, String> {
    log_filter(text).map(|()| text.to_owned())
}

/// Envoy's level names, which Istio's annotation uses, in tracing's words.
fn level_from_istio(level: &str) -> String {
    match level {
        "warning" => "warn".into(),
        "critical" => "error".into(),
        other => other.into(),
    }
}
