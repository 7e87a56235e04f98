//! From bound listeners to the end of the process.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use leno_core::merge::telemetry::reporting;
use leno_kit::{LogHandle, drain, signal, sock};
use leno_xds::client::Node;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tracing::{info, warn};

use super::{App, Settings, own_workload, tidy};
use crate::discovery::{self, Discovery, Own};
use crate::drain::{Quit, Trigger};
use crate::identity::{Identity, renew};
use crate::telemetry::{Telemetry, otlp};
use crate::{admin, inbound, outbound};

/// Runs the proxy until it is told to end.
pub(super) fn run(settings: Settings, log: LogHandle) -> anyhow::Result<()> {
    let runtime = runtime(settings.workers).context("cannot start the runtime")?;
    let done = runtime.block_on(async {
        let mut ending = signal::Ending::catch().context("cannot catch signals")?;
        let bound = Bound::bind(settings)?;
        bound.run(log, async move { ending.wait().await }).await;
        Ok(())
    });
    // A name server that does not answer must not hold the process up.
    runtime.shutdown_background();
    done
}

/// One thread by default: nothing to share costs least, in time and in memory.
fn runtime(workers: usize) -> std::io::Result<Runtime> {
    let mut builder = if workers > 1 { Builder::new_multi_thread() } else { Builder::new_current_thread() };
    if workers > 1 {
        builder.worker_threads(workers);
    }
    // The only blocking work is resolving the control plane's name: its thread, and its memory, go away soon after.
    builder.enable_all().max_blocking_threads(BLOCKING_THREADS).thread_keep_alive(Duration::from_secs(1)).build()
}

/// The proxy with all its listeners bound, before anything runs: from here on the kernel accepts connections, and
/// they wait instead of being refused.
#[derive(Debug)]
pub struct Bound {
    settings: Arc<Settings>,
    outbound: TcpListener,
    inbound: TcpListener,
    admin: admin::Listeners,
    addresses: Addresses,
}

/// Where the proxy listens.
#[derive(Clone, Copy, Debug)]
pub struct Addresses {
    /// Outbound, 15001.
    pub outbound: SocketAddr,
    /// Inbound, 15006.
    pub inbound: SocketAddr,
    /// Admin, 15000 on loopback.
    pub admin: SocketAddr,
    /// Status, 15020.
    pub status: SocketAddr,
    /// Health, 15021.
    pub health: SocketAddr,
    /// Metrics, 15090.
    pub metrics: SocketAddr,
}

impl Bound {
    /// Binds all listeners.
    ///
    /// # Errors
    /// When a port is in use, with its number.
    pub fn bind(settings: Settings) -> anyhow::Result<Self> {
        let ports = settings.ports;
        let outbound = sock::listen_all(ports.outbound)?;
        let inbound = sock::listen_all(ports.inbound)?;
        let admin = admin::Listeners {
            admin: sock::listen(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), ports.admin))?,
            status: sock::listen_all(ports.status)?,
            health: sock::listen_all(ports.health)?,
            metrics: sock::listen_all(ports.metrics)?,
        };
        let addresses = Addresses {
            outbound: outbound.local_addr()?,
            inbound: inbound.local_addr()?,
            admin: admin.admin.local_addr()?,
            status: admin.status.local_addr()?,
            health: admin.health.local_addr()?,
            metrics: admin.metrics.local_addr()?,
        };
        Ok(Self { settings: Arc::new(settings), outbound, inbound, admin, addresses })
    }

    /// Where it listens: tests let the kernel choose the ports.
    #[must_use]
    pub const fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// Runs until `end` resolves or somebody asks for the end by [`Quit`]; then drains.
    pub async fn run(self, log: LogHandle, end: impl Future<Output = &'static str>) {
        let Self { settings, outbound, inbound, admin, addresses } = self;
        info!(
            version = env!("CARGO_PKG_VERSION"),
            pod = %format_args!("{}/{}", settings.pod_namespace, settings.pod_name),
            outbound = addresses.outbound.port(),
            inbound = addresses.inbound.port(),
            control = %settings.control_address,
            "starting"
        );
        let (trigger, app) = wire(&settings, log);
        tokio::spawn(admin::serve(admin, app.clone()));
        tokio::spawn(outbound::serve(outbound, app.clone()));
        tokio::spawn(inbound::serve(inbound, app.clone()));
        tokio::spawn(say_when_ready(app.clone()));
        if let Some(pending) = app.telemetry.pending() {
            tokio::spawn(otlp::export::run(pending, app.clone()));
        }

        let why = tokio::select! {
            signal = end => signal,
            () = app.quit.asked() => "quitquitquit",
        };
        info!(why, active = trigger.active(), longest = ?settings.drain, "draining");
        if trigger.drain(LATECOMERS, settings.drain).await {
            info!("drained");
        } else {
            warn!("some connections were cut: they did not end within the drain time");
        }
        let _ = tokio::time::timeout(FLUSH, app.telemetry.flush_exports()).await;
        app.telemetry.flush(FLUSH);
    }
}

/// Makes the parts and starts what keeps them supplied.
fn wire(settings: &Arc<Settings>, log: LogHandle) -> (Trigger, App) {
    let (trigger, drain) = drain::channel();
    let own = Own::new(own_workload(settings));
    let telemetry = Telemetry::new(Arc::clone(&own.workload));
    if settings.linkerd_metrics {
        telemetry.show_linkerd();
    }
    let (discovery, commands) = Discovery::new(own, settings.instance_ips.clone());
    let identity = Identity::new();
    let connection = discovery::Connection {
        node: Node {
            pod: settings.pod_name.clone(),
            namespace: settings.pod_namespace.clone(),
            ips: settings.instance_ips.iter().map(ToString::to_string).collect(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        },
        connector: renew::control_plane(settings),
        token: token_source(settings),
    };
    tokio::spawn(discovery::run(discovery.clone(), commands, connection));
    tokio::spawn(renew::run(identity.clone(), renew::Source::new(settings), discovery.connections()));
    tokio::spawn(tell_telemetry(discovery.clone(), telemetry.clone()));
    let app = App {
        clusters: super::clusters(settings, &discovery, &identity),
        settings: Arc::clone(settings),
        discovery,
        identity,
        telemetry,
        drain,
        quit: Quit::default(),
        log,
        started: SystemTime::now(),
    };
    (trigger, app)
}

fn token_source(settings: &Arc<Settings>) -> leno_xds::client::TokenSource {
    let path = settings.token_file.clone();
    Arc::new(move || {
        std::fs::read_to_string(&path).map_err(|e| std::io::Error::new(e.kind(), format!("{}: {e}", path.display())))
    })
}

/// What telemetry says of this pod and writes to the access log follows the control plane.
async fn tell_telemetry(discovery: Discovery, telemetry: Telemetry) {
    let mut changes = discovery.watch();
    let mut told = None;
    loop {
        let own = discovery.own();
        if told.replace(own.generation) != Some(own.generation) {
            telemetry.set_own(Arc::clone(&own.workload));
            let policies = [&*own.policies, &*own.root_policies];
            telemetry.configure(&own.mesh, &reporting(&policies, &own.viewer, &own.mesh));
        }
        if changes.changed().await.is_err() {
            return;
        }
    }
}

async fn say_when_ready(app: App) {
    app.ready().await;
    let took = app.started.elapsed().unwrap_or_default();
    info!(after_ms = took.as_millis(), "ready");
    // The first connections are made by then, and the code that made them is not needed for long.
    tokio::time::sleep(SETTLE).await;
    tidy::keep().await;
}

/// From ready to at rest.
const SETTLE: Duration = Duration::from_secs(2);

/// Two, so that a name that hangs does not keep the next attempt from starting.
const BLOCKING_THREADS: usize = 2;
/// Callers learn by the control plane that this pod goes away; what they send until then is served.
const LATECOMERS: Duration = Duration::from_millis(500);
/// For the last lines of the access log, and for the last spans.
const FLUSH: Duration = Duration::from_millis(200);

#[cfg(test)]
mod tests;
