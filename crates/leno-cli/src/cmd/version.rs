//! `leno version`.

use std::collections::BTreeMap;
use std::process::ExitCode;

use leno_install::inject::PROXY_CONTAINER;
use leno_install::manifests::{CONTROL, REVISION_LABEL};
use serde::Serialize;
use serde_json::Value;

use super::{Globals, Output};
use crate::access;
use crate::cluster::{self, Cluster, Kind};

/// Prints the versions of this program, and of the control plane and sidecars of the cluster or the local mesh.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only of this program.
    #[arg(long)]
    client: bool,
    /// Form of the output.
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Versions {
    client: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    mesh: Option<Mesh>,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
}

#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Mesh {
    /// Where: the cluster's address, or `local`.
    place: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    kubernetes: Option<String>,
    control: Vec<Control>,
    proxies: Vec<Count>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Control {
    namespace: String,
    revision: String,
    version: String,
    ready: u64,
    replicas: u64,
}

#[derive(Serialize)]
struct Count {
    version: String,
    pods: usize,
}

/// Runs it.
pub(crate) fn run(args: &Args, globals: &Globals) -> anyhow::Result<ExitCode> {
    let mut versions = Versions { client: env!("CARGO_PKG_VERSION").to_owned(), ..Versions::default() };
    if !args.client {
        // No mesh is no failure: the question was about this program first.
        match local(globals) {
            Some(mesh) => versions.mesh = Some(mesh),
            None => match cluster::run(in_cluster(globals)) {
                Ok(mesh) => versions.mesh = Some(mesh),
                Err(error) => versions.note = Some(format!("{error:#}")),
            },
        }
    }
    if !args.output.print(&versions)? {
        print(&versions);
    }
    Ok(ExitCode::SUCCESS)
}

fn print(versions: &Versions) {
    println!("client: {}", versions.client);
    if let Some(note) = &versions.note {
        println!("mesh: none is reached: {note}");
    }
    let Some(mesh) = &versions.mesh else { return };
    if let Some(kubernetes) = &mesh.kubernetes {
        println!("cluster: Kubernetes {kubernetes} at {}", mesh.place);
        if mesh.control.is_empty() {
            println!("control plane: not installed");
        }
    }
    for control in &mesh.control {
        let Control { namespace, revision, version, ready, replicas } = control;
        println!("control plane: {version} (revision {revision} in {namespace}, {ready} of {replicas} ready)");
    }
    for Count { version, pods } in &mesh.proxies {
        println!("proxies: {version} ({pods} pods)");
    }
}

fn local(globals: &Globals) -> Option<Mesh> {
    // A cluster that was named is what is meant.
    if globals.cluster.kubeconfig.is_some() || globals.cluster.context.is_some() {
        return None;
    }
    // Not `connect`: it would find the cluster of the environment too, whose control plane is to be told.
    let mesh = access::on_this_machine(globals).ok()?;
    let proxies = super::proxy_status::proxies(mesh.as_ref()).ok()?;
    Some(Mesh { place: "local".to_owned(), proxies: counts(proxies.into_iter().map(|p| p.version)), ..Mesh::default() })
}

async fn in_cluster(globals: &Globals) -> anyhow::Result<Mesh> {
    let cluster = Cluster::connect(&globals.cluster).await?;
    let deployments = Kind::namespaced("apps", "v1", "Deployment");
    let control = cluster.list(&deployments, None, Some(&format!("app={CONTROL}"))).await?;
    let pods = cluster.list(&Kind::namespaced("", "v1", "Pod"), None, Some("security.istio.io/tlsMode=istio")).await?;
    Ok(Mesh {
        place: cluster.url().to_owned(),
        kubernetes: Some(cluster.version().text.clone()),
        control: control.iter().map(of_deployment).collect(),
        proxies: counts(pods.iter().filter_map(proxy_version)),
    })
}

fn of_deployment(object: &Value) -> Control {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let containers = object["spec"]["template"]["spec"]["containers"].as_array();
    let image = containers.and_then(|c| c.first()).map(|c| text(&c["image"])).unwrap_or_default();
    Control {
        namespace: text(&object["metadata"]["namespace"]),
        revision: text(&object["metadata"]["labels"][REVISION_LABEL]),
        version: tag(&image),
        ready: object["status"]["readyReplicas"].as_u64().unwrap_or(0),
        replicas: object["spec"]["replicas"].as_u64().unwrap_or(1),
    }
}

/// Of our sidecar; those of Istio have the same name and are of no interest here.
fn proxy_version(pod: &Value) -> Option<String> {
    let lists = ["initContainers", "containers"];
    let mut all = lists.iter().flat_map(|l| pod["spec"][l].as_array().into_iter().flatten());
    let proxy = all.find(|c| c["name"] == PROXY_CONTAINER)?;
    let mut env = proxy["env"].as_array().into_iter().flatten();
    env.any(|e| e["name"] == "LENO_CONTROL_ADDRESS").then(|| tag(proxy["image"].as_str().unwrap_or_default()))
}

/// `0.1.0` of `docker.io/leno/leno-proxy:0.1.0@sha256:…`
fn tag(image: &str) -> String {
    let name = image.split('@').next().unwrap_or_default();
    let last = name.rsplit('/').next().unwrap_or_default();
    last.split_once(':').map_or("latest", |(_, tag)| tag).to_owned()
}

fn counts(versions: impl Iterator<Item = String>) -> Vec<Count> {
    let mut all: BTreeMap<String, usize> = BTreeMap::new();
    for version in versions {
        *all.entry(version).or_default() += 1;
    }
    all.into_iter().map(|(version, pods)| Count { version, pods }).collect()
}

#[cfg(test)]
mod tests {
    use super::tag;

    #[test]
    fn the_version_is_the_images_tag() {
        assert_eq!(tag("localhost:5000/leno/leno-proxy:0.1.0@sha256:00"), "0.1.0");
        assert_eq!(tag("localhost:5000/leno/leno-proxy"), "latest");
    }
}
