//! What holds for any pod and any file.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::undo::{UninjectOutcome, uninject};
use super::super::{InjectOutcome, InjectSettings, documents, inject, yaml};
use super::namespace;

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
            prop::collection::btree_map(text().prop_filter("keys have a name", |k| !k.is_empty()), inner, 0..4)
                .prop_map(|m| Value::Object(m.into_iter().collect())),
        ]
    })
}

/// To Kubernetes, and to the reader, a field that is null is not there.
fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let kept = map.into_iter().filter(|(_, v)| !v.is_null());
            Value::Object(kept.map(|(k, v)| (k, without_nulls(v))).collect())
        }
        Value::Array(items) => items.into_iter().map(without_nulls).collect(),
        other => other,
    }
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
            pod["metadata"]["annotations"] =
                if full { json!({"prometheus.io/scrape": "true", "prometheus.io/port": "9090"}) } else { json!({}) };
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
        prop_assert_eq!(read.map(|(v, _)| v), Ok(without_nulls(document)), "{}", text);
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
