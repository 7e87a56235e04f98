//! Security policies: whom they select, and whom they name.

use std::collections::BTreeMap;

use leno_config::Object;
use leno_config::object::Path;
use leno_core::decide::protocol::protocol_of_port;
use leno_core::model::{Protocol, selects};
use serde_json::Value;

use crate::code::{Code, Level};
use crate::finding::Report;
use crate::json::{list, selector_text, text, texts};
use crate::mesh::{has_selector, selector_of};
use crate::set::{Set, Workload};

pub(super) const CODES: &[&Code] =
    &[&NO_WORKLOADS, &SEVERAL, &SAME_WORKLOAD, &ACCOUNT, &TRUST_DOMAIN, &UNMESHED, &HTTP_ON_TCP];

/// A policy's selector selects no workload.
pub(super) static NO_WORKLOADS: Code = Code {
    id: "IST0127",
    name: "NoMatchingWorkloadsFound",
    level: Level::Warning,
    what: "The selector of a policy selects no workload, so that it holds for nothing. A DENY that was meant to protect \
           something does not.",
    mend: "Compare the labels with those of the pods. A policy selects in its own namespace only, but for the mesh's root \
           namespace.",
};

/// Several `PeerAuthentication`s for a whole namespace.
static SEVERAL: Code = Code {
    id: "LENO0060",
    name: "ConflictingPeerAuthentications",
    level: Level::Warning,
    what: "Several PeerAuthentications of one namespace have no selector. Only the oldest holds, whichever mode the others \
           ask for.",
    mend: "Keep one for the namespace, usually named `default`.",
};

/// Several `PeerAuthentication`s select one workload.
static SAME_WORKLOAD: Code = Code {
    id: "LENO0061",
    name: "OverlappingPeerAuthentications",
    level: Level::Warning,
    what: "Several PeerAuthentications select the same workload and do not say the same. Only the oldest holds.",
    mend: "Make their selectors exclude each other, or join them (`portLevelMtls` for single ports).",
};

/// An `AuthorizationPolicy` names a service account that does not exist.
static ACCOUNT: Code = Code {
    id: "LENO0062",
    name: "ServiceAccountNotFound",
    level: Level::Warning,
    what: "An AuthorizationPolicy names the identity of a ServiceAccount that does not exist: nobody can have it.",
    mend: "Mind the spelling: `cluster.local/ns/NAMESPACE/sa/ACCOUNT`. The account is that of the client's pods \
           (`spec.serviceAccountName`), not their name.",
};

/// A principal of another trust domain.
static TRUST_DOMAIN: Code = Code {
    id: "LENO0063",
    name: "ForeignTrustDomain",
    level: Level::Warning,
    what: "An AuthorizationPolicy names a principal of a trust domain that is not the mesh's: no client of this mesh has it.",
    mend: "Begin principals with the mesh's trust domain (`cluster.local` unless it was changed), and write no `spiffe://` \
           in front.",
};

/// A policy for workloads without a sidecar.
static UNMESHED: Code = Code {
    id: "LENO0064",
    name: "PolicyOnUnmeshedWorkload",
    level: Level::Warning,
    what: "A security policy selects workloads none of which has a sidecar. It is the server's sidecar that enforces it: \
           nothing is enforced.",
    mend: "Bring the workloads into the mesh (injection, then restart), or protect them with a NetworkPolicy.",
};

/// A policy asks for properties of HTTP requests where there are none.
static HTTP_ON_TCP: Code = Code {
    id: "LENO0065",
    name: "HttpPolicyOnTcpWorkload",
    level: Level::Warning,
    what: "A rule of an AuthorizationPolicy asks for methods, paths, hosts or headers of requests, but all ports of the \
           selected workloads are declared as opaque TCP: an ALLOW rule never holds, and a DENY rule denies whatever its \
           other conditions take.",
    mend: "Name the service's port after what it speaks (`http-…`, `grpc-…`), or use `ports` and `from` only.",
};

pub(super) fn check(set: &Set<'_>, out: &mut Report) {
    for kind in ["PeerAuthentication", "AuthorizationPolicy", "RequestAuthentication"] {
        for object in set.of("security.istio.io", kind) {
            selection(set, out, object);
        }
    }
    peer_authentications(set, out);
    for object in set.of("security.istio.io", "AuthorizationPolicy") {
        sources(set, out, object);
        http_on_tcp(set, out, object);
    }
}

/// Workloads that a policy selects: of its namespace, or of all where it is in the root namespace.
fn selected<'s, 'o>(set: &'s Set<'o>, object: &Object) -> Vec<&'s Workload<'o>> {
    let labels = selector_of(object);
    let in_reach = |w: &&Workload<'_>| w.namespace() == object.namespace() || set.is_root(object.namespace());
    set.workloads().iter().filter(in_reach).filter(|w| selects(&labels, &w.labels) && !w.has_ended()).collect()
}

fn selection(set: &Set<'_>, out: &mut Report, object: &Object) {
    if !has_selector(object) {
        return;
    }
    let selected = selected(set, object);
    let labels = selector_text(&selector_of(object));
    let known = if set.is_root(object.namespace()) { set.options.complete } else { set.knows_pods(object.namespace()) };
    if selected.is_empty() {
        if known {
            let message = format!("No matching workloads for this resource with the following labels: {labels}");
            out.at(&NO_WORKLOADS, object, "spec.selector", message);
        }
    } else if selected.iter().all(|w| set.is_unmeshed(w)) {
        let message = format!("None of the workloads with the labels {labels} has a sidecar: nothing is enforced.");
        out.at(&UNMESHED, object, "spec.selector", message);
    }
}

fn peer_authentications(set: &Set<'_>, out: &mut Report) {
    let mut wide: BTreeMap<&str, Vec<&Object>> = BTreeMap::new();
    let mut narrow: Vec<&Object> = Vec::new();
    for object in set.peer_authentications() {
        if has_selector(object) {
            narrow.push(object);
        } else {
            wide.entry(object.namespace()).or_default().push(object);
        }
    }
    for (namespace, objects) in wide.into_iter().filter(|(_, objects)| objects.len() > 1) {
        let names: Vec<&str> = objects.iter().map(|o| o.name.as_str()).collect();
        for object in objects {
            let message = format!(
                "The PeerAuthentications {} in namespace {namespace:?} have no selector: only the oldest holds.",
                crate::json::names(&names)
            );
            out.at(&SEVERAL, object, "metadata.name", message);
        }
    }
    for (index, object) in narrow.iter().enumerate() {
        let says = |o: &Object| (o.json.pointer("/spec/mtls").cloned(), o.json.pointer("/spec/portLevelMtls").cloned());
        let rivals =
            narrow.iter().take(index).filter(|o| o.namespace() == object.namespace() && says(o) != says(object));
        for rival in rivals {
            let both =
                |w: &&Workload<'_>| w.namespace() == object.namespace() && selects(&selector_of(rival), &w.labels);
            if let Some(workload) = selected(set, object).into_iter().find(both) {
                let message = format!(
                    "{} selects {} too and says something else: only the oldest holds.",
                    rival.describe(),
                    workload.object.describe()
                );
                out.at(&SAME_WORKLOAD, object, "spec.selector", message);
            }
        }
    }
}

fn sources(set: &Set<'_>, out: &mut Report, object: &Object) {
    for (rule, json) in list(&object.json, "/spec/rules").iter().enumerate() {
        for (from, json) in list(json, "/from").iter().enumerate() {
            let at = Path::root().keys("spec.rules").index(rule).key("from").index(from).key("source");
            for field in ["principals", "notPrincipals"] {
                for (index, principal) in texts(json, &format!("/source/{field}")).into_iter().enumerate() {
                    self::principal(set, out, object, &at.key(field).index(index), principal);
                }
            }
            for field in ["serviceAccounts", "notServiceAccounts"] {
                for (index, account) in texts(json, &format!("/source/{field}")).into_iter().enumerate() {
                    let (namespace, name) = account.split_once('/').unwrap_or((object.namespace(), account));
                    self::account(set, out, object, &at.key(field).index(index), (namespace, name));
                }
            }
            for field in ["namespaces", "notNamespaces"] {
                for (index, name) in texts(json, &format!("/source/{field}")).into_iter().enumerate() {
                    if set.knows_namespaces() && !name.contains('*') && set.namespace(name).is_none() {
                        let message = format!("Referenced namespace not found: {name:?}");
                        out.add(&super::routing::NOT_FOUND, object, &at.key(field).index(index), message);
                    }
                }
            }
        }
    }
}

fn principal(set: &Set<'_>, out: &mut Report, object: &Object, path: &Path, text: &str) {
    let text = text.strip_prefix("spiffe://").unwrap_or(text);
    let parts: Vec<&str> = text.split('/').collect();
    let [domain, "ns", namespace, "sa", name] = parts.as_slice() else { return };
    if let Some(own) = &set.options.trust_domain
        && !domain.contains('*')
        && domain != own
    {
        let message = format!("The principal {text:?} is of the trust domain {domain:?}; the mesh's is {own:?}.");
        return out.add(&TRUST_DOMAIN, object, path, message);
    }
    account(set, out, object, path, (namespace, name));
}

fn account(set: &Set<'_>, out: &mut Report, object: &Object, path: &Path, (namespace, name): (&str, &str)) {
    let exact = !namespace.contains('*') && !name.contains('*');
    // Files hold the accounts of a namespace if they hold one of them; every namespace has `default` by itself.
    let known = set.options.complete || set.of("", "ServiceAccount").any(|o| o.namespace() == namespace);
    if exact && known && name != "default" && !set.has("", "ServiceAccount", namespace, name) {
        out.add(&ACCOUNT, object, path, format!("There is no ServiceAccount {namespace}/{name}."));
    }
}

fn http_on_tcp(set: &Set<'_>, out: &mut Report, object: &Object) {
    let selected = selected(set, object);
    if !has_selector(object) || selected.is_empty() {
        return;
    }
    let services: Vec<_> = selected.iter().flat_map(|w| set.in_front(w)).collect();
    let ports: Vec<_> = services.iter().flat_map(|s| &s.spec.ports).filter(|p| !p.is_udp()).collect();
    let opaque = |p: &&leno_config::k8s::ServicePort| {
        protocol_of_port(p.app_protocol.as_deref(), &p.name, p.port, false) == Protocol::Tcp
    };
    if ports.is_empty() || !ports.iter().all(opaque) {
        return;
    }
    for (index, rule) in list(&object.json, "/spec/rules").iter().enumerate() {
        let path = Path::root().keys("spec.rules").index(index);
        if let Some(what) = http_condition(rule) {
            let message = format!("The rule asks for {what}, but all ports of the selected workloads are opaque TCP.");
            out.add(&HTTP_ON_TCP, object, &path, message);
        }
    }
}

/// What of HTTP a rule asks for.
fn http_condition(rule: &Value) -> Option<String> {
    let fields = ["hosts", "notHosts", "methods", "notMethods", "paths", "notPaths"];
    let operation = list(rule, "/to").iter().find_map(|to| {
        fields.iter().find(|f| !list(to, &format!("/operation/{f}")).is_empty()).map(|f| (*f).to_owned())
    });
    let condition = list(rule, "/when").iter().filter_map(|w| text(w, "/key"));
    operation.or_else(|| condition.into_iter().find(|k| k.starts_with("request.")).map(str::to_owned))
}
