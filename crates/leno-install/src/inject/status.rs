//! The annotation that tells what injection added: Istio's keys, and Leno's own that undoing it needs.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What was added.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Status {
    /// Names.
    #[serde(deserialize_with = "null_is_empty")]
    pub(super) init_containers: Vec<String>,
    /// Names.
    #[serde(deserialize_with = "null_is_empty")]
    pub(super) containers: Vec<String>,
    /// Names.
    #[serde(deserialize_with = "null_is_empty")]
    pub(super) volumes: Vec<String>,
    /// Names.
    #[serde(deserialize_with = "null_is_empty")]
    pub(super) image_pull_secrets: Vec<String>,
    /// Of the control plane.
    pub(super) revision: String,
    /// `leno`: others write this annotation too.
    pub(super) injector: String,
    /// Keys.
    pub(super) labels: Vec<String>,
    /// Keys.
    pub(super) annotations: Vec<String>,
    /// Fields that were not there at all.
    pub(super) made: BTreeSet<Made>,
}

/// A field that injection made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Made {
    Metadata,
    Labels,
    Annotations,
    InitContainers,
    Volumes,
    ImagePullSecrets,
}

impl Status {
    pub(super) fn to_json(&self) -> Value {
        let mut own = self.clone();
        INJECTOR.clone_into(&mut own.injector);
        serde_json::to_value(own).unwrap_or_default()
    }

    /// Reads it. `None`: it is not Leno's.
    pub(super) fn read(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok().filter(|s: &Self| s.injector == INJECTOR)
    }
}

fn null_is_empty<'de, D: serde::Deserializer<'de>>(d: D) -> Result<Vec<String>, D::Error> {
    Ok(Option::deserialize(d)?.unwrap_or_default())
}

const INJECTOR: &str = "leno";
