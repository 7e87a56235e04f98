//! Settings, wiring, and the life of the process: bind, run, drain.

mod run;
mod settings;
mod tidy;
mod wait;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::SystemTime;

use clap::{Parser, Subcommand};
use leno_core::model::Workload;
use leno_kit::LogHandle;
use leno_kit::settings::Reader;

use crate::cluster::Clusters;
use crate::discovery::Discovery;
use crate::drain::{Drain, Quit};
use crate::identity::Identity;
use crate::init;
use crate::telemetry::Telemetry;
use crate::tls::Dialer;

pub use run::{Addresses, Bound};
pub use settings::{Ports, Settings};

/// What every part of the proxy is given: settings and handles, nothing of their insides. Cheap to clone.
#[derive(Clone, Debug)]
pub struct App {
    /// Settings of this process; they do not change.
    pub settings: Arc<Settings>,
    /// What the mesh is.
    pub discovery: Discovery,
    /// Who this pod is.
    pub identity: Identity,
    /// Where requests and connections go, and how it went.
    pub clusters: Arc<Clusters>,
    /// Where outcomes are reported.
    pub telemetry: Telemetry,
    /// When to stop taking work.
    pub drain: Drain,
    /// Asks the process to end.
    pub quit: Quit,
    /// Changes the log's level.
    pub log: LogHandle,
    /// When the process started.
    pub started: SystemTime,
}

impl App {
    /// Joins parts made by the caller: how tests build a proxy without a control plane.
    #[must_use]
    pub fn new(settings: Settings, discovery: Discovery, identity: Identity, drain: Drain) -> Self {
        let telemetry = Telemetry::new(Arc::clone(&discovery.own().workload));
        Self {
            clusters: clusters(&settings, &discovery, &identity),
            settings: Arc::new(settings),
            discovery,
            identity,
            telemetry,
            drain,
            quit: Quit::default(),
            log: LogHandle::detached(),
            started: SystemTime::now(),
        }
    }

    /// Whether connections can be judged and proved: there is a certificate, and the configuration is in.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.identity.is_ready() && self.discovery.is_ready()
    }

    /// Resolves once [`App::is_ready`]: what a listener awaits before it looks at its first connection.
    pub async fn ready(&self) {
        self.identity.ready().await;
        self.discovery.ready().await;
    }
}

fn clusters(settings: &Settings, discovery: &Discovery, identity: &Identity) -> Arc<Clusters> {
    let dialer = Dialer::new(identity.clone(), settings.socket_mark, &settings.instance_ips);
    Arc::new(Clusters::new(discovery.clone(), dialer))
}

/// Leno's sidecar proxy.
#[derive(Debug, Parser)]
#[command(name = "leno-proxy", version)]
struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Run the proxy. Its settings come from the environment (POD_NAME, POD_NAMESPACE, INSTANCE_IP, LENO_...).
    Run,
    /// Send this pod's traffic through the proxy, by NAT rules in the current network namespace.
    Init(init::InitArgs),
    /// Wait until the proxy of this pod is ready: what holds the application back where sidecars are not native.
    Wait {
        /// For how long, in seconds.
        #[arg(long, default_value_t = 600)]
        timeout: u64,
    },
    /// Print the version.
    Version,
}

/// The whole program.
#[must_use]
pub fn main() -> ExitCode {
    // What every sidecar does goes past the parser: it would stay in memory for good, for one word.
    let mut words = std::env::args_os().skip(1);
    if words.next().is_some_and(|w| w == "run") && words.next().is_none() {
        return outcome(run_proxy());
    }
    match Args::parse().verb {
        Verb::Run => outcome(run_proxy()),
        Verb::Init(args) => outcome(init::run(&args).map_err(Into::into)),
        Verb::Wait { timeout } => outcome(wait::run(std::time::Duration::from_secs(timeout))),
        Verb::Version => {
            println!("leno-proxy {}", env!("CARGO_PKG_VERSION"));
            ExitCode::SUCCESS
        }
    }
}

fn outcome(result: anyhow::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("leno-proxy: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run_proxy() -> anyhow::Result<()> {
    let settings = Settings::read(Reader::env())?;
    let log = leno_kit::log::init(&settings.log, settings.log_format)?;
    run::run(settings, log)
}

/// What the settings alone say of the pod.
fn own_workload(settings: &Settings) -> Workload {
    Workload {
        namespace: settings.pod_namespace.clone(),
        pod: settings.pod_name.clone(),
        name: settings.pod_name.clone(),
        kind: "pod".to_owned(),
        account: settings.service_account.clone(),
        identity: Some(settings.identity()),
        ..Workload::default()
    }
}
