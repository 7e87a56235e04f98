use super::{Support, honoured, of_field, table};

/// A trace that ends early would hide every field after the one that stopped it.
#[test]
fn every_struct_is_traced_to_its_end() {
    let fields = honoured();
    let has = |kind: &str, field: &str| fields.iter().any(|(k, all)| *k == kind && all.iter().any(|f| f == field));
    for (kind, field) in [
        ("Pod", "spec.containers[].livenessProbe.httpGet.httpHeaders[].value"),
        ("Pod", "status.conditions[].status"),
        ("Deployment", "spec.minReadySeconds"),
        ("StatefulSet", "spec.podManagementPolicy"),
        ("Job", "spec.template.spec.volumes[].hostPath.type"),
        ("Service", "spec.sessionAffinity"),
        ("EndpointSlice", "endpoints[].nodeName"),
        ("Secret", "stringData.*"),
        ("VirtualService", "spec.http[].match[].headers.*.exact"),
        ("VirtualService", "spec.exportTo[]"),
        ("DestinationRule", "spec.workloadSelector.matchLabels.*"),
        ("DestinationRule", "spec.trafficPolicy.outlierDetection.consecutive5xxErrors"),
        ("PeerAuthentication", "spec.portLevelMtls.*.mode"),
        ("AuthorizationPolicy", "spec.rules[].when[].notValues[]"),
        ("TrafficSplit", "spec.backends[].weight"),
    ] {
        assert!(has(kind, field), "{kind} {field}: {fields:#?}");
    }
}

#[test]
fn no_rule_speaks_of_a_field_that_is_honoured() {
    let table = table();
    for row in table.iter().filter(|r| r.support != Support::Honoured) {
        let same = table.iter().find(|r| {
            let below =
                r.field.strip_prefix(&row.field).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']));
            r.kind == row.kind && below && r.support == Support::Honoured
        });
        assert_eq!(same, None, "{row:?}");
    }
}

#[test]
fn templates_are_judged_as_pods() {
    assert_eq!(of_field("Deployment", "spec.template.spec.tolerations"), Support::Harmless);
    assert_eq!(of_field("Job", "spec.template.spec.containers[].resources"), Support::Harmless);
    assert!(matches!(of_field("Pod", "spec.hostPID"), Support::Warned(_)));
    assert!(matches!(of_field("PeerAuthentication", "spec.anything"), Support::Refused(_)));
    assert!(matches!(of_field("VirtualService", "spec.http[].delegate"), Support::Refused(_)));
}
