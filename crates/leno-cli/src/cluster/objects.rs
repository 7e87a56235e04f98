//! Reading and deleting objects, whatever their kind.

use std::time::Duration;

use anyhow::{Context as _, bail};
use http::Request;
use kube::api::{DeleteParams, GetParams, ListParams, LogParams, PropagationPolicy};
use kube::core::Request as Builder;
use serde_json::Value;
use tokio::time::Instant;

use super::{Cluster, Kind, error};

impl Cluster {
    /// All objects of a kind, in one namespace or in all, chosen by a label selector where one is given. None where the kind is not served.
    ///
    /// # Errors
    /// When the server refuses or does not answer.
    pub(crate) async fn list(
        &self,
        kind: &Kind,
        namespace: Option<&str>,
        selector: Option<&str>,
    ) -> anyhow::Result<Vec<Value>> {
        let mut params = ListParams::default().limit(500);
        params.label_selector = selector.map(str::to_owned);
        let mut all = Vec::new();
        loop {
            let mut page: Value = match self.read(|| Ok(Builder::new(kind.path(namespace)).list(&params)?)).await? {
                Ok(page) => page,
                Err(e) if error::is_absent(&e) => return Ok(all),
                Err(e) => return Err(error::plain(&e)).with_context(|| format!("listing {}", kind.plural)),
            };
            if let Some(items) = page.get_mut("items").and_then(Value::as_array_mut) {
                all.extend(items.drain(..).map(|item| with_kind(item, kind)));
            }
            match page["metadata"]["continue"].as_str() {
                Some(next) if !next.is_empty() => params = params.continue_token(next),
                _ => return Ok(all),
            }
        }
    }

    /// One object, if it is there.
    ///
    /// # Errors
    /// When the server refuses or does not answer.
    pub(crate) async fn get(&self, kind: &Kind, namespace: Option<&str>, name: &str) -> anyhow::Result<Option<Value>> {
        match self.read(|| Ok(Builder::new(kind.path(namespace)).get(name, &GetParams::default())?)).await? {
            Ok(object) => Ok(Some(object)),
            Err(e) if error::is_absent(&e) => Ok(None),
            Err(e) => Err(error::plain(&e)).with_context(|| format!("{kind} {name}")),
        }
    }

    /// Deletes an object and, in the background, what it owns; whether it was there.
    ///
    /// # Errors
    /// When the server refuses or does not answer.
    pub(crate) async fn delete(&self, kind: &Kind, namespace: Option<&str>, name: &str) -> anyhow::Result<bool> {
        let params =
            DeleteParams { propagation_policy: Some(PropagationPolicy::Background), ..DeleteParams::default() };
        let request = Builder::new(kind.path(namespace)).delete(name, &params)?;
        match self.client.request::<Value>(request).await {
            Ok(_) => Ok(true),
            Err(e) if error::is_absent(&e) => Ok(false),
            Err(e) => Err(error::plain(&e)).with_context(|| format!("deleting {kind} {name}")),
        }
    }

    /// Waits until an object is gone.
    ///
    /// # Errors
    /// When it is still there after `limit`; the message names its finalizers.
    pub(crate) async fn wait_gone(
        &self,
        kind: &Kind,
        namespace: Option<&str>,
        name: &str,
        limit: Duration,
    ) -> anyhow::Result<()> {
        let end = Instant::now() + limit;
        loop {
            let Some(object) = self.get(kind, namespace, name).await? else { return Ok(()) };
            if Instant::now() >= end {
                let held: Vec<&str> = object["metadata"]["finalizers"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .filter_map(Value::as_str)
                    .collect();
                let why = if held.is_empty() {
                    String::new()
                } else {
                    format!(", held by its finalizers {}", held.join(", "))
                };
                bail!("{kind} {name} is still there after {}s{why}", limit.as_secs());
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
    }

    /// The last lines of a container's output; of its run before this one with `previous`.
    ///
    /// # Errors
    /// When there is none.
    pub(crate) async fn log_tail(
        &self,
        namespace: &str,
        pod: &str,
        container: &str,
        lines: i64,
        previous: bool,
    ) -> anyhow::Result<String> {
        let params = LogParams {
            container: Some(container.to_owned()),
            tail_lines: Some(lines),
            previous,
            ..LogParams::default()
        };
        let path = Kind::namespaced("", "v1", "Pod").path(Some(namespace));
        let request = Builder::new(path).logs(pod, &params)?;
        self.client.request_text(request).await.map_err(|e| error::plain(&e))
    }

    /// The version in which the cluster serves a kind by preference, if it does.
    ///
    /// # Errors
    /// When the server refuses or does not answer.
    pub(crate) async fn served(&self, group: &str, kind: &str) -> anyhow::Result<Option<Kind>> {
        let path = if group.is_empty() { "/api/v1".to_owned() } else { format!("/apis/{group}") };
        let Some(answer) = self.discover(&path).await? else { return Ok(None) };
        let versions: Vec<String> = match answer["versions"].as_array() {
            Some(list) => list.iter().filter_map(|v| v["version"].as_str().map(str::to_owned)).collect(),
            None => vec!["v1".to_owned()],
        };
        for version in versions {
            let path = if group.is_empty() { format!("/api/{version}") } else { format!("/apis/{group}/{version}") };
            let Some(resources) = self.discover(&path).await? else { continue };
            let found = resources["resources"]
                .as_array()
                .into_iter()
                .flatten()
                .find(|r| r["kind"] == kind && r["name"].as_str().is_some_and(|n| !n.contains('/')));
            if let Some(found) = found {
                return Ok(Some(Kind {
                    group: group.to_owned(),
                    version,
                    kind: kind.to_owned(),
                    plural: found["name"].as_str().unwrap_or_default().to_owned(),
                    namespaced: found["namespaced"].as_bool().unwrap_or(true),
                }));
            }
        }
        Ok(None)
    }

    /// Asks for something, again where the server is busy or restarts: reading twice does no harm.
    async fn read(
        &self,
        request: impl Fn() -> anyhow::Result<Request<Vec<u8>>>,
    ) -> anyhow::Result<Result<Value, kube::Error>> {
        let mut tries = 0;
        loop {
            match self.client.request(request()?).await {
                Err(e) if tries < TRIES && error::is_transient(&e) => {
                    tries += 1;
                    tokio::time::sleep(PAUSE * tries).await;
                }
                other => return Ok(other),
            }
        }
    }

    async fn discover(&self, path: &str) -> anyhow::Result<Option<Value>> {
        match self.read(|| Request::get(path).body(Vec::new()).context("address")).await? {
            Ok(answer) => Ok(Some(answer)),
            Err(e) if error::is_absent(&e) => Ok(None),
            Err(e) => Err(error::plain(&e)).with_context(|| format!("GET {path}")),
        }
    }
}

/// Seven seconds and a half in all.
const TRIES: u32 = 5;
const PAUSE: Duration = Duration::from_millis(500);

/// Items of a list do not say what they are.
fn with_kind(mut item: Value, kind: &Kind) -> Value {
    if let Some(map) = item.as_object_mut() {
        map.insert("apiVersion".into(), kind.api_version().into());
        map.insert("kind".into(), kind.kind.clone().into());
    }
    item
}
