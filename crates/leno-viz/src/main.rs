//! `leno-viz`: see the library of the same name.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Context as _;
use axum::middleware;
use clap::Parser;
use leno_kit::log::{self, Format};
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
    let control = host_and_port(&args.control)?;
    log::init(&args.log, Format::Text)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener =
            TcpListener::bind(args.listen).await.with_context(|| format!("cannot listen on {}", args.listen))?;
        tracing::info!(listen = %listener.local_addr()?, control, step = ?args.step, "serving");
        let window = Arc::new(Mutex::new(Window::new(args.window, api::now())));
        let watch = Arc::new(Watch::default());
        tokio::spawn(watch::run(control.clone(), Arc::clone(&watch)));
        let mesh = api::mesh::Mesh::new(Arc::clone(&window), control.clone(), source(args), watch);
        let settings = gather::Settings { step: args.step, ..gather::Settings::new(control) };
        tokio::spawn(gather::run(settings, Arc::clone(&window)));
        let router = api::router(window).merge(api::mesh::router(mesh)).merge(ui::router()).layer(middleware::from_fn(guard::named));
        let mut ending = leno_kit::signal::Ending::catch()?;
        tokio::select! {
            ended = axum::serve(listener, router.into_make_service_with_connect_info::<SocketAddr>()).into_future() => ended?,
            why = ending.wait() => tracing::info!(why, "ending"),
        }
        Ok(())
    })
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
    anyhow::ensure!(port.is_some() && !rest.contains('/'), "--control: `{url}` is not of the form http://HOST:PORT");
    Ok(rest.to_owned())
}
