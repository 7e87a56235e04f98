use crate::k8s::{Deployment, Service};
use crate::{Object, read, typed};

fn object(text: &str) -> Object {
    read("a.yaml", text).objects.remove(0)
}

#[test]
fn fills_in_the_defaults_of_kubernetes() {
    let object = object(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\nspec:\n  template:\n    spec:\n      containers:\n      - \
         name: c\n        readinessProbe: {tcpSocket: {port: 80}, periodSeconds: 0}\n",
    );
    let (deployment, unknown) = typed::<Deployment>(&object).unwrap();
    assert_eq!(unknown, []);
    assert_eq!(deployment.spec.replicas, 1);
    let pod = &deployment.spec.template.spec;
    assert_eq!(
        (pod.termination_grace_period_seconds, pod.restart_policy.as_str(), pod.account()),
        (30, "Always", "default")
    );
    let probe = pod.containers[0].readiness_probe.as_ref().unwrap();
    assert_eq!((probe.timeout_seconds, probe.period_seconds, probe.failure_threshold), (1, 10, 3));
}

#[test]
fn names_the_field_and_its_line() {
    let object = object(
        "apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec:\n  ports:\n  - port: 80\n  - port: \"81\"\n  sessions: 1\n",
    );
    let wrong = typed::<Service>(&object).unwrap_err();
    assert_eq!(
        wrong.to_string(),
        "a.yaml:7: error: Service default/a: spec.ports[1].port: must be a whole number from 0 to 65535, not string \"81\" \
         (write the value without quotes)"
    );
}

#[test]
fn says_what_it_does_not_know() {
    let object = object(
        "apiVersion: v1\nkind: Service\nmetadata: {name: a, uid: x, resourceVersion: \"1\"}\nspec:\n  typo: 1\nstatus:\n  a: 1\n",
    );
    let (_, unknown) = typed::<Service>(&object).unwrap();
    assert_eq!(
        unknown.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["a.yaml:5: warning: Service default/a: spec.typo: is not honoured"]
    );
}

#[test]
fn written_structs_read_back() {
    let object = object("apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {ports: [{port: 80}]}\n");
    let (service, _) = typed::<Service>(&object).unwrap();
    let mut json = serde_json::to_value(&service).unwrap();
    json["apiVersion"] = "v1".into();
    json["kind"] = "Service".into();
    let again = self::object(&json.to_string());
    assert_eq!(typed::<Service>(&again).unwrap().0, service);
}
