//! Volumes and where they are mounted.

use serde::{Deserialize, Serialize};

use super::container::FieldRef;

/// A volume of a pod: exactly one source.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Volume {
    /// Its name.
    pub name: String,
    /// Files from a `ConfigMap`.
    pub config_map: Option<ConfigMapVolume>,
    /// Files from a Secret.
    pub secret: Option<SecretVolume>,
    /// An empty directory that lives as long as the pod.
    pub empty_dir: Option<EmptyDir>,
    /// Files from several sources.
    pub projected: Option<ProjectedVolume>,
    /// Fields of the pod as files.
    #[serde(rename = "downwardAPI")]
    pub downward_api: Option<DownwardApi>,
    /// A path of this machine.
    pub host_path: Option<HostPath>,
}

/// Files from a `ConfigMap`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ConfigMapVolume {
    /// Its name.
    pub name: String,
    /// Keys and the files they become; empty = all keys by their names.
    pub items: Vec<KeyToPath>,
    /// Permissions; 0644.
    pub default_mode: Option<u32>,
    /// Whether it may be missing.
    pub optional: bool,
}

/// Files from a Secret.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct SecretVolume {
    /// Its name.
    pub secret_name: String,
    /// Keys and the files they become; empty = all keys by their names.
    pub items: Vec<KeyToPath>,
    /// Permissions; 0644.
    pub default_mode: Option<u32>,
    /// Whether it may be missing.
    pub optional: bool,
}

/// A key and the file it becomes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct KeyToPath {
    /// Key.
    pub key: String,
    /// Path within the volume.
    pub path: String,
    /// Permissions.
    pub mode: Option<u32>,
}

/// An empty directory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct EmptyDir {
    /// Empty or `Memory`.
    pub medium: String,
}

/// Files from several sources.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ProjectedVolume {
    /// The sources.
    pub sources: Vec<Projection>,
    /// Permissions; 0644.
    pub default_mode: Option<u32>,
}

/// One source of a projected volume: exactly one of these.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Projection {
    /// From a `ConfigMap`.
    pub config_map: Option<ObjectProjection>,
    /// From a Secret.
    pub secret: Option<ObjectProjection>,
    /// From fields of the pod.
    #[serde(rename = "downwardAPI")]
    pub downward_api: Option<DownwardApi>,
    /// A token of the pod's service account.
    pub service_account_token: Option<TokenProjection>,
}

/// Keys of an object as files.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ObjectProjection {
    /// Its name.
    pub name: String,
    /// Keys and the files they become; empty = all keys by their names.
    pub items: Vec<KeyToPath>,
    /// Whether it may be missing.
    pub optional: bool,
}

/// A token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct TokenProjection {
    /// Who takes it; empty = the API server.
    pub audience: String,
    /// Its life; 3600, at least 600.
    pub expiration_seconds: u64,
    /// Path within the volume.
    pub path: String,
}

impl Default for TokenProjection {
    fn default() -> Self {
        Self { audience: String::new(), expiration_seconds: 3600, path: String::new() }
    }
}

/// Fields of the pod as files.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct DownwardApi {
    /// The files.
    pub items: Vec<DownwardFile>,
    /// Permissions; 0644.
    pub default_mode: Option<u32>,
}

/// One field of the pod as a file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct DownwardFile {
    /// Path within the volume.
    pub path: String,
    /// The field.
    pub field_ref: Option<FieldRef>,
    /// Permissions.
    pub mode: Option<u32>,
}

/// A path of this machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct HostPath {
    /// The path.
    pub path: String,
    /// What must be there: empty, `Directory`, `DirectoryOrCreate`, `File`, `FileOrCreate` …
    #[serde(rename = "type")]
    pub kind: String,
}

/// A mount in a container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct VolumeMount {
    /// The volume.
    pub name: String,
    /// Where.
    pub mount_path: String,
    /// The part of the volume that is mounted; empty = all of it.
    pub sub_path: String,
    /// Not writable.
    pub read_only: bool,
}
