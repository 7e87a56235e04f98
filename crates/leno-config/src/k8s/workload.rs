//! What makes pods.

use serde::{Deserialize, Serialize};

use super::meta::{IntOrString, LabelSelector, ObjectMeta};
use super::pod::PodTemplate;

/// `apps/v1 Deployment`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Deployment {
    /// `metadata`.
    pub metadata: ObjectMeta,
    /// `spec`.
    pub spec: DeploymentSpec,
}

/// `spec` of a Deployment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct DeploymentSpec {
    /// Pods; 1.
    pub replicas: u32,
    /// Which pods are its own; must select the template's labels.
    pub selector: LabelSelector,
    /// The pods.
    pub template: PodTemplate,
    /// How pods are replaced.
    pub strategy: Strategy,
    /// Time that a pod must be ready before it counts, in seconds; 0.
    pub min_ready_seconds: u32,
}

impl Default for DeploymentSpec {
    fn default() -> Self {
        Self {
            replicas: 1,
            selector: LabelSelector::default(),
            template: PodTemplate::default(),
            strategy: Strategy::default(),
            min_ready_seconds: 0,
        }
    }
}

/// How a Deployment replaces pods.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Strategy {
    /// `RollingUpdate` (the default) or `Recreate`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Bounds of a rolling update.
    pub rolling_update: RollingUpdate,
}

impl Default for Strategy {
    fn default() -> Self {
        Self { kind: "RollingUpdate".to_owned(), rolling_update: RollingUpdate::default() }
    }
}

/// Bounds of a rolling update: numbers or percentages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct RollingUpdate {
    /// Pods beyond `replicas`; `25%`, rounded up.
    pub max_surge: IntOrString,
    /// Pods that may be missing; `25%`, rounded down.
    pub max_unavailable: IntOrString,
}

impl Default for RollingUpdate {
    fn default() -> Self {
        Self { max_surge: IntOrString::Text("25%".to_owned()), max_unavailable: IntOrString::Text("25%".to_owned()) }
    }
}

/// `apps/v1 StatefulSet`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct StatefulSet {
    /// `metadata`.
    pub metadata: ObjectMeta,
    /// `spec`.
    pub spec: StatefulSetSpec,
}

/// `spec` of a `StatefulSet`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct StatefulSetSpec {
    /// Pods; 1.
    pub replicas: u32,
    /// Which pods are its own; must select the template's labels.
    pub selector: LabelSelector,
    /// The pods.
    pub template: PodTemplate,
    /// The headless service that names the pods.
    pub service_name: String,
    /// `OrderedReady` (the default) or `Parallel`.
    pub pod_management_policy: String,
    /// Time that a pod must be ready before it counts, in seconds; 0.
    pub min_ready_seconds: u32,
}

impl Default for StatefulSetSpec {
    fn default() -> Self {
        Self {
            replicas: 1,
            selector: LabelSelector::default(),
            template: PodTemplate::default(),
            service_name: String::new(),
            pod_management_policy: "OrderedReady".to_owned(),
            min_ready_seconds: 0,
        }
    }
}

/// `batch/v1 Job`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Job {
    /// `metadata`.
    pub metadata: ObjectMeta,
    /// `spec`.
    pub spec: JobSpec,
}

/// `spec` of a Job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct JobSpec {
    /// Pods that must succeed. `None`: 1, or any one of `parallelism`.
    pub completions: Option<u32>,
    /// Pods at a time; 1.
    pub parallelism: u32,
    /// Failures before the Job has failed; 6.
    pub backoff_limit: u32,
    /// Limit of the whole Job.
    pub active_deadline_seconds: Option<u64>,
    /// Time after which it is removed once it has ended.
    pub ttl_seconds_after_finished: Option<u64>,
    /// The pods.
    pub template: PodTemplate,
}

impl Default for JobSpec {
    fn default() -> Self {
        Self {
            completions: None,
            parallelism: 1,
            backoff_limit: 6,
            active_deadline_seconds: None,
            ttl_seconds_after_finished: None,
            template: PodTemplate::default(),
        }
    }
}
