//! Objects of a cluster, listed through its API server.

use std::time::Duration;

use kube::{Client, Config};
use serde_json::Value;
use tokio::sync::OnceCell;

use super::Raw;

/// All of them; kinds that this ServiceAccount may not read are named.
pub(super) async fn read() -> Result<Raw, String> {
    static CLIENT: OnceCell<Client> = OnceCell::const_new();
    read_by(CLIENT.get_or_try_init(connect).await?).await
}

async fn read_by(client: &Client) -> Result<Raw, String> {
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
    let mut config = Config::infer().await.map_err(|e| format!("no cluster: {e}"))?;
    // Somebody waits for the page.
    (config.connect_timeout, config.read_timeout) = (Some(PATIENCE), Some(PATIENCE));
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

/// For one answer of the API server.
const PATIENCE: Duration = Duration::from_secs(10);

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

    use super::{KINDS, read_by};

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

    /// Lists as an API server gives them: in parts, of the versions that it has, and not to everybody.
    async fn api(uri: http::Uri) -> axum::response::Response {
        use axum::response::IntoResponse as _;
        let query = uri.query().unwrap_or_default();
        let item = |name: &str| serde_json::json!({"metadata": {"name": name, "namespace": "a"}, "spec": {}});
        let status = |code: u16, message: &str| {
            let body = serde_json::json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "reason": "x", "code": code});
            (http::StatusCode::from_u16(code).unwrap_or_default(), axum::Json(body)).into_response()
        };
        let list = |names: &[&str], more: &str| {
            let items: Vec<_> = names.iter().map(|n| item(n)).collect();
            axum::Json(serde_json::json!({"items": items, "metadata": {"continue": more}})).into_response()
        };
        match uri.path() {
            "/api/v1/services" if query.contains("continue=two") => list(&["c"], ""),
            "/api/v1/services" => list(&["a", "b"], "two"),
            "/apis/networking.istio.io/v1beta1/virtualservices" => list(&["vs"], ""),
            "/api/v1/pods" => status(403, "pods is forbidden"),
            _ => status(404, "the server could not find the requested resource"),
        }
    }

    #[tokio::test]
    async fn lists_come_in_parts_and_versions_and_refusals_are_named() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("its address");
        tokio::spawn(async move { axum::serve(listener, axum::Router::new().fallback(api)).await });
        let config = kube::Config::new(format!("http://{address}").parse().expect("an address"));
        let raw = read_by(&kube::Client::try_from(config).expect("a client")).await.expect("objects");
        let names: Vec<String> = raw
            .objects
            .iter()
            .map(|o| format!("{} {} {}", o["apiVersion"], o["kind"], o["metadata"]["name"]).replace('"', ""))
            .collect();
        assert_eq!(
            names,
            ["v1 Service a", "v1 Service b", "v1 Service c", "networking.istio.io/v1beta1 VirtualService vs"]
        );
        assert_eq!(raw.missing, ["pods: pods is forbidden"]);
    }
}
