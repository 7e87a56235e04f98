//! What is wrong, or risky, between the objects of a mesh.
//!
//! Objects in, [`Finding`]s out, no I/O: [`analyze`] takes what files hold (with lines) together with what a cluster
//! holds ([`object_from_json`]), and says everything that its checks find, each with a [`Code`]. Codes are Istio's where
//! Istio has one for it (`IST0101`), with its level and the shape of its message, else Leno's own (`LENO0001`).
//!
//! A false alarm costs more than a miss: a check speaks only where the objects at hand prove it. What cannot be known
//! from files alone (which pods run, which services exist) is asked of the set only where [`Options::complete`] says that
//! it is the whole cluster, or where the set itself holds objects of that kind.
//!
//! One file below [`checks`] for each family; each code is a constant there with what it means and how to mend it, from
//! which `docs/codes.md` is made.

mod checks;
mod code;
mod finding;
mod json;
mod mesh;
mod set;
mod suppress;

pub use code::{Code, Level, registry};
pub use finding::{DOCUMENTATION, Finding};
pub use json::object_from_json;
pub use suppress::{NotASuppression, Suppression};

use leno_config::{Diagnostic, Object};

/// What a set of objects is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The set holds everything of the cluster that the checks look at, so that what is not there does not exist.
    pub complete: bool,
    /// Namespaces whose policies hold for the whole mesh.
    pub root_namespaces: Vec<String>,
    /// Where the control plane is installed.
    pub install_namespace: String,
    /// SPIFFE trust domain; `None` where it is not known.
    pub trust_domain: Option<String>,
    /// Kubernetes runs native sidecars (1.29 and later).
    pub native_sidecars: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            complete: false,
            root_namespaces: vec!["istio-system".to_owned(), "leno-system".to_owned()],
            install_namespace: "leno-system".to_owned(),
            trust_domain: None,
            native_sidecars: true,
        }
    }
}

/// All findings about `objects`, sorted by level, code and object, without repetition. Annotations
/// `galley.istio.io/analyze-suppress` are honoured.
#[must_use]
pub fn analyze(objects: &[Object], options: &Options) -> Vec<Finding> {
    let set = set::Set::new(objects, options);
    let mut report = finding::Report::default();
    report.duplicates(objects);
    for (_, check) in checks::ALL {
        check(&set, &mut report);
    }
    report.finish()
}

/// What could not be read at all, as findings of the code `IST0106`.
#[must_use]
pub fn unreadable(diagnostics: &[Diagnostic]) -> Vec<Finding> {
    diagnostics.iter().map(checks::schema::of_unreadable).collect()
}
