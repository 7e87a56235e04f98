//! What a cluster said, before it is judged.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::cmd::proxy_status::Proxy;

/// What a cluster said.
#[derive(Clone, Debug, Default)]
pub(crate) struct ClusterState {
    /// This machine's time when it was asked, seconds since the epoch.
    pub(crate) now: i64,
    /// The API server's time at that moment, where it said.
    pub(crate) server_time: Option<i64>,
    /// Version of the API server: major, minor, text.
    pub(crate) version: (u32, u32, String),
    /// `https://…`
    pub(crate) url: String,
    /// Namespace of the control plane.
    pub(crate) install_namespace: String,
    /// Only pods of this namespace are judged.
    pub(crate) namespace: Option<String>,
    /// What was not allowed: `create deployments.apps in leno-system`; only asked for before an installation.
    pub(crate) refused: Vec<String>,
    /// All objects that were read, with `kind` and `apiVersion`.
    pub(crate) objects: Vec<Value>,
    /// Kinds that could not be read, and why.
    pub(crate) unreadable: Vec<String>,
    /// Root certificates that the control plane's Secret (`cacerts` or `leno-ca-secret`) holds, PEM; where it may be read.
    pub(crate) authority: Option<String>,
    /// `istio-ca-root-cert` by namespace.
    pub(crate) bundles: BTreeMap<String, String>,
    /// Sidecars that are connected to the control plane, or why it does not say.
    pub(crate) proxies: Option<Result<Vec<Proxy>, String>>,
    /// Version of this program.
    pub(crate) own_version: String,
}

impl ClusterState {
    /// Objects of a kind.
    pub(crate) fn of<'s>(&'s self, kind: &'s str) -> impl Iterator<Item = &'s Value> + Clone {
        self.objects.iter().filter(move |o| o["kind"] == kind)
    }

    /// Pods that are asked about and have not ended.
    pub(crate) fn pods(&self) -> impl Iterator<Item = &Value> {
        self.of("Pod").filter(|pod| {
            let ended = matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed"));
            !ended && self.namespace.as_deref().is_none_or(|n| pod["metadata"]["namespace"] == n)
        })
    }
}

/// `namespace/name`, or the name alone.
pub(crate) fn name(object: &Value) -> String {
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    match object["metadata"]["namespace"].as_str() {
        Some(namespace) => format!("{namespace}/{name}"),
        None => name.to_owned(),
    }
}

/// The items of a list; none where it is no list.
pub(crate) fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

/// The text at a place, or nothing.
pub(crate) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
