//! A line's form: a text with operators, or an object of them.

use std::fmt::Write as _;

use leno_core::log_format::{Format, FormatError, ISTIO_JSON, Piece};
use leno_core::model::telemetry::LogFormat;

use super::view::{Said, View};

/// A line's form, taken apart.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::telemetry) enum Layout {
    /// A text.
    Text(Format),
    /// An object, in the order of its keys.
    Json(Vec<(String, Format)>),
}

impl Layout {
    /// The form that the settings ask for.
    pub(in crate::telemetry) fn of(format: &LogFormat) -> Result<Self, FormatError> {
        Ok(match format {
            LogFormat::Text(None) => Self::Text(Format::istio()),
            LogFormat::Text(Some(text)) => Self::Text(Format::parse(text.trim_end_matches('\n'))?),
            LogFormat::Json(None) => Self::Json(labels(&ISTIO_JSON)?),
            LogFormat::Json(Some(keys)) => Self::Json(labels(keys)?),
        })
    }

    /// Its formats.
    pub(in crate::telemetry) fn formats(&self) -> Box<dyn Iterator<Item = &Format> + '_> {
        match self {
            Self::Text(format) => Box::new(std::iter::once(format)),
            Self::Json(keys) => Box::new(keys.iter().map(|(_, format)| format)),
        }
    }

    /// Writes a whole line.
    pub(super) fn write(&self, out: &mut String, view: &View<'_>) {
        match self {
            Self::Text(format) => text(out, format, view),
            Self::Json(keys) => json(out, keys, view),
        }
        out.push('\n');
    }
}

/// Keys and their formats.
pub(in crate::telemetry) fn labels(
    keys: &[(impl AsRef<str>, impl AsRef<str>)],
) -> Result<Vec<(String, Format)>, FormatError> {
    keys.iter().map(|(key, text)| Ok((key.as_ref().to_owned(), Format::parse(text.as_ref())?))).collect()
}

/// A text. What a stranger may have chosen can end neither quotes nor the line; what is not there is `-`.
pub(in crate::telemetry) fn text(out: &mut String, format: &Format, view: &View<'_>) {
    for piece in &format.pieces {
        match piece {
            Piece::Text(text) => out.push_str(text),
            Piece::Op(op, limit) => match view.say(op) {
                Said::Nothing => out.push('-'),
                Said::Number(n) => {
                    let _ = write!(out, "{n}");
                }
                Said::Text(text) => escape(out, cut(&text, *limit)),
            },
        }
    }
}

/// An object: a value that is one operator keeps its kind, so numbers stay numbers and what is not there is null.
fn json(out: &mut String, keys: &[(String, Format)], view: &View<'_>) {
    for (place, (key, format)) in keys.iter().enumerate() {
        out.push(if place == 0 { '{' } else { ',' });
        quoted(out, key);
        out.push(':');
        match format.pieces.as_slice() {
            [Piece::Op(op, limit)] => match view.say(op) {
                Said::Nothing => out.push_str("null"),
                Said::Number(n) => {
                    let _ = write!(out, "{n}");
                }
                Said::Text(text) => quoted(out, cut(&text, *limit)),
            },
            _ => {
                let mut whole = String::new();
                text(&mut whole, format, view);
                quoted(out, &whole);
            }
        }
    }
    if keys.is_empty() {
        out.push('{');
    }
    out.push('}');
}

fn quoted(out: &mut String, text: &str) {
    match serde_json::to_string(text) {
        Ok(quoted) => out.push_str(&quoted),
        Err(_) => out.push_str("null"),
    }
}

fn cut(text: &str, limit: Option<usize>) -> &str {
    match limit.and_then(|n| text.char_indices().nth(n)) {
        Some((end, _)) => &text[..end],
        None => text,
    }
}

fn escape(out: &mut String, text: &str) {
    let mut rest = text;
    while let Some(at) = rest.find(|c: char| c == '"' || c.is_control()) {
        out.push_str(&rest[..at]);
        let mut chars = rest[at..].chars();
        match chars.next() {
            Some('"') => out.push_str("\\\""),
            Some(c) => {
                let _ = write!(out, "\\x{:02x}", u32::from(c));
            }
            None => {}
        }
        rest = chars.as_str();
    }
    out.push_str(rest);
}
