//! Objects of a cluster, listed through its API server.

use kube::{Client, Config};
use serde_json::Value;
use tokio::sync::OnceCell;

use super::Raw;

/// All of them; kinds that this ServiceAccount may not read are named.
pub(super) async fn read() -> Result<Raw, String> {
    static CLIENT: OnceCell<Client> = OnceCell::const_new();
    let client = CLIENT.get_or_try_init(connect).await?;
    let mut raw = Raw::default();
    for Kind { group, versions, kind, plural } in KINDS {
        match list(client, group, versions, kind, plural).await {
            Ok(objects) => raw.objects.extend(objects),
            Err(error) => raw.missing.push(format!("{plural}: {error}")),
        }
    }
    if raw.objects.is_empty() && !raw.missing.is_empty() {
        return Err(format!("the API server gives no objects: {}", raw.missing.join("; ")));
    }
    Ok(raw)
}

async fn connect() -> Result<Client, String> {
    let config = Config::infer().await.map_err(|e| format!("no cluster: {e}"))?;
    Client::try_from(config).map_err(|e| format!("no client of the cluster: {e}"))
}

/// All objects of a kind in the first version that the server has; none where it does not know the kind.
async fn list(client: &Client, group: &str, versions: &[&str], kind: &str, plural: &str) -> Result<Vec<Value>, String> {
    for version in versions {
        let root = if group.is_empty() { format!("/api/{version}") } else { format!("/apis/{group}/{version}") };
        match pages(client, &format!("{root}/{plural}")).await {
            Ok(mut objects) => {
                let api_version = if group.is_empty() { (*version).to_owned() } else { format!("{group}/{version}") };
                for object in &mut objects {
                    // Items of a list do not say what they are.
                    object["kind"] = kind.into();
                    object["apiVersion"] = api_version.clone().into();
                }
                return Ok(objects);
            }
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            Err(kube::Error::Api(status)) => return Err(status.message),
            Err(error) => return Err(error.to_string()),
        }
    }
    Ok(Vec::new())
}

/// A list of any length, in parts.
async fn pages(client: &Client, path: &str) -> Result<Vec<Value>, kube::Error> {
    let mut objects = Vec::new();
    let mut from = String::new();
    loop {
        let uri = format!("{path}?limit=500&resourceVersion=0{from}");
        let request = http::Request::get(uri).body(Vec::new()).map_err(kube::Error::HttpError)?;
        let mut answer: Value = client.request(request).await?;
        if let Some(items) = answer["items"].as_array_mut() {
            objects.append(items);
        }
        match answer["metadata"]["continue"].as_str() {
            Some(token) if !token.is_empty() => from = format!("&continue={token}"),
            _ => return Ok(objects),
        }
    }
}

/// A kind that is read.
struct Kind {
    group: &'static str,
    /// The best first.
    versions: &'static [&'static str],
    kind: &'static str,
    plural: &'static str,
}

const fn kind(
    group: &'static str,
    versions: &'static [&'static str],
    kind: &'static str,
    plural: &'static str,
) -> Kind {
    Kind { group, versions, kind, plural }
}

const V1: &[&str] = &["v1"];
const ISTIO: &[&str] = &["v1", "v1beta1", "v1alpha3"];
const NETWORKING: &str = "networking.istio.io";
const SECURITY: &str = "security.istio.io";
const LINKERD: &str = "policy.linkerd.io";
const GATEWAY: &str = "gateway.networking.k8s.io";

/// What the checks look at and people want to see. The ClusterRole of leno-viz names the same, a test compares; Secrets and
/// `ConfigMap`s are not among them.
const KINDS: &[Kind] = &[
    kind("", V1, "Namespace", "namespaces"),
    kind("", V1, "Service", "services"),
    kind("", V1, "Pod", "pods"),
    kind("", V1, "ServiceAccount", "serviceaccounts"),
    kind("", V1, "ResourceQuota", "resourcequotas"),
    kind("", V1, "LimitRange", "limitranges"),
    kind("apps", V1, "Deployment", "deployments"),
    kind("apps", V1, "StatefulSet", "statefulsets"),
    kind("apps", V1, "DaemonSet", "daemonsets"),
    kind("batch", V1, "Job", "jobs"),
    kind("batch", V1, "CronJob", "cronjobs"),
    kind("networking.k8s.io", V1, "Ingress", "ingresses"),
    kind("networking.k8s.io", V1, "NetworkPolicy", "networkpolicies"),
    kind("admissionregistration.k8s.io", V1, "MutatingWebhookConfiguration", "mutatingwebhookconfigurations"),
    kind("admissionregistration.k8s.io", V1, "ValidatingWebhookConfiguration", "validatingwebhookconfigurations"),
    kind(NETWORKING, ISTIO, "VirtualService", "virtualservices"),
    kind(NETWORKING, ISTIO, "DestinationRule", "destinationrules"),
    kind(NETWORKING, ISTIO, "Gateway", "gateways"),
    kind(NETWORKING, ISTIO, "ServiceEntry", "serviceentries"),
    kind(NETWORKING, ISTIO, "Sidecar", "sidecars"),
    kind(NETWORKING, &["v1alpha3"], "EnvoyFilter", "envoyfilters"),
    kind(NETWORKING, ISTIO, "WorkloadEntry", "workloadentries"),
    kind(SECURITY, ISTIO, "PeerAuthentication", "peerauthentications"),
    kind(SECURITY, ISTIO, "AuthorizationPolicy", "authorizationpolicies"),
    kind(SECURITY, ISTIO, "RequestAuthentication", "requestauthentications"),
    kind("telemetry.istio.io", &["v1", "v1alpha1"], "Telemetry", "telemetries"),
    kind("split.smi-spec.io", &["v1alpha4", "v1alpha3", "v1alpha2", "v1alpha1"], "TrafficSplit", "trafficsplits"),
    kind("linkerd.io", &["v1alpha2", "v1alpha1"], "ServiceProfile", "serviceprofiles"),
    kind(LINKERD, &["v1beta3", "v1beta2", "v1beta1"], "Server", "servers"),
    kind(LINKERD, &["v1beta1", "v1alpha1"], "ServerAuthorization", "serverauthorizations"),
    kind(LINKERD, &["v1alpha1"], "AuthorizationPolicy", "authorizationpolicies"),
    kind(GATEWAY, &["v1", "v1beta1"], "Gateway", "gateways"),
    kind(GATEWAY, &["v1", "v1beta1"], "HTTPRoute", "httproutes"),
    kind(GATEWAY, &["v1"], "GRPCRoute", "grpcroutes"),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use leno_install::manifests::viz;
    use leno_install::values::Values;

    use super::KINDS;

    #[test]
    fn the_role_allows_what_is_read_and_nothing_else() {
        let objects = viz(&Values::default());
        let role = objects.iter().find(|o| o["kind"] == "ClusterRole").expect("a role");
        let mut allowed = BTreeSet::new();
        for rule in role["rules"].as_array().expect("rules") {
            assert_eq!(rule["verbs"], serde_json::json!(["get", "list"]));
            for resource in rule["resources"].as_array().expect("resources") {
                let text = |v: &serde_json::Value| v.as_str().unwrap_or_default().to_owned();
                allowed.insert((text(&rule["apiGroups"][0]), text(resource)));
            }
        }
        let read: BTreeSet<_> = KINDS.iter().map(|k| (k.group.to_owned(), k.plural.to_owned())).collect();
        assert_eq!(allowed, read);
    }
}
