//! Which cluster, and is it there.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Client, Config};

use super::{Cluster, ClusterOptions, ServerVersion, error};

impl Cluster {
    /// Connects to the cluster that the options, the environment or the pod name, and asks its version.
    ///
    /// # Errors
    /// When none is named, or it does not answer; the message says where the address was from.
    pub(crate) async fn connect(options: &ClusterOptions) -> anyhow::Result<Self> {
        let (mut config, source) = resolve(options).await?;
        config.connect_timeout = Some(PATIENCE);
        let url = config.cluster_url.to_string().trim_end_matches('/').to_owned();
        let client = Client::try_from(config).with_context(|| format!("cannot use the cluster of {source}"))?;
        let asked = tokio::time::timeout(PATIENCE, client.apiserver_version()).await;
        let answer = asked.map_err(|_| anyhow!("no answer within {}s", PATIENCE.as_secs()));
        let info = answer.and_then(|a| a.map_err(|e| error::plain(&e))).with_context(|| {
            format!("the cluster at {url} does not answer ({source}); is it up, and is this the right --context?")
        })?;
        let version = ServerVersion::read(&info.major, &info.minor, &info.git_version);
        Ok(Self { client, source, url, version })
    }
}

impl ServerVersion {
    /// Some vendors write the minor version as `31+`.
    fn read(major: &str, minor: &str, text: &str) -> Self {
        let number = |t: &str| t.trim_end_matches(|c: char| !c.is_ascii_digit()).parse().unwrap_or(0);
        Self { major: number(major), minor: number(minor), text: text.to_owned() }
    }
}

async fn resolve(options: &ClusterOptions) -> anyhow::Result<(Config, String)> {
    let (file, source) = match &options.kubeconfig {
        Some(path) => {
            (Some(Kubeconfig::read_from(path).map_err(unreadable)?), format!("--kubeconfig {}", path.display()))
        }
        None => from_environment()?,
    };
    let Some(file) = file else {
        if options.context.is_none() && in_a_pod() {
            let config = Config::incluster().context("the ServiceAccount of this pod")?;
            return Ok((config, "the ServiceAccount of this pod".to_owned()));
        }
        bail!("no cluster is named: {source}. Give --kubeconfig FILE, or set KUBECONFIG");
    };
    let context = options.context.clone().or_else(|| file.current_context.clone()).filter(|c| !c.is_empty());
    let Some(context) = context else {
        bail!("{source} has no current context: give --context {}", names(&file).join("|"));
    };
    if !file.contexts.iter().any(|c| c.name == context) {
        bail!("{source} has no context `{context}`; it has: {}", names(&file).join(", "));
    }
    let chosen = KubeConfigOptions { context: Some(context.clone()), ..KubeConfigOptions::default() };
    let config = Config::from_custom_kubeconfig(file, &chosen)
        .await
        .with_context(|| format!("{source}: context `{context}`"))?;
    Ok((config, format!("context `{context}` of {source}")))
}

/// Whether anything here names a cluster, without the options: a kubeconfig, be it readable or not, or the ServiceAccount of
/// this pod.
pub(crate) fn is_named() -> bool {
    in_a_pod() || !matches!(from_environment(), Ok((None, _)))
}

fn in_a_pod() -> bool {
    std::env::var_os("KUBERNETES_SERVICE_HOST").is_some()
}

/// What KUBECONFIG names, else `~/.kube/config`. Without either, where was looked in vain.
fn from_environment() -> anyhow::Result<(Option<Kubeconfig>, String)> {
    let named = std::env::var("KUBECONFIG").unwrap_or_default();
    if let Some(file) = Kubeconfig::from_env().map_err(unreadable).context("KUBECONFIG")? {
        return Ok((Some(file), format!("KUBECONFIG={named}")));
    }
    let Some(path) = std::env::home_dir().map(|h: PathBuf| h.join(".kube/config")) else {
        return Ok((None, "KUBECONFIG is not set, and there is no home directory".to_owned()));
    };
    if !path.exists() {
        return Ok((None, format!("KUBECONFIG is not set, and {} does not exist", path.display())));
    }
    let file = Kubeconfig::read_from(&path).map_err(unreadable)?;
    Ok((Some(file), path.display().to_string()))
}

fn unreadable(error: KubeconfigError) -> anyhow::Error {
    match error {
        KubeconfigError::ReadConfig(error, path) => anyhow!("cannot read the kubeconfig {}: {error}", path.display()),
        other => anyhow::Error::new(other),
    }
}

fn names(file: &Kubeconfig) -> Vec<&str> {
    file.contexts.iter().map(|c| c.name.as_str()).collect()
}

/// For the first answer.
const PATIENCE: Duration = Duration::from_secs(8);

#[cfg(test)]
mod tests;
