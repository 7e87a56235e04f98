//! YAML and JSON text into [`Object`]s.
//!
//! Documents are told apart by their `---` lines before any is parsed, as kubectl does, so that a broken one takes no
//! other with it.

mod scalar;
mod tree;

use std::sync::Arc;

use serde_json::Value;

use crate::diagnostic::{Diagnostic, Position, Severity};
use crate::object::{Lines, Object, Path};
use tree::{Fault, Node};

/// What was read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Read {
    /// The objects that could be read, in order; lists are expanded.
    pub objects: Vec<Object>,
    /// What could not.
    pub diagnostics: Vec<Diagnostic>,
}

/// Reads the documents of `text`, which came from `file`.
#[must_use]
pub fn read(file: &str, text: &str) -> Read {
    let file: Arc<str> = Arc::from(file);
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut out = Read::default();
    for (first_line, document) in documents(text) {
        match parse(document) {
            Ok(nodes) => {
                for mut node in nodes {
                    shift(&mut node.lines, first_line - 1);
                    take(&file, node, &mut out);
                }
            }
            Err(fault) => out.diagnostics.push(syntax_error(&file, text, first_line, &fault)),
        }
    }
    out
}

/// `(first line, text)` of each document. A `---` line belongs to the document that it starts.
fn documents(text: &str) -> Vec<(u32, &str)> {
    let mut starts = vec![(1, 0)];
    let mut offset = 0;
    for (index, line) in text.split_inclusive('\n').enumerate() {
        if line.strip_prefix("---").is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n'])) {
            starts.push((u32::try_from(index).unwrap_or(u32::MAX).saturating_add(1), offset));
        }
        offset += line.len();
    }
    let ends = starts.iter().skip(1).map(|(_, at)| *at).chain([text.len()]).collect::<Vec<_>>();
    starts
        .into_iter()
        .zip(ends)
        .map(|((line, start), end)| (line, &text[start..end]))
        .filter(|(_, document)| document.lines().any(has_content))
        .collect()
}

/// Whether a line is more than a comment, a directive or a document mark.
fn has_content(line: &str) -> bool {
    let line = line.trim();
    !(line.is_empty() || line.starts_with('#') || line.starts_with('%') || line == "---" || line == "...")
}

/// YAML, and JSON where the text is JSON that is no YAML (tabs, surrogate pairs).
fn parse(document: &str) -> Result<Vec<Node>, Fault> {
    if !document.trim_start().starts_with(['{', '[']) {
        return tree::parse(document);
    }
    // JSON has no tabs within strings, so that columns and meaning stay.
    tree::parse(&document.replace('\t', " ")).or_else(|fault| {
        let values: Result<Vec<Value>, _> = serde_json::Deserializer::from_str(document).into_iter().collect();
        let line = 1 + document.bytes().take_while(u8::is_ascii_whitespace).filter(|b| *b == b'\n').count();
        let lines = Lines { line: u32::try_from(line).unwrap_or(u32::MAX), children: Vec::new() };
        match values {
            Ok(values) => Ok(values.into_iter().map(|value| Node { value, lines: lines.clone() }).collect()),
            Err(_) => Err(fault),
        }
    })
}

/// The one value of a text, such as `mesh.yaml` in a `ConfigMap`, read as kubectl reads; an empty object where it is empty.
///
/// # Errors
/// Line and reason.
pub fn value(text: &str) -> Result<(Value, Lines), (u32, String)> {
    let nodes = tree::parse(text).map_err(|fault| (fault.line, fault.message))?;
    Ok(match nodes.into_iter().next() {
        Some(node) if !node.value.is_null() => (node.value, node.lines),
        _ => (Value::Object(serde_json::Map::new()), Lines::default()),
    })
}

/// Moves all lines down.
pub(crate) fn shift(lines: &mut Lines, by: u32) {
    lines.line = lines.line.saturating_add(by);
    for child in &mut lines.children {
        shift(child, by);
    }
}

fn syntax_error(file: &Arc<str>, text: &str, first_line: u32, fault: &Fault) -> Diagnostic {
    let line = fault.line.saturating_add(first_line - 1).max(1);
    let position = Position { file: Arc::clone(file), line, column: fault.column };
    let shown = text.lines().nth(line as usize - 1).unwrap_or_default();
    let mut message = fault.message.clone();
    if !shown.trim().is_empty() {
        let cut: String = shown.chars().take(120).collect();
        message = format!("{message}: `{}`", cut.trim_end());
    }
    let diagnostic = Diagnostic::at(Severity::Error, Some(position), message);
    let indent = &shown[..shown.len() - shown.trim_start().len()];
    match fault.hint {
        Some(hint) => diagnostic.with_hint(hint),
        None if indent.contains('\t') => diagnostic.with_hint("YAML is indented with spaces, not tabs"),
        None if shown.contains("{{") => diagnostic.with_hint("this looks like a template: render it first"),
        None => diagnostic,
    }
}

/// Takes an object, or each item of a list, out of a document.
fn take(file: &Arc<str>, node: Node, out: &mut Read) {
    let Node { value, lines } = node;
    let kind = value.get("kind").and_then(Value::as_str).unwrap_or_default();
    let listed = kind.ends_with("List").then(|| value.get("items").and_then(Value::as_array)).flatten();
    if let (Some(items), Value::Object(fields)) = (listed, &value) {
        let at = fields.keys().position(|k| k == "items").unwrap_or_default();
        let item_lines = lines.children.get(at).map(|l| l.children.as_slice()).unwrap_or_default();
        for (index, item) in items.iter().enumerate() {
            let lines = item_lines.get(index).cloned().unwrap_or_else(|| lines.clone());
            take(file, Node { value: item.clone(), lines }, out);
        }
        return;
    }
    match object(file, value, lines) {
        Ok(object) => out.objects.push(object),
        Err(None) => {}
        Err(Some(diagnostic)) => out.diagnostics.push(*diagnostic),
    }
}

/// The object that `value` is; `Err(None)` for an empty document.
fn object(file: &Arc<str>, value: Value, lines: Lines) -> Result<Object, Option<Box<Diagnostic>>> {
    let position = Position { file: Arc::clone(file), line: lines.line, column: 0 };
    let mut object = Object {
        api_version: String::new(),
        kind: String::new(),
        namespace: None,
        name: String::new(),
        position,
        json: value,
        lines,
    };
    let refuse = |field: &str, message: String, hint: Option<&str>, object: &Object| {
        let path = Path::root().keys(field);
        let mut diagnostic = object.diagnostic(Severity::Error, &path, message);
        diagnostic.object = [object.kind.as_str(), object.name.as_str()].join(" ").trim().to_owned();
        diagnostic.field = field.to_owned();
        diagnostic.hint = hint.map(str::to_owned);
        Err(Some(Box::new(diagnostic)))
    };
    match &object.json {
        Value::Null => return Err(None),
        Value::Object(_) => {}
        other => {
            let mut diagnostic = Diagnostic::at(
                Severity::Error,
                Some(object.position.clone()),
                format!("the document is {}, not a Kubernetes object", scalar::describe(other)),
            );
            diagnostic.hint = Some("an object has apiVersion, kind and metadata".to_owned());
            return Err(Some(Box::new(diagnostic)));
        }
    }
    let text = |path: &str| match object.json.pointer(path) {
        None => Ok(None),
        Some(Value::String(s)) if s.is_empty() => Ok(None),
        Some(Value::String(s)) => Ok(Some(s.clone())),
        Some(other) => Err(format!("is {}, not a string", scalar::describe(other))),
    };
    let (api_version, kind) = (text("/apiVersion"), text("/kind"));
    let (name, namespace) = (text("/metadata/name"), text("/metadata/namespace"));
    // First whatever is there, so that a complaint about one part names the object by the others.
    object.kind = kind.clone().ok().flatten().unwrap_or_default();
    object.name = name.clone().ok().flatten().unwrap_or_default();
    object.namespace = namespace.clone().ok().flatten();
    let quote = Some("quote the value to make it a string");
    for (field, found) in
        [("kind", &kind), ("apiVersion", &api_version), ("metadata.name", &name), ("metadata.namespace", &namespace)]
    {
        match found {
            Err(wrong) => return refuse(field, wrong.clone(), quote, &object),
            Ok(None) if field == "metadata.name" && object.json.pointer("/metadata/generateName").is_some() => {
                let hint = Some("give it a metadata.name: objects are applied by name");
                return refuse(field, "is missing, generateName is not honoured".to_owned(), hint, &object);
            }
            Ok(None) if field != "metadata.namespace" => {
                return refuse(field, "is missing".to_owned(), None, &object);
            }
            Ok(_) => {}
        }
    }
    object.api_version = api_version.ok().flatten().unwrap_or_default();
    Ok(object)
}

#[cfg(test)]
mod tests;
