//! Who gets a sidecar, and who does not though it seems so.

use leno_config::Object;
use leno_config::object::Path;

use crate::code::{Code, Level};
use crate::finding::Report;
use crate::json::{labels, names, text};
use crate::mesh::{INJECT, Injection, LINKERD, NAMESPACE_INJECT, REVISION};
use crate::set::{Set, Workload};

pub(super) const CODES: &[&Code] = &[
    &NAMESPACE_NOT_INJECTED,
    &POD_WITHOUT_PROXY,
    &SEVERAL_LABELS,
    &IMAGE_AUTO,
    &IMAGE_AUTO_POD,
    &DIALECTS_DISAGREE,
    &REVISION_UNKNOWN,
    &NOT_INJECTABLE,
    &POD_SECURITY,
];

/// A namespace says nothing about injection.
static NAMESPACE_NOT_INJECTED: Code = Code {
    id: "IST0102",
    name: "NamespaceNotInjected",
    level: Level::Info,
    what: "The namespace does not say whether its pods are to be in the mesh; they are not.",
    mend: "`kubectl label namespace NAME istio-injection=enabled` (or `kubectl annotate namespace NAME \
           linkerd.io/inject=enabled`), then restart its workloads. Label it `istio-injection=disabled` to say that it is \
           meant to be outside.",
};

/// A pod of an injected namespace runs without a sidecar.
static POD_WITHOUT_PROXY: Code = Code {
    id: "IST0103",
    name: "PodMissingProxy",
    level: Level::Warning,
    what: "The pod runs without a sidecar in a namespace whose pods should have one. It was probably made before injection \
           was turned on: a running pod is never changed.",
    mend: "Restart what made it: `kubectl rollout restart deployment/NAME -n NAMESPACE`. If it is meant to be outside the \
           mesh, give the pod template the label `sidecar.istio.io/inject: \"false\"`.",
};

/// A namespace asks for injection in several ways.
static SEVERAL_LABELS: Code = Code {
    id: "IST0123",
    name: "NamespaceMultipleInjectionLabels",
    level: Level::Warning,
    what: "The namespace has several labels that ask for a sidecar or for another data plane. `istio-injection` outranks \
           `istio.io/rev`, so that a canary revision named there is not used.",
    mend: "Remove all but one: `kubectl label namespace NAME istio-injection-` to go by revision.",
};

/// `image: auto` in a workload that will not be injected.
static IMAGE_AUTO: Code = Code {
    id: "IST0146",
    name: "ImageAutoWithoutInjectionWarning",
    level: Level::Warning,
    what: "The pod template has a container `istio-proxy` with `image: auto`, which the injector would fill in, but nothing \
           asks for injection. The image cannot be pulled.",
    mend: "Label the pod template `sidecar.istio.io/inject: \"true\"`, or its namespace `istio-injection=enabled`.",
};

/// `image: auto` in a pod of the cluster.
static IMAGE_AUTO_POD: Code = Code {
    id: "IST0147",
    name: "ImageAutoWithoutInjectionError",
    level: Level::Error,
    what: "A pod in the cluster still has `image: auto`: it was made without passing the injector, and cannot start.",
    mend: "Ask for injection on its namespace or template, check the injector (`leno check`), then delete the pod.",
};

/// Istio's and Linkerd's ways to ask contradict each other.
static DIALECTS_DISAGREE: Code = Code {
    id: "LENO0040",
    name: "InjectionContradiction",
    level: Level::Warning,
    what: "One of Istio's and Linkerd's ways to ask for a sidecar says yes and the other no, on the same object. A no wins: \
           there will be no sidecar.",
    mend: "Remove the one that is not meant.",
};

/// A namespace wants a revision that no control plane has.
static REVISION_UNKNOWN: Code = Code {
    id: "LENO0041",
    name: "RevisionUnknown",
    level: Level::Error,
    what: "The label `istio.io/rev` names a revision for which no control plane is installed: no pod gets a sidecar, and \
           none says why.",
    mend: "Install the revision (`leno install --revision REV`), or name one that is there; `default` always is.",
};

/// A workload in an injected namespace that cannot have a sidecar.
static NOT_INJECTABLE: Code = Code {
    id: "LENO0042",
    name: "WorkloadNotInjectable",
    level: Level::Info,
    what: "The workload is in an injected namespace but cannot have a sidecar: it shares the node's network or runs on \
           Windows. It speaks plaintext and no policy of the mesh holds for it.",
    mend: "If that is meant, say so with the label `sidecar.istio.io/inject: \"false\"`; else do without `hostNetwork`.",
};

/// Pod Security refuses the container that sets up interception.
static POD_SECURITY: Code = Code {
    id: "LENO0043",
    name: "PodSecurityRefusesInit",
    level: Level::Error,
    what: "The namespace is injected and enforces the Pod Security level `baseline` or `restricted`. The init container that \
           sets up interception needs NET_ADMIN, which both forbid: no pod with a sidecar can start.",
    mend: "Label the namespace `pod-security.kubernetes.io/enforce: privileged`, and keep `warn`/`audit` at the stricter \
           level to see what else would be refused.",
};

pub(super) fn check(set: &Set<'_>, out: &mut Report) {
    for namespace in set.of("", "Namespace").filter(|n| !set.is_system(&n.name)) {
        self::namespace(set, out, namespace);
    }
    for workload in set.workloads() {
        pod(set, out, workload);
        disagreement(out, workload.object, workload.labels.get(INJECT), workload.annotations.get(LINKERD));
    }
}

fn namespace(set: &Set<'_>, out: &mut Report, object: &Object) {
    let labels = labels(&object.json, "/metadata/labels");
    let annotations = crate::json::labels(&object.json, "/metadata/annotations");
    let injection = labels.get(NAMESPACE_INJECT).map(String::as_str);
    let revision = labels.get(REVISION);
    let linkerd = annotations.get(LINKERD);
    let mut asks: Vec<String> = injection.iter().map(|v| format!("{NAMESPACE_INJECT}={v}")).collect();
    if injection.is_none_or(|v| v == "enabled") {
        for key in [REVISION, "istio.io/dataplane-mode"] {
            asks.extend(labels.get(key).map(|v| format!("{key}={v}")));
        }
    }
    if asks.len() > 1 {
        let message = format!(
            "The namespace has more than one type of injection labels {}, which may lead to undefined behavior. Make sure \
             only one injection label exists.",
            names(&asks)
        );
        out.at(&SEVERAL_LABELS, object, "metadata.labels", message);
    }
    let name = &object.name;
    if asks.is_empty() && linkerd.is_none() {
        let message = format!(
            "The namespace is not enabled for Istio injection. Run 'kubectl label namespace {name} istio-injection=enabled' \
             to enable it, or 'kubectl label namespace {name} istio-injection=disabled' to explicitly mark it as not \
             needing injection."
        );
        out.at(&NAMESPACE_NOT_INJECTED, object, "metadata.name", message);
    }
    disagreement(out, object, labels.get(NAMESPACE_INJECT), linkerd);
    if let Some(revision) = revision.filter(|_| injection.is_none()) {
        unknown_revision(set, out, object, revision);
    }
    let enforced = labels.get("pod-security.kubernetes.io/enforce").map(String::as_str);
    let injected = injection == Some("enabled")
        || injection.is_none()
            && (revision.is_some() || matches!(linkerd.map(String::as_str), Some("enabled" | "ingress")));
    if let (true, Some(level @ ("baseline" | "restricted"))) = (injected, enforced) {
        let message = format!(
            "Pods with a sidecar are refused here: Pod Security {level:?} forbids NET_ADMIN, which interception needs."
        );
        out.add(&POD_SECURITY, object, &label_path("pod-security.kubernetes.io/enforce"), message);
    }
}

fn label_path(key: &str) -> Path {
    Path::root().keys("metadata.labels").key(key)
}

fn disagreement(out: &mut Report, object: &Object, istio: Option<&String>, linkerd: Option<&String>) {
    let (Some(istio), Some(linkerd)) = (istio, linkerd) else { return };
    let yes = |v: &str| matches!(v, "true" | "enabled" | "ingress");
    let no = |v: &str| matches!(v, "false" | "disabled");
    if yes(istio) && no(linkerd) || no(istio) && yes(linkerd) {
        let message =
            format!("Istio's way to ask for a sidecar says {istio:?} and linkerd.io/inject {linkerd:?}: a no wins.");
        out.at(&DIALECTS_DISAGREE, object, "metadata", message);
    }
}

fn unknown_revision(set: &Set<'_>, out: &mut Report, object: &Object, revision: &str) {
    let control: Vec<&str> = set
        .of("apps", "Deployment")
        .filter_map(|o| o.name.strip_prefix("leno-control"))
        .map(|rest| rest.strip_prefix('-').unwrap_or("default"))
        .collect();
    // Without any control plane at hand nothing can be said of revisions.
    if set.options.complete && !control.is_empty() && revision != "default" && !control.contains(&revision) {
        let message = format!("No control plane of revision {revision:?} is installed; there is {}.", names(&control));
        out.add(&REVISION_UNKNOWN, object, &label_path(REVISION), message);
    }
}

fn pod(set: &Set<'_>, out: &mut Report, workload: &Workload<'_>) {
    let object = workload.object;
    let containers = workload.containers();
    let auto = containers.iter().find(|c| c.name() == "istio-proxy" && text(c.json, "/image") == Some("auto"));
    if let Some(container) = auto {
        let path = container.at.key("image");
        let message = format!(
            "{} {} contains `image: auto` but does not match any Istio injection webhook selectors.",
            object.kind, object.name
        );
        if workload.is_live() {
            out.add(&IMAGE_AUTO_POD, object, &path, message);
        } else if !workload.is_owned
            && set.injection(workload) != Injection::Yes
            && set.namespace(workload.namespace()).is_some()
        {
            out.add(&IMAGE_AUTO, object, &path, message);
        }
        return;
    }
    let injected = namespace_asks(set, workload);
    match set.injection(workload) {
        Injection::Yes if workload.is_live() && injected && !workload.has_proxy() && !workload.has_ended() => {
            let message = format!(
                "The pod {}/{} is missing the Istio proxy. This can often be resolved by restarting or redeploying the \
                 workload.",
                object.namespace(),
                object.name
            );
            out.at(&POD_WITHOUT_PROXY, object, "metadata.name", message);
        }
        Injection::No(why) if why.starts_with("it uses") || why.starts_with("it runs") => {
            let told = matches!(workload.labels.get(INJECT).map(String::as_str), Some("false"));
            if !workload.is_owned && injected && !told && !set.is_system(workload.namespace()) {
                let message = format!("{} {} gets no sidecar: {why}.", object.kind, object.name);
                out.add(&NOT_INJECTABLE, object, &workload.at.key("spec"), message);
            }
        }
        _ => {}
    }
}

/// Whether the namespace asks that its pods have a sidecar.
fn namespace_asks(set: &Set<'_>, workload: &Workload<'_>) -> bool {
    let Some(namespace) = set.namespace(workload.namespace()) else { return false };
    let labels = labels(&namespace.json, "/metadata/labels");
    let linkerd = text(&namespace.json, "/metadata/annotations/linkerd.io~1inject");
    match labels.get(NAMESPACE_INJECT).map(String::as_str) {
        Some(value) => value == "enabled",
        None => labels.contains_key(REVISION) || matches!(linkerd, Some("enabled" | "ingress")),
    }
}
