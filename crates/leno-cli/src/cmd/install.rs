//! `leno install`, `leno upgrade` and `leno viz install`: settings to objects, printed or applied.
//!
//! [`choices`] reads the options, [`apply`] brings the objects to the cluster and [`wait`] follows until they are ready,
//! [`explain`] says what keeps them from it, [`adopt`] decides about definitions that are there already.

mod adopt;
mod apply;
pub(crate) mod choices;
mod explain;
pub(crate) mod progress;
mod upgrade;
mod viz;
mod wait;

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::ValueEnum;
use leno_install::{Values, crds, manifests};
use leno_viz::model::parse_duration;
use serde_json::Value;

use super::Globals;
use crate::cluster::{self, Cluster};
use choices::Choices;

pub(crate) use upgrade::UpgradeArgs;
pub(crate) use upgrade::run as upgrade;
pub(crate) use viz::VizArgs;
pub(crate) use viz::run as viz;

/// Installs Leno, or prints what it would install.
///
/// With -y, or after a yes at the terminal, the objects are applied, and the command waits until all is ready. With -o, or when
/// the output is a pipe, they are printed: `leno install --crds | kubectl apply -f -`, then `leno install | kubectl apply -f -`.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    choices: Choices,
    /// Only the custom resource definitions.
    #[arg(long)]
    crds: bool,
    #[command(flatten)]
    how: How,
}

/// How objects get to the cluster.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct How {
    /// Apply without asking.
    #[arg(short = 'y', long = "yes", visible_alias = "skip-confirmation")]
    pub(crate) yes: bool,
    /// Print the objects in this form instead of applying them.
    #[arg(short, long, value_enum)]
    pub(crate) output: Option<Form>,
    /// Let the API server judge everything, change nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// How long it may take until everything is ready.
    #[arg(long, visible_alias = "readiness-timeout", default_value = "5m", value_parser = parse_duration, value_name = "TIME")]
    pub(crate) timeout: Duration,
    /// Also overwrite definitions that Istio, Linkerd or others brought.
    #[arg(long)]
    pub(crate) force: bool,
    /// Take over fields that others set on Leno's objects.
    #[arg(long)]
    pub(crate) force_conflicts: bool,
}

/// Form of printed objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Form {
    /// YAML documents.
    Yaml,
    /// A JSON List.
    Json,
}

impl How {
    /// Whether objects are printed instead of applied, and in which form.
    pub(crate) fn printed(&self) -> Option<Form> {
        let piped = !self.yes && !self.dry_run && !std::io::stdout().is_terminal();
        self.output.or_else(|| piped.then_some(Form::Yaml))
    }
}

/// Runs it.
pub(crate) fn run(args: &Args, globals: &Globals) -> anyhow::Result<ExitCode> {
    let values = args.choices.values(None)?;
    if let Some(form) = args.how.printed() {
        let objects = if args.crds { crds::all() } else { manifests::install(&values) };
        print(&objects, form)?;
        return Ok(ExitCode::SUCCESS);
    }
    cluster::run(async {
        let cluster = Cluster::connect(&globals.cluster).await?;
        let plan = apply::Plan { definitions: true, objects: !args.crds, choices: args.choices.remembered()? };
        if !args.how.yes && !args.how.dry_run && !agreed(&question(&values, &cluster, args.crds))? {
            println!("nothing was changed");
            return Ok(ExitCode::SUCCESS);
        }
        apply::all(&cluster, values, &plan, &args.how).await
    })
}

fn question(values: &Values, cluster: &Cluster, crds: bool) -> String {
    let what = if crds { "Leno's definitions".to_owned() } else { summary(values) };
    format!("This installs {what} into {} ({}). Go on?", cluster.url(), cluster.source())
}

/// `Leno 0.1.0 (profile demo, revision default) in leno-system`
pub(crate) fn summary(values: &Values) -> String {
    format!("Leno {} (profile {}, revision {}) in {}", values.tag, values.profile, values.revision, values.namespace)
}

/// Asks at the terminal.
///
/// # Errors
/// When there is no terminal to ask at.
pub(crate) fn agreed(question: &str) -> anyhow::Result<bool> {
    if !std::io::stdin().is_terminal() {
        bail!("there is no terminal to ask at: give -y to go on without asking");
    }
    print!("{question} [y/N] ");
    std::io::stdout().flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).context("the answer")?;
    Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}

/// Prints objects for kubectl.
///
/// # Errors
/// When they cannot be written.
pub(crate) fn print(objects: &[Value], form: Form) -> anyhow::Result<()> {
    let mut text = String::new();
    match form {
        Form::Json => {
            let list = serde_json::json!({"apiVersion": "v1", "kind": "List", "items": objects});
            text = serde_json::to_string_pretty(&list)? + "\n";
        }
        Form::Yaml => {
            for object in objects {
                text.push_str("---\n");
                text.push_str(&serde_yaml_ng::to_string(object)?);
            }
        }
    }
    match std::io::stdout().write_all(text.as_bytes()) {
        // Whoever reads has seen enough.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => Ok(other?),
    }
}
