//! Settings of the program.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser};

/// Leno's control plane: reads configuration, serves xDS and certificates to the proxies.
#[derive(Clone, Debug, Parser)]
#[command(name = "leno-control", version)]
pub struct Settings {
    /// Directory of YAML and JSON files with Kubernetes, Istio and SMI objects, followed live
    #[arg(long, value_name = "DIR", required_unless_present = "kubernetes", conflicts_with = "kubernetes")]
    pub config: Option<PathBuf>,

    /// What only a control plane in a cluster needs.
    #[command(flatten)]
    pub cluster: ClusterSettings,

    /// Certificate authority in the form of Istio's `cacerts`: ca-cert.pem, ca-key.pem, root-cert.pem, cert-chain.pem.
    /// Without it a new root is made in memory
    #[arg(long, value_name = "DIR", conflicts_with = "kubernetes")]
    pub ca_dir: Option<PathBuf>,

    /// Public key (PEM) of whoever signs the ServiceAccount tokens
    #[arg(long, value_name = "FILE", conflicts_with = "kubernetes")]
    pub token_key: Option<PathBuf>,

    /// Address for proxies: xDS and certificates over TLS
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:15012")]
    pub listen: SocketAddr,

    /// Address for metrics and reports
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:15014")]
    pub monitoring: SocketAddr,

    /// SPIFFE trust domain of all certificates
    #[arg(long, value_name = "NAME", default_value = "cluster.local")]
    pub trust_domain: String,

    /// Longest life of a certificate, whatever a proxy asks for
    #[arg(long, value_name = "DURATION", default_value = "90d", value_parser = leno_kit::settings::duration)]
    pub cert_ttl_max: Duration,

    /// What is logged: error, warn, info, debug, or a list such as info,leno_control=debug
    #[arg(long, visible_alias = "log-level", value_name = "FILTER", env = "LENO_LOG", default_value = "info")]
    pub log: String,

    /// Log one JSON object a line
    #[arg(long)]
    pub log_json: bool,
}

/// What only a control plane in a cluster needs.
#[derive(Args, Clone, Debug)]
pub struct ClusterSettings {
    /// Follow the Kubernetes cluster that this runs in, or the one that KUBECONFIG names
    #[arg(long)]
    pub kubernetes: bool,

    /// Namespace that Leno is installed in
    #[arg(long, value_name = "NAME", env = "POD_NAMESPACE", default_value = "leno-system")]
    pub namespace: String,

    /// Revision of this control plane
    #[arg(long, value_name = "NAME", default_value = "default")]
    pub revision: String,

    /// DNS domain of the cluster's services
    #[arg(long, value_name = "NAME", default_value = "cluster.local")]
    pub cluster_domain: String,

    /// Address for the webhooks
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:15017")]
    pub webhooks: SocketAddr,

    /// Name of this replica
    #[arg(long, value_name = "NAME", env = "POD_NAME", default_value = "leno-control", hide = true)]
    pub pod_name: String,

    /// Address of this replica
    #[arg(long, value_name = "IP", env = "POD_IP", hide = true)]
    pub pod_ip: Option<IpAddr>,
}

impl ClusterSettings {
    /// Suffix of the names of this revision's objects.
    #[must_use]
    pub fn suffix(&self) -> String {
        if self.revision == "default" { String::new() } else { format!("-{}", self.revision) }
    }

    /// Names under which proxies and the API server reach this control plane.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let (namespace, domain) = (&self.namespace, &self.cluster_domain);
        let mut services = vec![format!("leno-control{}", self.suffix())];
        if !self.suffix().is_empty() {
            services.push("leno-control".to_owned());
        }
        let forms = |s: String| {
            [format!("{s}.{namespace}.svc"), format!("{s}.{namespace}.svc.{domain}"), format!("{s}.{namespace}")]
        };
        services.into_iter().flat_map(forms).collect()
    }
}
