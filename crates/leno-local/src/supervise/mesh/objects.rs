//! Objects come, change and go.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::SystemTime;

use serde_json::{Value, json};

use super::{Mesh, Stored};
use crate::object::{ObjectKey, Submitted};
use crate::protocol::{Applied, Change};
use crate::supervise::pods;

impl Mesh {
    /// Creates or changes objects. One that is refused does not touch the others.
    pub(super) fn apply(&mut self, objects: Vec<Submitted>) -> Applied {
        let mut applied = Applied::default();
        // Namespaces first: they say whether pods get sidecars.
        let (spaces, rest): (Vec<_>, Vec<_>) = objects.into_iter().partition(|o| o.key.kind == "Namespace");
        for object in spaces.into_iter().chain(rest) {
            let key = object.key.clone();
            match self.apply_one(object, &mut applied.warnings) {
                Ok(change) => applied.changes.push((key, change)),
                Err(why) => applied.refused.push(why),
            }
        }
        applied
    }

    fn apply_one(&mut self, object: Submitted, warnings: &mut Vec<String>) -> Result<Change, String> {
        let Submitted { key, source, json } = object;
        let old = self.objects.get(&key);
        if old.is_some_and(|o| o.submitted == json) {
            return Ok(Change::Unchanged);
        }
        let refused = |why: String| format!("{source}: error: {} {}/{}: {why}", key.kind, key.namespace, key.name);
        let mut full = json.clone();
        let first = |field: &str, make: &dyn Fn() -> String| {
            old.and_then(|o| o.json["metadata"][field].as_str().map(str::to_owned)).unwrap_or_else(make)
        };
        let uid = first("uid", &pods::uid);
        let created = first("creationTimestamp", &|| pods::rfc3339(SystemTime::now()));
        full["metadata"]["uid"] = json!(uid);
        full["metadata"]["creationTimestamp"] = json!(created);
        let restarted = old.map(|o| o.restarted.clone()).unwrap_or_default();
        let change = if old.is_some() { Change::Configured } else { Change::Created };
        if key.kind == "Service" && key.group.is_empty() {
            self.give_address(&key, &mut full).map_err(refused)?;
        }
        if !key.namespace.is_empty() {
            self.ensure_namespace(&key.namespace);
        }
        let own: Vec<String> = self
            .injection_warnings(&key, &full)
            .into_iter()
            .map(|w| format!("{source}: warning: {key}: {w}"))
            .collect();
        warnings.extend(own.iter().cloned());
        let json_arc = Arc::new(full);
        if key.kind == "ConfigMap" || key.kind == "Secret" {
            self.machine.store.put(key.clone(), Arc::clone(&json_arc));
        }
        self.publish_object(&key, &json_arc, &source);
        let stored = Stored { submitted: json, json: json_arc, source, restarted, warnings: own };
        self.objects.insert(key.clone(), stored);
        self.refresh_volumes(&key);
        Ok(change)
    }

    fn give_address(&mut self, key: &ObjectKey, service: &mut Value) -> Result<(), String> {
        let spec = &service["spec"];
        let asked = spec["clusterIP"].as_str().unwrap_or_default();
        if asked == "None" || spec["type"].as_str() == Some("ExternalName") {
            self.addresses.release(&key.namespace, &key.name);
            return Ok(());
        }
        let asked = match asked {
            "" => None,
            text => Some(text.parse::<Ipv4Addr>().map_err(|_| format!("spec.clusterIP: {text} is no IPv4 address"))?),
        };
        if let Some(asked) = asked
            && asked.octets()[..2] != [10, 96]
        {
            return Err(format!("spec.clusterIP: {asked} is not in the service network 10.96.0.0/16"));
        }
        let address = self
            .addresses
            .assign(&key.namespace, &key.name, asked)
            .map_err(|why| format!("spec.clusterIP: {why}{}", self.source_of_address(asked)))?;
        service["spec"]["clusterIP"] = json!(address.to_string());
        service["spec"]["clusterIPs"] = json!([address.to_string()]);
        Ok(())
    }

    /// Where the object stands that has this address.
    fn source_of_address(&self, address: Option<Ipv4Addr>) -> String {
        let Some(text) = address.map(|a| a.to_string()) else { return String::new() };
        let owner =
            self.objects.iter().find(|(k, o)| k.kind == "Service" && o.json["spec"]["clusterIP"] == json!(text));
        owner.map(|(_, o)| format!(" ({})", o.source)).unwrap_or_default()
    }

    /// As if there were a Namespace object: what names a namespace brings it about.
    fn ensure_namespace(&mut self, name: &str) {
        let key = ObjectKey::core("Namespace", "", name);
        if self.objects.contains_key(&key) {
            return;
        }
        let json = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        let full = Arc::new(json);
        self.publish_object(&key, &full, "");
        let stored = Stored {
            // Not what anybody submitted, so that a real one is a change.
            submitted: Value::Null,
            json: full,
            source: String::new(),
            restarted: String::new(),
            warnings: Vec::new(),
        };
        self.objects.insert(key, stored);
    }

    fn injection_warnings(&self, key: &ObjectKey, object: &Value) -> Vec<String> {
        let template = match key.kind.as_str() {
            "Deployment" | "StatefulSet" | "Job" => &object["spec"]["template"],
            "Pod" => object,
            _ => return Vec::new(),
        };
        let space = self.namespace_meta(&key.namespace);
        pods::make(template, (&key.namespace, &key.name), None, &space, &self.settings)
            .map(|made| made.warnings)
            .unwrap_or_default()
    }

    /// What the control plane is to know of an object. Pods and endpoints have states and are written elsewhere.
    fn publish_object(&mut self, key: &ObjectKey, object: &Value, source: &str) {
        if !NOT_SHOWN.contains(&key.kind.as_str()) {
            let mut noted = object.clone();
            if !source.is_empty() {
                noted["metadata"]["annotations"][APPLIED_FROM] = json!(source);
            }
            if let Err(error) = self.applied.put(key, &noted) {
                tracing::error!("{key} cannot be written for leno-viz: {error}");
            }
        }
        let settings = key.kind == "ConfigMap" && key.name == "istio";
        if NOT_PUBLISHED.contains(&key.kind.as_str()) && !settings {
            return;
        }
        if let Err(error) = self.publisher.put(key, object) {
            tracing::error!("{key} cannot be written for the control plane: {error}");
        }
    }

    fn refresh_volumes(&self, key: &ObjectKey) {
        if key.kind != "ConfigMap" && key.kind != "Secret" {
            return;
        }
        for record in self.pods.values().filter(|r| r.pod.namespace == key.namespace) {
            let pod = Arc::clone(&record.pod);
            tokio::task::spawn_blocking(move || {
                if pod.volume_dir().exists()
                    && let Err(error) = crate::pod::volumes::write(&pod)
                {
                    tracing::warn!("pod {}/{}: {error:#}", pod.namespace, pod.name);
                }
            });
        }
    }

    /// Removes objects.
    pub(super) fn delete(&mut self, keys: &[ObjectKey]) -> Applied {
        let mut applied = Applied::default();
        for key in keys {
            let change = if self.delete_one(key) { Change::Deleted } else { Change::Missing };
            applied.changes.push((key.clone(), change));
        }
        applied
    }

    fn delete_one(&mut self, key: &ObjectKey) -> bool {
        if key.kind == "Namespace" {
            let inside: Vec<ObjectKey> = self.objects.keys().filter(|k| k.namespace == key.name).cloned().collect();
            for key in inside {
                self.delete_one(&key);
            }
        }
        let had = self.objects.remove(key).is_some();
        if had {
            self.publisher.remove(key);
            self.applied.remove(key);
            self.machine.store.remove(key);
            if key.kind == "Service" {
                self.addresses.release(&key.namespace, &key.name);
            }
        }
        // A pod of a workload is no object that was submitted; deleting it makes its workload replace it.
        if key.kind == "Pod" && self.end_pod(&(key.namespace.clone(), key.name.clone())) {
            return true;
        }
        had
    }

    /// All objects as a cluster would show them.
    pub(super) fn all_objects(&self) -> Vec<Value> {
        let own = self.objects.iter().filter(|(k, _)| k.kind != "Pod").map(|(_, o)| {
            let mut object = Value::clone(&o.json);
            if !o.source.is_empty() {
                object["metadata"]["annotations"][APPLIED_FROM] = json!(o.source);
            }
            object
        });
        let pods = self.pods.values().map(super::network::with_status);
        own.chain(pods).chain(self.translator.slices()).collect()
    }
}

/// Where a person wrote it: `FILE:LINE`.
const APPLIED_FROM: &str = "leno.io/applied-from";

/// Nothing that may be a secret is shown; pods are shown as they are, not as they were applied.
const NOT_SHOWN: &[&str] = &["Pod", "ConfigMap", "Secret", "EndpointSlice"];

const NOT_PUBLISHED: &[&str] = &[
    "Pod",
    "Deployment",
    "StatefulSet",
    "DaemonSet",
    "ReplicaSet",
    "Job",
    "CronJob",
    "ConfigMap",
    "Secret",
    "EndpointSlice",
];
