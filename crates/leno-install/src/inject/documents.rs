//! Files of YAML or JSON documents: those with pods are changed, all others stay as they are, to the byte.

use serde_json::Value;

use super::undo::UninjectOutcome;
use super::workload::{Report, inject_object, uninject_object};
use super::{InjectOutcome, InjectSettings, yaml};

/// A file after the change, and what became of each of its workloads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed<O> {
    /// The whole text.
    pub text: String,
    /// One for each object with pods.
    pub reports: Vec<Report<O>>,
}

/// Injects all workloads in `text`.
///
/// # Errors
/// `line N: …`: a document cannot be read. Nothing is to be done with the others then.
pub fn inject_text(text: &str, settings: &InjectSettings) -> Result<Changed<InjectOutcome>, String> {
    change(text, |object| {
        let reports = inject_object(object, settings);
        let changed = reports.iter().any(|r| matches!(r.outcome, InjectOutcome::Injected { .. }));
        (reports, changed)
    })
}

/// Takes the sidecar out of all workloads in `text`.
///
/// # Errors
/// As [`inject_text`].
pub fn uninject_text(text: &str) -> Result<Changed<UninjectOutcome>, String> {
    change(text, |object| {
        let reports = uninject_object(object);
        let changed = reports.iter().any(|r| r.outcome == UninjectOutcome::Removed);
        (reports, changed)
    })
}

fn change<O>(text: &str, act: impl Fn(&mut Value) -> (Vec<Report<O>>, bool)) -> Result<Changed<O>, String> {
    let mut out = Changed { text: String::with_capacity(text.len() * 2), reports: Vec::new() };
    let mut line = 1;
    for document in documents(text) {
        let read = leno_config::read::value(document);
        let (mut object, _) = read.map_err(|(at, why)| format!("line {}: {why}", line + at.max(1) as usize - 1))?;
        let (reports, changed) = act(&mut object);
        out.reports.extend(reports);
        if changed {
            // What stands before the object, such as `---` and comments, stays.
            let head = head(document);
            out.text.push_str(&document[..head]);
            if head == 0 && document.starts_with("---") {
                out.text.push_str("---\n");
            }
            if document[head..].trim_start().starts_with('{') {
                out.text.push_str(&format!("{object:#}\n"));
            } else {
                out.text.push_str(&yaml::document(&object));
            }
        } else {
            out.text.push_str(document);
        }
        line += document.matches('\n').count();
    }
    Ok(out)
}

/// The documents with all between them: put together again they are the text.
fn documents(text: &str) -> Vec<&str> {
    let mut all = Vec::new();
    let (mut start, mut at) = (0, 0);
    for line in text.split_inclusive('\n') {
        if at > start
            && line.strip_prefix("---").is_some_and(|rest| rest.is_empty() || rest.starts_with(char::is_whitespace))
        {
            all.push(&text[start..at]);
            start = at;
        }
        at += line.len();
    }
    all.push(&text[start..]);
    all
}

/// Where the object begins in its document.
fn head(document: &str) -> usize {
    let mut at = 0;
    for line in document.split_inclusive('\n') {
        let bare = line.strip_prefix("---").unwrap_or(line).trim();
        if !(bare.is_empty() || bare.starts_with('#') || bare.starts_with('%') || bare == "\u{feff}") {
            break;
        }
        at += line.len();
    }
    at
}
