//! The reports as data.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use leno_xds::server::{DeltaSession, KindStatus};
use leno_xds::wire::{Resource, ResourceKind, ResourceName};
use serde::Serialize;
use serde_json::{Value, json};

use super::{Filter, Monitor};
use crate::hub::Hub;
use crate::serve::proxies::{Proxies, Proxy};
use crate::source::{ObjectState, ObjectStatus};
use crate::world::ObjectKey;

/// One connected proxy.
#[derive(Debug, Serialize)]
pub(super) struct ProxyReport {
    namespace: String,
    pod: String,
    ip: String,
    version: String,
    workload: String,
    kind: String,
    /// Seconds since the epoch.
    connected_since: u64,
    sync: BTreeMap<&'static str, KindReport>,
    synced: bool,
}

#[derive(Debug, Serialize)]
struct KindReport {
    subscribed: usize,
    sent: u64,
    acked: u64,
    nacked: Vec<Refused>,
}

#[derive(Debug, Serialize)]
struct Refused {
    name: String,
    message: String,
}

pub(super) fn proxies(monitor: &Monitor) -> Vec<ProxyReport> {
    let state = monitor.hub.state();
    let report = |proxy: Arc<Proxy>| {
        let statuses = statuses(&proxy.session());
        let node = &proxy.node;
        let workload = state.world.workload_of(&node.namespace, &node.pod);
        ProxyReport {
            namespace: node.namespace.clone(),
            pod: node.pod.clone(),
            ip: node.ips.first().cloned().unwrap_or_default(),
            version: node.version.clone(),
            workload: workload.map(|w| w.name.clone()).unwrap_or_default(),
            kind: workload.map(|w| w.kind.clone()).unwrap_or_default(),
            connected_since: seconds(proxy.since),
            synced: statuses.iter().all(|(_, s)| s.synced()),
            sync: statuses.into_iter().map(|(kind, s)| (kind.as_str(), kind_report(s))).collect(),
        }
    };
    monitor.proxies.all().into_iter().map(report).collect()
}

fn statuses(session: &DeltaSession) -> Vec<(ResourceKind, KindStatus)> {
    ResourceKind::ALL.into_iter().map(|kind| (kind, session.status(kind))).collect()
}

fn kind_report(status: KindStatus) -> KindReport {
    let refused = |(name, message): (Arc<str>, String)| Refused { name: name.to_string(), message };
    KindReport {
        subscribed: status.subscribed,
        sent: status.sent,
        acked: status.acked,
        nacked: status.refused.into_iter().map(refused).collect(),
    }
}

/// In the manner of istiod's: one row a proxy, by type how much was sent and accepted.
pub(super) fn syncz(monitor: &Monitor) -> Vec<Value> {
    let row = |proxy: ProxyReport| {
        let state = |k: &KindReport| {
            let word = match k {
                k if !k.nacked.is_empty() => "NACK",
                k if k.subscribed == 0 => "NOT SENT",
                k if k.sent == k.acked => "SYNCED",
                _ => "STALE",
            };
            json!({ "state": word, "sent": k.sent, "acked": k.acked })
        };
        let types: serde_json::Map<String, Value> =
            proxy.sync.iter().map(|(kind, k)| ((*kind).to_owned(), state(k))).collect();
        json!({
            "proxy": format!("{}.{}", proxy.pod, proxy.namespace),
            "proxy_type": "sidecar",
            "proxy_version": proxy.version,
            "types": types,
        })
    };
    proxies(monitor).into_iter().map(row).collect()
}

/// All objects: in force or refused and why, and in how many of the proxies that use them they live.
pub(super) fn objects(monitor: &Monitor, filter: &Filter) -> Value {
    let shown: Vec<(ObjectKey, ObjectStatus, Vec<ResourceName>)> = {
        let state = monitor.hub.state();
        let wanted = state.objects.iter().filter(|(key, _)| filter.takes(&key.kind, &key.namespace, &key.name));
        wanted.map(|(key, status)| (key.clone(), status.clone(), state.world.resources_of(key))).collect()
    };
    // All proxies are looked at: the writer must not wait for that.
    let names: Vec<_> = shown.iter().map(|(.., names)| &names[..]).collect();
    let live = live_of(&monitor.hub, &monitor.proxies, &names);
    let state = monitor.hub.state();
    let report = |((key, status, _), (live, of)): (&(ObjectKey, ObjectStatus, _), (usize, usize))| {
        json!({
            "kind": key.kind,
            "namespace": key.namespace,
            "name": key.name,
            "source": status.source,
            "state": status.state,
            "in_force": status.state == ObjectState::Accepted || state.world.has(key),
            "messages": status.messages,
            "live": live,
            "of": of,
        })
    };
    let unbuilt = state.unbuilt().iter().map(|(name, why)| json!({ "resource": name.to_string(), "problem": why }));
    let clashes = state.world.services().clashes().into_iter().map(|(ip, claimants)| {
        let claimants: Vec<String> = claimants.iter().map(ToString::to_string).collect();
        json!({ "address": ip, "services": claimants })
    });
    json!({
        "objects": shown.iter().zip(live).map(report).collect::<Vec<_>>(),
        "files": state.faults.iter().map(|(file, problems)| json!({ "file": file, "problems": problems })).collect::<Vec<_>>(),
        "unbuilt": unbuilt.collect::<Vec<_>>(),
        "clashes": clashes.collect::<Vec<_>>(),
    })
}

/// For the resources of each object: how many proxies live by all of them that they use, and how many use any.
pub(crate) fn live_of(hub: &Hub, proxies: &Proxies, objects: &[&[ResourceName]]) -> Vec<(usize, usize)> {
    let snapshot = hub.snapshot();
    let mut counts = vec![(0, 0); objects.len()];
    for proxy in proxies.all() {
        let session = proxy.session();
        for ((live, of), names) in counts.iter_mut().zip(objects) {
            let mut used = names.iter().filter_map(|name| session.lives_by(name, &snapshot)).peekable();
            if used.peek().is_some() {
                *of += 1;
                *live += usize::from(used.all(|lives| lives));
            }
        }
    }
    counts
}

/// Resources as proxies read them.
pub(super) fn config_dump(monitor: &Monitor, filter: &Filter) -> Value {
    let snapshot = monitor.hub.snapshot();
    let mut dump = serde_json::Map::new();
    for kind in ResourceKind::ALL {
        let mut entries: Vec<_> = snapshot.iter(kind).collect();
        entries.sort_by_key(|(key, _)| (*key).clone());
        let shown = entries.into_iter().filter(|(key, _)| {
            let namespace = key.split_once('/').map_or("", |(ns, _)| ns);
            filter.takes(kind.as_str(), if filter.namespace.is_some() { namespace } else { "" }, key)
        });
        let values: Vec<Value> = shown
            .map(|(key, encoded)| {
                let value = Resource::decode(kind, &encoded.bytes).map_or_else(|e| json!(e.to_string()), |r| value(&r));
                json!({ "name": **key, "version": encoded.version.to_string(), "value": value })
            })
            .collect();
        dump.insert(kind.as_str().to_owned(), Value::Array(values));
    }
    Value::Object(dump)
}

fn value(resource: &Resource) -> Value {
    let value = match resource {
        Resource::Address(x) => serde_json::to_value(x),
        Resource::Service(x) => serde_json::to_value(x),
        Resource::Endpoints(x) => serde_json::to_value(x),
        Resource::Routes(x) => serde_json::to_value(x),
        Resource::Policies(x) => serde_json::to_value(x),
        Resource::Mesh(x) => serde_json::to_value(x),
    };
    value.unwrap_or_else(|e| json!(e.to_string()))
}

fn seconds(at: SystemTime) -> u64 {
    at.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs())
}
