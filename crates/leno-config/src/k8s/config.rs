//! Namespaces, accounts, configuration.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use leno_core::model::Labels;
use serde::{Deserialize, Serialize};

use super::meta::ObjectMeta;

/// `v1 Namespace`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Namespace {
    /// `metadata`.
    pub metadata: ObjectMeta,
}

/// `v1 ServiceAccount`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ServiceAccount {
    /// `metadata`.
    pub metadata: ObjectMeta,
}

/// `v1 ConfigMap`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ConfigMap {
    /// `metadata`.
    pub metadata: ObjectMeta,
    /// Text.
    pub data: Labels,
    /// Bytes in base64.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub binary_data: Labels,
}

/// `v1 Secret`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Secret {
    /// `metadata`.
    pub metadata: ObjectMeta,
    /// `type`, `Opaque` by default; not judged.
    #[serde(rename = "type", skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// Bytes in base64.
    pub data: Labels,
    /// Text; wins over `data`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub string_data: Labels,
}

/// The value of this key is not base64.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("the value of `{key}` is not base64: {why}")]
pub struct NotBase64 {
    /// The key.
    pub key: String,
    /// What the decoder said.
    pub why: String,
}

impl ConfigMap {
    /// All its entries as bytes.
    ///
    /// # Errors
    /// A value of `binaryData` is not base64.
    pub fn bytes(&self) -> Result<BTreeMap<String, Vec<u8>>, NotBase64> {
        let mut all = decoded(&self.binary_data)?;
        all.extend(plain(&self.data));
        Ok(all)
    }
}

impl Secret {
    /// All its entries as bytes.
    ///
    /// # Errors
    /// A value of `data` is not base64.
    pub fn bytes(&self) -> Result<BTreeMap<String, Vec<u8>>, NotBase64> {
        let mut all = decoded(&self.data)?;
        all.extend(plain(&self.string_data));
        Ok(all)
    }
}

fn plain(values: &Labels) -> impl Iterator<Item = (String, Vec<u8>)> {
    values.iter().map(|(k, v)| (k.clone(), v.clone().into_bytes()))
}

fn decoded(values: &Labels) -> Result<BTreeMap<String, Vec<u8>>, NotBase64> {
    values
        .iter()
        .map(|(key, value)| {
            // Block scalars leave line ends in, which Go's decoder skips.
            let value: String = value.chars().filter(|c| !matches!(c, '\n' | '\r')).collect();
            match STANDARD.decode(value) {
                Ok(bytes) => Ok((key.clone(), bytes)),
                Err(why) => Err(NotBase64 { key: key.clone(), why: why.to_string() }),
            }
        })
        .collect()
}
