//! Certificates: the mesh's root, and what pods are given of it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use x509_parser::pem::Pem;

use super::outcome::{Category, Status};
use super::state::ClusterState;

/// One certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Certificate {
    /// Its bytes.
    pub(crate) der: Vec<u8>,
    /// Seconds since the epoch.
    pub(crate) not_before: i64,
    /// Seconds since the epoch.
    pub(crate) not_after: i64,
}

/// The certificates of a PEM text; what is none is left out.
pub(crate) fn certificates(pem: &str) -> Vec<Certificate> {
    let blocks = Pem::iter_from_buffer(pem.as_bytes()).filter_map(Result::ok).filter(|p| p.label == "CERTIFICATE");
    blocks
        .filter_map(|block| {
            let (not_before, not_after) = {
                let validity = block.parse_x509().ok()?.validity().clone();
                (validity.not_before.timestamp(), validity.not_after.timestamp())
            };
            Some(Certificate { der: block.contents, not_before, not_after })
        })
        .collect()
}

/// The certificates of a `caBundle`.
pub(crate) fn of_bundle(base64: &str) -> Vec<Certificate> {
    let bytes = STANDARD.decode(base64).unwrap_or_default();
    certificates(&String::from_utf8_lossy(&bytes))
}

/// The mesh's roots: of the authority's Secret where it may be read, else what pods are given.
pub(crate) fn roots(state: &ClusterState) -> Vec<Certificate> {
    let own = state.bundles.get(&state.install_namespace).or_else(|| state.bundles.values().next());
    let text = state.authority.as_ref().or(own);
    text.map(|pem| certificates(pem)).unwrap_or_default()
}

const DAY: i64 = 24 * 3600;

pub(crate) fn check(state: &ClusterState) -> Category {
    let mut out = Category::new("certificates");
    let roots = roots(state);
    let missing =
        roots.is_empty().then(|| "neither ConfigMap istio-ca-root-cert nor the authority's Secret has one".to_owned());
    let hint = "the control plane's leader makes it: see `kubectl logs deploy/leno-control`";
    out.add("the mesh has a root certificate", Status::Failure, missing.into_iter().collect(), hint);
    if roots.is_empty() {
        return out;
    }
    let now = state.server_time.unwrap_or(state.now);
    let over: Vec<String> = roots
        .iter()
        .filter(|c| c.not_after <= now || c.not_before > now)
        .map(|c| match c.not_after <= now {
            true => format!("a root certificate has ended {} days ago", (now - c.not_after) / DAY),
            false => "a root certificate is not valid yet".to_owned(),
        })
        .collect();
    let hint = "renew the root: put a new one beside the old one into the Secret `cacerts`, and wait until all proxies have it";
    out.add("the root certificate is valid", Status::Failure, over, hint);
    let near = |days: i64| {
        let soon = roots.iter().filter(move |c| c.not_after > now && c.not_after - now < days * DAY);
        soon.map(|c| format!("the root certificate ends in {} days", (c.not_after - now) / DAY)).collect::<Vec<_>>()
    };
    let (status, found) = match near(7) {
        few if !few.is_empty() => (Status::Failure, few),
        _ => (Status::Warning, near(30)),
    };
    out.add("the root certificate does not end soon", status, found, hint);
    let stale: Vec<String> = state
        .bundles
        .iter()
        .filter(|(_, pem)| {
            let given = certificates(pem);
            !roots.iter().all(|root| given.iter().any(|c| c.der == root.der))
        })
        .map(|(namespace, _)| format!("ConfigMap {namespace}/istio-ca-root-cert is not the mesh's root"))
        .collect();
    let hint =
        "the control plane's leader writes it within seconds; another mesh that writes the same ConfigMap fights it";
    out.add("every namespace is given the root certificate", Status::Failure, stale, hint);
    out
}
