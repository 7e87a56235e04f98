//! Takes the sidecar out of a pod again.

use serde_json::{Map, Value};

use super::status::{Made, Status};
use super::{PROXY_CONTAINER, STATUS_ANNOTATION, probes, scrape};

/// What became of a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UninjectOutcome {
    /// It is as it was before injection.
    Removed,
    /// It is as it came, for this reason.
    Skipped(String),
}

/// Takes out of `pod` what [`super::inject`] put into it.
pub fn uninject(pod: &mut Value) -> UninjectOutcome {
    let Some(text) = pod["metadata"]["annotations"][STATUS_ANNOTATION].as_str() else {
        return UninjectOutcome::Skipped("the pod has no sidecar".into());
    };
    let Some(status) = Status::read(text) else {
        return UninjectOutcome::Skipped("its sidecar was injected by another mesh".into());
    };
    if let Some(originals) = told(pod, probes::ENV) {
        probes::restore(pod, &originals);
    }
    let scraped = told(pod, scrape::ENV);
    if let Some(spec) = pod.get_mut("spec").and_then(Value::as_object_mut) {
        remove(spec, "initContainers", &status.init_containers, status.made.contains(&Made::InitContainers));
        remove(spec, "containers", &status.containers, false);
        remove(spec, "volumes", &status.volumes, status.made.contains(&Made::Volumes));
        let made = status.made.contains(&Made::ImagePullSecrets);
        remove(spec, "imagePullSecrets", &status.image_pull_secrets, made);
    }
    let Some(root) = pod.as_object_mut() else { return UninjectOutcome::Removed };
    if let Some(metadata) = root.get_mut("metadata").and_then(Value::as_object_mut) {
        forget(metadata, "labels", status.labels.iter(), status.made.contains(&Made::Labels));
        if let (Some(said), Some(map)) = (scraped, metadata.get_mut("annotations").and_then(Value::as_object_mut)) {
            scrape::restore(map, &said);
        }
        let annotations = status.annotations.iter().map(String::as_str).chain([STATUS_ANNOTATION]);
        forget(metadata, "annotations", annotations, status.made.contains(&Made::Annotations));
        if metadata.is_empty() && status.made.contains(&Made::Metadata) {
            root.shift_remove("metadata");
        }
    }
    UninjectOutcome::Removed
}

/// What the proxy was told of the pod as it was.
fn told(pod: &Value, name: &str) -> Option<Map<String, Value>> {
    let lists = ["initContainers", "containers"];
    let mut all = lists.iter().filter_map(|list| pod["spec"][list].as_array()).flatten();
    let proxy = all.find(|c| c["name"].as_str() == Some(PROXY_CONTAINER))?;
    let env = proxy["env"].as_array()?.iter().find(|e| e["name"].as_str() == Some(name))?;
    // Written for Kubernetes, which takes `$$` for `$`.
    serde_json::from_str(&env["value"].as_str()?.replace("$$", "$")).ok()
}

/// Removes the named items of a list, and the list if it was made for them.
fn remove(map: &mut Map<String, Value>, key: &str, names: &[String], made: bool) {
    let Some(list) = map.get_mut(key).and_then(Value::as_array_mut) else { return };
    for name in names {
        // The last of a name: an item of the user's with the same name was there first.
        if let Some(at) = list.iter().rposition(|item| item["name"].as_str() == Some(name)) {
            list.remove(at);
        }
    }
    if list.is_empty() && made {
        map.shift_remove(key);
    }
}

fn forget(metadata: &mut Map<String, Value>, key: &str, names: impl Iterator<Item = impl AsRef<str>>, made: bool) {
    let Some(map) = metadata.get_mut(key).and_then(Value::as_object_mut) else { return };
    for name in names {
        map.shift_remove(name.as_ref());
    }
    if map.is_empty() && made {
        metadata.shift_remove(key);
    }
}
