//! The options that settings are chosen with.

use std::io::Read as _;
use std::path::PathBuf;

use anyhow::{Context as _, anyhow};
use leno_install::Values;
use leno_install::values::{self, Layer, set};
use serde_json::{Value, json};

/// What is installed.
#[derive(clap::Args, Clone, Debug, Default)]
pub(crate) struct Choices {
    /// A setting, such as profile=demo or control.replicas=3; Istio's names (values.global.hub, meshConfig.accessLogFile) work, too.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
    /// A setting whose value is a text even where it looks like a number.
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) set_string: Vec<String>,
    /// A file of settings, or an IstioOperator; later ones win, --set wins over all. `-` is standard input.
    #[arg(short = 'f', long = "values", visible_alias = "filename", value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// Where to start from: default, demo, minimal or ha [default: default].
    #[arg(long, value_name = "NAME")]
    pub(crate) profile: Option<String>,
    /// Same as --profile ha.
    #[arg(long, conflicts_with = "profile")]
    pub(crate) ha: bool,
    /// Name of this control plane beside others, for a canary upgrade [default: default].
    #[arg(short = 'r', long, value_name = "NAME")]
    pub(crate) revision: Option<String>,
    /// Namespace to install into [default: leno-system].
    #[arg(short = 'n', long, visible_aliases = ["istioNamespace", "linkerd-namespace"], value_name = "NAME")]
    pub(crate) namespace: Option<String>,
}

impl Choices {
    /// The settings; those of `before`, of an installation that is there, count where nothing else is said. Warnings go to
    /// standard error.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub(crate) fn values(&self, before: Option<Layer>) -> anyhow::Result<Values> {
        let mut layers: Vec<Layer> = before.into_iter().collect();
        layers.extend(self.layers()?);
        let (values, warnings) = values::resolve(&layers).map_err(|bad| anyhow!("{bad}"))?;
        for warning in warnings {
            eprintln!("warning: {warning}");
        }
        Ok(values)
    }

    /// What was chosen, to be kept in the cluster for the next upgrade: a later one of the same key wins.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub(crate) fn remembered(&self) -> anyhow::Result<Vec<Layer>> {
        self.layers()
    }

    fn layers(&self) -> anyhow::Result<Vec<Layer>> {
        let mut layers = Vec::new();
        for path in &self.files {
            layers.push(read(path)?);
        }
        for argument in &self.set {
            layers.push(set::parse(argument, false).map_err(|e| anyhow!(e))?);
        }
        for argument in &self.set_string {
            layers.push(set::parse(argument, true).map_err(|e| anyhow!(e))?);
        }
        let profile = if self.ha { Some("ha") } else { self.profile.as_deref() };
        let options =
            [("profile", profile), ("revision", self.revision.as_deref()), ("namespace", self.namespace.as_deref())];
        for (key, value) in options {
            if let Some(value) = value {
                layers.push(Layer { origin: format!("--{key} {value}"), tree: json!({ key: value }) });
            }
        }
        Ok(layers)
    }
}

fn read(path: &PathBuf) -> anyhow::Result<Layer> {
    let (origin, text) = if path.as_os_str() == "-" {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).context("standard input")?;
        ("standard input".to_owned(), text)
    } else {
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        (path.display().to_string(), text)
    };
    let tree: Value = serde_yaml_ng::from_str(&text).with_context(|| format!("{origin} is no YAML"))?;
    let tree = if tree.is_null() { json!({}) } else { tree };
    Ok(Layer { origin, tree })
}
