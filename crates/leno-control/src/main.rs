//! The control plane's program.

use std::process::ExitCode;

use clap::Parser;
use leno_control::app::App;
use leno_control::boot::Settings;
use leno_kit::log::{self, Format};
use leno_kit::signal::Ending;

fn main() -> ExitCode {
    match start(Settings::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // One line: whoever reads it wants the reason, not a backtrace.
            eprintln!("leno-control: error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn start(settings: Settings) -> anyhow::Result<()> {
    log::init(&settings.log, if settings.log_json { Format::Json } else { Format::Text })?;
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(run(settings))
}

async fn run(settings: Settings) -> anyhow::Result<()> {
    let mut ending = Ending::catch()?;
    let mut app = tokio::select! {
        app = App::start(settings) => app?,
        _ = ending.wait() => return Ok(()),
    };
    tokio::select! {
        error = app.failed() => return Err(error),
        signal = ending.wait() => tracing::info!(signal, "shutting down"),
    }
    app.shutdown().await;
    Ok(())
}
