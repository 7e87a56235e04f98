//! `leno analyze`: what is wrong, or risky, in files or in a cluster.

mod files;
pub(crate) mod gather;

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::ValueEnum;
use leno_analyze::{Finding, Level, Options, Suppression, analyze, registry, unreadable};
use leno_config::Object;

use super::Globals;

/// Says what is wrong or risky in files, in a cluster, or in files as if they were applied to a cluster.
///
/// Codes are Istio's where it has one (IST0101 …), else Leno's own (LENO0001 …); docs/codes.md says how to mend each.
/// Exit code 79 when something at or above --failure-threshold was found (in the text form, as istioctl), 1 when it could not
/// be analyzed, else 0.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Files, folders with everything below them, `-` for standard input; without any the cluster alone.
    paths: Vec<PathBuf>,
    /// Report on this namespace [default: what the files hold, else the context's namespace]; objects in files without one
    /// belong to it.
    #[arg(short, long)]
    namespace: Option<String>,
    /// Report on all namespaces.
    #[arg(short = 'A', long, conflicts_with = "namespace")]
    all_namespaces: bool,
    /// Form of the output.
    #[arg(short, long, value_enum, default_value_t)]
    output: Form,
    /// Look at the cluster too; `--use-kube=false` for files alone.
    #[arg(short = 'k', long, action = clap::ArgAction::Set, default_value_t = true, num_args = 0..=1,
          default_missing_value = "true", require_equals = true, value_name = "BOOL")]
    use_kube: bool,
    /// Show what is at least this bad: Info, Warning or Error.
    #[arg(long, default_value = "Info", value_name = "LEVEL")]
    output_threshold: Level,
    /// Fail where something is at least this bad: Info, Warning or Error.
    #[arg(long, default_value = "Error", value_name = "LEVEL")]
    failure_threshold: Level,
    /// Leave out a code about an object: "IST0102=Namespace default", "IST0103=Pod *.testing". May be given several times.
    #[arg(short = 'S', long, value_name = "CODE=OBJECT")]
    suppress: Vec<Suppression>,
    /// List all codes.
    #[arg(short = 'L', long, visible_alias = "list-analyzers")]
    list_codes: bool,
    /// Accepted for istioctl's sake: folders are always read with everything below them.
    #[arg(short = 'R', long, hide = true)]
    recursive: bool,
    /// Do not fail for documents that are no Kubernetes objects.
    #[arg(long)]
    ignore_unknown: bool,
}

/// Form of the output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Form {
    /// A line for each finding.
    #[default]
    #[value(alias = "table")]
    Log,
    /// JSON with istioctl's fields.
    Json,
    /// The same as YAML.
    Yaml,
}

/// istioctl's, for pipelines that look for it.
const FOUND_ISSUES: u8 = 79;

/// Runs it.
pub(crate) fn run(args: &Args, globals: &Globals) -> anyhow::Result<ExitCode> {
    if args.list_codes {
        for code in registry() {
            println!("{} {:7} {}", code.id, code.level.to_string(), code.name);
        }
        return Ok(ExitCode::SUCCESS);
    }
    for suppression in &args.suppress {
        if !registry().iter().any(|c| c.id == suppression.code) {
            eprintln!("Warning: there is no code {}, so that nothing is left out for it.", suppression.code);
        }
    }
    let cluster = cluster(args, globals)?;
    let default_namespace = args.namespace.clone().or_else(|| cluster.as_ref().map(|c| c.namespace.clone()));
    let files = files::read(&args.paths, default_namespace.as_deref().unwrap_or("default"))?;
    let (live, mut options) = match cluster {
        Some(cluster) => (cluster.objects, cluster.options),
        None => (Vec::new(), Options::default()),
    };
    if let Some(namespace) = args.namespace.as_ref().filter(|_| options.complete)
        && !live.iter().chain(&files.objects).any(|o| o.kind == "Namespace" && o.name == *namespace)
    {
        bail!("there is no namespace `{namespace}`");
    }
    if live.is_empty() {
        options.complete = false;
    }
    let before = if args.paths.is_empty() { Vec::new() } else { analyze(&live, &options) };
    let all: Vec<Object> = live.into_iter().chain(files.objects).collect();
    let mut findings = analyze(&all, &options);
    findings.extend(unreadable(&files.diagnostics).into_iter().filter(|_| !args.ignore_unknown));
    findings.sort_by_key(|f| (f.level(), f.code.id));
    let wanted = |f: &Finding| match &args.namespace {
        _ if args.all_namespaces => true,
        Some(namespace) => f.namespace == *namespace || f.namespace.is_empty(),
        // With files: what is about them, or comes with them.
        None if !args.paths.is_empty() => !f.reference.is_empty() || !before.contains(f),
        None => f.namespace.is_empty() || default_namespace.as_deref().is_none_or(|n| n == f.namespace),
    };
    findings.retain(|f| wanted(f) && !args.suppress.iter().any(|s| s.covers(f)));
    let target = target(args, default_namespace.as_deref().unwrap_or("default"));
    say(args, &findings, &files.names, &target)
}

/// The cluster's objects; `None` where it is not to be asked, or files can do without it.
fn cluster(args: &Args, globals: &Globals) -> anyhow::Result<Option<gather::Gathered>> {
    if !args.use_kube {
        if args.paths.is_empty() {
            bail!("nothing to analyze: give files, or leave out --use-kube=false");
        }
        return Ok(None);
    }
    match crate::cluster::run(gather::gather(&globals.cluster)) {
        Ok(gathered) => {
            for why in &gathered.missing {
                eprintln!("Warning: {why}: what is not seen is not missed");
            }
            Ok(Some(gathered))
        }
        Err(error) if args.paths.is_empty() => {
            Err(error.context("the cluster cannot be analyzed (for files, give their names)"))
        }
        Err(error) => {
            eprintln!("No cluster is reachable ({error:#}): only the files are analyzed.");
            Ok(None)
        }
    }
}

fn target(args: &Args, namespace: &str) -> String {
    match (args.all_namespaces, args.paths.as_slice()) {
        (true, _) => "all namespaces".to_owned(),
        (false, [one]) if args.namespace.is_none() => one.display().to_string(),
        (false, [_, ..]) if args.namespace.is_none() => "the files".to_owned(),
        _ => format!("namespace: {namespace}"),
    }
}

fn say(args: &Args, findings: &[Finding], files: &[String], target: &str) -> anyhow::Result<ExitCode> {
    let shown: Vec<&Finding> = findings.iter().filter(|f| f.level().reaches(args.output_threshold)).collect();
    match args.output {
        Form::Json => println!("{}", serde_json::to_string_pretty(&shown).context("the findings as JSON")?),
        Form::Yaml => print!("{}", serde_yaml_ng::to_string(&shown).context("the findings as YAML")?),
        Form::Log => {
            let colours = std::io::stdout().is_terminal() && std::env::var("TERM").is_ok_and(|t| t != "dumb");
            for finding in &shown {
                println!("{}", line(finding, colours));
            }
        }
    }
    if shown.is_empty() {
        match files {
            [] => eprintln!("✔ No validation issues found when analyzing {target}."),
            [one] => eprintln!("✔ No validation issues found when analyzing {one}."),
            many => eprintln!("✔ No validation issues found when analyzing:\n  - {}", many.join("\n  - ")),
        }
    }
    if args.output == Form::Log && findings.iter().any(|f| f.level().reaches(args.failure_threshold)) {
        eprintln!("Analyzers found issues when analyzing {target}.");
        eprintln!("See {} for how to mend each.", leno_analyze::DOCUMENTATION);
        return Ok(ExitCode::from(FOUND_ISSUES));
    }
    Ok(ExitCode::SUCCESS)
}

fn line(finding: &Finding, colours: bool) -> String {
    let text = finding.to_string();
    let level = finding.level().to_string();
    match (colours, finding.level(), text.strip_prefix(&level)) {
        (true, Level::Error, Some(rest)) => format!("\x1b[1;31m{level}\x1b[0m{rest}"),
        (true, Level::Warning, Some(rest)) => format!("\x1b[33m{level}\x1b[0m{rest}"),
        _ => text,
    }
}
