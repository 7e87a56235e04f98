//! Judgements about a set of objects.

use crate::diagnostic::Diagnostic;
use crate::object::Object;

/// What is wrong between the objects of a set.
#[must_use]
pub fn check_set(objects: &[Object]) -> Vec<Diagnostic> {
    let _ = objects;
    Vec::new()
}
