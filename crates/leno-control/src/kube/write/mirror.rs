//! Webhooks can select namespaces by label only: Linkerd's annotation on a namespace is mirrored as a label.

use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, Patch, PatchParams};
use leno_install::NamespaceMeta;
use serde_json::{Value, json};

use super::{AGAIN, Duties, MANAGER};
use crate::kube::connect::words;

/// The annotation.
const ANNOTATION: &str = "linkerd.io/inject";
/// The label.
pub const LABEL: &str = "leno.dev/injection";
const ENABLED: &str = "enabled";

/// Keeps the labels right.
pub(super) async fn keep(duties: &Duties) {
    let api: Api<Namespace> = Api::all(duties.client.clone());
    let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
    let mut changes = duties.namespaces.changes();
    loop {
        changes.mark_unchanged();
        let mut failed = false;
        for namespace in duties.namespaces.all() {
            let Some(label) = wanted(&namespace.meta).filter(|_| !namespace.terminating) else { continue };
            let patch = json!({ "metadata": { "labels": { LABEL: label } } });
            if let Err(error) = api.patch(&namespace.meta.name, &params, &Patch::Merge(patch)).await {
                failed = true;
                tracing::warn!(namespace = namespace.meta.name, error = %words(&error), "label {LABEL} cannot be written");
            }
        }
        tokio::select! {
            changed = changes.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(AGAIN), if failed => {}
        }
    }
}

/// What the label has to become, where it is another: `enabled`, or null.
pub(in crate::kube) fn wanted(namespace: &NamespaceMeta) -> Option<Value> {
    let asked = namespace.annotations.get(ANNOTATION).map(String::as_str);
    let wanted = matches!(asked, Some("enabled" | "ingress")).then_some(ENABLED);
    let is = namespace.labels.get(LABEL).map(String::as_str);
    (is != wanted).then(|| wanted.map_or(Value::Null, Value::from))
}
