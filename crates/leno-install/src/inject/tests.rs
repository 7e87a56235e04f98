use serde_json::{Value, json};

use super::undo::{UninjectOutcome, uninject};
use super::{InjectOutcome, InjectSettings, NamespaceMeta, PROXY_CONTAINER, documents, inject};

mod property;

fn namespace(labels: &[(&str, &str)], annotations: &[(&str, &str)]) -> NamespaceMeta {
    let map = |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    NamespaceMeta { name: "shop".into(), labels: map(labels), annotations: map(annotations) }
}

fn pod(labels: &Value, annotations: &Value) -> Value {
    json!({
        "metadata": {"name": "web-1", "labels": labels, "annotations": annotations},
        "spec": {"containers": [{"name": "app", "command": ["serve"]}]},
    })
}

fn outcome(pod: &mut Value, namespace: &NamespaceMeta) -> InjectOutcome {
    inject(pod, namespace, &InjectSettings::default())
}

fn injected(labels: &Value, annotations: &Value, namespace: &NamespaceMeta) -> bool {
    matches!(outcome(&mut pod(labels, annotations), namespace), InjectOutcome::Injected { .. })
}

#[test]
fn nobody_asked_nobody_gets() {
    assert!(!injected(&json!({}), &json!({}), &namespace(&[], &[])));
}

#[test]
fn istio_asks_by_namespace_and_pod_and_a_no_wins() {
    let on = namespace(&[("istio-injection", "enabled")], &[]);
    let off = namespace(&[("istio-injection", "disabled")], &[]);
    let silent = namespace(&[], &[]);
    let yes = json!({"sidecar.istio.io/inject": "true"});
    let no = json!({"sidecar.istio.io/inject": "false"});
    assert!(injected(&json!({}), &json!({}), &on));
    assert!(!injected(&no, &json!({}), &on));
    assert!(!injected(&json!({}), &no, &on), "the older annotation says no too");
    assert!(injected(&yes, &json!({}), &silent));
    assert!(!injected(&yes, &json!({}), &off));
}

#[test]
fn istio_label_on_the_pod_outranks_its_annotation() {
    let silent = namespace(&[], &[]);
    let label = json!({"sidecar.istio.io/inject": "true"});
    assert!(injected(&label, &json!({"sidecar.istio.io/inject": "false"}), &silent));
}

#[test]
fn revision_is_asked_only_where_nothing_else_is_said() {
    assert!(injected(&json!({}), &json!({}), &namespace(&[("istio.io/rev", "default")], &[])));
    assert!(!injected(&json!({}), &json!({}), &namespace(&[("istio.io/rev", "canary")], &[])));
    let both = namespace(&[("istio.io/rev", "canary"), ("istio-injection", "enabled")], &[]);
    assert!(injected(&json!({}), &json!({}), &both), "istio-injection outranks istio.io/rev");
}

#[test]
fn linkerd_asks_by_annotation_and_the_pod_wins() {
    let on = namespace(&[], &[("linkerd.io/inject", "enabled")]);
    let off = namespace(&[], &[("linkerd.io/inject", "disabled")]);
    assert!(injected(&json!({}), &json!({}), &on));
    assert!(!injected(&json!({}), &json!({"linkerd.io/inject": "disabled"}), &on));
    assert!(injected(&json!({}), &json!({"linkerd.io/inject": "enabled"}), &off));
    assert!(injected(&json!({}), &json!({"linkerd.io/inject": "ingress"}), &namespace(&[], &[])));
}

#[test]
fn a_no_of_either_dialect_wins() {
    let on = namespace(&[("istio-injection", "enabled")], &[]);
    assert!(!injected(&json!({}), &json!({"linkerd.io/inject": "disabled"}), &on));
    let linkerd = namespace(&[], &[("linkerd.io/inject", "enabled")]);
    assert!(!injected(&json!({"sidecar.istio.io/inject": "false"}), &json!({}), &linkerd));
}

#[test]
fn pods_that_cannot_have_a_sidecar_are_left_as_they_are() {
    let on = namespace(&[("istio-injection", "enabled")], &[]);
    let mut host = pod(&json!({}), &json!({}));
    host["spec"]["hostNetwork"] = json!(true);
    let before = host.clone();
    let InjectOutcome::Skipped { reason, .. } = outcome(&mut host, &on) else {
        panic!("a hostNetwork pod was injected")
    };
    assert!(reason.contains("hostNetwork"), "{reason}");
    assert_eq!(host, before);

    let mut twice = pod(&json!({}), &json!({}));
    assert!(matches!(outcome(&mut twice, &on), InjectOutcome::Injected { .. }));
    let before = twice.clone();
    let InjectOutcome::Skipped { reason, .. } = outcome(&mut twice, &on) else { panic!("injected twice") };
    assert!(reason.contains("already"), "{reason}");
    assert_eq!(twice, before);
}

#[test]
fn annotations_that_are_not_honoured_are_named() {
    let on = namespace(&[("istio-injection", "enabled")], &[]);
    let annotations = json!({
        "sidecar.istio.io/interceptionMode": "TPROXY",
        "config.linkerd.io/skip-outbound-ports": "80,nope,5-4",
        "example.com/mine": "x",
    });
    let InjectOutcome::Injected { warnings } = outcome(&mut pod(&json!({}), &annotations), &on) else {
        panic!("skipped")
    };
    assert_eq!(
        warnings,
        [
            "config.linkerd.io/skip-outbound-ports: `nope` cannot be read, ignored",
            "config.linkerd.io/skip-outbound-ports: `5-4` cannot be read, ignored",
            "annotation sidecar.istio.io/interceptionMode is not honoured",
        ]
    );
}

#[test]
fn an_application_with_metrics_is_scraped_by_way_of_the_proxy_and_back() {
    let on = namespace(&[("istio-injection", "enabled")], &[]);
    let said = json!({"prometheus.io/scrape": "true", "prometheus.io/port": "9090"});
    let mut p = pod(&json!({}), &said);
    let before = p.clone();
    outcome(&mut p, &on);
    let annotations = &p["metadata"]["annotations"];
    assert_eq!(annotations["prometheus.io/port"], "15020");
    assert_eq!(annotations["prometheus.io/path"], "/stats/prometheus");
    let told = env_of(&p, "ISTIO_PROMETHEUS_ANNOTATIONS").expect("the proxy is told");
    assert_eq!(told, r#"{"scrape":"true","port":"9090"}"#);
    assert_eq!(uninject(&mut p), UninjectOutcome::Removed);
    assert_eq!(p, before);

    let mut silent = pod(&json!({}), &json!({"prometheus.io/scrape": "false"}));
    outcome(&mut silent, &on);
    assert_eq!(silent["metadata"]["annotations"]["prometheus.io/scrape"], "false", "it does not want to be scraped");
    assert_eq!(env_of(&silent, "ISTIO_PROMETHEUS_ANNOTATIONS"), None);
}

#[test]
fn linkerds_series_are_asked_for_by_pod() {
    let on = namespace(&[("istio-injection", "enabled")], &[]);
    let mut p = pod(&json!({}), &json!({"proxy.leno.dev/linkerd-metrics": "true"}));
    outcome(&mut p, &on);
    assert_eq!(env_of(&p, "LENO_LINKERD_METRICS").as_deref(), Some("true"));
}

/// A variable of the proxy's environment.
fn env_of(pod: &Value, name: &str) -> Option<String> {
    let containers = ["initContainers", "containers"].iter().filter_map(|list| pod["spec"][list].as_array()).flatten();
    let mut env = containers.filter(|c| c["name"] == PROXY_CONTAINER).filter_map(|c| c["env"].as_array()).flatten();
    env.find(|e| e["name"] == name).and_then(|e| e["value"].as_str()).map(str::to_owned)
}

#[test]
fn canonical_labels_come_from_the_usual_ones_and_the_users_stay() {
    let on = namespace(&[("istio-injection", "enabled")], &[]);
    let mut p = pod(&json!({"app": "web", "version": "v2"}), &json!({}));
    outcome(&mut p, &on);
    assert_eq!(p["metadata"]["labels"]["service.istio.io/canonical-name"], "web");
    assert_eq!(p["metadata"]["labels"]["service.istio.io/canonical-revision"], "v2");
    assert_eq!(p["metadata"]["labels"]["security.istio.io/tlsMode"], "istio");
    let mut p = pod(&json!({"security.istio.io/tlsMode": "disabled"}), &json!({}));
    outcome(&mut p, &on);
    assert_eq!(p["metadata"]["labels"]["security.istio.io/tlsMode"], "disabled");
    assert_eq!(p["metadata"]["labels"]["service.istio.io/canonical-name"], "web-1");
}

/// One file each: the pod above, what becomes of it below. `LENO_GOLDEN=write` writes what is below anew.
#[test]
fn golden() {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden");
    let mut seen = 0;
    for entry in std::fs::read_dir(dir).expect("the golden files") {
        let path = entry.expect("an entry").path();
        let text = std::fs::read_to_string(&path).expect("a golden file");
        let file: Value = serde_json::from_str(&text).expect("JSON");
        let mut settings: InjectSettings = serde_json::from_value(file["settings"].clone()).unwrap_or_default();
        settings.image = "leno-proxy:test".into();
        settings.socket_mark = file["mark"].as_u64().map(|m| u32::try_from(m).expect("a mark"));
        let strings = |v: &Value| serde_json::from_value(v.clone()).unwrap_or_default();
        let namespace = NamespaceMeta {
            name: "shop".into(),
            labels: strings(&file["namespace"]["labels"]),
            annotations: strings(&file["namespace"]["annotations"]),
        };
        let mut pod = file["pod"].clone();
        let outcome = inject(&mut pod, &namespace, &settings);
        let result = match outcome {
            InjectOutcome::Injected { warnings } => json!({"warnings": warnings, "pod": pod}),
            InjectOutcome::Skipped { reason, .. } => {
                assert_eq!(pod, file["pod"], "{}", path.display());
                json!({"skipped": reason})
            }
        };
        if std::env::var("LENO_GOLDEN").is_ok_and(|v| v == "write") {
            let mut file = file;
            file["result"] = result;
            std::fs::write(&path, serde_json::to_string_pretty(&file).expect("JSON") + "\n").expect("written");
        } else {
            assert_eq!(file["result"], result, "{}", path.display());
        }
        seen += 1;
    }
    assert!(seen >= 8, "{seen}");
}

#[test]
fn uninject_undoes_every_golden() {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden");
    let mut undone = 0;
    for entry in std::fs::read_dir(dir).expect("the golden files") {
        let text = std::fs::read_to_string(entry.expect("an entry").path()).expect("a golden file");
        let file: Value = serde_json::from_str(&text).expect("JSON");
        let mut pod = file["result"]["pod"].clone();
        if pod.is_null() {
            continue;
        }
        assert_eq!(uninject(&mut pod), UninjectOutcome::Removed);
        assert_eq!(pod, file["pod"]);
        undone += 1;
    }
    assert!(undone >= 6, "{undone}");
}

#[test]
fn what_another_mesh_injected_is_left_to_it() {
    let mut p = pod(
        &json!({}),
        &json!({"sidecar.istio.io/status": "{\"initContainers\":[\"istio-init\"],\"containers\":null}"}),
    );
    let before = p.clone();
    assert!(matches!(uninject(&mut p), UninjectOutcome::Skipped(_)));
    assert_eq!(p, before);
}

#[test]
fn settings_are_read_leniently_but_unknown_keys_are_named() {
    let settings =
        InjectSettings::from_yaml("nativeSidecar: auto\nimagePullPolicy: ''\nlogLevel: debug\n").expect("settings");
    assert_eq!(settings, InjectSettings { log_level: "debug".into(), ..InjectSettings::default() });
    assert_eq!(InjectSettings::from_yaml("# nothing\n"), Ok(InjectSettings::default()));
    let error = InjectSettings::from_yaml("resources: {request: {cpu: 1m}}").expect_err("an unknown key");
    assert!(error.contains("`request`"), "{error}");
    let written = serde_yaml_ng::to_string(&InjectSettings::default()).expect("YAML");
    assert_eq!(InjectSettings::from_yaml(&written), Ok(InjectSettings::default()));
}

#[test]
fn a_revision_has_its_control_plane() {
    use super::settings::control_address;
    assert_eq!(control_address("leno-system", "default"), "leno-control.leno-system.svc:15012");
    assert_eq!(control_address("mesh", "canary"), "leno-control-canary.mesh.svc:15012");
}

#[test]
fn comments_and_marks_before_a_workload_stay() {
    let text = "--- # first\n# a pod\nkind: Pod\napiVersion: v1\nmetadata: {name: a}\nspec: {containers: [{name: a}]}\n---\n# nothing\n";
    let changed = documents::inject_text(text, &InjectSettings::default()).expect("YAML");
    assert!(changed.text.starts_with("--- # first\n# a pod\nkind: Pod\n"), "{}", changed.text);
    assert!(changed.text.ends_with("\n---\n# nothing\n"), "{}", changed.text);
    let flow = "--- {kind: Pod, apiVersion: v1, metadata: {name: a}, spec: {containers: [{name: a}]}}\n";
    let changed = documents::inject_text(flow, &InjectSettings::default()).expect("YAML");
    assert!(changed.text.starts_with("---\nkind: Pod\n"), "{}", changed.text);
}
