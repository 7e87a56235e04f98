//! What is installed, per profile.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Value, json};

use super::{INJECTION_LABEL, MANAGED_BY, install, viz};
use crate::InjectSettings;
use crate::values::{Layer, Values, resolve};

fn values(tree: Value) -> Values {
    resolve(&[Layer { origin: "test".into(), tree }]).expect("good values").0
}

fn find<'o>(objects: &'o [Value], kind: &str, name: &str) -> &'o Value {
    let is = |o: &&Value| o["kind"] == kind && o["metadata"]["name"] == name;
    objects.iter().find(is).unwrap_or_else(|| panic!("no {kind} {name}"))
}

fn yaml(objects: &[Value]) -> String {
    let texts: Vec<String> = objects.iter().map(|o| serde_yaml_ng::to_string(o).expect("YAML")).collect();
    // A release changes nothing but this.
    texts.join("---\n").replace(env!("CARGO_PKG_VERSION"), "VERSION")
}

#[test]
fn the_default_profile() {
    insta::assert_snapshot!("default", yaml(&install(&values(json!({})))));
}

/// Every leaf with its address.
fn leaves(objects: &[Value]) -> BTreeMap<String, String> {
    fn walk(value: &Value, at: String, out: &mut BTreeMap<String, String>) {
        match value {
            Value::Object(map) if !map.is_empty() => map.iter().for_each(|(k, v)| walk(v, format!("{at}.{k}"), out)),
            Value::Array(list) if !list.is_empty() => {
                list.iter().enumerate().for_each(|(i, v)| walk(v, format!("{at}[{i}]"), out))
            }
            leaf => drop(out.insert(at, leaf.to_string())),
        }
    }
    let mut out = BTreeMap::new();
    for object in objects {
        let name = |v: &Value| v.as_str().unwrap_or_default().to_owned();
        walk(object, format!("{} {}: ", name(&object["kind"]), name(&object["metadata"]["name"])), &mut out);
    }
    out
}

#[test]
fn the_other_profiles_differ_by_little() {
    let base = leaves(&install(&values(json!({}))));
    let mut out = String::new();
    for tree in [json!({"profile": "demo"}), json!({"profile": "minimal"}), json!({"profile": "ha"})] {
        let other = leaves(&install(&values(tree.clone())));
        let _ = writeln!(out, "# {tree}");
        for (path, value) in &base {
            match other.get(path) {
                Some(now) if now == value => {}
                Some(now) => drop(writeln!(out, "~ {path} {value} -> {now}")),
                None => drop(writeln!(out, "- {path}")),
            }
        }
        for (path, value) in other.iter().filter(|(path, _)| !base.contains_key(*path)) {
            let _ = writeln!(out, "+ {path} {value}");
        }
    }
    insta::assert_snapshot!("profiles", out.replace(env!("CARGO_PKG_VERSION"), "VERSION"));
}

#[test]
fn every_object_is_marked_as_ours() {
    let demo = values(json!({"profile": "demo"}));
    for object in install(&demo).iter().chain(&viz(&demo)).chain(&crate::crds::all()) {
        assert_eq!(object["metadata"]["labels"][MANAGED_BY.0], MANAGED_BY.1, "{object}");
    }
}

#[test]
fn pods_meet_the_restricted_pod_security_standard() {
    for object in install(&values(json!({"profile": "demo"}))).iter().filter(|o| o["kind"] == "Deployment") {
        let spec = &object["spec"]["template"]["spec"];
        assert_eq!(spec["securityContext"]["runAsNonRoot"], true);
        assert_eq!(spec["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
        for container in spec["containers"].as_array().unwrap() {
            let security = &container["securityContext"];
            assert_eq!(security["allowPrivilegeEscalation"], false);
            assert_eq!(security["readOnlyRootFilesystem"], true);
            assert_eq!(security["capabilities"], json!({"drop": ["ALL"]}));
            assert!(
                !container["resources"]["requests"]["cpu"].is_null()
                    && !container["resources"]["requests"]["memory"].is_null()
            );
            assert!(!container["readinessProbe"].is_null());
        }
    }
}

#[test]
fn the_control_plane_may_delete_nothing_and_read_no_secret_of_others() {
    for role in install(&values(json!({}))).iter().filter(|o| o["kind"].as_str().is_some_and(|k| k.ends_with("Role"))) {
        for rule in role["rules"].as_array().unwrap() {
            let has = |key: &str, word: &str| rule[key].as_array().unwrap().iter().any(|w| w == word);
            assert!(
                !has("verbs", "*") && !has("verbs", "delete") && !has("resources", "*") && !has("apiGroups", "*"),
                "{rule}"
            );
            if has("resources", "secrets") {
                assert_eq!(role["kind"], "Role", "only in the install namespace");
                assert!(!has("verbs", "get") || !rule["resourceNames"].is_null(), "{rule}");
            }
        }
    }
}

#[test]
fn no_webhook_can_stop_pods_of_system_namespaces_or_of_namespaces_that_are_not_meshed() {
    let objects = install(&values(json!({})));
    let hooks = find(&objects, "MutatingWebhookConfiguration", "leno-injector")["webhooks"].as_array().unwrap();
    for hook in hooks {
        let conditions = hook["namespaceSelector"]["matchExpressions"].as_array().unwrap();
        let system = conditions.iter().find(|c| c["key"] == "kubernetes.io/metadata.name").expect("a rule by name");
        assert_eq!(system["operator"], "NotIn");
        for name in ["kube-system", "kube-public", "kube-node-lease", "leno-system"] {
            assert!(system["values"].as_array().unwrap().iter().any(|v| v == name), "{name}");
        }
        // Either the namespace asks for it, or the pod itself does.
        let asks = |list: &Value| list["matchExpressions"].as_array().unwrap().iter().any(|c| c["operator"] == "In");
        let asked =
            asks(&hook["namespaceSelector"]) || asks(&hook["objectSelector"]) || !hook["matchConditions"].is_null();
        assert!(asked, "{hook}");
        assert_eq!(hook["failurePolicy"], "Fail");
        assert!(hook["timeoutSeconds"].as_u64().unwrap() <= 5);
        assert!(hook["clientConfig"]["caBundle"].is_null(), "the control plane writes it");
    }
    assert!(hooks.iter().any(|h| h["namespaceSelector"].to_string().contains(INJECTION_LABEL)));
}

#[test]
fn the_validator_is_asked_about_our_groups_only() {
    let objects = install(&values(json!({})));
    let hook = &find(&objects, "ValidatingWebhookConfiguration", "leno-validator")["webhooks"][0];
    let ours = ["networking.istio.io", "security.istio.io", "telemetry.istio.io", "split.smi-spec.io", "linkerd.io"];
    for rule in hook["rules"].as_array().unwrap() {
        assert!(ours.iter().any(|group| rule["apiGroups"] == json!([group])), "{rule}");
        assert!(!rule["resources"].to_string().contains('*'));
        assert_eq!(rule["operations"], json!(["CREATE", "UPDATE"]));
    }
}

#[test]
fn a_revision_has_names_of_its_own() {
    let of = |revision: &str| {
        let objects = install(&values(json!({ "revision": revision })));
        let name = |o: &Value| format!("{} {}", o["kind"], o["metadata"]["name"]);
        objects.iter().filter(|o| o["kind"] != "Namespace").map(name).collect::<Vec<String>>()
    };
    let (default, canary) = (of("default"), of("canary"));
    assert!(default.iter().all(|name| !canary.contains(name)), "{canary:?}");
}

#[test]
fn the_injector_is_given_what_was_chosen() {
    let chosen =
        json!({"hub": "h", "tag": "t", "revision": "canary", "proxy": {"logLevel": "debug", "env": {"A": "1"}}});
    let objects = install(&values(chosen));
    let text = find(&objects, "ConfigMap", "leno-canary")["data"]["values"].as_str().unwrap();
    let read: Value = serde_yaml_ng::from_str(text).unwrap();
    assert_eq!(read["image"], "h/leno-proxy:t");
    assert_eq!(read["controlAddress"], "leno-control-canary.leno-system.svc:15012");
    assert_eq!(
        (&read["logLevel"], &read["nativeSidecar"], &read["env"]["A"]),
        (&json!("debug"), &json!(true), &json!("1"))
    );
    assert_eq!(read["resources"], json!({"requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {}}));
}

/// What `leno install` writes, the injector reads; and the defaults of both are the same.
#[test]
fn the_injector_reads_what_is_installed() {
    let read = |tree: Value| {
        let objects = install(&values(tree));
        let map = objects.iter().find(|o| o["kind"] == "ConfigMap").expect("a ConfigMap");
        InjectSettings::from_yaml(map["data"]["values"].as_str().expect("text")).expect("settings")
    };
    assert_eq!(read(json!({})), InjectSettings::default());
    let chosen = read(json!({
        "imagePullPolicy": "Never", "imagePullSecrets": ["pull"], "trustDomain": "example.org", "revision": "canary", "namespace": "mesh",
        "proxy": {
            "image": "i", "resources": {"limits": {"memory": "1Gi"}}, "logLevel": "debug", "logFormat": "json", "certTtl": "1h",
            "nativeSidecar": false, "holdApplicationUntilProxyStarts": false, "terminationDrainDuration": "9s",
            "rewriteAppProbes": false, "prometheusAnnotations": false, "excludeInboundPorts": ["1"], "excludeOutboundPorts": ["2"],
            "excludeOutboundIPRanges": ["10.0.0.0/8"], "includeOutboundIPRanges": ["10.1.0.0/16"], "env": {"A": "b"},
        },
    }));
    assert_eq!((chosen.image.as_str(), chosen.image_pull_policy.as_deref()), ("i", Some("Never")));
    assert_eq!(chosen.control_address, "leno-control-canary.mesh.svc:15012");
    assert!(!chosen.native_sidecar && !chosen.rewrite_app_probes && !chosen.hold_application_until_proxy_starts);
    assert_eq!(chosen.resources.limits["memory"], "1Gi");
    assert_eq!(chosen.include_outbound_ip_ranges, ["10.1.0.0/16"]);
}
