//! What became of an object.

use serde::Serialize;

/// Whether an object is in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ObjectState {
    /// It is.
    Accepted,
    /// It is not; a former version may be.
    Refused,
}

/// State of one object with everything there is to say about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ObjectStatus {
    /// `file:line`, or `Kind namespace/name` of an object of a cluster.
    pub source: String,
    /// Whether it is in force.
    pub state: ObjectState,
    /// Errors and warnings, as the command line shows them.
    pub messages: Vec<String>,
}
