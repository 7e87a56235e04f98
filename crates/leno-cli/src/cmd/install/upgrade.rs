//! `leno upgrade`: the control plane to this program's version, in place or as a canary beside the old one.

use std::process::ExitCode;

use anyhow::{Context as _, bail};
use leno_install::manifests;
use leno_install::values::Layer;
use serde_json::{Value, json};

use super::choices::Choices;
use super::{How, agreed, apply, summary};
use crate::cluster::{self, Cluster, Kind};
use crate::cmd::Globals;

/// Brings the control plane to this version.
///
/// In place, with the settings that it was installed with and those given here. With --revision a second control plane comes
/// beside the first, and namespaces move to it one by one.
#[derive(clap::Args)]
pub(crate) struct UpgradeArgs {
    #[command(flatten)]
    choices: Choices,
    #[command(flatten)]
    how: How,
}

/// Runs it.
pub(crate) fn run(args: &UpgradeArgs, globals: &Globals) -> anyhow::Result<ExitCode> {
    cluster::run(async {
        let cluster = Cluster::connect(&globals.cluster).await?;
        let namespace = args.choices.values(None)?.namespace;
        let old = installed(&cluster, &namespace).await?;
        if old.is_empty() {
            bail!("there is no Leno in namespace {namespace}: `leno install` makes one");
        }
        let mut layers = remembered(&old, args.choices.revision.as_deref());
        add(&mut layers, args.choices.remembered()?);
        let values = args.choices.values(Some(merged(&layers)))?;
        if let Some(form) = args.how.output {
            super::print(&manifests::install(&values), form)?;
            return Ok(ExitCode::SUCCESS);
        }
        for map in &old {
            println!("installed: revision {}, proxies from {}", revision(map), image(map));
        }
        let question = format!("This brings {} to {} ({}). Go on?", summary(&values), cluster.url(), cluster.source());
        if !args.how.yes && !args.how.dry_run && !agreed(&question)? {
            println!("nothing was changed");
            return Ok(ExitCode::SUCCESS);
        }
        let plan = apply::Plan { definitions: true, objects: true, choices: layers };
        let wanted = manifests::injection(&values)["image"].as_str().unwrap_or_default().to_owned();
        let code = apply::all(&cluster, values, &plan, &args.how).await?;
        stale(&cluster, &wanted).await?;
        Ok(code)
    })
}

/// The `ConfigMap`s of the revisions in a namespace.
pub(super) async fn installed(cluster: &Cluster, namespace: &str) -> anyhow::Result<Vec<Value>> {
    let selector = format!("{}={},app.kubernetes.io/name=leno", manifests::MANAGED_BY.0, manifests::MANAGED_BY.1);
    cluster.list(&Kind::namespaced("", "v1", "ConfigMap"), Some(namespace), Some(&selector)).await
}

fn revision(map: &Value) -> &str {
    map["metadata"]["labels"][manifests::REVISION_LABEL].as_str().unwrap_or("default")
}

fn image(map: &Value) -> String {
    let values =
        map["data"]["values"].as_str().and_then(|t| serde_yaml_ng::from_str::<Value>(t).ok()).unwrap_or_default();
    values["image"].as_str().unwrap_or("an unknown image").to_owned()
}

/// What was chosen for the revision that is upgraded, or for `default` when a new one is made from it. Its version is not kept:
/// to change it is what an upgrade is for.
fn remembered(old: &[Value], wanted: Option<&str>) -> Vec<Layer> {
    let mut layers = chosen(old, wanted);
    for layer in &mut layers {
        if let Some(map) = layer.tree.as_object_mut() {
            map.remove("tag");
            map.remove("revision");
        }
        if let Some(map) = layer.tree.pointer_mut("/values/global").and_then(Value::as_object_mut) {
            map.remove("tag");
        }
    }
    layers.retain(|l| l.tree.as_object().is_none_or(|m| !m.is_empty()));
    layers
}

/// Later choices come last; one that is made again is not kept twice, so that the same upgrade twice changes nothing.
fn add(layers: &mut Vec<Layer>, new: Vec<Layer>) {
    let again = |l: &Layer| new.iter().any(|n| n.origin == l.origin && n.tree == l.tree);
    layers.retain(|l| !again(l));
    layers.extend(new);
}

/// All that was chosen, as it stands on the `ConfigMap`.
pub(super) fn chosen(old: &[Value], wanted: Option<&str>) -> Vec<Layer> {
    let of = |name: &str| old.iter().find(|m| revision(m) == name);
    let Some(map) = of(wanted.unwrap_or("default")).or_else(|| of("default")).or_else(|| old.first()) else {
        return Vec::new();
    };
    let text = map["metadata"]["annotations"][apply::CHOICES].as_str().unwrap_or("[]");
    let layers: Vec<Value> = serde_json::from_str(text).unwrap_or_default();
    let layer =
        |l: Value| Layer { origin: l["origin"].as_str().unwrap_or("before").to_owned(), tree: l["tree"].clone() };
    layers.into_iter().map(layer).collect()
}

/// Many as one.
pub(super) fn merged(layers: &[Layer]) -> Layer {
    let tree = layers.iter().fold(json!({}), |mut all, layer| {
        lay(&mut all, &layer.tree);
        all
    });
    Layer { origin: "the installation's settings".to_owned(), tree }
}

fn lay(base: &mut Value, over: &Value) {
    match (base, over) {
        (Value::Object(base), Value::Object(over)) => {
            for (key, value) in over {
                lay(base.entry(key).or_insert(Value::Null), value);
            }
        }
        (base, over) => *base = over.clone(),
    }
}

/// Names the workloads whose proxies are of another version.
async fn stale(cluster: &Cluster, wanted: &str) -> anyhow::Result<()> {
    let pods = cluster
        .list(&Kind::namespaced("", "v1", "Pod"), None, Some("security.istio.io/tlsMode=istio"))
        .await
        .context("pods")?;
    let old = pods.iter().filter(|pod| {
        let lists = ["initContainers", "containers"];
        let mut all = lists.iter().flat_map(|l| pod["spec"][l].as_array().into_iter().flatten());
        all.any(|c| c["name"] == "istio-proxy" && c["image"] != *wanted)
    });
    let mut namespaces: Vec<(&str, usize)> = Vec::new();
    for pod in old {
        let namespace = pod["metadata"]["namespace"].as_str().unwrap_or_default();
        match namespaces.iter_mut().find(|n| n.0 == namespace) {
            Some(found) => found.1 += 1,
            None => namespaces.push((namespace, 1)),
        }
    }
    for (namespace, count) in namespaces {
        println!(
            "{count} pods of {namespace} run another proxy than {wanted}: kubectl -n {namespace} rollout restart deployment"
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{add, apply, merged, remembered};
    use leno_install::values::Layer;
    use serde_json::json;

    #[test]
    fn an_upgrade_keeps_what_was_chosen_but_not_the_version() {
        let chosen = json!([
            {"origin": "--set profile=demo", "tree": {"profile": "demo"}},
            {"origin": "--set tag=1", "tree": {"tag": "1"}},
            {"origin": "f", "tree": {"values": {"global": {"tag": "1", "hub": "h"}}}},
        ])
        .to_string();
        let map = json!({"metadata": {"labels": {"istio.io/rev": "default"}, "annotations": {apply::CHOICES: chosen}}});
        let layers = remembered(&[map], Some("canary"));
        assert_eq!(merged(&layers).tree, json!({"profile": "demo", "values": {"global": {"hub": "h"}}}));
    }

    #[test]
    fn a_choice_that_is_made_again_is_kept_once_and_wins() {
        let choice = |origin: &str, value: &str| Layer { origin: origin.to_owned(), tree: json!({ "hub": value }) };
        let mut layers = vec![choice("--set hub=a", "a"), choice("--set hub=b", "b")];
        add(&mut layers, vec![choice("--set hub=a", "a")]);
        let origins: Vec<&str> = layers.iter().map(|l| l.origin.as_str()).collect();
        assert_eq!(origins, ["--set hub=b", "--set hub=a"]);
        assert_eq!(merged(&layers).tree, json!({ "hub": "a" }));
    }
}
