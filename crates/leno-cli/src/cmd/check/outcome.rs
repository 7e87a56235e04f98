//! What a check says.

use serde::Serialize;

/// How it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Status {
    /// As it should be.
    #[serde(rename = "success")]
    Pass,
    /// Look at it.
    Warning,
    /// Wrong.
    #[serde(rename = "error")]
    Failure,
}

/// One check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Check {
    /// What was looked at, as if it were well.
    pub(crate) description: String,
    /// How it is.
    pub(crate) result: Status,
    /// What is not well.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) error: Vec<String>,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) hint: Option<String>,
}

/// A family of checks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Category {
    /// Its name.
    #[serde(rename = "categoryName")]
    pub(crate) name: &'static str,
    /// Its checks.
    pub(crate) checks: Vec<Check>,
}

impl Category {
    pub(crate) const fn new(name: &'static str) -> Self {
        Self { name, checks: Vec::new() }
    }

    /// Adds a check: well where nothing was found, else as bad as said.
    pub(crate) fn add(
        &mut self,
        description: impl Into<String>,
        otherwise: Status,
        found: Vec<String>,
        hint: impl Into<String>,
    ) {
        let is_well = found.is_empty();
        self.checks.push(Check {
            description: description.into(),
            result: if is_well { Status::Pass } else { otherwise },
            error: found,
            hint: (!is_well).then(|| hint.into()),
        });
    }

    /// The worst of its checks.
    pub(crate) fn worst(&self) -> Status {
        self.checks.iter().map(|c| c.result).max().unwrap_or(Status::Pass)
    }
}
