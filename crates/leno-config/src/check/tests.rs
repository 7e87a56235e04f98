use crate::{LowerContext, Object, Severity, check_object, check_set, read};

fn objects(text: &str) -> Vec<Object> {
    let read = read("a.yaml", text);
    assert_eq!(read.diagnostics, []);
    read.objects
}

fn codes(text: &str) -> Vec<Option<&'static str>> {
    check_set(&objects(text)).into_iter().filter(|d| d.severity > Severity::Info).map(|d| d.code).collect()
}

#[test]
fn the_later_of_two_services_with_one_address_is_at_fault() {
    let text = "apiVersion: v1\nkind: Service\nmetadata: {name: z}\nspec: {clusterIP: 10.0.0.1, ports: [{name: http, port: 80}]}\n---\n\
                apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {clusterIP: 10.0.0.1, ports: [{name: http, port: 80}]}\n";
    let found = check_set(&objects(text));
    assert_eq!(found.len(), 1);
    assert_eq!(
        found[0].to_string(),
        "a.yaml:9: error: Service default/a: spec.clusterIP: 10.0.0.1 is already the address of Service default/z (a.yaml:1)"
    );
}

#[test]
fn of_two_objects_of_one_name_the_last_counts() {
    let text = "apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {clusterIP: 10.0.0.1, ports: [{name: http, port: 80}]}\n---\n\
                apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {clusterIP: 10.0.0.2, ports: [{name: http, port: 80}]}\n---\n\
                apiVersion: v1\nkind: Service\nmetadata: {name: b}\nspec: {clusterIP: 10.0.0.1, ports: [{name: http, port: 80}]}\n";
    assert_eq!(codes(text), [None]);
}

#[test]
fn rules_of_two_namespaces_for_one_host_do_not_conflict() {
    let of = |ns: &str| {
        format!(
            "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: w, namespace: {ns}}}\nspec:\n  hosts: \
             [web.shop]\n  http: [{{route: [{{destination: {{host: web.shop}}}}]}}]\n---\n"
        )
    };
    let service = "apiVersion: v1\nkind: Service\nmetadata: {name: web, namespace: shop}\nspec: {ports: [{name: http, port: 80}]}\n";
    assert_eq!(codes(&format!("{}{}{service}", of("shop"), of("client"))), []);
    let second = of("shop").replace("name: w", "name: second");
    assert_eq!(codes(&format!("{}{second}{service}", of("shop"))), [Some("IST0109")]);
}

#[test]
fn what_protects_is_refused_and_what_does_not_is_left_out() {
    let judge = |api: &str, kind: &str| {
        let text = format!("apiVersion: {api}\nkind: {kind}\nmetadata: {{name: a}}\n");
        let found = check_object(&objects(&text)[0], &LowerContext::default());
        assert_eq!(found.len(), 1, "{kind}");
        found[0].severity
    };
    assert_eq!(judge("networking.k8s.io/v1", "NetworkPolicy"), Severity::Error);
    assert_eq!(judge("policy.linkerd.io/v1alpha1", "AuthorizationPolicy"), Severity::Error);
    assert_eq!(judge("apps/v1", "DaemonSet"), Severity::Warning);
    assert_eq!(judge("example.com/v1", "Whatever"), Severity::Warning);
    assert_eq!(judge("extensions/v1beta1", "Deployment"), Severity::Error);
}
