//! `leno dashboard`, `leno viz dashboard`: the dashboard of leno-viz in a browser of this machine.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::process::{Command, ExitCode, Stdio};

use anyhow::Context as _;

use super::Globals;
use crate::access::{self, System};

/// Opens the dashboard in a browser, and serves it on this machine until Ctrl-C.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Print the address and open nothing.
    #[arg(long, alias = "show-url")]
    url: bool,
    /// Port to listen on; 0 takes any free one [default: 50750, or a free one where that is taken].
    #[arg(short, long)]
    port: Option<u16>,
    /// Local address to listen on. The dashboard asks nobody who they are: what is not loopback, the network can read.
    #[arg(long, default_value = "127.0.0.1")]
    address: IpAddr,
}

/// Runs it.
pub(crate) fn run(args: &Args, globals: &Globals) -> anyhow::Result<ExitCode> {
    let mesh = access::connect(globals)?;
    // A browser that shows an error page helps nobody: said here, with what to do.
    mesh.ask_system(System::Viz, "/api/v1/healthz")
        .with_context(|| format!("leno-viz, which serves the dashboard, does not answer (see `{}`)", mesh.hint()))?;
    let listener = listen(args)?;
    let url = format!("http://{}/", listener.local_addr()?);
    if args.url || !open(&url) {
        println!("{url}");
    } else {
        println!("The dashboard is opened in your browser: {url}");
    }
    eprintln!("Serving until Ctrl-C.");
    mesh.forward(System::Viz, listener)?;
    Ok(ExitCode::SUCCESS)
}

/// Serves the dashboard of the mesh on this machine beside what this program does, until it ends; the address.
///
/// # Errors
/// When no port can be had.
pub(crate) fn beside(globals: &Globals) -> anyhow::Result<String> {
    let listener = listen(&Args { url: true, port: None, address: Ipv4Addr::LOCALHOST.into() })?;
    let url = format!("http://{}/", listener.local_addr()?);
    let globals = globals.clone();
    std::thread::spawn(move || {
        // Whoever opens the page then sees that nobody is there, which is all that can be done.
        let _ = access::on_this_machine(&globals).and_then(|mesh| mesh.forward(System::Viz, listener));
    });
    Ok(url)
}

fn listen(args: &Args) -> anyhow::Result<TcpListener> {
    let bind = |port| {
        let address = SocketAddr::new(args.address, port);
        TcpListener::bind(address).with_context(|| format!("{address} cannot be listened on (see --port)"))
    };
    match args.port {
        Some(port) => bind(port),
        None => bind(PORT).or_else(|_| bind(0)),
    }
}

/// Whether a browser was started.
fn open(url: &str) -> bool {
    let has_screen = cfg!(target_os = "macos")
        || ["DISPLAY", "WAYLAND_DISPLAY", "WSL_DISTRO_NAME"].iter().any(|v| std::env::var_os(v).is_some());
    let start = |program: &&str| {
        let mut command = Command::new(program);
        command.arg(url).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    has_screen && OPENERS.iter().any(start)
}

/// The port that Linkerd's users know.
const PORT: u16 = 50750;
/// Programs that open an address in the user's browser.
const OPENERS: &[&str] = if cfg!(target_os = "macos") { &["open"] } else { &["xdg-open", "wslview"] };
