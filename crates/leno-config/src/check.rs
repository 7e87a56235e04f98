//! Judgements about one object as `leno local` takes it, and about a set of objects.

mod references;
mod services;
mod traffic;

use std::collections::BTreeMap;

use leno_core::id::ServiceId;
use leno_core::model::Labels;
use serde::de::DeserializeOwned;

use crate::diagnostic::{Diagnostic, Severity};
use crate::istio::common::Findings;
use crate::k8s::{self, validate};
use crate::lower::{self, LowerContext};
use crate::object::{Object, Path};
use crate::{mesh, typed};

/// All that can be said of one object by itself: wrong types, what a server would refuse, fields and kinds that are not
/// honoured. An object with an error among them is to be refused.
#[must_use]
pub fn check_object(object: &Object, context: &LowerContext) -> Vec<Diagnostic> {
    if let Some(diagnostic) = version_error(object) {
        return vec![diagnostic];
    }
    if lower::is_lowered(object) {
        let findings = match lower::lower(object, context) {
            Ok((_, findings)) | Err(findings) => findings,
        };
        return with_program_check(object, findings);
    }
    let checked = match (object.group(), object.kind.as_str()) {
        ("", "ServiceAccount") => check::<k8s::ServiceAccount>(object, |_, f| validate::name(f)),
        ("", "ConfigMap") => {
            let mut all = check::<k8s::ConfigMap>(object, validate::config_map);
            if mesh::is_mesh_config(object, context) && !all.iter().any(Diagnostic::is_error) {
                let (Err(findings) | Ok((_, findings))) = lower::lower(object, context);
                all.extend(findings);
            }
            all
        }
        ("", "Secret") => check::<k8s::Secret>(object, validate::secret),
        ("apps", "Deployment") => check::<k8s::Deployment>(object, validate::deployment),
        ("apps", "StatefulSet") => check::<k8s::StatefulSet>(object, validate::stateful_set),
        ("batch", "Job") => check::<k8s::Job>(object, validate::job),
        _ => vec![kind_not_honoured(object)],
    };
    with_program_check(object, checked)
}

/// What is wrong between the objects of a set: give it everything that is to run together. Codes are Istio's where it
/// has one. Objects that are wrong by themselves are left to [`check_object`].
#[must_use]
pub fn check_set(objects: &[Object]) -> Vec<Diagnostic> {
    let set = Set::new(objects);
    let mut found = duplicates(objects);
    found.extend(services::check(&set));
    found.extend(references::check(&set));
    found.extend(traffic::check(&set));
    found
}

/// [`check_object`] for each and [`check_set`] for all.
#[must_use]
pub fn check_all(objects: &[Object], context: &LowerContext) -> Vec<Diagnostic> {
    let mut found: Vec<Diagnostic> = objects.iter().flat_map(|o| check_object(o, context)).collect();
    found.extend(check_set(objects));
    found
}

fn check<T: DeserializeOwned>(object: &Object, validate: impl Fn(&T, &mut Findings<'_>)) -> Vec<Diagnostic> {
    match typed::<T>(object) {
        Err(error) => vec![error],
        Ok((value, unknown)) => {
            let mut findings = Findings::new(object, unknown);
            validate(&value, &mut findings);
            findings.into_all()
        }
    }
}

/// `leno local` pulls no images, so that a container must say what it runs.
fn with_program_check(object: &Object, mut findings: Vec<Diagnostic>) -> Vec<Diagnostic> {
    let at = match object.kind.as_str() {
        "Pod" => Path::root().key("spec"),
        "Deployment" | "StatefulSet" | "Job" => Path::root().keys("spec.template.spec"),
        _ => return findings,
    };
    let Some(template) = template(object) else { return findings };
    for (field, containers) in
        [("initContainers", &template.spec.init_containers), ("containers", &template.spec.containers)]
    {
        for (index, container) in containers.iter().enumerate().filter(|(_, c)| c.command.is_empty()) {
            let at = at.key(field).index(index);
            let message = format!("container `{}` has no command", container.name);
            let hint = "images are not pulled: say which program runs";
            findings.push(object.diagnostic(Severity::Error, &at, message).with_hint(hint));
        }
    }
    findings
}

/// The API versions of the kinds that are honoured.
const VERSIONS: &[(&str, &[&str])] = &[
    ("Namespace", &["v1"]),
    ("ServiceAccount", &["v1"]),
    ("ConfigMap", &["v1"]),
    ("Secret", &["v1"]),
    ("Service", &["v1"]),
    ("Pod", &["v1"]),
    ("EndpointSlice", &["discovery.k8s.io/v1", "discovery.k8s.io/v1beta1"]),
    ("Deployment", &["apps/v1"]),
    ("StatefulSet", &["apps/v1"]),
    ("Job", &["batch/v1"]),
    ("VirtualService", &["networking.istio.io/v1", "networking.istio.io/v1beta1", "networking.istio.io/v1alpha3"]),
    ("DestinationRule", &["networking.istio.io/v1", "networking.istio.io/v1beta1", "networking.istio.io/v1alpha3"]),
    ("PeerAuthentication", &["security.istio.io/v1", "security.istio.io/v1beta1"]),
    ("AuthorizationPolicy", &["security.istio.io/v1", "security.istio.io/v1beta1", "policy.linkerd.io/*"]),
    ("Telemetry", &["telemetry.istio.io/v1", "telemetry.istio.io/v1alpha1"]),
    (
        "TrafficSplit",
        &[
            "split.smi-spec.io/v1alpha1",
            "split.smi-spec.io/v1alpha2",
            "split.smi-spec.io/v1alpha3",
            "split.smi-spec.io/v1alpha4",
        ],
    ),
    ("HTTPRoute", &["gateway.networking.k8s.io/v1", "gateway.networking.k8s.io/v1beta1", "policy.linkerd.io/*"]),
    ("GRPCRoute", &["gateway.networking.k8s.io/v1"]),
];

fn version_error(object: &Object) -> Option<Diagnostic> {
    let (_, versions) = VERSIONS.iter().find(|(kind, _)| *kind == object.kind)?;
    let fits =
        |v: &&str| *v == object.api_version || v.strip_suffix('*').is_some_and(|g| object.api_version.starts_with(g));
    if versions.iter().any(fits) || KNATIVE.contains(&(object.group(), object.kind.as_str())) {
        return None;
    }
    let message = format!("there is no {} in `{}`", object.kind, object.api_version);
    let hint = format!("use {}", versions[0]);
    Some(object.diagnostic(Severity::Error, &Path::root().key("apiVersion"), message).with_hint(hint))
}

/// Other projects' kinds of the same name.
const KNATIVE: &[(&str, &str)] = &[("serving.knative.dev", "Service")];

/// Kinds that keep something out: without them more would be let through than their author meant.
const PROTECTIVE: &[(&str, &str)] = &[
    ("security.istio.io", "RequestAuthentication"),
    ("policy.linkerd.io", "Server"),
    ("policy.linkerd.io", "ServerAuthorization"),
    ("policy.linkerd.io", "AuthorizationPolicy"),
    ("policy.linkerd.io", "MeshTLSAuthentication"),
    ("policy.linkerd.io", "NetworkAuthentication"),
    ("networking.k8s.io", "NetworkPolicy"),
];

fn kind_not_honoured(object: &Object) -> Diagnostic {
    let at = Path::root().key("kind");
    let (group, kind) = (object.group(), object.kind.as_str());
    if PROTECTIVE.contains(&(group, kind)) {
        let message = format!("{kind} ({}) is not honoured yet", object.api_version);
        let hint = "it is refused, because without it more is let through than it allows";
        return object.diagnostic(Severity::Error, &at, message).with_hint(hint);
    }
    if (group, kind) == (crate::gateway::GROUP, "ReferenceGrant") {
        let message = "is not asked for: routes of Services may send to every namespace (GEP-1294)";
        return object.diagnostic(Severity::Info, &at, message);
    }
    let yet = ["istio.io", "linkerd.io", "smi-spec.io", "gateway.networking.k8s.io"].iter().any(|g| group.ends_with(g));
    let yet = if yet { " yet" } else { "" };
    object.diagnostic(
        Severity::Warning,
        &at,
        format!("{kind} ({}) is not honoured{yet}: it is left out", object.api_version),
    )
}

fn duplicates(objects: &[Object]) -> Vec<Diagnostic> {
    let mut last: BTreeMap<(&str, &str, &str, &str), &Object> = BTreeMap::new();
    let mut found = Vec::new();
    for object in objects {
        let key = (object.group(), object.kind.as_str(), object.namespace(), object.name.as_str());
        if let Some(first) = last.insert(key, object) {
            let message = format!("is there twice: this one replaces that of {}", first.position);
            found.push(object.diagnostic(Severity::Warning, &Path::root(), message));
        }
    }
    found
}

/// The parts of a set that the checks look at; of an object that is there twice, the last.
struct Set<'o> {
    objects: Vec<&'o Object>,
    services: BTreeMap<ServiceId, (&'o Object, k8s::Service)>,
    pods: Vec<(&'o Object, k8s::PodTemplate)>,
}

impl<'o> Set<'o> {
    fn new(objects: &'o [Object]) -> Self {
        let mut last = BTreeMap::new();
        for (index, object) in objects.iter().enumerate() {
            last.insert((object.group(), object.kind.as_str(), object.namespace(), object.name.as_str()), index);
        }
        let mut indices: Vec<usize> = last.into_values().collect();
        indices.sort_unstable();
        let objects: Vec<&Object> = indices.into_iter().map(|index| &objects[index]).collect();
        let services = objects.iter().filter(|o| o.api_version == "v1" && o.kind == "Service").filter_map(|object| {
            let (service, _) = typed::<k8s::Service>(object).ok()?;
            Some((ServiceId::new(object.namespace(), object.name.clone()), (*object, service)))
        });
        let pods = objects.iter().filter_map(|object| Some((*object, template(object)?)));
        Self { services: services.collect(), pods: pods.collect(), objects: objects.clone() }
    }

    /// Services in the order of the files, so that the later one is at fault where two disagree.
    fn services_in_order(&self) -> impl Iterator<Item = (&'o Object, &k8s::Service)> {
        self.of_kind("Service").filter_map(|object| {
            let (_, service) = self.services.get(&ServiceId::new(object.namespace(), object.name.clone()))?;
            Some((object, service))
        })
    }

    fn of_kind<'s>(&'s self, kind: &'s str) -> impl Iterator<Item = &'o Object> + 's {
        self.objects.iter().copied().filter(move |o| o.kind == kind)
    }

    fn has(&self, kind: &str, namespace: &str, name: &str) -> bool {
        self.of_kind(kind).any(|o| o.namespace() == namespace && o.name == name)
    }

    /// Pods of a namespace that carry these labels.
    fn selected<'s>(
        &'s self,
        namespace: &'s str,
        selector: &'s Labels,
    ) -> impl Iterator<Item = &'s (&'o Object, k8s::PodTemplate)> {
        self.pods.iter().filter(move |(object, template)| {
            object.namespace() == namespace && leno_core::model::selects(selector, &template.metadata.labels)
        })
    }
}

/// The pods that an object makes or is.
fn template(object: &Object) -> Option<k8s::PodTemplate> {
    match object.kind.as_str() {
        "Deployment" => typed::<k8s::Deployment>(object).ok().map(|(d, _)| d.spec.template),
        "StatefulSet" => typed::<k8s::StatefulSet>(object).ok().map(|(s, _)| s.spec.template),
        "Job" => typed::<k8s::Job>(object).ok().map(|(j, _)| j.spec.template),
        "Pod" => typed::<k8s::Pod>(object).ok().map(|(p, _)| k8s::PodTemplate { metadata: p.metadata, spec: p.spec }),
        _ => None,
    }
}

/// Path of the pod spec within its object.
fn spec_path(object: &Object) -> Path {
    Path::root().keys(if object.kind == "Pod" { "spec" } else { "spec.template.spec" })
}

#[cfg(test)]
mod tests;
