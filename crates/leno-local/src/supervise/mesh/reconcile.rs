//! What is wanted and what is: pods come and go.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use leno_config::k8s::{Deployment, Job, StatefulSet};
use leno_core::model::Labels;
use leno_install::NamespaceMeta;
use serde_json::{Value, json};

use super::{Event, Mesh, PodRecord};
use crate::object::ObjectKey;
use crate::pod::board::Phase;
use crate::pod::{self, Board, Pod};
use crate::supervise::pods;
use crate::supervise::workload::{self, Action, DeploymentGoal, JobGoal, JobState, PodView};

impl Mesh {
    /// One round; what it starts comes back as events.
    pub(super) fn reconcile(&mut self) {
        let workloads: Vec<ObjectKey> =
            self.objects.keys().filter(|k| WORKLOADS.contains(&k.kind.as_str())).cloned().collect();
        for key in &workloads {
            let Some(stored) = self.objects.get(key) else { continue };
            let (json, restarted) = (Arc::clone(&stored.json), stored.restarted.clone());
            let template = if key.kind == "Pod" { json.as_ref().clone() } else { json["spec"]["template"].clone() };
            let hash = pods::hash_of(&template, &restarted);
            for action in self.next_steps(key, &json, &hash) {
                self.step(key, &template, &hash, action);
            }
        }
        // Pods whose workload is gone.
        let orphans: Vec<(String, String)> =
            self.pods.iter().filter(|(_, r)| !self.objects.contains_key(&r.owner)).map(|(k, _)| k.clone()).collect();
        for key in orphans {
            self.end_pod(&key);
        }
    }

    fn next_steps(&self, key: &ObjectKey, object: &Value, hash: &str) -> Vec<Action> {
        match key.kind.as_str() {
            "Deployment" => {
                let Ok(deployment) = serde_json::from_value::<Deployment>(object.clone()) else { return Vec::new() };
                let spec = deployment.spec;
                let replicas = spec.replicas as usize;
                let update = &spec.strategy.rolling_update;
                let goal = DeploymentGoal {
                    replicas,
                    hash: hash.to_owned(),
                    surge: workload::share(&update.max_surge.to_string(), replicas, true),
                    unavailable: workload::share(&update.max_unavailable.to_string(), replicas, false),
                    recreate: spec.strategy.kind == "Recreate",
                };
                workload::deployment(&goal, &self.views(key, spec.min_ready_seconds))
            }
            "StatefulSet" => {
                let Ok(set) = serde_json::from_value::<StatefulSet>(object.clone()) else { return Vec::new() };
                let parallel = set.spec.pod_management_policy == "Parallel";
                let views = self.views(key, set.spec.min_ready_seconds);
                workload::stateful_set(&key.name, set.spec.replicas, hash, parallel, &views)
            }
            "Job" => self.job_steps(key, object).1,
            _ => {
                let views = self.views(key, 0);
                match views.first() {
                    None => vec![Action::Create],
                    Some(view) if view.hash != hash && !view.deleting => vec![Action::Delete(view.name.clone())],
                    Some(_) => Vec::new(),
                }
            }
        }
    }

    /// How far a Job is, and what it does next.
    pub(in crate::supervise) fn job_steps(&self, key: &ObjectKey, object: &Value) -> (JobState, Vec<Action>) {
        let Ok(job) = serde_json::from_value::<Job>(object.clone()) else { return (JobState::Failed, Vec::new()) };
        let goal = JobGoal {
            parallelism: job.spec.parallelism as usize,
            completions: match (job.spec.completions, job.spec.parallelism) {
                (Some(n), _) => Some(n as usize),
                (None, 0 | 1) => Some(1),
                (None, _) => None,
            },
            backoff_limit: job.spec.backoff_limit as usize,
        };
        let (state, mut actions) = workload::job(&goal, &self.views(key, 0));
        if self.hold_off.get(key).is_some_and(|until| Instant::now() < *until) {
            actions.retain(|a| !matches!(a, Action::Create));
        }
        (state, actions)
    }

    /// The pods of a workload.
    pub(in crate::supervise) fn views(&self, owner: &ObjectKey, min_ready_seconds: u32) -> Vec<PodView> {
        let long_enough = Duration::from_secs(min_ready_seconds.into());
        self.pods
            .values()
            .filter(|r| r.owner == *owner)
            .map(|r| PodView {
                name: r.pod.name.clone(),
                hash: r.hash.clone(),
                ready: r.ready_since.is_some_and(|since| since.elapsed() >= long_enough),
                deleting: r.deleting.is_some(),
                ended: match r.pod.board.snapshot().phase {
                    Phase::Succeeded => Some(true),
                    Phase::Failed => Some(false),
                    _ => None,
                },
            })
            .collect()
    }

    fn step(&mut self, owner: &ObjectKey, template: &Value, hash: &str, action: Action) {
        match action {
            Action::Create if owner.kind == "Pod" => self.create_pod(owner, &owner.name, template, hash),
            Action::Create => {
                let base = if owner.kind == "Job" { owner.name.clone() } else { format!("{}-{hash}", owner.name) };
                let mut name = pods::name_for(&base);
                while self.pods.contains_key(&(owner.namespace.clone(), name.clone())) {
                    name = pods::name_for(&base);
                }
                if owner.kind == "Job" {
                    let failures = self.views(owner, 0).iter().filter(|v| v.ended == Some(false)).count();
                    let wait = Duration::from_secs(if failures == 0 { 0 } else { 1 << failures.min(5) });
                    self.hold_off.insert(owner.clone(), Instant::now() + wait);
                }
                self.create_pod(owner, &name, template, hash);
            }
            Action::CreateNumber(n) => {
                let name = format!("{}-{n}", owner.name);
                let mut template = template.clone();
                template["metadata"]["labels"]["apps.kubernetes.io/pod-index"] = json!(n.to_string());
                template["metadata"]["labels"]["statefulset.kubernetes.io/pod-name"] = json!(name);
                template["spec"]["hostname"] = json!(name);
                let service =
                    self.objects.get(owner).and_then(|o| o.json["spec"]["serviceName"].as_str().map(str::to_owned));
                if let Some(service) = service {
                    template["spec"]["subdomain"] = json!(service);
                }
                self.create_pod(owner, &name, &template, hash);
            }
            Action::Delete(name) => {
                self.end_pod(&(owner.namespace.clone(), name));
            }
        }
    }

    fn create_pod(&mut self, owner: &ObjectKey, name: &str, template: &Value, hash: &str) {
        let mut template = template.clone();
        match owner.kind.as_str() {
            "Deployment" => template["metadata"]["labels"]["pod-template-hash"] = json!(hash),
            "Job" => template["metadata"]["labels"]["batch.kubernetes.io/job-name"] = json!(owner.name),
            _ => {}
        }
        let space = self.namespace_meta(&owner.namespace);
        let by = (owner.kind != "Pod").then_some(owner);
        let made = match pods::make(&template, (&owner.namespace, name), by, &space, &self.settings) {
            Ok(made) => made,
            Err(why) => return tracing::error!("{owner}: {why}"),
        };
        let Some(ip) = self.pod_addresses.take() else { return tracing::error!("all pod addresses are taken") };
        let index = self.next_index;
        self.next_index += 1;
        let (events, key) = (self.events.clone(), (owner.namespace.clone(), name.to_owned()));
        let (namespace, own) = key.clone();
        let board = Board::new(&made.typed.spec, move || events.send(Event::Pod(namespace.clone(), own.clone())));
        let labels = |l: &Labels| l.iter().map(|(k, v)| (k.clone(), v.clone())).collect::<BTreeMap<_, _>>();
        let pod = Arc::new(Pod {
            namespace: owner.namespace.clone(),
            name: name.to_owned(),
            uid: made.typed.metadata.uid.clone(),
            ip,
            index,
            labels: labels(&made.typed.metadata.labels),
            annotations: labels(&made.typed.metadata.annotations),
            spec: made.typed.spec,
            machine: Arc::clone(&self.machine),
            board,
        });
        let record = PodRecord {
            object: made.object,
            handle: pod::start(Arc::clone(&pod)),
            pod,
            owner: owner.clone(),
            hash: hash.to_owned(),
            created: SystemTime::now(),
            deleting: None,
            ready_since: None,
            meshed: made.meshed,
            note: made.note,
        };
        self.pods.insert(key, record);
    }

    /// Takes a pod out of its services, then tells it to end. False if there is no such pod.
    pub(super) fn end_pod(&mut self, key: &(String, String)) -> bool {
        let Some(record) = self.pods.get_mut(key) else { return false };
        if record.deleting.is_some() {
            return true;
        }
        record.deleting = Some(SystemTime::now());
        let handle = record.handle.clone();
        // Whoever still dials it by what they know learns of its end before it ends.
        let wait = if record.ready_since.is_some() { LEAVE_SERVICES } else { Duration::ZERO };
        tokio::spawn(async move {
            tokio::time::sleep(wait).await;
            handle.stop();
        });
        true
    }

    /// What a namespace says about its pods.
    pub(super) fn namespace_meta(&self, name: &str) -> NamespaceMeta {
        let object = self.objects.get(&ObjectKey::core("Namespace", "", name));
        pods::namespace_meta(name, object.map(|o| o.json.as_ref()))
    }
}

const WORKLOADS: &[&str] = &["Deployment", "StatefulSet", "Job", "Pod"];
/// From leaving the services to SIGTERM: longer than endpoints take to reach every proxy.
const LEAVE_SERVICES: Duration = Duration::from_millis(500);
