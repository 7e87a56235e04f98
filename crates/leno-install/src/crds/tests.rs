//! What the API server demands of definitions, and what Istio's, SMI's and Linkerd's users expect of them.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{all, kinds};

#[test]
fn names_versions_and_columns() {
    let mut out = String::new();
    for crd in all() {
        let spec = &crd["spec"];
        let versions = spec["versions"].as_array().unwrap();
        let version = |v: &Value| {
            let star = if v["storage"] == true { "*" } else { "" };
            format!("{}{star}", v["name"].as_str().unwrap())
        };
        let columns = versions[0]["additionalPrinterColumns"].as_array().cloned().unwrap_or_default();
        let names = |list: &[Value], key: &str| {
            list.iter().map(|c| c[key].as_str().unwrap().to_owned()).collect::<Vec<_>>().join(",")
        };
        let short = spec["names"]["shortNames"].as_array().cloned().unwrap_or_default();
        out += &format!(
            "{} {} [{}] short={} columns={}\n",
            crd["metadata"]["name"].as_str().unwrap(),
            spec["names"]["kind"].as_str().unwrap(),
            versions.iter().map(version).collect::<Vec<_>>().join(" "),
            short.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(","),
            names(&columns, "name"),
        );
    }
    insta::assert_snapshot!("names", out);
}

#[test]
fn each_stores_one_version_and_has_a_status() {
    for crd in all() {
        let versions = crd["spec"]["versions"].as_array().unwrap();
        assert_eq!(versions.iter().filter(|v| v["storage"] == true).count(), 1, "{}", crd["metadata"]["name"]);
        assert!(versions.iter().all(|v| v["served"] == true && v["subresources"]["status"].is_object()));
    }
}

#[test]
fn names_are_unique() {
    let names: BTreeSet<String> = all().iter().map(|c| c["metadata"]["name"].to_string()).collect();
    assert_eq!(names.len(), kinds().len());
}

/// Kubernetes: outside of `not`, `anyOf` and the like, every part has a type, or says that it is open or a number or a text.
#[test]
fn schemas_are_structural() {
    fn check(schema: &Value, at: &str) {
        let open =
            schema["x-kubernetes-preserve-unknown-fields"] == true || schema["x-kubernetes-int-or-string"] == true;
        assert!(schema["type"].is_string() || open, "{at} has no type");
        for (key, part) in schema["properties"].as_object().into_iter().flatten() {
            check(part, &format!("{at}.{key}"));
        }
        for key in ["items", "additionalProperties"] {
            if schema[key].is_object() {
                check(&schema[key], &format!("{at}.{key}"));
            }
        }
        for name in schema["required"].as_array().into_iter().flatten() {
            assert!(
                schema["properties"].get(name.as_str().unwrap()).is_some(),
                "{at} requires {name}, which it does not have"
            );
        }
    }
    for kind in kinds() {
        check(&kind.spec, kind.kind);
    }
}
