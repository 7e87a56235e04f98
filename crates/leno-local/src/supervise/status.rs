//! How everything is, and what is not ready.

use std::time::{Duration, SystemTime};

use leno_config::k8s::Service;
use serde_json::Value;

use super::endpoints::protocol;
use super::mesh::Mesh;
use super::workload::JobState;
use crate::object::ObjectKey;
use crate::pod::board::Phase;
use crate::pod::logs;
use crate::protocol::{PodStatus, ServiceStatus, Status, Unready, WorkloadStatus};
use crate::supervise::mesh::PodRecord;

/// The whole status.
pub(super) fn of(mesh: &Mesh) -> Status {
    let workloads =
        |kind: &str| mesh.objects_by_key().keys().filter(move |k| k.kind == kind).cloned().collect::<Vec<_>>();
    let keys = ["Deployment", "StatefulSet", "Job"].into_iter().flat_map(workloads);
    Status {
        state: mesh.state_dir().path().to_string_lossy().into_owned(),
        version: env!("CARGO_PKG_VERSION").into(),
        single_uid: mesh.is_single_uid(),
        ready: unready(mesh).is_empty(),
        system: mesh.system_list().iter().map(super::system::System::status).collect(),
        workloads: keys.filter_map(|key| workload(mesh, &key)).collect(),
        pods: mesh.pod_records().values().map(pod).collect(),
        services: services(mesh),
        warnings: mesh.objects_by_key().values().flat_map(|o| o.warnings.iter().cloned()).collect(),
    }
}

/// Everything that is not ready.
pub(super) fn unready(mesh: &Mesh) -> Vec<Unready> {
    let mut all = Vec::new();
    for system in mesh.system_list() {
        let status = system.status();
        if !status.ready {
            let hopeless = status.restarts > 3;
            let why = format!("{}; see `leno local logs system/{}`", status.message, status.name);
            all.push(Unready { what: status.name, why, hopeless });
        }
    }
    for key in mesh.objects_by_key().keys() {
        match key.kind.as_str() {
            "Deployment" | "StatefulSet" | "Job" | "Pod" => all.extend(unready_of(mesh, key)),
            _ => {}
        }
    }
    if all.is_empty() && !mesh.is_translated() {
        all.push(Unready { what: "service addresses".into(), why: "being written".into(), hopeless: false });
    }
    all
}

/// What of one workload is not ready.
pub(super) fn unready_of(mesh: &Mesh, key: &ObjectKey) -> Vec<Unready> {
    let name = format!("{} {}/{}", key.kind.to_lowercase(), key.namespace, key.name);
    let pods: Vec<&PodRecord> =
        mesh.pod_records().values().filter(|r| r.owner == *key && r.deleting.is_none()).collect();
    if key.kind == "Job" {
        return job(mesh, key, &name, &pods);
    }
    if key.kind == "Pod" {
        let missing = || vec![Unready { what: name.clone(), why: "it is being made".into(), hopeless: false }];
        return if pods.is_empty() { missing() } else { pods.iter().filter_map(|r| unready_pod(r)).collect() };
    }
    let Some(status) = workload(mesh, key) else { return Vec::new() };
    if status.done {
        return Vec::new();
    }
    let mut all: Vec<Unready> = pods.iter().filter_map(|r| unready_pod(r)).collect();
    if all.is_empty() {
        let why = format!("{} of {} pods are ready, {} are new", status.ready, status.desired, status.updated);
        all.push(Unready { what: name, why, hopeless: false });
    }
    all
}

fn job(mesh: &Mesh, key: &ObjectKey, name: &str, pods: &[&PodRecord]) -> Vec<Unready> {
    let Some(stored) = mesh.objects_by_key().get(key) else { return Vec::new() };
    match mesh.job_steps(key, &stored.json).0 {
        JobState::Complete => Vec::new(),
        JobState::Failed => {
            let why = "it failed more often than its backoffLimit allows".into();
            vec![Unready { what: name.to_owned(), why, hopeless: true }]
        }
        // One that runs is as ready as it will be before it ends.
        JobState::Active => pods
            .iter()
            .filter(|r| {
                let snapshot = r.pod.board.snapshot();
                !matches!(snapshot.phase, Phase::Succeeded | Phase::Failed) && !snapshot.is_ending()
            })
            .filter_map(|r| unready_pod(r))
            .collect(),
    }
}

fn unready_pod(record: &PodRecord) -> Option<Unready> {
    let snapshot = record.pod.board.snapshot();
    if snapshot.is_ready() || snapshot.phase == Phase::Succeeded {
        return None;
    }
    let what = format!("pod {}/{}", record.pod.namespace, record.pod.name);
    if snapshot.phase == Phase::Failed {
        return Some(Unready { what, why: "it failed".into(), hopeless: true });
    }
    if let Some((reason, why)) = snapshot.problem() {
        // Waiting will not bring a program or an object that does not exist; a crash may be one of the beginning.
        let age = record.created.elapsed().unwrap_or_default();
        let why = if reason == "CrashLoopBackOff" { format!("{why}{}", last_words(record)) } else { why };
        let hopeless =
            reason == "StartError" || (reason == "CreateContainerConfigError" && age > Duration::from_secs(3));
        return Some(Unready { what, why, hopeless });
    }
    let why = if snapshot.message.is_empty() { waits_for(&snapshot) } else { snapshot.message };
    Some(Unready { what, why, hopeless: false })
}

/// The end of what a container that crashes has said: `up` that fails leaves no log to look into.
fn last_words(record: &PodRecord) -> String {
    let snapshot = record.pod.board.snapshot();
    let Some(container) = snapshot.containers.iter().find(|c| c.reason == "CrashLoopBackOff") else {
        return String::new();
    };
    let file = record.pod.machine.state.log_of(&record.pod.namespace, &record.pod.name, &container.name);
    let lines = logs::last_lines(&file, 3);
    if lines.is_empty() { String::new() } else { format!("; its last output:\n    {}", lines.join("\n    ")) }
}

fn waits_for(snapshot: &crate::pod::board::Snapshot) -> String {
    let Some(container) = snapshot.containers.iter().find(|c| (!c.init || c.sidecar) && !c.ready) else {
        return "it is starting".into();
    };
    let init = snapshot.containers.iter().find(|c| c.init && !c.sidecar && c.state == "Running");
    match init {
        Some(init) => format!("init container {} runs", init.name),
        None if container.message.is_empty() => format!("container {} is not ready", container.name),
        None => format!("container {} is not ready: {}", container.name, container.message),
    }
}

fn workload(mesh: &Mesh, key: &ObjectKey) -> Option<WorkloadStatus> {
    let stored = mesh.objects_by_key().get(key)?;
    let number = |v: &Value, or: u32| v.as_u64().and_then(|n| u32::try_from(n).ok()).unwrap_or(or);
    let views = mesh.views(key, number(&stored.json["spec"]["minReadySeconds"], 0));
    let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let base = WorkloadStatus {
        kind: key.kind.clone(),
        namespace: key.namespace.clone(),
        name: key.name.clone(),
        ..WorkloadStatus::default()
    };
    if key.kind == "Job" {
        let state = mesh.job_steps(key, &stored.json).0;
        let succeeded = count(views.iter().filter(|v| v.ended == Some(true)).count());
        let message = if state == JobState::Failed { "failed too often".to_owned() } else { String::new() };
        return Some(WorkloadStatus {
            desired: number(&stored.json["spec"]["completions"], 1),
            ready: succeeded,
            updated: count(views.len()),
            done: state == JobState::Complete,
            message,
            ..base
        });
    }
    let template = &stored.json["spec"]["template"];
    let hash = super::pods::hash_of(template, &stored.restarted);
    let desired = number(&stored.json["spec"]["replicas"], 1);
    let alive: Vec<_> = views.iter().filter(|v| !v.deleting).collect();
    let updated = count(alive.iter().filter(|v| v.hash == hash).count());
    let ready = count(alive.iter().filter(|v| v.hash == hash && v.ready).count());
    let done = updated == desired && ready == desired && alive.len() == desired as usize;
    Some(WorkloadStatus { desired, ready, updated, done, ..base })
}

fn pod(record: &PodRecord) -> PodStatus {
    let snapshot = record.pod.board.snapshot();
    let problem = snapshot.problem();
    let phase = match snapshot.phase {
        Phase::Pending => "Pending",
        Phase::Running | Phase::Gone => "Running",
        Phase::Succeeded => "Completed",
        Phase::Failed => "Failed",
    };
    let status = match (&problem, record.deleting) {
        (_, Some(_)) => "Terminating",
        (Some((reason, _)), None) => reason,
        (None, None) => phase,
    };
    let message = match &problem {
        Some((_, why)) => why.clone(),
        None if !snapshot.message.is_empty() => snapshot.message.clone(),
        None if snapshot.phase == Phase::Running && !snapshot.is_ready() => waits_for(&snapshot),
        None => String::new(),
    };
    PodStatus {
        namespace: record.pod.namespace.clone(),
        name: record.pod.name.clone(),
        owner: if record.owner.kind == "Pod" {
            String::new()
        } else {
            format!("{}/{}", record.owner.kind, record.owner.name)
        },
        ip: record.pod.ip.to_string(),
        status: status.to_owned(),
        ready: snapshot.is_ready(),
        meshed: record.meshed,
        message: if message.is_empty() { record.note.clone() } else { message },
        restarts: snapshot.containers.iter().map(|c| c.restarts).sum(),
        age: SystemTime::now().duration_since(record.created).unwrap_or_default().as_secs(),
        containers: snapshot.containers,
    }
}

fn services(mesh: &Mesh) -> Vec<ServiceStatus> {
    let all = mesh.objects_by_key().iter().filter(|(k, _)| k.kind == "Service" && k.group.is_empty());
    all.filter_map(|(key, stored)| {
        let service: Service = serde_json::from_value(Value::clone(&stored.json)).ok()?;
        let spec = &service.spec;
        let selected = mesh.pod_records().values().filter(|r| {
            r.pod.namespace == key.namespace
                && !spec.selector.is_empty()
                && r.deleting.is_none()
                && spec.selector.iter().all(|(k, v)| r.pod.labels.get(k.as_str()) == Some(v))
                && r.pod.board.snapshot().is_ready()
        });
        let address = if spec.kind == "ExternalName" { spec.external_name.clone() } else { spec.cluster_ip.clone() };
        Some(ServiceStatus {
            namespace: key.namespace.clone(),
            name: key.name.clone(),
            address,
            ports: spec.ports.iter().map(|p| format!("{}/{}", p.port, protocol(&p.protocol))).collect(),
            endpoints: selected.map(|r| r.pod.ip.to_string()).collect(),
        })
    })
    .collect()
}
