//! A Kubernetes cluster, as all verbs reach it: through its API server only, with the rights of the kubeconfig's user.
//!
//! [`Cluster::connect`] finds and tries it, [`objects`] reads and deletes, [`apply`] writes, [`forward`] opens a port of a pod,
//! [`error`] puts failures into words. Objects are JSON values: what the server sent, nothing lost by a type that is older.

pub(crate) mod apply;
mod connect;
pub(crate) mod error;
pub(crate) mod forward;
pub(crate) mod kind;
pub(crate) mod objects;

use std::future::Future;
use std::path::PathBuf;

use anyhow::Context as _;
use kube::Client;
use tokio::runtime::Runtime;

pub(crate) use connect::is_named;
pub(crate) use kind::Kind;

/// Which cluster; kubectl's options.
#[derive(clap::Args, Clone, Debug, Default)]
pub(crate) struct ClusterOptions {
    /// Kubeconfig file [default: $KUBECONFIG, ~/.kube/config, in a pod its ServiceAccount].
    #[arg(long, global = true, value_name = "FILE", help_heading = "Global options")]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig [default: its current one].
    #[arg(long, global = true, value_name = "NAME", help_heading = "Global options")]
    pub(crate) context: Option<String>,
}

/// A cluster that answered.
#[derive(Clone)]
pub(crate) struct Cluster {
    client: Client,
    /// Where its address is from, for messages.
    source: String,
    url: String,
    version: ServerVersion,
}

/// Version of the API server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ServerVersion {
    /// Such as 1.
    pub(crate) major: u32,
    /// Such as 37.
    pub(crate) minor: u32,
    /// Such as `v1.37.2`.
    pub(crate) text: String,
}

impl Cluster {
    /// Kube's own client, for what this module does not have.
    pub(crate) fn client(&self) -> Client {
        self.client.clone()
    }

    /// Namespace of the context, `default` where it names none.
    pub(crate) fn default_namespace(&self) -> &str {
        self.client.default_namespace()
    }

    /// Version of the API server.
    pub(crate) fn version(&self) -> &ServerVersion {
        &self.version
    }

    /// `https://…`
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// `context kind of ~/.kube/config`
    pub(crate) fn source(&self) -> &str {
        &self.source
    }
}

/// Runs the asynchronous part of a verb. Verbs are plain functions; those that talk to a cluster put everything they await in one such block.
///
/// # Errors
/// As `work`.
pub(crate) fn run<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = runtime()?;
    let result = runtime.block_on(work);
    // Streams that are still open must not hold the program back.
    runtime.shutdown_background();
    result
}

/// One thread beside the caller's: streams to pods go on while the caller works.
///
/// # Errors
/// When no thread can be had.
pub(crate) fn runtime() -> anyhow::Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().context("tokio")
}
