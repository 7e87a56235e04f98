//! Kubernetes objects, as far as Leno honours them.
//!
//! Every struct takes what Kubernetes takes and fills in Kubernetes' defaults. A field that is missing here is not
//! honoured: [`mod@crate::typed`] warns of it by name, unless [`crate::support`] lists it as harmless.

pub mod config;
pub mod container;
pub mod expand;
pub mod meta;
pub mod pod;
pub mod service;
pub mod validate;
pub mod volume;
pub mod workload;

pub use config::{ConfigMap, Namespace, Secret, ServiceAccount};
pub use container::{
    Capabilities, Container, ContainerPort, EnvFrom, EnvVar, EnvVarSource, Exec, GrpcAction, Handler, HttpGet,
    HttpHeader, KeyRef, Lifecycle, Probe, SecurityContext, SleepAction, TcpSocket,
};
pub use expand::expand;
pub use meta::{IntOrString, LabelSelector, ObjectMeta, OwnerReference};
pub use pod::{Pod, PodIp, PodSecurityContext, PodSpec, PodStatus, PodTemplate};
pub use service::{Endpoint, EndpointConditions, EndpointPort, EndpointSlice, Service, ServicePort, ServiceSpec};
pub use volume::{KeyToPath, Projection, Volume, VolumeMount};
pub use workload::{Deployment, DeploymentSpec, Job, JobSpec, StatefulSet, StatefulSetSpec};
