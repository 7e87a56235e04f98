//! What the mesh will make of workloads and hosts: who gets a sidecar, which TLS mode holds, which host names what.

use leno_config::Object;
use leno_core::id::ServiceId;
use leno_core::model::{Labels, selects};

use crate::json::{labels, text};
use crate::set::{Service, Set, Workload};

/// Whether a workload gets a sidecar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Injection {
    /// It does.
    Yes,
    /// Someone said no, or it cannot have one.
    No(&'static str),
    /// Nobody asked.
    Silent,
}

/// A mutual TLS mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Strict,
    Permissive,
    Disable,
}

impl<'o> Set<'o> {
    /// As the injector decides, for workloads that have no sidecar yet.
    pub(crate) fn injection(&self, workload: &Workload<'o>) -> Injection {
        if let Some(reason) = impossible(workload) {
            return Injection::No(reason);
        }
        let namespace = self.namespace(workload.namespace());
        let label = |key: &str| namespace.and_then(|n| labels(&n.json, "/metadata/labels").remove(key));
        let annotation = |key: &str| namespace.and_then(|n| labels(&n.json, "/metadata/annotations").remove(key));
        let pod = workload.labels.get(INJECT).or_else(|| workload.annotations.get(INJECT)).map(String::as_str);
        let space = label(NAMESPACE_INJECT);
        let istio = match (pod, space.as_deref()) {
            (Some("false" | "n" | "no" | "off" | "disabled"), _) | (_, Some("disabled")) => Some(false),
            (Some("true" | "y" | "yes" | "on" | "enabled"), _) | (_, Some("enabled")) => Some(true),
            _ => workload.labels.get(REVISION).cloned().or_else(|| label(REVISION)).map(|_| true),
        };
        let linkerd = workload.annotations.get(LINKERD).cloned().or_else(|| annotation(LINKERD));
        let linkerd = match linkerd.as_deref() {
            Some("enabled" | "ingress") => Some(true),
            Some("disabled") => Some(false),
            _ => None,
        };
        match (istio, linkerd) {
            (Some(false), _) | (_, Some(false)) => Injection::No("it is turned off"),
            (Some(true), _) | (_, Some(true)) if !self.is_system(workload.namespace()) => Injection::Yes,
            _ => Injection::Silent,
        }
    }

    /// Whether a workload is, or when it is made will be, in the mesh.
    pub(crate) fn is_meshed(&self, workload: &Workload<'o>) -> bool {
        workload.has_proxy() || !workload.is_live() && self.injection(workload) == Injection::Yes
    }

    /// Whether a workload is surely outside the mesh: it runs without a sidecar, or will, by what is known of its
    /// namespace. Of something whose pods are at hand, the pods decide.
    pub(crate) fn is_unmeshed(&self, workload: &Workload<'o>) -> bool {
        if workload.has_proxy() {
            return false;
        }
        if workload.is_live() {
            return true;
        }
        if self.options.complete && workload.object.position.file.is_empty() {
            let mut pods = self.selected(workload.namespace(), &workload.labels).filter(|w| w.is_live()).peekable();
            if pods.peek().is_some() {
                return pods.any(|pod| !pod.has_proxy() && !pod.has_ended());
            }
        }
        match self.injection(workload) {
            Injection::Yes => false,
            Injection::No(_) => true,
            Injection::Silent => self.namespace(workload.namespace()).is_some(),
        }
    }

    /// The mode that holds for a port of a workload, and the `PeerAuthentication` that says so.
    pub(crate) fn mode(&self, workload: &Workload<'o>, port: Option<u16>) -> (Mode, Option<&'o Object>) {
        let namespace = workload.namespace();
        let by_selector = self
            .peer_authentications()
            .filter(|p| p.namespace() == namespace && has_selector(p) && selects(&selector_of(p), &workload.labels));
        let by_namespace = self.peer_authentications().filter(|p| p.namespace() == namespace && !has_selector(p));
        let by_root = self.peer_authentications().filter(|p| self.is_root(p.namespace()) && !has_selector(p));
        for policy in [oldest(by_selector), oldest(by_namespace), oldest(by_root)].into_iter().flatten() {
            let of_port = port.and_then(|p| text(&policy.json, &format!("/spec/portLevelMtls/{p}/mode")));
            let mode = of_port.filter(|m| *m != "UNSET").or_else(|| text(&policy.json, "/spec/mtls/mode"));
            let mode = match mode {
                Some("STRICT") => Mode::Strict,
                Some("PERMISSIVE") => Mode::Permissive,
                Some("DISABLE") => Mode::Disable,
                _ => continue,
            };
            return (mode, Some(policy));
        }
        (Mode::Permissive, None)
    }

    /// The policy by which all meshed workloads behind a service demand mutual TLS on a port.
    pub(crate) fn strict(&self, service: &Service<'o>, port: Option<u16>) -> Option<&'o Object> {
        let mut policy = None;
        for workload in self.behind(service).filter(|w| !w.is_owned) {
            let target = port.and_then(|p| service.spec.ports.iter().find(|sp| sp.port == p)?.into());
            let target = target.and_then(|p| workload.target(p));
            match self.mode(workload, target) {
                (Mode::Strict, Some(by)) if self.is_meshed(workload) => policy = Some(by),
                _ => return None,
            }
        }
        policy
    }

    pub(crate) fn peer_authentications(&self) -> impl Iterator<Item = &'o Object> {
        self.of("security.istio.io", "PeerAuthentication")
    }

    /// The service that a host in a rule names: where a name of two labels is no service, none.
    pub(crate) fn service_of_host(&self, host: &str, namespace: &str) -> Option<&Service<'o>> {
        self.service(&ServiceId::from_host(host, namespace)?)
    }

    /// Whether a rule's host names anything: a service, a host of a `ServiceEntry`, or something that cannot be known
    /// from here (wildcards, which take whatever there is).
    pub(crate) fn host_exists(&self, host: &str, namespace: &str) -> bool {
        if host.contains('*') {
            return true;
        }
        let full = ServiceId::from_host(host, namespace).map(|id| id.host());
        self.service_of_host(host, namespace).is_some()
            || self.entry_of(host).is_some()
            || full.is_some_and(|full| self.entry_of(&full).is_some())
    }
}

/// Why a pod cannot have a sidecar.
fn impossible(workload: &Workload<'_>) -> Option<&'static str> {
    if workload.spec("/hostNetwork").and_then(serde_json::Value::as_bool) == Some(true) {
        return Some("it uses the node's network (hostNetwork: true)");
    }
    let windows = workload.spec("/os/name").and_then(|v| v.as_str()) == Some("windows")
        || workload.spec("/nodeSelector/kubernetes.io~1os").and_then(|v| v.as_str()) == Some("windows");
    windows.then_some("it runs on Windows")
}

/// The first of the oldest, as the control plane picks; objects from files have no age.
fn oldest<'o>(objects: impl Iterator<Item = &'o Object>) -> Option<&'o Object> {
    objects.min_by_key(|o| text(&o.json, "/metadata/creationTimestamp").unwrap_or("9"))
}

/// `spec.selector.matchLabels`, the selector of security and telemetry objects.
pub(crate) fn selector_of(object: &Object) -> Labels {
    labels(&object.json, "/spec/selector/matchLabels")
}

pub(crate) fn has_selector(object: &Object) -> bool {
    !selector_of(object).is_empty()
}

/// Whether a host pattern (`*.example.com`) takes a host.
pub(crate) fn host_covers(pattern: &str, host: &str) -> bool {
    match pattern.strip_prefix('*') {
        Some(suffix) => host.strip_prefix('*').unwrap_or(host).ends_with(suffix),
        None => pattern.eq_ignore_ascii_case(host),
    }
}

pub(crate) const INJECT: &str = "sidecar.istio.io/inject";
pub(crate) const NAMESPACE_INJECT: &str = "istio-injection";
pub(crate) const REVISION: &str = "istio.io/rev";
pub(crate) const LINKERD: &str = "linkerd.io/inject";
