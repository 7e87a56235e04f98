//! Containers, their probes, hooks and environment.

use serde::{Deserialize, Deserializer, Serialize};

use super::meta::IntOrString;
use super::volume::VolumeMount;

/// One container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Container {
    /// Its name.
    pub name: String,
    /// Image; without meaning to Leno but where it names a local root folder.
    pub image: String,
    /// Program and first arguments.
    pub command: Vec<String>,
    /// Further arguments.
    pub args: Vec<String>,
    /// Directory it starts in; empty = that of the image.
    pub working_dir: String,
    /// Ports it names.
    pub ports: Vec<ContainerPort>,
    /// Environment.
    pub env: Vec<EnvVar>,
    /// Environment from whole objects.
    pub env_from: Vec<EnvFrom>,
    /// Mounts.
    pub volume_mounts: Vec<VolumeMount>,
    /// Restarted when it fails.
    pub liveness_probe: Option<Probe>,
    /// Takes traffic while it holds.
    pub readiness_probe: Option<Probe>,
    /// Holds the others back until it has held once.
    pub startup_probe: Option<Probe>,
    /// Hooks.
    pub lifecycle: Option<Lifecycle>,
    /// `Always` makes an init container a sidecar that starts before the next one and ends last.
    pub restart_policy: Option<String>,
    /// User and capabilities.
    pub security_context: Option<SecurityContext>,
}

/// A port of a container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ContainerPort {
    /// Its name, which services and probes may use.
    pub name: String,
    /// Number.
    pub container_port: u16,
    /// `TCP` (also when empty), `UDP` or `SCTP`.
    pub protocol: String,
}

/// One variable.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct EnvVar {
    /// Name.
    pub name: String,
    /// Value, in which `$(NAME)` is expanded.
    pub value: Option<String>,
    /// Where the value comes from instead.
    pub value_from: Option<EnvVarSource>,
}

/// Where a variable's value comes from: exactly one of these.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct EnvVarSource {
    /// A field of the pod.
    pub field_ref: Option<FieldRef>,
    /// A key of a `ConfigMap`.
    pub config_map_key_ref: Option<KeyRef>,
    /// A key of a Secret.
    pub secret_key_ref: Option<KeyRef>,
}

/// A field of the pod: `metadata.name`, `metadata.labels['app']`, `status.podIP` …
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct FieldRef {
    /// `v1`.
    pub api_version: String,
    /// The field.
    pub field_path: String,
}

/// A key of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct KeyRef {
    /// Object.
    pub name: String,
    /// Key.
    pub key: String,
    /// Whether it may be missing.
    pub optional: bool,
}

/// Variables from a whole object: exactly one of the two.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct EnvFrom {
    /// Put before each name.
    pub prefix: String,
    /// A `ConfigMap`.
    pub config_map_ref: Option<ObjectRef>,
    /// A Secret.
    pub secret_ref: Option<ObjectRef>,
}

/// An object in the pod's namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ObjectRef {
    /// Its name.
    pub name: String,
    /// Whether it may be missing.
    pub optional: bool,
}

/// A probe. All times in seconds, with Kubernetes' defaults (which also stand for 0, as on the API server).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Probe {
    /// Runs a program.
    pub exec: Option<Exec>,
    /// Asks by HTTP.
    pub http_get: Option<HttpGet>,
    /// Connects.
    pub tcp_socket: Option<TcpSocket>,
    /// Asks `grpc.health.v1.Health`.
    pub grpc: Option<GrpcAction>,
    /// Time from the container's start to the first probe; 0.
    pub initial_delay_seconds: u32,
    /// Limit of one probe; 1.
    #[serde(deserialize_with = "zero_means::<1, _>")]
    pub timeout_seconds: u32,
    /// Time between probes; 10.
    #[serde(deserialize_with = "zero_means::<10, _>")]
    pub period_seconds: u32,
    /// Successes in a row that count as one; 1.
    #[serde(deserialize_with = "zero_means::<1, _>")]
    pub success_threshold: u32,
    /// Failures in a row that count as one; 3.
    #[serde(deserialize_with = "zero_means::<3, _>")]
    pub failure_threshold: u32,
    /// Instead of the pod's, where this probe's failure ends the container.
    pub termination_grace_period_seconds: Option<u64>,
}

impl Default for Probe {
    fn default() -> Self {
        Self {
            exec: None,
            http_get: None,
            tcp_socket: None,
            grpc: None,
            initial_delay_seconds: 0,
            timeout_seconds: 1,
            period_seconds: 10,
            success_threshold: 1,
            failure_threshold: 3,
            termination_grace_period_seconds: None,
        }
    }
}

fn zero_means<'de, const N: u32, D: Deserializer<'de>>(d: D) -> Result<u32, D::Error> {
    Ok(match u32::deserialize(d)? {
        0 => N,
        n => n,
    })
}

/// Runs a program in the container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Exec {
    /// Program and arguments; no shell.
    pub command: Vec<String>,
}

/// An HTTP request; 200 to 399 is success.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct HttpGet {
    /// Host; empty = the pod's address.
    pub host: String,
    /// Path and query; empty = `/`.
    pub path: String,
    /// Port or its name.
    pub port: IntOrString,
    /// `HTTP` (also when empty) or `HTTPS`.
    pub scheme: String,
    /// Further headers.
    pub http_headers: Vec<HttpHeader>,
}

/// A header of a probe.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct HttpHeader {
    /// Name.
    pub name: String,
    /// Value.
    pub value: String,
}

/// A connection.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct TcpSocket {
    /// Host; empty = the pod's address.
    pub host: String,
    /// Port or its name.
    pub port: IntOrString,
}

/// A gRPC health check.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct GrpcAction {
    /// Port.
    pub port: u16,
    /// Service asked for; empty = the server as a whole.
    pub service: String,
}

/// Hooks of a container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Lifecycle {
    /// Right after the start; the container counts as started when it is done.
    pub post_start: Option<Handler>,
    /// Before the end, within the grace period.
    pub pre_stop: Option<Handler>,
}

/// What a hook does: exactly one of these.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Handler {
    /// Runs a program.
    pub exec: Option<Exec>,
    /// Asks by HTTP.
    pub http_get: Option<HttpGet>,
    /// Waits.
    pub sleep: Option<SleepAction>,
}

/// Waits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct SleepAction {
    /// Seconds.
    pub seconds: u64,
}

/// User and capabilities of a container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct SecurityContext {
    /// User id.
    pub run_as_user: Option<u32>,
    /// Group id.
    pub run_as_group: Option<u32>,
    /// Capabilities.
    pub capabilities: Option<Capabilities>,
}

/// Capabilities without `CAP_`, or `ALL`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Capabilities {
    /// Given.
    pub add: Vec<String>,
    /// Taken away.
    pub drop: Vec<String>,
}
