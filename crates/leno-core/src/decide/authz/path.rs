//! Paths as policies see them, so that no spelling passes by a policy.

use std::borrow::Cow;

use super::values::{Judged, template, wildcard};
use crate::decide::route::hex_pair;

/// The path cannot be given one meaning: it holds a NUL, or a `#`, which no client sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the path holds a NUL or a fragment")]
pub struct BadPath;

/// Istio's path normalisation BASE, for policies and for what is forwarded: percent-encoded unreserved characters are
/// decoded (once), `\` becomes `/`, and `.` and `..` segments are resolved. Slashes are neither decoded nor merged. A
/// query is cut off, and so are the scheme and authority of a target in absolute form. What does not begin with a slash
/// then (`*`, `host:port`) stays as it is.
///
/// # Errors
/// [`BadPath`]: answer 400, as Envoy does.
pub fn normalize_path(path: &str) -> Result<Cow<'_, str>, BadPath> {
    let path = origin_form(path)?;
    Ok(if is_relative(path) || is_plain(path) {
        Cow::Borrowed(path)
    } else {
        Cow::Owned(resolve_dots(&unescape(path)))
    })
}

/// The path alone, without query, scheme and authority.
fn origin_form(path: &str) -> Result<&str, BadPath> {
    let path = path.split_once('?').map_or(path, |(p, _)| p);
    let path = match path.split_once("://") {
        Some((scheme, rest)) if !scheme.contains(['/', '\\']) => rest.find(['/', '\\']).map_or("/", |at| &rest[at..]),
        _ => path,
    };
    if path.contains(['\0', '#']) || path.contains("%00") { Err(BadPath) } else { Ok(path) }
}

fn is_relative(path: &str) -> bool {
    !path.starts_with(['/', '\\'])
}

fn unescape(path: &str) -> String {
    decode(path, is_unreserved).replace('\\', "/")
}

/// All meanings that servers give to one path.
///
/// Istio judges only the first unless told otherwise, so that `//admin` and `/x%2f..%2fadmin` pass by a DENY of
/// `/admin` (CVE-2021-31920). Here every meaning must be allowed, and none may be denied.
pub(super) struct PathForms {
    base: String,
    /// Slashes decoded and merged, dots resolved before and after merging; empty where they are the same as `base`.
    others: Vec<String>,
}

impl PathForms {
    pub(super) fn new(path: &str) -> Result<Self, BadPath> {
        let path = origin_form(path)?;
        if is_relative(path) || is_plain(path) {
            return Ok(Self { base: path.to_owned(), others: Vec::new() });
        }
        let unescaped = unescape(path);
        let base = resolve_dots(&unescaped);
        // From the path as it came, not from `base`: a server that merges slashes first resolves dots otherwise.
        let decoded = decode(&unescaped, |b| b == b'/' || b == b'\\').replace('\\', "/");
        let resolved_first = merge_slashes(&resolve_dots(&decoded));
        let merged_first = resolve_dots(&merge_slashes(&decoded));
        let mut others = Vec::new();
        for form in [resolved_first, merged_first] {
            if form != base && !others.contains(&form) {
                others.push(form);
            }
        }
        Ok(Self { base, others })
    }

    /// A value that is itself written with encoded or doubled slashes speaks of the path as it came.
    pub(super) fn judge(&self, value: &str) -> Judged {
        let matches = |path: &String| template(value, path).unwrap_or_else(|| wildcard(value, path));
        let base = matches(&self.base);
        let literal = value.contains("//") || value.contains('%');
        Judged {
            possible: base || self.others.iter().any(matches),
            sure: base && (literal || self.others.iter().all(matches)),
        }
    }
}

/// Nothing to normalise: no escape, backslash, double slash, or segment that begins with a dot.
fn is_plain(path: &str) -> bool {
    !path.contains(['%', '\\']) && !path.contains("//") && !path.contains("/.")
}

fn is_unreserved(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~')
}

/// Decodes escapes of ASCII characters that `which` names, once.
fn decode(path: &str, which: fn(u8) -> bool) -> String {
    let mut out = String::with_capacity(path.len());
    let mut rest = path;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        match hex_pair(rest.as_bytes(), at).filter(|b| b.is_ascii() && which(*b)) {
            Some(byte) => {
                out.push(char::from(byte));
                rest = &rest[at + 3..];
            }
            None => {
                out.push('%');
                rest = &rest[at + 1..];
            }
        }
    }
    out.push_str(rest);
    out
}

/// RFC 3986, section 5.2.4, for a path that begins with `/`.
fn resolve_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        match segment {
            "." | ".." => {
                if segment == ".." {
                    kept.pop();
                }
                if last {
                    kept.push("");
                }
            }
            _ => kept.push(segment),
        }
    }
    kept.iter().fold(String::with_capacity(path.len()), |out, segment| out + "/" + segment)
}

fn merge_slashes(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for c in path.chars() {
        if c != '/' || !out.ends_with('/') {
            out.push(c);
        }
    }
    out
}
