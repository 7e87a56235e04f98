//! Files name workloads, not the pods that a cluster would make of them: here they are made, so that rules have somebody to
//! choose from. What files do say (pods with an address, endpoint slices, `clusterIP`) is left as it is.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use anyhow::{Context as _, bail};
use leno_analyze::object_from_json;
use leno_config::{Object, k8s};
use leno_install::inject::inject_named;
use leno_install::{InjectSettings, NamespaceMeta};
use leno_local::supervise::endpoints::{Backend, slices};
use serde_json::{Value, json};

use super::mesh::spaces;

/// The objects, with pods, addresses and endpoint slices where there are none.
///
/// # Errors
/// A workload's template is no pod, or there are too many pods.
pub(super) fn materialise(mut objects: Vec<Object>) -> anyhow::Result<Vec<Object>> {
    let spaces = spaces(&objects);
    let owned = owners(&objects);
    let mut made = Made { spaces, next: 0, pods: Vec::new() };
    for object in &objects {
        made.workload(object, &owned)?;
    }
    objects.retain(|o| o.kind != "Pod" || has_address(o));
    objects.extend(made.pods.into_iter().filter_map(object_from_json));
    give_addresses(&mut objects);
    let endpoints = endpoint_slices(&objects)?;
    objects.extend(endpoints);
    Ok(objects)
}

struct Made {
    spaces: BTreeMap<String, NamespaceMeta>,
    next: u32,
    pods: Vec<Value>,
}

impl Made {
    fn workload(&mut self, object: &Object, owned: &BTreeSet<(String, String)>) -> anyhow::Result<()> {
        let spec = &object.json["spec"];
        let count = |field: &str| spec[field].as_u64().unwrap_or(1);
        let key = (object.namespace().to_owned(), object.name.clone());
        let (template, replicas) = match object.kind.as_str() {
            "Pod" if !has_address(object) => return self.pod(object, &object.json, &object.name, None),
            // Its pods are in the files.
            _ if owned.contains(&key) => return Ok(()),
            "Deployment" | "StatefulSet" | "ReplicaSet" => (&spec["template"], count("replicas")),
            "DaemonSet" => (&spec["template"], 1),
            "Job" => (&spec["template"], count("parallelism")),
            "CronJob" => (&spec["jobTemplate"]["spec"]["template"], 1),
            _ => return Ok(()),
        };
        for number in 0..replicas {
            let name = match object.kind.as_str() {
                "StatefulSet" => format!("{}-{number}", object.name),
                _ => format!("{}-{}", object.name, number + 1),
            };
            self.pod(object, template, &name, Some(&object.kind))?;
        }
        Ok(())
    }

    fn pod(&mut self, object: &Object, template: &Value, name: &str, owner: Option<&str>) -> anyhow::Result<()> {
        let namespace = object.namespace();
        self.next += 1;
        if self.next > MOST_PODS {
            bail!("{}: the files name more than {MOST_PODS} pods", object.describe());
        }
        let mut pod =
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": template["metadata"], "spec": template["spec"]});
        if !pod["metadata"].is_object() {
            pod["metadata"] = json!({});
        }
        pod["metadata"]["name"] = json!(name);
        pod["metadata"]["namespace"] = json!(namespace);
        if let Some(kind) = owner {
            pod["metadata"]["ownerReferences"] = json!([{"kind": kind, "name": object.name, "controller": true}]);
        }
        if owner == Some("StatefulSet") {
            pod["spec"]["hostname"] = json!(name);
            pod["spec"]["subdomain"] = object.json["spec"]["serviceName"].clone();
        }
        if pod["spec"]["serviceAccountName"].is_null() {
            let account = pod["spec"]["serviceAccount"].as_str().unwrap_or("default");
            pod["spec"]["serviceAccountName"] = json!(account);
        }
        let space = self.spaces.get(namespace).cloned();
        let space = space.unwrap_or_else(|| NamespaceMeta { name: namespace.to_owned(), ..NamespaceMeta::default() });
        inject_named(&mut pod, &object.name, &space, &InjectSettings::default());
        let ip = address(POD_NETWORK, self.next).to_string();
        pod["status"] = json!({"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}], "conditions": [{"type": "Ready", "status": "True"}]});
        self.pods.push(pod);
        Ok(())
    }
}

/// Workloads that some pod in the files belongs to, by namespace and name. A Deployment's pods belong to a `ReplicaSet` of its
/// name with a hash.
fn owners(objects: &[Object]) -> BTreeSet<(String, String)> {
    let mut owned = BTreeSet::new();
    for pod in objects.iter().filter(|o| o.kind == "Pod") {
        for owner in pod.json["metadata"]["ownerReferences"].as_array().into_iter().flatten() {
            let Some(name) = owner["name"].as_str() else { continue };
            owned.insert((pod.namespace().to_owned(), name.to_owned()));
            let hash = pod.json["metadata"]["labels"]["pod-template-hash"].as_str().unwrap_or("-");
            if let Some(deployment) = name.strip_suffix(hash).and_then(|n| n.strip_suffix('-')) {
                owned.insert((pod.namespace().to_owned(), deployment.to_owned()));
            }
        }
    }
    owned
}

fn has_address(pod: &Object) -> bool {
    pod.json.pointer("/status/podIP").is_some() || pod.json.pointer("/status/podIPs/0").is_some()
}

/// Each Service without an address gets one that no other has.
fn give_addresses(objects: &mut [Object]) {
    let ip = |o: &Object| o.json["spec"]["clusterIP"].as_str().unwrap_or_default().to_owned();
    let mut taken: BTreeSet<String> = objects.iter().filter(|o| o.kind == "Service").map(ip).collect();
    let mut next = 0;
    for service in objects.iter_mut().filter(|o| o.kind == "Service" && o.api_version == "v1") {
        let alias = service.json["spec"]["type"].as_str() == Some("ExternalName");
        if alias || !ip(service).is_empty() || !service.json["spec"].is_object() {
            continue;
        }
        let free = loop {
            next += 1;
            let candidate = address(SERVICE_NETWORK, next).to_string();
            if taken.insert(candidate.clone()) {
                break candidate;
            }
        };
        service.json["spec"]["clusterIP"] = json!(free);
    }
}

/// Slices for the Services that have none in the files.
fn endpoint_slices(objects: &[Object]) -> anyhow::Result<Vec<Object>> {
    let given: BTreeSet<(String, String)> = objects
        .iter()
        .filter(|o| o.kind == "EndpointSlice")
        .filter_map(|o| {
            let service = o.json["metadata"]["labels"]["kubernetes.io/service-name"].as_str()?;
            Some((o.namespace().to_owned(), service.to_owned()))
        })
        .collect();
    let backends = objects
        .iter()
        .filter(|o| o.kind == "Pod")
        .filter_map(|o| backend(o).transpose())
        .collect::<anyhow::Result<Vec<_>>>()?;
    let mut all = Vec::new();
    for service in objects.iter().filter(|o| o.kind == "Service" && o.api_version == "v1") {
        if given.contains(&(service.namespace().to_owned(), service.name.clone())) {
            continue;
        }
        // A service that is not well is named where it is judged.
        let Ok(typed) = serde_json::from_value::<k8s::Service>(service.json.clone()) else { continue };
        let selected = leno_local::supervise::endpoints::selected(&typed, service.namespace(), &backends);
        all.extend(slices(&typed, service.namespace(), &selected).into_iter().filter_map(object_from_json));
    }
    Ok(all)
}

fn backend(pod: &Object) -> anyhow::Result<Option<Backend>> {
    let typed: k8s::Pod =
        serde_json::from_value(pod.json.clone()).with_context(|| format!("{}: it is no pod", pod.describe()))?;
    let ip = pod.json.pointer("/status/podIP").or_else(|| pod.json.pointer("/status/podIPs/0/ip"));
    // An address of the other family is in a slice of its own, which files would have to name.
    let Some(ip) = ip.and_then(Value::as_str).and_then(|ip| ip.parse().ok()) else { return Ok(None) };
    let ended = matches!(typed.status.phase.as_str(), "Succeeded" | "Failed");
    Ok((!ended).then(|| Backend {
        namespace: pod.namespace().to_owned(),
        name: pod.name.clone(),
        uid: String::new(),
        ip,
        labels: typed.metadata.labels.clone(),
        ready: typed.status.is_ready(),
        terminating: typed.metadata.deletion_timestamp.is_some(),
        spec: typed.spec,
    }))
}

fn address([a, b]: [u8; 2], number: u32) -> Ipv4Addr {
    let [.., c, d] = number.to_be_bytes();
    Ipv4Addr::new(a, b, c, d)
}

/// Made-up pods get addresses here.
const POD_NETWORK: [u8; 2] = [10, 244];
/// Services without an address get one here.
const SERVICE_NETWORK: [u8; 2] = [10, 96];
/// Made-up pods at most.
const MOST_PODS: u32 = 10_000;
