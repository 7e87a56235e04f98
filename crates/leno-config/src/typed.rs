//! An object as a struct, with everything that the struct does not know said.

mod strict;

use std::fmt::Write as _;

use serde::de::DeserializeOwned;

use crate::diagnostic::{Diagnostic, Severity};
use crate::object::{Object, Path, Step};
use crate::support::{self, Support};
use strict::Strict;

/// Gives `object` as a `T`, and a finding for each field that `T` does not honour and that [`support`] does not list as
/// harmless: warnings, and errors for fields that may not be ignored.
///
/// # Errors
/// A field has the wrong type.
#[expect(clippy::result_large_err, reason = "a finding is what callers collect, and errors are rare")]
pub fn typed<T: DeserializeOwned>(object: &Object) -> Result<(T, Vec<Diagnostic>), Diagnostic> {
    let mut unknown = Vec::new();
    let mut note = |path: serde_ignored::Path<'_>| unknown.push(path_of_ignored(&path));
    let tracked = serde_ignored::Deserializer::new(Strict(&object.json), &mut note);
    match serde_path_to_error::deserialize(tracked) {
        Ok(value) => Ok((value, unknown.iter().filter_map(|path| not_honoured(object, path)).collect())),
        Err(error) => Err(wrong_type(object, &path_of_error(error.path()), &error.inner().to_string())),
    }
}

fn not_honoured(object: &Object, path: &Path) -> Option<Diagnostic> {
    // `apiVersion` and `kind` are the object's, not the struct's.
    if matches!(path.0.as_slice(), [Step::Key(key)] if key == "apiVersion" || key == "kind") {
        return None;
    }
    match support::of_field(&object.kind, &shape(path)) {
        Support::Honoured | Support::Harmless => None,
        Support::Warned(note) => Some(object.diagnostic(Severity::Warning, path, note)),
        Support::Refused(note) => Some(object.diagnostic(Severity::Error, path, note)),
    }
}

/// A path without its numbers: `spec.http[].route[]`.
fn shape(path: &Path) -> String {
    let mut out = String::new();
    for step in &path.0 {
        match step {
            Step::Index(_) => out.push_str("[]"),
            Step::Key(key) if out.is_empty() => out.push_str(key),
            Step::Key(key) => {
                let _ = write!(out, ".{key}");
            }
        }
    }
    out
}

fn wrong_type(object: &Object, path: &Path, error: &str) -> Diagnostic {
    let Some((found, wanted)) = error
        .strip_prefix("invalid type: ")
        .or_else(|| error.strip_prefix("invalid value: "))
        .and_then(|rest| rest.rsplit_once(", expected "))
    else {
        return object.diagnostic(Severity::Error, path, error);
    };
    let found = match found {
        "map" => "an object",
        "sequence" => "a list",
        other => other,
    };
    let diagnostic = object.diagnostic(Severity::Error, path, format!("must be {}, not {found}", in_words(wanted)));
    if wanted == "a string" && ["boolean", "integer", "floating"].iter().any(|t| found.starts_with(t)) {
        diagnostic.with_hint("quote the value to make it a string")
    } else if is_quoted(found, wanted) {
        diagnostic.with_hint("write the value without quotes")
    } else {
        diagnostic
    }
}

/// Whether the value would fit without its quotes.
fn is_quoted(found: &str, wanted: &str) -> bool {
    let text = found.strip_prefix("string \"").and_then(|rest| rest.strip_suffix('"'));
    text.is_some_and(|text| match wanted {
        "u16" | "u32" | "u64" | "i32" | "i64" => text.parse::<i64>().is_ok(),
        "f64" => text.parse::<f64>().is_ok(),
        "a boolean" => matches!(text, "true" | "false"),
        _ => false,
    })
}

fn in_words(wanted: &str) -> &str {
    match wanted {
        "u16" => "a whole number from 0 to 65535",
        "u32" => "a whole number from 0 to 4294967295",
        "u64" => "a whole number, 0 or more",
        "i32" | "i64" => "a whole number",
        "f64" => "a number",
        "a sequence" => "a list",
        "a map" => "an object",
        other if other.starts_with("struct ") => "an object",
        other => other,
    }
}

fn path_of_error(path: &serde_path_to_error::Path) -> Path {
    use serde_path_to_error::Segment;
    let step = |segment: &Segment| match segment {
        Segment::Seq { index } => Some(Step::Index(*index)),
        Segment::Map { key } => Some(Step::Key(key.clone())),
        Segment::Enum { variant } => Some(Step::Key(variant.clone())),
        Segment::Unknown => None,
    };
    Path(path.iter().filter_map(step).collect())
}

fn path_of_ignored(path: &serde_ignored::Path<'_>) -> Path {
    use serde_ignored::Path as Ignored;
    match path {
        Ignored::Root => Path::root(),
        Ignored::Seq { parent, index } => path_of_ignored(parent).index(*index),
        Ignored::Map { parent, key } => path_of_ignored(parent).key(key),
        Ignored::Some { parent } | Ignored::NewtypeStruct { parent } | Ignored::NewtypeVariant { parent } => {
            path_of_ignored(parent)
        }
    }
}

#[cfg(test)]
mod tests;
