//! `leno-viz`: see the library of the same name.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Context as _;
use axum::middleware;
use clap::Parser;
use leno_core::id::SpiffeId;
use leno_kit::log::{self, Format};
use leno_viz::gather::Control;
use leno_viz::identity::{self, Identity};
use leno_viz::model::parse_duration;
use leno_viz::objects::Source;
use leno_viz::watch::{self, Watch};
use leno_viz::window::Window;
use leno_viz::{api, gather, guard, ui};
use tokio::net::TcpListener;

/// Live golden signals of the mesh: gathers samples from its proxies and serves them as JSON.
#[derive(Parser)]
#[command(name = "leno-viz", version)]
struct Args {
    /// Monitoring port of the control plane.
    #[arg(long, env = "LENO_CONTROL", default_value = "http://leno-control.leno-system.svc:15014")]
    control: String,
    /// The same with a name that has the addresses of all replicas of the control plane; each knows its own sidecars only.
    #[arg(long, value_name = "HOST:PORT")]
    replicas: Option<String>,
    /// Who leno-viz is in the mesh, spiffe://TRUST_DOMAIN/ns/NAMESPACE/sa/ACCOUNT; without it there is no tap.
    #[arg(long)]
    identity: Option<SpiffeId>,
    /// Where the control plane signs certificates.
    #[arg(long, default_value = "leno-control.leno-system.svc:15012", value_name = "HOST:PORT")]
    authority: String,
    /// Name that its certificate must have [default: the host of --authority].
    #[arg(long, value_name = "NAME")]
    authority_name: Option<String>,
    /// ServiceAccount token that proves --identity to the control plane.
    #[arg(long, default_value = "/var/run/secrets/tokens/istio-token", value_name = "FILE")]
    token_file: PathBuf,
    /// The mesh's root certificates.
    #[arg(long, default_value = "/var/run/secrets/istio/root-cert.pem", value_name = "FILE")]
    root_cert_file: PathBuf,
    /// Where to serve.
    #[arg(long, default_value = "0.0.0.0:8084")]
    listen: SocketAddr,
    /// How much is remembered.
    #[arg(long, default_value = "30m", value_parser = parse_duration)]
    window: Duration,
    /// Time between two scrapes of one proxy.
    #[arg(long, default_value = "5s", value_parser = parse_duration)]
    step: Duration,
    /// Folders with the mesh's objects as JSON files, as the local runtime writes them.
    #[arg(long, value_name = "DIR", conflicts_with = "kubernetes")]
    objects: Vec<PathBuf>,
    /// Read the mesh's objects from the cluster, for the pages about configuration.
    #[arg(long)]
    kubernetes: bool,
    /// The log's filter.
    #[arg(long, env = "LENO_LOG", default_value = "info")]
    log: String,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("leno-viz: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> anyhow::Result<()> {
    anyhow::ensure!(args.step >= Duration::from_millis(200), "--step must be at least 200ms");
    anyhow::ensure!(args.window >= args.step, "--window must not be shorter than --step");
    let one = host_and_port(&args.control)?;
    let all = args.replicas.as_deref().map_or_else(|| Ok(one.clone()), host_and_port)?;
    let control = Control::new(one.clone()).with_replicas(all);
    let identity = Identity::new(identity(args)?);
    log::init(&args.log, Format::Text)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener =
            TcpListener::bind(args.listen).await.with_context(|| format!("cannot listen on {}", args.listen))?;
        tracing::info!(listen = %listener.local_addr()?, control = one, step = ?args.step, "serving");
        let window = Arc::new(Mutex::new(Window::new(args.window, api::now())));
        let watch = Arc::new(Watch::default());
        tokio::spawn(watch::run(control.clone(), Arc::clone(&watch)));
        let mesh = api::mesh::Mesh::new(Arc::clone(&window), control.clone(), source(args), watch);
        let settings = gather::Settings { step: args.step, ..gather::Settings::new(control) };
        tokio::spawn(gather::run(settings, Arc::clone(&window)));
        let router = api::router(window)
            .merge(api::tap::router(mesh.clone(), identity))
            .merge(api::mesh::router(mesh))
            .merge(ui::router())
            .layer(middleware::from_fn(guard::named));
        let mut ending = leno_kit::signal::Ending::catch()?;
        tokio::select! {
            ended = axum::serve(listener, router.into_make_service_with_connect_info::<SocketAddr>()).into_future() => ended?,
            why = ending.wait() => tracing::info!(why, "ending"),
        }
        Ok(())
    })
}

fn identity(args: &Args) -> anyhow::Result<Option<identity::Source>> {
    let Some(id) = &args.identity else { return Ok(None) };
    let named = args.authority_name.clone().or_else(|| identity::name_of(&args.authority));
    let authority_name =
        named.context("--authority is an address: name what its certificate must have by --authority-name")?;
    Ok(Some(identity::Source {
        id: id.clone(),
        authority: args.authority.clone(),
        authority_name,
        token_file: args.token_file.clone(),
        root_cert_file: args.root_cert_file.clone(),
    }))
}

fn source(args: &Args) -> Source {
    match (args.kubernetes, args.objects.is_empty()) {
        (true, _) => Source::Cluster,
        (false, true) => Source::None,
        (false, false) => Source::Folders(args.objects.clone()),
    }
}

/// `http://HOST:PORT`, or the same without the scheme.
fn host_and_port(url: &str) -> anyhow::Result<String> {
    let rest = url.strip_prefix("http://").unwrap_or(url).trim_end_matches('/');
    let port = rest.rsplit_once(':').and_then(|(host, port)| (!host.is_empty()).then(|| port.parse::<u16>().ok())?);
    anyhow::ensure!(port.is_some() && !rest.contains('/'), "`{url}` is not of the form http://HOST:PORT");
    Ok(rest.to_owned())
}
