//! Files to objects, with what is wrong in them said.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use leno_config::{Diagnostic, LowerContext, Object, check_object, check_set};
use leno_local::object::Submitted;

/// What was read.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Objects that can be used.
    pub(super) good: Vec<Submitted>,
    /// Findings, in the order of the files.
    pub(super) findings: Vec<Diagnostic>,
}

impl Found {
    /// Whether something is refused.
    pub(super) fn has_errors(&self) -> bool {
        self.findings.iter().any(Diagnostic::is_error)
    }

    /// Says the findings, errors last, on standard error.
    pub(super) fn say(&self) {
        for finding in self.findings.iter().filter(|f| !f.is_error()) {
            eprintln!("{finding}");
        }
        for finding in self.findings.iter().filter(|f| f.is_error()) {
            eprintln!("{finding}");
        }
    }
}

/// Reads files, folders (their `.yaml`, `.yml` and `.json` files) and `-` for standard input.
///
/// # Errors
/// A file cannot be read, or there is nothing in them.
pub(crate) fn read(paths: &[PathBuf], namespace: Option<&str>) -> anyhow::Result<(Vec<Object>, Vec<Diagnostic>)> {
    let (mut objects, mut findings) = (Vec::new(), Vec::new());
    for (name, text) in texts(paths)? {
        let read = leno_config::read(&name, &text);
        findings.extend(read.diagnostics);
        objects.extend(read.objects);
    }
    for object in &mut objects {
        if object.namespace.is_none() && !object.is_cluster_scoped() {
            object.namespace = Some(namespace.unwrap_or("default").to_owned());
        }
    }
    if objects.is_empty() && findings.is_empty() {
        bail!(
            "there are no objects in {}",
            paths.iter().map(|p| p.display().to_string()).collect::<Vec<_>>().join(", ")
        );
    }
    Ok((objects, findings))
}

/// Judges objects, one by one and as a set together with `others`, which the mesh has already.
pub(super) fn judge(objects: Vec<Object>, mut findings: Vec<Diagnostic>, others: Vec<Object>) -> Found {
    let context = LowerContext::default();
    let mut good = Vec::new();
    for object in objects {
        let own = check_object(&object, &context);
        // A finding about the kind as such says that the object is left out.
        if !own.iter().any(|f| f.is_error() || f.field == "kind") {
            good.push(object);
        }
        findings.extend(own);
    }
    let names: Vec<(String, String)> = good.iter().map(|o| (o.api_version.clone(), o.describe())).collect();
    let mut all: Vec<Object> =
        others.into_iter().filter(|o| !names.contains(&(o.api_version.clone(), o.describe()))).collect();
    all.extend(good.iter().cloned());
    for finding in check_set(&all) {
        // What is wrong only with objects that are there already was said when they came.
        if names.iter().any(|(_, name)| *name == finding.object) {
            if finding.is_error() {
                good.retain(|o| o.describe() != finding.object);
            }
            findings.push(finding);
        }
    }
    Found { good: good.iter().map(Submitted::new).collect(), findings }
}

fn texts(paths: &[PathBuf]) -> anyhow::Result<Vec<(String, String)>> {
    let mut texts = Vec::new();
    for path in paths {
        if path == Path::new("-") {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).context("standard input")?;
            texts.push(("-".to_owned(), text));
        } else if path.is_dir() {
            let entries = fs::read_dir(path).with_context(|| path.display().to_string())?;
            let mut files: Vec<PathBuf> = entries.flatten().map(|e| e.path()).filter(|p| is_config(p)).collect();
            files.sort();
            if files.is_empty() {
                bail!("there is no .yaml, .yml or .json file in {}", path.display());
            }
            for file in files {
                texts.push(text_of(&file)?);
            }
        } else {
            texts.push(text_of(path)?);
        }
    }
    Ok(texts)
}

fn text_of(file: &Path) -> anyhow::Result<(String, String)> {
    let bytes = fs::read(file).with_context(|| file.display().to_string())?;
    let text = String::from_utf8(bytes).map_err(|_| anyhow::anyhow!("{}: it is not UTF-8 text", file.display()))?;
    Ok((file.display().to_string(), text))
}

fn is_config(path: &Path) -> bool {
    path.is_file() && path.extension().and_then(|e| e.to_str()).is_some_and(|e| ["yaml", "yml", "json"].contains(&e))
}
