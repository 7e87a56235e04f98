//! Definitions that are on the cluster already: Istio's, Linkerd's, SMI's. They are used as they are.

use leno_install::manifests::MANAGED_BY;
use serde_json::Value;

/// Whether an object is Leno's.
pub(crate) fn is_ours(object: &Value) -> bool {
    object["metadata"]["labels"][MANAGED_BY.0] == MANAGED_BY.1
}

/// Who brought it, as far as its labels tell.
pub(crate) fn whose(object: &Value) -> &'static str {
    let labels = &object["metadata"]["labels"];
    let label = |key: &str| labels[key].as_str().unwrap_or_default().to_lowercase();
    let is = |word: &str| {
        labels
            .as_object()
            .into_iter()
            .flatten()
            .any(|(k, v)| k.contains(word) || v.as_str().unwrap_or_default().to_lowercase().contains(word))
    };
    if is("istio") {
        "Istio's"
    } else if is("linkerd") {
        "Linkerd's"
    } else if label("app.kubernetes.io/managed-by") == "helm" {
        "a Helm release's"
    } else {
        "others'"
    }
}

/// Versions of `wanted` that the definition on the cluster does not serve.
pub(crate) fn missing_versions(wanted: &Value, there: &Value) -> Vec<String> {
    let served = |definition: &Value| -> Vec<String> {
        let versions = definition["spec"]["versions"].as_array().into_iter().flatten();
        versions.filter(|v| v["served"] == true).filter_map(|v| v["name"].as_str().map(str::to_owned)).collect()
    };
    let there = served(there);
    served(wanted).into_iter().filter(|v| !there.contains(v)).collect()
}

#[cfg(test)]
mod tests {
    use super::{is_ours, missing_versions, whose};
    use serde_json::json;

    #[test]
    fn a_definition_says_whose_it_is() {
        let istio = json!({"metadata": {"labels": {"app": "istio-pilot", "release": "istio"}}});
        let linkerd = json!({"metadata": {"labels": {"linkerd.io/control-plane-ns": "linkerd"}}});
        let ours = leno_install::crds::all().remove(0);
        assert_eq!((whose(&istio), whose(&linkerd), whose(&json!({}))), ("Istio's", "Linkerd's", "others'"));
        assert!(is_ours(&ours) && !is_ours(&istio));
    }

    #[test]
    fn an_old_definition_is_known_by_the_versions_that_it_lacks() {
        let served = |names: &[&str]| json!({"spec": {"versions": names.iter().map(|n| json!({"name": n, "served": true})).collect::<Vec<_>>()}});
        let missing = missing_versions(&served(&["v1", "v1beta1"]), &served(&["v1alpha3", "v1beta1"]));
        assert_eq!(missing, ["v1"]);
    }
}
