//! What the control plane, DNS and the node must know of services and pods.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use leno_config::k8s::Service;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::{Event, Events, Mesh, PodRecord};
use crate::dns::{Zone, zone};
use crate::net::nft::{self, ServicePort};
use crate::net::{CONTROL_IP, NODE_IP, link};
use crate::object::ObjectKey;
use crate::pod::board::Phase;
use crate::supervise::endpoints::{self, Backend};
use crate::supervise::pods;

impl Mesh {
    /// Says what has changed, to each who must know.
    pub(super) fn tell_network(&mut self) {
        self.publish_pods();
        let backends: Vec<Backend> = self.pods.values().filter_map(backend).collect();
        let mut slices: BTreeMap<ObjectKey, Value> = BTreeMap::new();
        let mut names = vec![control_plane()];
        let mut ports = Vec::new();
        for (key, stored) in self.objects.iter().filter(|(k, _)| k.kind == "Service" && k.group.is_empty()) {
            let Ok(service) = serde_json::from_value::<Service>(Value::clone(&stored.json)) else { continue };
            let selected = endpoints::selected(&service, &key.namespace, &backends);
            let address = service.spec.cluster_ip.parse::<Ipv4Addr>().ok();
            if let Some(address) = address {
                ports.extend(endpoints::node_ports(&service, address, &selected));
            }
            names.push(endpoints::names(&service, &key.namespace, address, &selected));
            if service.spec.selector.is_empty() {
                continue;
            }
            for slice in endpoints::slices(&service, &key.namespace, &selected) {
                let name = slice["metadata"]["name"].as_str().unwrap_or_default();
                let key = ObjectKey {
                    group: "discovery.k8s.io".into(),
                    ..ObjectKey::core("EndpointSlice", &key.namespace, name)
                };
                slices.insert(key, slice);
            }
        }
        for (key, stored) in self.objects.iter().filter(|(k, _)| k.kind == "EndpointSlice") {
            slices.insert(key.clone(), Value::clone(&stored.json));
        }
        self.publish_slices(slices);
        self.names.set(Zone::new(&names));
        self.translator.set(ports);
    }

    fn publish_pods(&mut self) {
        let mut gone: Vec<ObjectKey> = self.publisher.keys("Pod");
        for ((namespace, name), record) in &self.pods {
            let key = ObjectKey::core("Pod", namespace, name);
            if let Err(error) = self.publisher.put(&key, &with_status(record)) {
                tracing::error!("{key} cannot be written for the control plane: {error}");
            }
            gone.retain(|k| *k != key);
        }
        for key in gone {
            self.publisher.remove(&key);
        }
    }

    fn publish_slices(&mut self, slices: BTreeMap<ObjectKey, Value>) {
        for key in self.publisher.keys("EndpointSlice").iter().filter(|k| !slices.contains_key(*k)) {
            self.publisher.remove(key);
        }
        for (key, slice) in &slices {
            if let Err(error) = self.publisher.put(key, slice) {
                tracing::error!("{key} cannot be written for the control plane: {error}");
            }
        }
        self.translator.slices = slices.into_values().collect();
    }
}

/// A pod with its status, as a cluster would show it.
pub(super) fn with_status(record: &PodRecord) -> Value {
    let snapshot = record.pod.board.snapshot();
    let phase = match snapshot.phase {
        Phase::Pending => "Pending",
        Phase::Running | Phase::Gone => "Running",
        Phase::Succeeded => "Succeeded",
        Phase::Failed => "Failed",
    };
    let ready = if snapshot.is_ready() { "True" } else { "False" };
    let ip = record.pod.ip.to_string();
    let containers: Vec<Value> = snapshot
        .containers
        .iter()
        .filter(|c| !c.init)
        .map(|c| json!({"name": c.name, "ready": c.ready, "restartCount": c.restarts}))
        .collect();
    let mut object = record.object.clone();
    object["status"] = json!({
        "phase": phase, "podIP": ip, "podIPs": [{"ip": ip}], "hostIP": NODE_IP.to_string(),
        "conditions": [{"type": "Ready", "status": ready}],
        "containerStatuses": containers,
    });
    if let Some(since) = record.deleting {
        object["metadata"]["deletionTimestamp"] = json!(pods::rfc3339(since));
    }
    object
}

fn backend(record: &PodRecord) -> Option<Backend> {
    let snapshot = record.pod.board.snapshot();
    // An address belongs to a pod until it has ended.
    if matches!(snapshot.phase, Phase::Succeeded | Phase::Failed | Phase::Gone) {
        return None;
    }
    Some(Backend {
        namespace: record.pod.namespace.clone(),
        name: record.pod.name.clone(),
        uid: record.pod.uid.clone(),
        ip: record.pod.ip,
        labels: record.pod.labels.iter().map(|(k, v)| (k.clone(), v.clone())).collect(),
        spec: record.pod.spec.clone(),
        ready: snapshot.is_ready(),
        terminating: record.deleting.is_some(),
    })
}

fn control_plane() -> zone::Service {
    zone::Service {
        namespace: "leno-system".into(),
        name: "leno-control".into(),
        address: Some(CONTROL_IP),
        ..zone::Service::default()
    }
}

/// Keeps the node's table as it should be: one `nft` at a time, the newest state wins.
#[derive(Debug)]
pub(super) struct Translator {
    wanted: watch::Sender<(u64, Vec<ServicePort>)>,
    done: Arc<AtomicU64>,
    slices: Vec<Value>,
}

impl Translator {
    pub(super) fn start(events: Events) -> Self {
        let (wanted, mut changed) = watch::channel((0, Vec::new()));
        let done = Arc::new(AtomicU64::new(0));
        let reached = Arc::clone(&done);
        tokio::spawn(async move {
            loop {
                let (generation, ports) = changed.borrow_and_update().clone();
                let text = nft::table(&ports);
                let written =
                    tokio::task::spawn_blocking(move || link::feed(Command::new("nft").args(["-f", "-"]), &text)).await;
                match written {
                    Ok(Ok(())) => {
                        reached.store(generation, Ordering::SeqCst);
                        events.send(Event::Changed);
                        if changed.changed().await.is_err() {
                            return;
                        }
                    }
                    Ok(Err(error)) => {
                        tracing::error!("service addresses cannot be translated: {error}");
                        tokio::time::sleep(Duration::from_secs(1)).await;
                    }
                    Err(_) => return,
                }
            }
        });
        Self { wanted, done, slices: Vec::new() }
    }

    fn set(&self, ports: Vec<ServicePort>) {
        self.wanted.send_if_modified(|(generation, have)| {
            let changed = *have != ports;
            if changed {
                *generation += 1;
                *have = ports;
            }
            changed
        });
    }

    pub(super) fn is_settled(&self) -> bool {
        self.wanted.borrow().0 == self.done.load(Ordering::SeqCst)
    }

    /// The slices in force.
    pub(super) fn slices(&self) -> impl Iterator<Item = Value> {
        self.slices.iter().cloned()
    }
}
