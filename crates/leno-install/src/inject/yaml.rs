//! Values as YAML that every reader takes for the same: kubectl's (YAML 1.1) too, so words such as `on` are quoted.

use std::fmt::Write as _;

use serde_json::{Map, Value};

/// A whole document.
pub(super) fn document(value: &Value) -> String {
    let mut out = String::new();
    match value {
        Value::Object(map) if !map.is_empty() => fields(map, 0, &mut out),
        Value::Array(items) if !items.is_empty() => list(items, 0, &mut out),
        other => {
            out.push_str(&scalar(other, 0));
            out.push('\n');
        }
    }
    out
}

fn fields(map: &Map<String, Value>, indent: usize, out: &mut String) {
    for (index, (key, value)) in map.iter().enumerate() {
        // The first field of an item follows its dash.
        if index > 0 || !out.ends_with("- ") {
            pad(indent, out);
        }
        out.push_str(&text(key, None));
        out.push(':');
        match value {
            Value::Object(inner) if !inner.is_empty() => {
                out.push('\n');
                fields(inner, indent + 2, out);
            }
            Value::Array(items) if !items.is_empty() => {
                out.push('\n');
                list(items, indent, out);
            }
            other => {
                out.push(' ');
                out.push_str(&scalar(other, indent + 2));
                out.push('\n');
            }
        }
    }
}

fn list(items: &[Value], indent: usize, out: &mut String) {
    for (index, item) in items.iter().enumerate() {
        if index > 0 || !out.ends_with("- ") {
            pad(indent, out);
        }
        out.push_str("- ");
        match item {
            Value::Object(inner) if !inner.is_empty() => fields(inner, indent + 2, out),
            Value::Array(inner) if !inner.is_empty() => list(inner, indent + 2, out),
            other => {
                out.push_str(&scalar(other, indent + 2));
                out.push('\n');
            }
        }
    }
}

fn pad(indent: usize, out: &mut String) {
    out.extend(std::iter::repeat_n(' ', indent));
}

fn scalar(value: &Value, indent: usize) -> String {
    match value {
        Value::String(s) => text(s, Some(indent)),
        Value::Object(_) => "{}".into(),
        Value::Array(_) => "[]".into(),
        other => other.to_string(),
    }
}

/// Plain where nobody can take it for anything else; a block of lines where `indent` allows; else quoted.
fn text(s: &str, indent: Option<usize>) -> String {
    if is_plain(s) {
        return s.to_owned();
    }
    if let Some(indent) = indent.filter(|_| is_block(s)) {
        let mut out = String::from(if s.ends_with('\n') { "|" } else { "|-" });
        for line in s.strip_suffix('\n').unwrap_or(s).split('\n') {
            out.push('\n');
            if !line.is_empty() {
                pad(indent, &mut out);
                out.push_str(line);
            }
        }
        return out;
    }
    let mut out = String::with_capacity(s.len() + 2);
    for c in Value::from(s).to_string().chars() {
        // Line breaks and controls to YAML, though not to JSON.
        if matches!(c, '\u{7f}'..='\u{a0}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}') {
            let _ = write!(out, "\\u{:04x}", u32::from(c));
        } else {
            out.push(c);
        }
    }
    out
}

fn is_plain(s: &str) -> bool {
    let starts_well = s.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/' || c == '_');
    starts_well
        && s.chars().all(|c| c.is_ascii_alphanumeric() || " _./:@%+=,()-".contains(c))
        && !s.contains(": ")
        && !s.ends_with([':', ' '])
        && !WORDS.iter().any(|w| s.eq_ignore_ascii_case(w))
}

/// Lines without anything that a block would lose.
fn is_block(s: &str) -> bool {
    let lines = s.strip_suffix('\n').unwrap_or(s);
    s.contains('\n')
        && !lines.is_empty()
        && !lines.ends_with('\n')
        && !lines.starts_with([' ', '\n'])
        && lines.chars().all(|c| c == '\n' || c == ' ' || c.is_ascii_graphic())
        && lines.split('\n').all(|l| !l.ends_with(' '))
}

const WORDS: &[&str] = &["y", "n", "yes", "no", "on", "off", "true", "false", "null"];
