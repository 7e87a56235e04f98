use serde_json::{Value, json};

use super::undo::{UninjectOutcome, uninject};
use super::{InjectOutcome, InjectSettings, NamespaceMeta, documents, inject, yaml};
use proptest::prelude::*;

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

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[ -~]{0,12}",
        prop::sample::select(vec![
            "on",
            "NO",
            "~",
            "null",
            "0x1f",
            "1e3",
            "0644",
            "1_000",
            "a: b",
            "- x",
            "#",
            "a\nb\n",
            " a\nb",
            "a\n\n",
            "é\u{85}\u{2028}",
            "\t",
            "$(X)$$",
            "=",
            "<<",
            "2001-01-01",
            "y",
            ".inf",
            "a\r\nb",
            "\u{feff}",
            "x #y",
            "k:",
            "{}",
            "*a",
            "&a",
            "!t",
        ])
        .prop_map(str::to_owned),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(text(), inner, 0..4).prop_map(|m| Value::Object(m.into_iter().collect())),
        ]
    })
}

fn port() -> impl Strategy<Value = Value> {
    prop_oneof![
        (1_u16..).prop_map(Value::from),
        prop::sample::select(vec!["http", "8080", "none"]).prop_map(Value::from)
    ]
}

fn probe() -> impl Strategy<Value = Value> {
    let handler = prop_oneof![
        (port(), text()).prop_map(|(port, path)| json!({"httpGet": {"port": port, "path": path}})),
        port().prop_map(|port| json!({"tcpSocket": {"port": port}})),
        (1_u16..).prop_map(|port| json!({"grpc": {"port": port}})),
        Just(json!({"exec": {"command": ["true"]}})),
    ];
    (handler, prop::option::of(1_u32..9)).prop_map(|(mut probe, limit)| {
        if let Some(limit) = limit {
            probe["timeoutSeconds"] = json!(limit);
        }
        probe
    })
}

fn container() -> impl Strategy<Value = Value> {
    let probes = prop::collection::btree_map(
        prop::sample::select(vec!["livenessProbe", "readinessProbe", "startupProbe"]),
        probe(),
        0..3,
    );
    ("[a-z]{3}", probes, prop::option::of(probe()), text()).prop_map(|(name, probes, hook, env)| {
        let mut container = json!({"name": name, "ports": [{"name": "http", "containerPort": 80}],
            "env": [{"name": "E", "value": env}]});
        for (key, probe) in probes {
            container[key] = probe;
        }
        if let Some(hook) = hook {
            container["lifecycle"] = json!({"preStop": hook});
        }
        container
    })
}

fn any_pod() -> impl Strategy<Value = Value> {
    let lists = (prop::collection::vec(container(), 1..3), prop::option::of(prop::collection::vec(container(), 0..3)));
    let maps =
        (prop::option::of(prop::bool::ANY), prop::option::of(prop::bool::ANY), prop::option::of(prop::bool::ANY));
    (lists, maps, any::<bool>()).prop_map(|((containers, inits), (labels, annotations, volumes), classic)| {
        let mut pod =
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web"}, "spec": {"containers": containers}});
        if let Some(inits) = inits {
            pod["spec"]["initContainers"] = json!(inits);
        }
        if let Some(full) = labels {
            pod["metadata"]["labels"] = if full { json!({"app": "web"}) } else { json!({}) };
        }
        if let Some(full) = annotations {
            pod["metadata"]["annotations"] = if full { json!({"prometheus.io/scrape": "false"}) } else { json!({}) };
        }
        if classic {
            pod["metadata"]["annotations"]["sidecar.istio.io/nativeSidecar"] = json!("false");
        }
        if let Some(full) = volumes {
            pod["spec"]["volumes"] = if full { json!([{"name": "data", "emptyDir": {}}]) } else { json!([]) };
        }
        pod
    })
}

proptest! {
    #[test]
    fn inject_and_uninject_are_the_identity(pod in any_pod()) {
        let on = namespace(&[("istio-injection", "enabled")], &[]);
        let settings = InjectSettings { image_pull_secrets: vec!["hub".into()], ..InjectSettings::default() };
        let mut there = pod.clone();
        let injected = matches!(inject(&mut there, &on, &settings), InjectOutcome::Injected { .. });
        prop_assert!(injected);
        prop_assert_ne!(&there, &pod);
        prop_assert_eq!(uninject(&mut there), UninjectOutcome::Removed);
        prop_assert_eq!(there, pod);
    }

    #[test]
    fn written_yaml_is_read_as_it_was_meant(value in value()) {
        let document = Value::Object([("a".to_owned(), value)].into_iter().collect());
        let text = yaml::document(&document);
        let read = leno_config::read::value(&text);
        prop_assert_eq!(read.map(|(v, _)| v), Ok(document), "{}", text);
    }

    #[test]
    fn files_without_workloads_stay_to_the_byte(value in value(), tail in "[ -~\n]{0,20}") {
        let document = Value::Object([("kind".to_owned(), json!("Other")), ("a".to_owned(), value)].into_iter().collect());
        let text = format!("{}---\n# {}\n", yaml::document(&document), tail.replace('\n', " "));
        let changed = documents::inject_text(&text, &InjectSettings::default()).expect("YAML");
        prop_assert_eq!(changed.text, text);
    }

    #[test]
    fn no_text_breaks_it(text in "[ -~\n]{0,80}") {
        let _ = documents::inject_text(&text, &InjectSettings::default());
        let _ = documents::uninject_text(&text);
    }
}
