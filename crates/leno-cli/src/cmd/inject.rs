//! `leno inject` and `leno uninject`: what the webhook does, to files and pipes.

use std::fs;
use std::io::{IsTerminal as _, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, anyhow, bail};
use leno_install::inject::documents::{Changed, inject_text, uninject_text};
use leno_install::inject::settings::{DEFAULT_HUB, control_address};
use leno_install::inject::undo::UninjectOutcome;
use leno_install::{InjectOutcome, InjectSettings};

/// Adds the sidecar to the workloads in files, and prints all of them: `leno inject app.yaml | kubectl apply -f -`.
///
/// Every Pod, Deployment, StatefulSet, DaemonSet, ReplicaSet, Job and CronJob gets it, whatever its namespace says, but for
/// those that ask not to have one; all else is printed as it is. What was done is told on standard error.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    files: Files,
    /// Image of the proxy [default: HUB/leno-proxy:TAG].
    #[arg(long, value_name = "IMAGE", conflicts_with_all = ["hub", "tag"])]
    image: Option<String>,
    /// Where the image comes from.
    #[arg(long, value_name = "HUB")]
    hub: Option<String>,
    /// Tag of the image.
    #[arg(long, value_name = "TAG")]
    tag: Option<String>,
    /// Revision of the control plane that the sidecars follow.
    #[arg(long, value_name = "NAME")]
    revision: Option<String>,
    /// Namespace of the control plane.
    #[arg(long, value_name = "NAMESPACE", default_value = "leno-system")]
    leno_namespace: String,
    /// Settings of the sidecars: the key `values` of the ConfigMap `leno`, or that ConfigMap.
    #[arg(long, value_name = "FILE")]
    values: Option<PathBuf>,
    /// Accepted for the sake of habit: the sidecar itself is always added, not only an annotation that asks for it.
    #[arg(long, hide = true)]
    manual: bool,
}

/// Takes the sidecar out of workloads again, and prints all of them as they were: `leno uninject app.yaml`.
#[derive(clap::Args)]
pub(crate) struct UninjectArgs {
    #[command(flatten)]
    files: Files,
}

#[derive(clap::Args)]
struct Files {
    /// Files, folders with .yaml, .yml and .json files, or - for standard input.
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// The same, as kubectl takes it.
    #[arg(short, long = "filename", value_name = "PATH")]
    filename: Vec<PathBuf>,
}

/// Runs `leno inject`.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let settings = settings(args)?;
    let say = |outcome: InjectOutcome, object: &str| match outcome {
        InjectOutcome::Injected { warnings } => {
            eprintln!("{object}: injected");
            for warning in warnings {
                eprintln!("{object}: warning: {warning}");
            }
        }
        InjectOutcome::Skipped { reason, .. } => eprintln!("{object}: skipped: {reason}"),
    };
    change(&args.files, |text| inject_text(text, &settings), say)
}

/// Runs `leno uninject`.
pub(crate) fn run_uninject(args: &UninjectArgs) -> anyhow::Result<ExitCode> {
    let say = |outcome: UninjectOutcome, object: &str| match outcome {
        UninjectOutcome::Removed => eprintln!("{object}: uninjected"),
        UninjectOutcome::Skipped(reason) => eprintln!("{object}: skipped: {reason}"),
    };
    change(&args.files, uninject_text, say)
}

/// Changes all files, and prints them only if all could be read.
fn change<O>(
    files: &Files,
    act: impl Fn(&str) -> Result<Changed<O>, String>,
    say: impl Fn(O, &str),
) -> anyhow::Result<ExitCode> {
    let mut all = String::new();
    let mut reports = Vec::new();
    for (name, text) in files.read()? {
        let changed = act(&text).map_err(|why| anyhow!("{name}: {why}"))?;
        if !all.is_empty() && !changed.text.starts_with("---") {
            all.push_str(if all.ends_with('\n') { "---\n" } else { "\n---\n" });
        }
        all.push_str(&changed.text);
        reports.extend(changed.reports);
    }
    if reports.is_empty() {
        eprintln!("there are no workloads in what was read");
    }
    for report in reports {
        say(report.outcome, &report.object);
    }
    std::io::stdout().write_all(all.as_bytes()).context("standard output")?;
    Ok(ExitCode::SUCCESS)
}

impl Files {
    fn read(&self) -> anyhow::Result<Vec<(String, String)>> {
        let mut paths: Vec<&Path> = self.filename.iter().chain(&self.paths).map(PathBuf::as_path).collect();
        if paths.is_empty() {
            if std::io::stdin().is_terminal() {
                bail!("name files or folders, or - for standard input");
            }
            paths.push(Path::new("-"));
        }
        let mut texts = Vec::new();
        for path in paths {
            if path == Path::new("-") {
                let mut text = String::new();
                std::io::stdin().read_to_string(&mut text).context("standard input")?;
                texts.push(("standard input".to_owned(), text));
            } else if path.is_dir() {
                for file in files_of(path)? {
                    texts.push(text_of(&file)?);
                }
            } else {
                texts.push(text_of(path)?);
            }
        }
        Ok(texts)
    }
}

fn files_of(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    let wanted = |p: &PathBuf| p.extension().is_some_and(|e| ["yaml", "yml", "json"].iter().any(|w| e == *w));
    let mut files: Vec<PathBuf> = entries.flatten().map(|e| e.path()).filter(|p| p.is_file() && wanted(p)).collect();
    if files.is_empty() {
        bail!("there is no .yaml, .yml or .json file in {}", folder.display());
    }
    files.sort();
    Ok(files)
}

fn text_of(file: &Path) -> anyhow::Result<(String, String)> {
    let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
    Ok((file.display().to_string(), text))
}

fn settings(args: &Args) -> anyhow::Result<InjectSettings> {
    let mut settings = match &args.values {
        None => InjectSettings {
            control_address: control_address(&args.leno_namespace, args.revision.as_deref().unwrap_or("default")),
            ..InjectSettings::default()
        },
        Some(file) => read_values(file)?,
    };
    if let Some(revision) = &args.revision {
        settings.revision.clone_from(revision);
        settings.control_address = control_address(&args.leno_namespace, revision);
    }
    if let Some(image) = &args.image {
        settings.image.clone_from(image);
    } else if args.hub.is_some() || args.tag.is_some() {
        let hub = args.hub.as_deref().unwrap_or(DEFAULT_HUB).trim_end_matches('/');
        let tag = args.tag.as_deref().unwrap_or(env!("CARGO_PKG_VERSION"));
        settings.image = format!("{hub}/leno-proxy:{tag}");
    }
    Ok(settings)
}

fn read_values(file: &Path) -> anyhow::Result<InjectSettings> {
    let (name, text) = text_of(file)?;
    let read = leno_config::read::value(&text).map_err(|(line, why)| anyhow!("{name}:{line}: {why}"))?.0;
    let values = match read["kind"].as_str() {
        Some("ConfigMap") => match read["data"]["values"].as_str() {
            Some(values) => values.to_owned(),
            None => bail!("{name}: the ConfigMap has no key `values`"),
        },
        _ => text,
    };
    InjectSettings::from_yaml(&values).map_err(|why| anyhow!("{name}: {why}"))
}
