//! The tree of verbs.

pub(crate) mod analyze;
pub(crate) mod check;
pub(crate) mod dashboard;
pub(crate) mod demo;
pub(crate) mod inject;
pub(crate) mod install;
pub(crate) mod local;
pub(crate) mod logs;
pub(crate) mod proxy_config;
pub(crate) mod proxy_status;
pub(crate) mod uninstall;
pub(crate) mod version;
pub(crate) mod viz;
pub(crate) mod why;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory as _, Parser, Subcommand, ValueEnum};

/// A service mesh for Kubernetes, and on this machine alone.
#[derive(Parser)]
#[command(name = "leno", version, propagate_version = true, disable_help_subcommand = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) globals: Globals,
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// Options every verb takes.
#[derive(Args, Clone, Debug)]
pub(crate) struct Globals {
    /// State directory of the local mesh [default: $XDG_RUNTIME_DIR/leno, /run/leno for root].
    #[arg(long, global = true, env = "LENO_STATE", value_name = "DIR", help_heading = "Global options")]
    pub(crate) state: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) cluster: crate::cluster::ClusterOptions,
}

/// What can be done.
#[derive(Subcommand)]
pub(crate) enum Verb {
    Install(install::Args),
    Upgrade(install::UpgradeArgs),
    Uninstall(uninstall::Args),
    /// A mesh on this machine: each pod is a network namespace with real processes.
    Local(local::Args),
    Viz(viz::Args),
    Why(why::Args),
    #[command(visible_alias = "dash")]
    Dashboard(dashboard::Args),
    Inject(inject::Args),
    Uninject(inject::UninjectArgs),
    #[command(visible_alias = "ps")]
    ProxyStatus(proxy_status::Args),
    #[command(visible_alias = "pc")]
    ProxyConfig(proxy_config::Args),
    Logs(logs::Args),
    Analyze(analyze::Args),
    Check(check::Args),
    Demo(demo::Args),
    Version(version::Args),
    /// Prints a completion script: `leno completion bash > /etc/bash_completion.d/leno`.
    Completion {
        /// For which shell.
        shell: clap_complete::Shell,
    },
}

/// Form of what is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// A table that fits the terminal.
    #[default]
    Table,
    /// More columns, nothing cut.
    Wide,
    /// JSON.
    Json,
    /// YAML.
    Yaml,
}

impl Output {
    /// Prints `value` if a form for machines was asked for; whether it was.
    ///
    /// # Errors
    /// When the value cannot be written so.
    pub(crate) fn print<T: serde::Serialize>(self, value: &T) -> anyhow::Result<bool> {
        match self {
            Self::Table | Self::Wide => return Ok(false),
            Self::Json => println!("{}", serde_json::to_string_pretty(value)?),
            Self::Yaml => print!("{}", serde_yaml_ng::to_string(value)?),
        }
        Ok(true)
    }
}

/// Runs what was asked.
///
/// # Errors
/// When it did not work; the message says what, where, and what to do.
pub(crate) fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let Cli { globals, verb } = cli;
    match verb {
        Verb::Install(args) => install::run(&args, &globals),
        Verb::Upgrade(args) => install::upgrade(&args, &globals),
        Verb::Uninstall(args) => uninstall::run(&args, &globals),
        Verb::Local(args) => local::run(args, &globals),
        Verb::Viz(args) => viz::run(args, &globals),
        Verb::Why(args) => why::run(&args, &globals),
        Verb::Dashboard(args) => dashboard::run(&args, &globals),
        Verb::Logs(args) => logs::run(&args, &globals),
        Verb::Analyze(args) => analyze::run(&args, &globals),
        Verb::Check(args) => check::run(&args, &globals),
        Verb::Inject(args) => inject::run(&args),
        Verb::Uninject(args) => inject::run_uninject(&args),
        Verb::Demo(args) => demo::run(&args, &globals),
        Verb::ProxyStatus(args) => proxy_status::run(&args, &globals),
        Verb::ProxyConfig(args) => proxy_config::run(&args, &globals),
        Verb::Version(args) => version::run(&args, &globals),
        Verb::Completion { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "leno", &mut std::io::stdout());
            Ok(ExitCode::SUCCESS)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Cli;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
