//! Where objects come from: files, or a Kubernetes cluster ([`crate::kube`]); both send the same batches.

pub mod files;
mod status;

use std::time::Instant;

use leno_config::{LowerContext, Lowered, Object};

pub use status::{ObjectState, ObjectStatus};

use crate::world::ObjectKey;

/// Objects that changed together.
#[derive(Debug)]
pub struct Batch {
    /// When the source learned of the first of them.
    pub at: Instant,
    /// What changed.
    pub changes: Vec<Change>,
    /// Problems of files that no object can be named for, by file; an empty list ends a file's problems.
    pub faults: Vec<(String, Vec<String>)>,
}

impl Batch {
    /// Whether there is no news in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.faults.is_empty()
    }
}

/// One object's change.
#[derive(Debug)]
pub enum Change {
    /// It is in force in this form.
    Accepted {
        /// Which.
        key: ObjectKey,
        /// What it says.
        pieces: Vec<Lowered>,
        /// Where it stands, and warnings.
        status: ObjectStatus,
    },
    /// It is refused; a former version stays in force.
    Refused {
        /// Which.
        key: ObjectKey,
        /// Where it stands, and why.
        status: ObjectStatus,
    },
    /// It is gone.
    Deleted {
        /// Which.
        key: ObjectKey,
    },
}

/// The key of an object.
#[must_use]
pub fn key_of(object: &Object) -> ObjectKey {
    ObjectKey {
        group: object.group().to_owned(),
        kind: object.kind.clone(),
        namespace: object.namespace().to_owned(),
        name: object.name.clone(),
    }
}

/// Judges one object; `None` for kinds that are not for the mesh.
#[must_use]
pub fn judge(object: &Object, context: &LowerContext) -> Option<Change> {
    let key = key_of(object);
    let in_file = !object.position.file.is_empty();
    let source = if in_file { object.position.to_string() } else { key.to_string() };
    let text = |mut diagnostic: leno_config::Diagnostic| {
        diagnostic.position = diagnostic.position.filter(|_| in_file);
        diagnostic.to_string()
    };
    let texts = |diagnostics: Vec<leno_config::Diagnostic>| diagnostics.into_iter().map(text).collect();
    match leno_config::lower(object, context) {
        Ok((pieces, _)) if pieces.is_empty() && !leno_config::lower::is_lowered(object) => None,
        Ok((pieces, warnings)) => {
            let status = ObjectStatus { source, state: ObjectState::Accepted, messages: texts(warnings) };
            Some(Change::Accepted { key, pieces, status })
        }
        Err(diagnostics) => {
            let status = ObjectStatus { source, state: ObjectState::Refused, messages: texts(diagnostics) };
            Some(Change::Refused { key, status })
        }
    }
}
