//! An application with metrics of its own: Prometheus is pointed at the proxy, which fetches them and adds them to its own,
//! so that they are scraped under STRICT too. What the application said stands in the proxy's environment, in Istio's form.

use serde_json::{Map, Value, json};

use super::PodMeta;

/// `prometheus.io/scrape`, `/port` and `/path`, in this order.
pub(super) const ANNOTATIONS: [&str; 3] = ["prometheus.io/scrape", "prometheus.io/port", "prometheus.io/path"];
/// Where the proxy is told.
pub(super) const ENV: &str = "ISTIO_PROMETHEUS_ANNOTATIONS";

/// What the application says, where it wants to be scraped; `port` is the proxy's own, which nobody may be sent back to.
pub(super) fn wanted(meta: &PodMeta, port: u16) -> Option<Map<String, Value>> {
    let said = |key: &str| meta.annotations.get(key).map(|v| v.trim());
    if said(ANNOTATIONS[0]) != Some("true") || said(ANNOTATIONS[1]) == Some(port.to_string().as_str()) {
        return None;
    }
    let entries = ["scrape", "port", "path"].into_iter().zip(ANNOTATIONS);
    Some(entries.filter_map(|(short, key)| Some((short.to_owned(), json!(said(key)?)))).collect())
}

/// Puts back what the application said.
pub(super) fn restore(annotations: &mut Map<String, Value>, said: &Map<String, Value>) {
    for (short, key) in ["scrape", "port", "path"].into_iter().zip(ANNOTATIONS) {
        if let (Some(value), Some(slot)) = (said.get(short), annotations.get_mut(key)) {
            *slot = value.clone();
        }
    }
}
