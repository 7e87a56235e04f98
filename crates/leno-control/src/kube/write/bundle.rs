//! The root certificates in every namespace, for the proxies' first connection.

use std::collections::BTreeMap;
use std::pin::pin;

use futures::StreamExt;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt;
use kube::api::{Api, Patch, PatchParams};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use leno_install::inject::ROOT_CONFIG_MAP;
use serde_json::json;

use super::{AGAIN, Duties, MANAGER};
use crate::kube::connect::{Delays, words};

/// Its key.
const KEY: &str = "root-cert.pem";

/// Writes it wherever it is missing or another.
pub(super) async fn keep(duties: &Duties) {
    let api: Api<ConfigMap> = Api::all(duties.client.clone());
    let config = watcher::Config::default().fields(&format!("metadata.name={ROOT_CONFIG_MAP}"));
    let mut events = pin!(watcher(api, config).backoff(Delays::default()));
    let mut namespaces = duties.namespaces.changes();
    let mut keys = duties.keys.clone();
    // What is there, by namespace.
    let mut there: BTreeMap<String, String> = BTreeMap::new();
    let (mut listed, mut failed) = (false, false);
    loop {
        tokio::select! {
            Some(event) = events.next() => match event {
                Ok(Event::Init) => there.clear(),
                Ok(Event::InitApply(map) | Event::Apply(map)) => {
                    there.insert(map.namespace().unwrap_or_default(), bundle_of(map));
                }
                Ok(Event::Delete(map)) => {
                    there.remove(&map.namespace().unwrap_or_default());
                }
                Ok(Event::InitDone) => listed = true,
                Err(error) => {
                    tracing::warn!(error = %words(&error), "ConfigMaps {ROOT_CONFIG_MAP} cannot be followed");
                    continue;
                }
            },
            Ok(()) = namespaces.changed() => {}
            Ok(()) = keys.changed() => {}
            () = tokio::time::sleep(AGAIN), if failed => {}
        }
        // In the middle of a list what is missing may follow.
        if listed {
            let root = duties.keys.borrow().roots_pem();
            failed = !write(duties, &root, &mut there).await;
        }
    }
}

fn bundle_of(map: ConfigMap) -> String {
    map.data.and_then(|mut data| data.remove(KEY)).unwrap_or_default()
}

/// Namespaces that have another bundle, or none.
pub(in crate::kube) fn wanting(
    namespaces: impl IntoIterator<Item = (String, bool)>,
    root: &str,
    there: &BTreeMap<String, String>,
) -> Vec<String> {
    let live = namespaces.into_iter().filter(|(_, terminating)| !terminating).map(|(name, _)| name);
    live.filter(|name| there.get(name).is_none_or(|text| text != root)).collect()
}

/// False: some could not be written.
async fn write(duties: &Duties, root: &str, there: &mut BTreeMap<String, String>) -> bool {
    let namespaces = duties.namespaces.all().into_iter().map(|n| (n.meta.name.clone(), n.terminating));
    let mut all = true;
    for namespace in wanting(namespaces, root, there) {
        let map = json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": { "name": ROOT_CONFIG_MAP, "labels": { "istio.io/config": "true" } },
            "data": { KEY: root },
        });
        let api: Api<ConfigMap> = Api::namespaced(duties.client.clone(), &namespace);
        match api.patch(ROOT_CONFIG_MAP, &PatchParams::apply(MANAGER).force(), &Patch::Apply(map)).await {
            Ok(_) => {
                there.insert(namespace, root.to_owned());
            }
            Err(error) => {
                all = false;
                tracing::warn!(namespace, error = %words(&error), "ConfigMap {ROOT_CONFIG_MAP} cannot be written");
            }
        }
    }
    all
}
