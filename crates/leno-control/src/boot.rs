//! Settings of the program.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

/// Leno's control plane: reads configuration, serves xDS and certificates to the proxies.
#[derive(Clone, Debug, Parser)]
#[command(name = "leno-control", version)]
pub struct Settings {
    /// Directory of YAML and JSON files with Kubernetes, Istio and SMI objects, followed live
    #[arg(long, value_name = "DIR")]
    pub config: PathBuf,

    /// Certificate authority in the form of Istio's `cacerts`: ca-cert.pem, ca-key.pem, root-cert.pem, cert-chain.pem.
    /// Without it a new root is made in memory
    #[arg(long, value_name = "DIR")]
    pub ca_dir: Option<PathBuf>,

    /// Public key (PEM) of whoever signs the ServiceAccount tokens
    #[arg(long, value_name = "FILE")]
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
    #[arg(long, value_name = "FILTER", env = "LENO_LOG", default_value = "info")]
    pub log: String,

    /// Log one JSON object a line
    #[arg(long)]
    pub log_json: bool,
}
