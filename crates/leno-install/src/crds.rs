//! The custom resource definitions: group, versions, names, columns and schema of Istio's, SMI's and Linkerd's kinds, so that objects
//! written for them are accepted unchanged.
//!
//! [`schema`] is the small language that they are written in; [`networking`], [`security`], [`telemetry`], [`split`] and
//! [`profile`] hold one function per kind. Schemas are strict where a type is certain, and leave the rest to the validating webhook,
//! which knows more and says it better.

mod networking;
mod policy;
mod profile;
pub mod schema;
mod security;
mod split;
mod telemetry;

use serde_json::{Value, json};

use crate::manifests::labels;
use schema::{any, list, obj, text};

/// All definitions, in the order of their names.
#[must_use]
pub fn all() -> Vec<Value> {
    let mut all: Vec<Value> = kinds().iter().map(definition).collect();
    all.sort_by(|a, b| a["metadata"]["name"].as_str().cmp(&b["metadata"]["name"].as_str()));
    all
}

/// A kind of object that Leno defines.
pub struct Definition {
    /// API group.
    pub group: &'static str,
    /// Kind.
    pub kind: &'static str,
    /// Plural, as in addresses.
    pub plural: &'static str,
    /// What `kubectl get` takes too.
    pub short: &'static [&'static str],
    /// Versions, all served.
    pub versions: &'static [&'static str],
    /// The one that is stored.
    pub storage: &'static str,
    /// `(title, type, path)` of what `kubectl get` shows.
    pub columns: &'static [(&'static str, &'static str, &'static str)],
    /// Whether an object must have a spec.
    pub spec_required: bool,
    /// Schema of the spec.
    pub spec: Value,
}

/// All kinds.
#[must_use]
pub fn kinds() -> Vec<Definition> {
    let mut kinds = networking::kinds();
    kinds.extend(security::kinds());
    kinds.push(telemetry::telemetry());
    kinds.push(split::traffic_split());
    kinds.push(profile::service_profile());
    kinds
}

/// Name of the object: `virtualservices.networking.istio.io`.
impl Definition {
    fn name(&self) -> String {
        format!("{}.{}", self.plural, self.group)
    }
}

fn definition(kind: &Definition) -> Value {
    let columns: Vec<Value> =
        kind.columns.iter().map(|(name, form, path)| json!({"name": name, "type": form, "jsonPath": path})).collect();
    let mut schema = obj(&[("spec", kind.spec.clone()), ("status", status())]);
    if kind.spec_required {
        schema["required"] = json!(["spec"]);
    }
    let version = |name: &&str| {
        let mut version = json!({
            "name": name,
            "served": true,
            "storage": *name == kind.storage,
            "subresources": {"status": {}},
            "schema": {"openAPIV3Schema": schema},
        });
        if !columns.is_empty() {
            version["additionalPrinterColumns"] = json!(columns);
        }
        version
    };
    let mut names = json!({
        "kind": kind.kind,
        "listKind": format!("{}List", kind.kind),
        "plural": kind.plural,
        "singular": kind.kind.to_lowercase(),
    });
    if !kind.short.is_empty() {
        names["shortNames"] = json!(kind.short);
    }
    if kind.group.ends_with(".istio.io") {
        // `kubectl get istio-io -A` finds them all.
        names["categories"] =
            json!(["istio-io", kind.group.replace('.', "-").trim_end_matches("-istio-io").to_owned() + "-istio-io"]);
    }
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": kind.name(), "labels": labels("leno-crds"), "annotations": {"helm.sh/resource-policy": "keep"}},
        "spec": {
            "group": kind.group,
            "names": names,
            "scope": "Namespaced",
            "versions": kind.versions.iter().map(version).collect::<Vec<Value>>(),
        },
    })
}

/// Istio's status: conditions and messages. Controllers may add to it.
fn status() -> Value {
    let time = || json!({"type": "string", "format": "date-time"});
    let generation = || json!({"x-kubernetes-int-or-string": true});
    let condition = obj(&[
        ("type", text()),
        ("status", text()),
        ("reason", text()),
        ("message", text()),
        ("observedGeneration", generation()),
        ("lastProbeTime", time()),
        ("lastTransitionTime", time()),
    ]);
    let mut status = obj(&[
        ("conditions", list(condition)),
        ("observedGeneration", generation()),
        ("validationMessages", list(any())),
    ]);
    status["x-kubernetes-preserve-unknown-fields"] = json!(true);
    status
}

const AGE: (&str, &str, &str) = ("Age", "date", ".metadata.creationTimestamp");

#[cfg(test)]
mod tests;
