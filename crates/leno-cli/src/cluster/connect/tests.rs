//! Clear words when no cluster is there.

use super::{Cluster, ClusterOptions, ServerVersion};

#[test]
fn versions_of_vendors_are_read() {
    let version = ServerVersion::read("1", "31+", "v1.31.4-eks-5678");
    assert_eq!((version.major, version.minor), (1, 31));
}

async fn refused(kubeconfig: &str, context: Option<&str>) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config");
    std::fs::write(&path, kubeconfig).unwrap();
    let options = ClusterOptions { kubeconfig: Some(path), context: context.map(str::to_owned) };
    let error = Cluster::connect(&options).await.err().expect("there is no cluster");
    format!("{error:#}")
}

#[tokio::test]
async fn a_cluster_that_is_down_is_named_with_where_its_address_is_from() {
    let text = refused(CONFIG, None).await;
    assert!(text.contains("the cluster at https://127.0.0.1:1 does not answer"), "{text}");
    assert!(text.contains("context `here` of --kubeconfig"), "{text}");
    assert!(text.contains("refused"), "{text}");
}

#[tokio::test]
async fn a_context_that_is_not_there_names_those_that_are() {
    let text = refused(CONFIG, Some("elsewhere")).await;
    assert!(text.contains("has no context `elsewhere`; it has: here"), "{text}");
}

#[tokio::test]
async fn a_file_that_is_not_there_is_named() {
    let options = ClusterOptions { kubeconfig: Some("/nowhere/config".into()), context: None };
    let text = format!("{:#}", Cluster::connect(&options).await.err().expect("no such file"));
    assert!(text.contains("cannot read the kubeconfig /nowhere/config"), "{text}");
}

/// Port 1 answers nobody.
const CONFIG: &str = "
apiVersion: v1
kind: Config
current-context: here
contexts: [{name: here, context: {cluster: c, user: u}}]
clusters: [{name: c, cluster: {server: 'https://127.0.0.1:1'}}]
users: [{name: u, user: {token: t}}]
";
