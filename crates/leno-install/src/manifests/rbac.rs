//! Who may do what: the least that the control plane works with. It deletes nothing, and reads no Secret but its own authority's.

use serde_json::{Value, json};

use super::{CONFIG_MAP, CONTROL, revision_labels, revisioned};
use crate::values::Values;

pub(super) fn objects(values: &Values) -> Vec<Value> {
    let name = revisioned(CONTROL, &values.revision);
    let labels = revision_labels(CONTROL, values);
    let here = json!({"name": name, "namespace": values.namespace, "labels": labels});
    // Two meshes in one cluster do not take each other's rights.
    let everywhere = json!({"name": format!("{name}-{}", values.namespace), "labels": labels});
    let subjects = json!([{"kind": "ServiceAccount", "name": name, "namespace": values.namespace}]);
    let api = "rbac.authorization.k8s.io";
    let version = format!("{api}/v1");
    vec![
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": here}),
        json!({"apiVersion": version, "kind": "ClusterRole", "metadata": everywhere, "rules": cluster_rules(values)}),
        json!({
            "apiVersion": version, "kind": "ClusterRoleBinding", "metadata": everywhere,
            "roleRef": {"apiGroup": api, "kind": "ClusterRole", "name": everywhere["name"]},
            "subjects": subjects,
        }),
        json!({"apiVersion": version, "kind": "Role", "metadata": here, "rules": rules(values)}),
        json!({
            "apiVersion": version, "kind": "RoleBinding", "metadata": here,
            "roleRef": {"apiGroup": api, "kind": "Role", "name": name},
            "subjects": subjects,
        }),
    ]
}

fn rule(group: &str, resources: &[&str], verbs: &[&str]) -> Value {
    json!({"apiGroups": [group], "resources": resources, "verbs": verbs})
}

fn named(group: &str, resource: &str, names: &[String], verbs: &[&str]) -> Value {
    json!({"apiGroups": [group], "resources": [resource], "resourceNames": names, "verbs": verbs})
}

fn cluster_rules(values: &Values) -> Value {
    let webhook = |name: &str| vec![revisioned(name, &values.revision)];
    let mut rules = vec![
        rule("", &["pods", "services"], READ),
        // patch: the label that mirrors `linkerd.io/inject`.
        rule("", &["namespaces"], &["get", "list", "watch", "patch"]),
        rule("discovery.k8s.io", &["endpointslices"], READ),
        rule("apiextensions.k8s.io", &["customresourcedefinitions"], READ),
        rule("authentication.k8s.io", &["tokenreviews"], &["create"]),
        // Server-side apply is judged with the name, so that `create` can be limited to it.
        named("", "configmaps", &["istio-ca-root-cert".into()], &["get", "list", "watch", "create", "patch"]),
    ];
    for (group, resources) in CONFIG {
        rules.push(rule(group, resources, READ));
        let status: Vec<String> = resources.iter().map(|r| format!("{r}/status")).collect();
        let status: Vec<&str> = status.iter().map(String::as_str).collect();
        rules.push(rule(group, &status, &["patch"]));
    }
    let change = ["get", "list", "watch", "patch"];
    let api = "admissionregistration.k8s.io";
    rules.push(named(api, "mutatingwebhookconfigurations", &webhook("leno-injector"), &change));
    rules.push(named(api, "validatingwebhookconfigurations", &webhook("leno-validator"), &change));
    Value::Array(rules)
}

fn rules(values: &Values) -> Value {
    let leases = [revisioned("leno-control-leader", &values.revision), "leno-control-mesh".to_owned()];
    json!([
        named("", "configmaps", &[revisioned(CONFIG_MAP, &values.revision)], READ),
        named("", "secrets", &["cacerts".into(), "leno-ca-secret".into()], READ),
        // `create` cannot be limited by name.
        rule("", &["secrets"], &["create"]),
        rule("coordination.k8s.io", &["leases"], &["create"]),
        named("coordination.k8s.io", "leases", &leases, &["get", "update"]),
    ])
}

const READ: &[&str] = &["get", "list", "watch"];

/// Kinds that the control plane follows and writes a status to, in the order in which the chart has them.
const CONFIG: &[(&str, &[&str])] = &[
    ("gateway.networking.k8s.io", &["httproutes", "grpcroutes"]),
    ("networking.istio.io", &["virtualservices", "destinationrules"]),
    ("security.istio.io", &["peerauthentications", "authorizationpolicies"]),
    ("split.smi-spec.io", &["trafficsplits"]),
    ("telemetry.istio.io", &["telemetries"]),
];
