//! What of Leno is on a cluster.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use leno_install::inject::{PROXY_CONTAINER, ROOT_CONFIG_MAP};
use leno_install::manifests::{INJECTION_LABEL, MANAGED_BY, REVISION_LABEL};
use serde_json::Value;

use crate::cluster::{Cluster, Kind};

/// An object to remove.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Object {
    pub(super) kind: Kind,
    pub(super) namespace: Option<String>,
    pub(super) name: String,
}

/// All of it.
#[derive(Default)]
pub(super) struct Found {
    groups: Vec<(String, Vec<Object>)>,
    /// Namespaces with the label that the control plane mirrors.
    pub(super) labelled: Vec<String>,
    /// What the user should know before.
    pub(super) warnings: Vec<String>,
}

impl Found {
    /// Nothing at all.
    pub(super) fn is_empty(&self) -> bool {
        self.groups.is_empty() && self.labelled.is_empty()
    }

    /// By kind, in the order of removal.
    pub(super) fn groups(&self) -> &[(String, Vec<Object>)] {
        &self.groups
    }

    /// For people.
    pub(super) fn list(&self) -> String {
        let mut out = String::new();
        for (title, objects) in &self.groups {
            let names: Vec<String> = objects
                .iter()
                .map(|o| o.namespace.as_ref().map_or_else(|| o.name.clone(), |n| format!("{n}/{}", o.name)))
                .collect();
            let shown = if names.len() > SHOWN {
                format!("{} and {} more", names[..SHOWN].join(", "), names.len() - SHOWN)
            } else {
                names.join(", ")
            };
            let _ = writeln!(out, "  {title}: {shown}");
        }
        if !self.labelled.is_empty() {
            let _ = writeln!(out, "  label {INJECTION_LABEL} on namespaces: {}", self.labelled.join(", "));
        }
        out
    }

    fn add(&mut self, kind: &Kind, objects: &[Value]) {
        if objects.is_empty() {
            return;
        }
        let object = |o: &Value| Object {
            kind: kind.clone(),
            namespace: o["metadata"]["namespace"].as_str().map(str::to_owned),
            name: o["metadata"]["name"].as_str().unwrap_or_default().to_owned(),
        };
        self.groups.push((kind.kind.clone(), objects.iter().map(object).collect()));
    }
}

/// Looks for it.
///
/// # Errors
/// When the API server refuses or does not answer.
pub(super) async fn all(cluster: &Cluster, revision: Option<&str>, purge: bool) -> anyhow::Result<Found> {
    let mut found = Found::default();
    let mut selector = format!("{}={}", MANAGED_BY.0, MANAGED_BY.1);
    if let Some(revision) = revision {
        let _ = write!(selector, ",{REVISION_LABEL}={revision}");
    }
    let mut homes: Vec<String> = Vec::new();
    for kind in kinds() {
        let objects = cluster.list(&kind, None, Some(&selector)).await?;
        homes.extend(objects.iter().filter_map(|o| o["metadata"]["namespace"].as_str().map(str::to_owned)));
        found.add(&kind, &objects);
    }
    homes.sort();
    homes.dedup();
    leases(cluster, &homes, revision, &mut found).await?;
    meshed(cluster, &mut found).await?;
    // What all revisions share goes with the last one.
    if revision.is_some() {
        return Ok(found);
    }
    shared(cluster, &homes, purge, &mut found).await?;
    if purge {
        definitions(cluster, &mut found).await?;
    }
    Ok(found)
}

/// A release of the chart.
pub(super) struct Release {
    pub(super) namespace: String,
    pub(super) name: String,
}

/// The Helm release that a control plane on the cluster belongs to. While it runs it makes anew what is removed.
///
/// # Errors
/// When the API server refuses or does not answer.
pub(super) async fn helm_release(cluster: &Cluster) -> anyhow::Result<Option<Release>> {
    let selector = format!("{}=Helm,app.kubernetes.io/part-of=leno", MANAGED_BY.0);
    let deployments = cluster.list(&Kind::namespaced("apps", "v1", "Deployment"), None, Some(&selector)).await?;
    Ok(deployments.iter().find(|d| !is_going(d)).map(|d| {
        let annotation = |key: &str| d["metadata"]["annotations"][key].as_str().map(str::to_owned);
        let namespace = d["metadata"]["namespace"].as_str().unwrap_or_default().to_owned();
        Release {
            name: annotation("meta.helm.sh/release-name").unwrap_or_else(|| "leno".to_owned()),
            namespace: annotation("meta.helm.sh/release-namespace").unwrap_or(namespace),
        }
    }))
}

/// In the order of removal.
fn kinds() -> Vec<Kind> {
    let api = "admissionregistration.k8s.io";
    let rbac = "rbac.authorization.k8s.io";
    vec![
        Kind::cluster(api, "v1", "MutatingWebhookConfiguration"),
        Kind::cluster(api, "v1", "ValidatingWebhookConfiguration"),
        Kind::namespaced("apps", "v1", "Deployment"),
        Kind::namespaced("policy", "v1", "PodDisruptionBudget"),
        Kind::namespaced("", "v1", "Service"),
        Kind::namespaced("", "v1", "ConfigMap"),
        Kind::namespaced(rbac, "v1", "RoleBinding"),
        Kind::namespaced(rbac, "v1", "Role"),
        Kind::cluster(rbac, "v1", "ClusterRoleBinding"),
        Kind::cluster(rbac, "v1", "ClusterRole"),
        Kind::namespaced("", "v1", "ServiceAccount"),
    ]
}

/// The control plane makes its leases itself, so they have no label.
async fn leases(cluster: &Cluster, homes: &[String], revision: Option<&str>, found: &mut Found) -> anyhow::Result<()> {
    let kind = Kind::namespaced("coordination.k8s.io", "v1", "Lease");
    let mut all = Vec::new();
    for home in homes {
        all.extend(cluster.list(&kind, Some(home), None).await?);
    }
    all.retain(|lease| {
        let name = lease["metadata"]["name"].as_str().unwrap_or_default();
        let wanted = match revision {
            None => {
                ["leno-control-leader", "leno-control-mesh"].contains(&name) || name.starts_with("leno-control-leader-")
            }
            Some("default") => name == "leno-control-leader",
            Some(revision) => name == format!("leno-control-leader-{revision}"),
        };
        wanted && !is_going(lease)
    });
    found.add(&kind, &all);
    Ok(())
}

/// The authority's Secret, the bundles in all namespaces, the mirrored labels, the install namespace.
async fn shared(cluster: &Cluster, homes: &[String], purge: bool, found: &mut Found) -> anyhow::Result<()> {
    let maps = Kind::namespaced("", "v1", "ConfigMap");
    let by_name = |o: &Value| o["metadata"]["name"] == ROOT_CONFIG_MAP;
    let bundles: Vec<Value> =
        cluster.list(&maps, None, None).await?.into_iter().filter(|o| by_name(o) && is_written_by_control(o)).collect();
    let secrets = Kind::namespaced("", "v1", "Secret");
    let spaces = Kind::cluster("", "v1", "Namespace");
    let all = cluster.list(&spaces, None, None).await?;
    found.labelled =
        all.iter().filter(|n| n["metadata"]["labels"].get(INJECTION_LABEL).is_some()).map(name_of).collect();
    let ours: Vec<Value> =
        all.into_iter().filter(|n| n["metadata"]["labels"][MANAGED_BY.0] == MANAGED_BY.1 && !is_going(n)).collect();
    let mut authority = Vec::new();
    let mut homes: Vec<String> = homes.to_vec();
    homes.extend(ours.iter().map(name_of));
    homes.sort();
    homes.dedup();
    for home in &homes {
        authority.extend(cluster.get(&secrets, Some(home), "leno-ca-secret").await?);
    }
    found.add(&maps, &bundles);
    found.add(&secrets, &authority);
    let mut going = Vec::new();
    for space in ours {
        let name = name_of(&space);
        let strangers = strangers(cluster, &name).await?;
        if strangers.is_empty() || purge {
            if !strangers.is_empty() {
                found
                    .warnings
                    .push(format!("namespace {name} goes with what others put there: {}", strangers.join(", ")));
            }
            going.push(space);
        } else {
            found.warnings.push(format!(
                "namespace {name} stays, because others put something there: {} (--purge removes it all)",
                strangers.join(", ")
            ));
        }
    }
    found.add(&spaces, &going);
    Ok(())
}

/// What is in an install namespace and not Leno's.
async fn strangers(cluster: &Cluster, namespace: &str) -> anyhow::Result<Vec<String>> {
    let made_by_kubernetes = ["kube-root-ca.crt", "default", ROOT_CONFIG_MAP, "leno-ca-secret"];
    let mut strangers = Vec::new();
    let more = [
        Kind::namespaced("", "v1", "Secret"),
        Kind::namespaced("", "v1", "PersistentVolumeClaim"),
        Kind::namespaced("apps", "v1", "StatefulSet"),
        Kind::namespaced("apps", "v1", "DaemonSet"),
    ];
    for kind in kinds().into_iter().filter(|k| k.namespaced).chain(more) {
        for object in cluster.list(&kind, Some(namespace), None).await? {
            let name = name_of(&object);
            let ours = object["metadata"]["labels"][MANAGED_BY.0] == MANAGED_BY.1;
            // Tokens and Helm's records are made along with other things.
            let record =
                matches!(object["type"].as_str(), Some("kubernetes.io/service-account-token" | "helm.sh/release.v1"));
            if !ours
                && !record
                && !made_by_kubernetes.contains(&name.as_str())
                && object["metadata"]["ownerReferences"].is_null()
            {
                strangers.push(format!("{kind} {name}"));
            }
        }
    }
    Ok(strangers)
}

async fn definitions(cluster: &Cluster, found: &mut Found) -> anyhow::Result<()> {
    let kind = Kind::cluster("apiextensions.k8s.io", "v1", "CustomResourceDefinition");
    let selector = format!("{}={}", MANAGED_BY.0, MANAGED_BY.1);
    let ours = cluster.list(&kind, None, Some(&selector)).await?;
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for definition in &ours {
        let text = |path: &Value| path.as_str().unwrap_or_default().to_owned();
        let version = definition["spec"]["versions"].as_array().into_iter().flatten().find(|v| v["storage"] == true);
        let kind = Kind {
            group: text(&definition["spec"]["group"]),
            version: version.map(|v| text(&v["name"])).unwrap_or_default(),
            kind: text(&definition["spec"]["names"]["kind"]),
            plural: text(&definition["spec"]["names"]["plural"]),
            namespaced: true,
        };
        let count = cluster.list(&kind, None, None).await?.len();
        if count > 0 {
            counts.insert(kind.kind, count);
        }
    }
    if !counts.is_empty() {
        let list: Vec<String> = counts.iter().map(|(kind, n)| format!("{n} {kind}")).collect();
        found.warnings.push(format!("with the definitions go all objects of their kinds: {}", list.join(", ")));
    }
    found.add(&kind, &ours);
    Ok(())
}

/// Pods that keep their sidecar: they go on with the certificates that they have, until these end.
async fn meshed(cluster: &Cluster, found: &mut Found) -> anyhow::Result<()> {
    let pods = cluster.list(&Kind::namespaced("", "v1", "Pod"), None, Some("security.istio.io/tlsMode=istio")).await?;
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for pod in pods.iter().filter(|p| has_our_proxy(p)) {
        *counts.entry(pod["metadata"]["namespace"].as_str().unwrap_or_default().to_owned()).or_default() += 1;
    }
    for (namespace, count) in counts {
        found.warnings.push(format!(
            "{count} pods of {namespace} still have a sidecar: without a control plane they get no changes and no new certificates. \
             Un-mesh them first: kubectl label namespace {namespace} istio-injection- istio.io/rev-; kubectl annotate namespace {namespace} \
             linkerd.io/inject-; kubectl -n {namespace} rollout restart deployment"
        ));
    }
    Ok(())
}

/// Istio's pods have the same label and container name; the image or the environment tells them apart.
fn has_our_proxy(pod: &Value) -> bool {
    let lists = ["initContainers", "containers"];
    let mut all = lists.iter().flat_map(|l| pod["spec"][l].as_array().into_iter().flatten());
    all.any(|c| {
        let env = c["env"].as_array().into_iter().flatten();
        c["name"] == PROXY_CONTAINER && env.into_iter().any(|e| e["name"] == "LENO_CONTROL_ADDRESS")
    })
}

/// Istio writes `ConfigMap`s of the same name: only those that our control plane wrote are ours.
fn is_written_by_control(object: &Value) -> bool {
    let managers = object["metadata"]["managedFields"].as_array().into_iter().flatten();
    let ours = |m: &Value| m["manager"].as_str().is_some_and(|m| m.starts_with("leno-control"));
    object["metadata"]["labels"][MANAGED_BY.0] == MANAGED_BY.1 || managers.into_iter().any(ours)
}

fn name_of(object: &Value) -> String {
    object["metadata"]["name"].as_str().unwrap_or_default().to_owned()
}

fn is_going(object: &Value) -> bool {
    !object["metadata"]["deletionTimestamp"].is_null()
}

/// Names a line of the list.
const SHOWN: usize = 6;

#[cfg(test)]
mod tests {
    use super::{has_our_proxy, is_written_by_control};
    use serde_json::json;

    #[test]
    fn bundles_and_pods_of_istio_are_not_ours() {
        let map = |manager: &str| json!({"metadata": {"managedFields": [{"manager": manager}]}});
        assert!(is_written_by_control(&map("leno-control")));
        assert!(!is_written_by_control(&map("pilot-discovery")));
        let pod = |env: &str| json!({"spec": {"initContainers": [{"name": "istio-proxy", "env": [{"name": env}]}]}});
        assert!(has_our_proxy(&pod("LENO_CONTROL_ADDRESS")));
        assert!(!has_our_proxy(&pod("PILOT_CERT_PROVIDER")));
    }
}
