//! Codes and their registry.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

/// How bad a finding is; the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum Level {
    /// Something does not work, or does not protect.
    Error,
    /// Something probably does not do what was meant.
    Warning,
    /// Worth knowing.
    Info,
}

impl Level {
    /// Whether this is at least as bad as `threshold`.
    #[must_use]
    pub fn reaches(self, threshold: Self) -> bool {
        self <= threshold
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "Error",
            Self::Warning => "Warning",
            Self::Info => "Info",
        })
    }
}

impl FromStr for Level {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.to_ascii_lowercase().as_str() {
            "error" => Ok(Self::Error),
            "warning" => Ok(Self::Warning),
            "info" => Ok(Self::Info),
            _ => Err(format!("`{text}` is none of Info, Warning, Error")),
        }
    }
}

/// A kind of finding.
#[derive(Debug, PartialEq, Eq)]
pub struct Code {
    /// `IST0101`, `LENO0001`.
    pub id: &'static str,
    /// Its name; Istio's where the code is Istio's.
    pub name: &'static str,
    /// How bad it is.
    pub level: Level,
    /// What it means, and what comes of it.
    pub what: &'static str,
    /// What to do about it.
    pub mend: &'static str,
}

/// Every code, sorted by its id.
#[must_use]
pub fn registry() -> Vec<&'static Code> {
    let mut all: Vec<&Code> = crate::checks::ALL.iter().flat_map(|(codes, _)| codes.iter().copied()).collect();
    all.push(&crate::finding::DUPLICATE_OBJECT);
    all.sort_by_key(|code| code.id);
    all
}
