use serde_json::json;

use super::{Rules, splits};

#[test]
fn a_split_by_subsets_gives_shares_to_workloads() {
    let backend = |subset: &str, weight: u32| json!({"backend": {"service": {"namespace": "a", "name": "s"}, "subset": subset}, "weight": weight});
    let endpoint =
        |workload: &str, version: &str| json!({"workload": {"name": workload, "labels": {"version": version}}});
    let dump = json!({
        "Routes": [{"name": "a/s", "value": {"service": {"namespace": "a", "name": "s"}, "tables": [{"http": [
            {"name": "all", "action": {"forward": [backend("v1", 100)]}},
            {"name": "canary", "action": {"forward": [backend("v1", 3), backend("v2", 1), backend("gone", 0)]}},
            {"name": "moved", "action": {"redirect": {}}},
        ]}]}}],
        "Service": [{"name": "a/s", "value": {"destination_rules": [{"subsets": [
            {"name": "v1", "labels": {"version": "v1"}}, {"name": "v2", "labels": {"version": "v2"}},
        ]}]}}],
        "Endpoints": [{"name": "a/s", "value": {"endpoints": [endpoint("s-v1", "v1"), endpoint("s-v1", "v1"), endpoint("s-v2", "v2")]}}],
    });
    let found = splits(&dump);
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].route.as_str(), found[0].share_of("s-v1"), found[0].share_of("s-v2")), ("canary", 0.75, 0.25));
    assert_eq!(found[0].share_of("other"), 0.0);
}

#[test]
fn nothing_is_made_of_nothing() {
    assert!(splits(&json!(null)).is_empty());
    assert!(splits(&json!({"Routes": [{"value": {"tables": []}}]})).is_empty());
}

#[test]
fn rules_are_found_by_their_name() {
    let dump = json!({"Routes": [{"value": {"service": {"namespace": "a", "name": "s"}, "tables": [{
        "origin": {"kind": "VirtualService", "namespace": "b", "name": "vs"},
        "http": [{"name": "slow"}, {"name": ""}, {"name": "slow"}],
    }]}}]});
    let rules = Rules::read(&dump);
    let slow = rules.route("a", "s", "slow").expect("the rule");
    assert_eq!(
        (slow.kind.as_str(), slow.namespace.as_str(), slow.path.as_str()),
        ("VirtualService", "b", "spec.http[0]")
    );
    assert_eq!(rules.route("a", "s", "").expect("the nameless one").path, "spec.http[1]");
    assert_eq!(rules.route("a", "other", "slow"), None);
}
