//! The objects that a question is asked of, and what names in it stand for.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use anyhow::{anyhow, bail};
use leno_analyze::object_from_json;
use leno_config::object::Path as ObjectPath;
use leno_config::{LowerContext, Object};
use leno_control::source::{Change, judge};
use leno_control::world::{Pod, World};
use leno_core::Reason;
use leno_core::id::{Origin, ServiceId};
use leno_core::model::ServiceKind;
use leno_core::why::{Arriving, Failure, Inbound, Step, Trace};
use leno_install::inject::PodMeta;
use leno_install::inject::annotations::Reader;
use leno_install::inject::traffic::Traffic;
use leno_install::{InjectSettings, NamespaceMeta};
use serde_json::Value;

use super::materialise::materialise;
use super::question::Question;
use crate::cmd::local::read::read;

/// Objects, and the world made of them.
pub(super) struct Mesh {
    /// What is in force.
    pub(super) world: World,
    /// Where objects stand, by kind, namespace and name.
    sources: BTreeMap<(String, String, String), String>,
    spaces: BTreeMap<String, NamespaceMeta>,
}

/// What a name in a URL stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    /// The address that the application would dial.
    pub(super) address: IpAddr,
    /// In words; empty for an address.
    pub(super) says: String,
}

impl Mesh {
    /// Of what runs.
    ///
    /// # Errors
    /// When there are no pods at all.
    pub(super) fn running(objects: Vec<Value>) -> anyhow::Result<Self> {
        let objects = Self::objects_of(objects);
        if !objects.iter().any(|o| o.kind == "Pod") {
            bail!("the mesh has no pods yet");
        }
        Ok(Self::new(&objects))
    }

    /// Of files.
    ///
    /// # Errors
    /// A file cannot be read, or an object in them is not well.
    pub(super) fn of_files(paths: &[PathBuf], namespace: &str) -> anyhow::Result<Self> {
        Self::of_objects(Self::read_files(paths, namespace)?)
    }

    /// Of objects; pods, addresses and endpoints that they do not have are made up.
    ///
    /// # Errors
    /// A workload's template is no pod.
    pub(super) fn of_objects(objects: Vec<Object>) -> anyhow::Result<Self> {
        Ok(Self::new(&materialise(objects)?))
    }

    /// Objects of a running mesh.
    pub(super) fn objects_of(objects: Vec<Value>) -> Vec<Object> {
        objects.into_iter().filter_map(object_from_json).collect()
    }

    /// Objects of files.
    ///
    /// # Errors
    /// A file cannot be read, or is not well.
    pub(super) fn read_files(paths: &[PathBuf], namespace: &str) -> anyhow::Result<Vec<Object>> {
        let (objects, findings) = read(paths, Some(namespace))?;
        let problems: Vec<String> = findings.iter().filter(|d| d.is_error()).map(ToString::to_string).collect();
        if !problems.is_empty() {
            bail!("{}", problems.join("\n"));
        }
        Ok(objects)
    }

    fn new(objects: &[Object]) -> Self {
        let context = context(objects);
        let mut world = World::new(context.trust_domain.clone()).with_also_root(SYSTEM);
        let mut sources = BTreeMap::new();
        for object in objects {
            let applied = object.json.pointer("/metadata/annotations/leno.io~1applied-from").and_then(Value::as_str);
            let revision = object.json.pointer("/metadata/resourceVersion").and_then(Value::as_str);
            let source = applied.map(str::to_owned).or_else(|| revision.map(|r| format!("revision {r}")));
            let key = (object.kind.clone(), object.namespace().to_owned(), object.name.clone());
            sources.extend(source.map(|s| (key, s)));
            match judge(object, &context) {
                Some(Change::Accepted { key, pieces, .. }) => {
                    world.set(&key, pieces);
                }
                // What the control plane refuses is not in force; that is worth a word.
                Some(Change::Refused { key, status }) => {
                    eprintln!("not in force: {key}: {}", status.messages.join("; "));
                }
                Some(Change::Deleted { .. }) | None => {}
            }
        }
        Self { world, sources, spaces: spaces(objects) }
    }

    fn pods(&self) -> impl Iterator<Item = &Pod> {
        let live = |p: &&Pod| !p.facts.ended && !p.facts.ips.is_empty();
        self.world.pods().keys().filter_map(|(ns, name)| self.world.pods().get(ns, name)).filter(live)
    }

    /// The pod that asks.
    ///
    /// # Errors
    /// There is none, or several workloads are meant.
    pub(super) fn caller(&self, text: &str, namespace: &str) -> anyhow::Result<&Pod> {
        let (kind, rest) = match text.split_once('/') {
            Some((word, rest)) => (Some(kind_of(word)?), rest),
            None => (None, text),
        };
        // A name may hold dots: as it is first, then with a namespace at its end.
        let dotted = rest.rsplit_once('.');
        for (name, namespace) in std::iter::once((rest, namespace)).chain(dotted) {
            let mut found: Vec<&Pod> =
                self.pods().filter(|p| p.facts.namespace == namespace && is(p, kind, name)).collect();
            found.sort_by_key(|p| (!p.facts.meshed, !p.facts.ready, p.facts.terminating, p.facts.name.clone()));
            let mut owners: Vec<(&str, &str)> =
                found.iter().map(|p| (p.facts.owner_kind.as_str(), p.facts.owner_name.as_str())).collect();
            owners.sort_unstable();
            owners.dedup();
            if owners.len() > 1 {
                let names: Vec<String> = owners.iter().map(|(k, n)| format!("{k}/{n}")).collect();
                bail!("`{text}` may be {}: name one of them", names.join(" or "));
            }
            if let Some(pod) = found.first() {
                return Ok(pod);
            }
        }
        let mut there: Vec<String> = self
            .pods()
            .filter(|p| p.facts.namespace == namespace)
            .map(|p| format!("{}/{}", p.facts.owner_kind, p.facts.owner_name))
            .collect();
        there.sort_unstable();
        there.dedup();
        let there = if there.is_empty() {
            let mut spaces: Vec<&str> = self.pods().map(|p| p.facts.namespace.as_str()).collect();
            spaces.sort_unstable();
            spaces.dedup();
            format!("no pod is in that namespace; there are pods in {} (-n NAMESPACE)", spaces.join(", "))
        } else {
            format!("there are {}", there.join(", "))
        };
        Err(anyhow!("--from {text}: no pod of it in namespace {namespace}: {there}"))
    }

    /// What the URL's host stands for, as the caller's resolver would say.
    ///
    /// # Errors
    /// It stands for nothing: the application would not even connect.
    pub(super) fn resolve(&self, question: &Question, caller: &Pod) -> anyhow::Result<Target> {
        let host = question.host.trim_end_matches('.');
        if let Ok(address) = host.parse::<IpAddr>() {
            return Ok(Target { address, says: String::new() });
        }
        if host == "localhost" {
            return Ok(Target { address: IpAddr::from([127, 0, 0, 1]), says: String::new() });
        }
        self.resolve_name(host, &caller.facts.namespace, ALIASES)
    }

    fn resolve_name(&self, host: &str, namespace: &str, aliases: usize) -> anyhow::Result<Target> {
        let id = ServiceId::from_host(host, namespace);
        if let Some(spec) = id.as_ref().and_then(|id| self.world.services().get(id)) {
            return match (&spec.kind, spec.vips.first()) {
                (ServiceKind::ExternalName(alias), _) if aliases > 0 => {
                    let found = self.resolve_name(alias, namespace, aliases - 1)?;
                    let says = format!("{} is an alias of {alias}{}", spec.id, also(&found.says));
                    Ok(Target { says, ..found })
                }
                (ServiceKind::ExternalName(alias), _) => bail!("{host}: too many aliases ({alias} is one more)"),
                (ServiceKind::Headless, _) => self.headless(&spec.id, None),
                (ServiceKind::ClusterIp, Some(address)) => {
                    Ok(Target { address: *address, says: format!("{host} is service {}, {address}", spec.id) })
                }
                (ServiceKind::ClusterIp, None) => bail!("service {} has no address (clusterIP) yet", spec.id),
            };
        }
        // `pod-0.service`: the stable name of a StatefulSet's pod.
        let (first, rest) = host.split_once('.').unwrap_or((host, ""));
        if let Some(id) = ServiceId::from_host(rest, namespace).filter(|id| self.world.services().get(id).is_some()) {
            return self.headless(&id, Some(first));
        }
        if !host.contains('.') {
            return Err(self.no_service(host, namespace));
        }
        let inside = host.ends_with(".svc") || host.ends_with(".cluster.local");
        if let Some(id) = id.filter(|id| inside || self.pods().any(|p| p.facts.namespace == id.namespace)) {
            return Err(self.no_service(&id.name, &id.namespace));
        }
        Ok(Target { address: OUTSIDE, says: format!("{host} is not in the mesh ({OUTSIDE} stands for its address)") })
    }

    fn no_service(&self, name: &str, namespace: &str) -> anyhow::Error {
        let mut there: Vec<String> =
            self.world.services().ids().filter(|id| id.namespace == namespace).map(|id| id.name.clone()).collect();
        there.sort_unstable();
        let elsewhere: Vec<String> = self
            .world
            .services()
            .ids()
            .filter(|id| id.name == name)
            .map(|id| format!("{name}.{}", id.namespace))
            .collect();
        let hint =
            if elsewhere.is_empty() { String::new() } else { format!("; did you mean {}?", elsewhere.join(" or ")) };
        let there = if there.is_empty() { "none".to_owned() } else { there.join(", ") };
        anyhow!(
            "there is no service `{name}` in namespace {namespace}, so the name does not resolve and nothing is dialled; services there: {there}{hint}"
        )
    }

    fn headless(&self, id: &ServiceId, pod: Option<&str>) -> anyhow::Result<Target> {
        let endpoints: Vec<(IpAddr, Option<String>)> = self
            .world
            .services()
            .slices(id)
            .flat_map(|s| &s.endpoints)
            .filter(|e| e.ready && !e.terminating)
            .filter_map(|e| Some((*e.addresses.first()?, e.pod.clone())))
            .collect();
        let found = endpoints.iter().find(|(_, name)| pod.is_none() || name.as_deref() == pod);
        match (found, pod) {
            (Some((address, name)), None) => {
                let name = name.clone().unwrap_or_default();
                let others = match endpoints.len() {
                    1 => String::new(),
                    n => format!(", one of its {n} pods: for another one dial its address"),
                };
                Ok(Target {
                    address: *address,
                    says: format!("{id} is headless: its name stands for {name}, {address}{others}"),
                })
            }
            (Some((address, _)), Some(pod)) => {
                Ok(Target { address: *address, says: format!("pod {pod} of {id}, {address}") })
            }
            (None, Some(pod)) => bail!("service {id} has no ready pod {pod}, so the name does not resolve"),
            (None, None) => bail!("service {id} is headless and has no ready pod, so its name does not resolve"),
        }
    }

    /// Why the caller's connection to `address` passes by its sidecar, if it does.
    pub(super) fn bypass_outbound(&self, caller: &Pod, address: IpAddr, port: u16) -> Option<String> {
        let traffic = self.traffic(caller);
        let named = |list: &[String]| list.iter().find(|r| in_ports(r, port)).cloned();
        let inside = |list: &[String]| list.iter().find(|n| in_network(n, address)).cloned();
        if !caller.facts.meshed {
            return None;
        }
        if let Some(range) = named(&traffic.exclude_outbound_ports) {
            return Some(format!("the pod leaves outbound port {range} out of interception"));
        }
        if let Some(network) = inside(&traffic.exclude_outbound_ranges) {
            return Some(format!("the pod leaves {network} out of interception"));
        }
        match &traffic.include_outbound_ranges {
            Some(only) if inside(only).is_none() && named(&traffic.include_outbound_ports).is_none() => {
                Some(format!("the pod has only {} intercepted", only.join(", ")))
            }
            _ => None,
        }
    }

    /// What becomes of a connection that passes by the callee's sidecar, if it does.
    pub(super) fn bypass_inbound(&self, arriving: &Arriving, secured: bool) -> Option<Inbound> {
        let pod = self.world.pods().by_ip(arriving.dialled.ip())?;
        let (traffic, port) = (self.traffic(pod), arriving.dialled.port());
        let excluded = traffic.exclude_inbound_ports.iter().any(|r| in_ports(r, port));
        let included = traffic.include_inbound_ports.as_ref().is_none_or(|l| l.iter().any(|r| in_ports(r, port)));
        if !excluded && included {
            return None;
        }
        let mut says = format!("port {port} of the pod is left out of interception: no policy of the mesh holds there");
        let mut stopped = None;
        if secured {
            says.push_str(", and the application gets mutual TLS that it does not know");
            let detail = format!("port {port} is left out of the callee's interception");
            stopped = Some(Failure { reason: Reason::TlsFailure, status: Reason::TlsFailure.status(), detail });
        }
        let step = Step { what: "interception".to_owned(), says, stops: stopped.is_some(), ..Step::default() };
        Some(Inbound { live: false, steps: vec![step], stopped })
    }

    /// Whether the pod at `address` says that the port is opaque.
    pub(super) fn is_opaque(&self, address: SocketAddr) -> bool {
        self.world.pods().by_ip(address.ip()).is_some_and(|pod| self.world.is_opaque_on(pod, address.port()))
    }

    fn traffic(&self, pod: &Pod) -> Traffic {
        let (meta, space, mut warnings) = (meta(pod), self.space(pod), Vec::new());
        Traffic::read(&mut Reader::new(&meta, &space, &mut warnings), &InjectSettings::default())
    }

    fn space(&self, pod: &Pod) -> NamespaceMeta {
        let name = pod.facts.namespace.clone();
        self.spaces.get(&name).cloned().unwrap_or_else(|| NamespaceMeta { name, ..NamespaceMeta::default() })
    }

    /// Says of each object where it stands, as far as the mesh knows: what a sidecar is told names no file of a person's.
    pub(super) fn name_sources(&self, trace: &mut Trace) {
        let name = |steps: &mut Vec<Step>| {
            for step in steps {
                let Some(origin) = &mut step.origin else { continue };
                self.name_source(origin, step.rule, &mut step.line);
            }
        };
        name(&mut trace.steps);
        for branch in &mut trace.branches {
            name(&mut branch.steps);
            for candidate in &mut branch.candidates {
                name(&mut candidate.steps);
                if let Some(inbound) = &mut candidate.inbound {
                    name(&mut inbound.steps);
                }
            }
        }
    }

    fn name_source(&self, origin: &mut Origin, rule: Option<usize>, line: &mut u32) {
        let key = (origin.kind.clone(), origin.namespace.clone(), origin.name.clone());
        let Some(source) = self.sources.get(&key) else { return };
        // The line was one of the control plane's own copy.
        *line = rule.and_then(|rule| line_of_rule(source, origin, rule)).unwrap_or(0);
        origin.source.clone_from(source);
    }
}

/// Line of a rule in the file that a person applied, if it is still there and still has it.
fn line_of_rule(source: &str, origin: &Origin, rule: usize) -> Option<u32> {
    let (file, _) = source.rsplit_once(':')?;
    let text = std::fs::read_to_string(file).ok()?;
    let is = |o: &&Object| {
        o.kind == origin.kind
            && o.name == origin.name
            && [None, Some(&origin.namespace)].contains(&o.namespace.as_ref())
    };
    let objects = leno_config::read(file, &text).objects;
    let object = objects.iter().find(is)?;
    let list = if origin.kind == "VirtualService" { "spec.http" } else { "spec.rules" };
    let at = ObjectPath::root().keys(list).index(rule);
    object.value_at(&at).map(|_| object.line_of(&at))
}

fn meta(pod: &Pod) -> PodMeta {
    PodMeta {
        labels: pod.facts.labels.clone(),
        annotations: pod.facts.annotations.clone(),
        name: pod.facts.owner_name.clone(),
    }
}

fn also(says: &str) -> String {
    if says.is_empty() { String::new() } else { format!("; {says}") }
}

fn kind_of(word: &str) -> anyhow::Result<&'static str> {
    Ok(match word {
        "pod" | "pods" | "po" => "pod",
        "deploy" | "deployment" | "deployments" => "deployment",
        "sts" | "statefulset" | "statefulsets" => "statefulset",
        "ds" | "daemonset" | "daemonsets" => "daemonset",
        "rs" | "replicaset" | "replicasets" => "replicaset",
        "job" | "jobs" => "job",
        "cj" | "cronjob" | "cronjobs" => "cronjob",
        "svc" | "service" | "services" => {
            bail!("--from: a service asks nobody; name the workload that does, such as deploy/web")
        }
        other => bail!("--from `{other}/`: give deploy/, sts/, ds/, job/, cronjob/ or a pod's name"),
    })
}

fn is(pod: &Pod, kind: Option<&str>, name: &str) -> bool {
    let owned = |kind: &str| pod.facts.owner_kind == kind && pod.facts.owner_name == name;
    match kind {
        Some("pod") => pod.facts.name == name,
        Some(kind) => owned(kind),
        None => pod.facts.name == name || pod.facts.owner_name == name,
    }
}

/// `80` or `80-90`.
fn in_ports(range: &str, port: u16) -> bool {
    let (low, high) = range.split_once('-').unwrap_or((range, range));
    low.trim().parse().is_ok_and(|l: u16| l <= port) && high.trim().parse().is_ok_and(|h: u16| port <= h)
}

fn in_network(network: &str, address: IpAddr) -> bool {
    network.parse::<ipnet::IpNet>().is_ok_and(|n| n.contains(&address)) || network.parse() == Ok(address)
}

/// What namespaces say of their pods.
pub(super) fn spaces(objects: &[Object]) -> BTreeMap<String, NamespaceMeta> {
    let strings = |object: &Object, pointer: &str| -> BTreeMap<String, String> {
        object.json.pointer(pointer).and_then(|v| serde_json::from_value(v.clone()).ok()).unwrap_or_default()
    };
    let of = |o: &Object| NamespaceMeta {
        name: o.name.clone(),
        labels: strings(o, "/metadata/labels"),
        annotations: strings(o, "/metadata/annotations"),
    };
    objects.iter().filter(|o| o.kind == "Namespace").map(|o| (o.name.clone(), of(o))).collect()
}

/// In a cluster the mesh's settings are Leno's own; on this machine, and in files, Istio's.
fn context(objects: &[Object]) -> LowerContext {
    let own = objects.iter().any(|o| o.kind == "ConfigMap" && o.name == SETTINGS && o.namespace() == SYSTEM);
    LowerContext { settings: own.then(|| (SYSTEM.to_owned(), SETTINGS.to_owned())), ..LowerContext::default() }
}

/// Stands for the address of a host outside (RFC 5737 keeps it for documentation).
const OUTSIDE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(203, 0, 113, 1));
/// Aliases that are followed.
const ALIASES: usize = 4;
/// Namespace of the mesh's own programs, whose policies hold for the whole mesh too.
const SYSTEM: &str = "leno-system";
/// `ConfigMap` there with the mesh's settings.
const SETTINGS: &str = "leno";
