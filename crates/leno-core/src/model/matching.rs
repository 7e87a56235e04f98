//! String matches, as Istio's `StringMatch` has them.

use std::fmt;
use std::sync::OnceLock;

use regex::Regex;
use serde::{Serialize, Serializer};

/// How a string must look.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum StringMatch {
    /// The same string.
    Exact(String),
    /// Starts with it.
    Prefix(String),
    /// The whole string matches (RE2 syntax, as in Envoy `safe_regex`).
    Regex(Pattern),
    /// Any value, as long as there is one.
    Present,
}

impl StringMatch {
    /// Whether `value` looks so.
    #[must_use]
    pub fn matches(&self, value: &str) -> bool {
        match self {
            Self::Exact(s) => s == value,
            Self::Prefix(p) => value.starts_with(p.as_str()),
            Self::Regex(p) => p.is_match(value),
            Self::Present => true,
        }
    }

    /// As [`Self::matches`], without regard to ASCII case for exact and prefix (`ignoreUriCase`).
    #[must_use]
    pub fn matches_ignoring_case(&self, value: &str) -> bool {
        match self {
            Self::Exact(s) => s.eq_ignore_ascii_case(value),
            Self::Prefix(p) => value.get(..p.len()).is_some_and(|v| v.eq_ignore_ascii_case(p)),
            Self::Regex(_) | Self::Present => self.matches(value),
        }
    }
}

/// A regular expression that must match a whole string; compared by its source.
#[derive(Clone)]
pub struct Pattern {
    source: String,
    compiled: Regex,
    /// Without anchors, for rewrites; compiled when first used.
    unanchored: OnceLock<Option<Regex>>,
}

impl Pattern {
    /// Compiles `source`, anchored at both ends.
    ///
    /// # Errors
    /// Where `source` is not a regular expression, or one too large (10 MiB compiled).
    pub fn new(source: impl Into<String>) -> Result<Self, regex::Error> {
        let source = source.into();
        // It must be whole by itself, or `a)|(b` would slip out of the anchors.
        Regex::new(&source)?;
        let compiled = Regex::new(&format!("^(?:{source})$"))?;
        Ok(Self { source, compiled, unanchored: OnceLock::new() })
    }

    /// As written.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Whether the whole of `value` matches.
    #[must_use]
    pub fn is_match(&self, value: &str) -> bool {
        self.compiled.is_match(value)
    }

    /// Replaces the match by `substitution` with RE2's `\1` groups (Istio's `uriRegexRewrite`).
    #[must_use]
    pub fn rewrite(&self, value: &str, substitution: &str) -> String {
        let unanchored = self.unanchored.get_or_init(|| Regex::new(&self.source).ok());
        let mut template = String::with_capacity(substitution.len());
        let mut chars = substitution.chars().peekable();
        while let Some(c) = chars.next() {
            match (c, chars.peek().copied()) {
                ('\\', Some(d)) if d.is_ascii_digit() => {
                    chars.next();
                    template.push_str("${");
                    template.push(d);
                    template.push('}');
                }
                ('\\', Some('\\')) => {
                    chars.next();
                    template.push('\\');
                }
                ('$', _) => template.push_str("$$"),
                _ => template.push(c),
            }
        }
        match unanchored {
            Some(re) => re.replace_all(value, template.as_str()).into_owned(),
            None => value.to_owned(),
        }
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pattern").field(&self.source).finish()
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl Eq for Pattern {}

impl Serialize for Pattern {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&self.source)
    }
}

#[cfg(test)]
mod tests;
