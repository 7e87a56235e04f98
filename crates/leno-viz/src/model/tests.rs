//! Texts in and out.

use std::time::Duration;

use super::{Kind, Meshed, Question, Resource, parse_duration};

#[test]
fn kinds_have_kubectls_names() {
    for (names, kind) in [
        (["ns", "namespace", "namespaces"], Kind::Namespace),
        (["deploy", "deployment", "deployments"], Kind::Deployment),
        (["sts", "statefulset", "statefulsets"], Kind::StatefulSet),
        (["po", "pod", "pods"], Kind::Pod),
        (["svc", "service", "services"], Kind::Service),
    ] {
        assert!(names.iter().all(|n| n.parse() == Ok(kind)));
    }
    let error = "gateway".parse::<Kind>().unwrap_err().to_string();
    assert!(error.contains("`gateway`") && error.contains("deploy"), "{error}");
}

#[test]
fn resources_may_name_their_namespace() {
    let resource: Resource = "deploy/web.shop".parse().unwrap();
    assert_eq!((resource.name.as_str(), resource.namespace.as_deref()), ("web", Some("shop")));
    assert_eq!("svc/reviews".parse::<Resource>().unwrap().namespace, None);
    for bad in ["web", "deploy/", "what/web", "deploy/web."] {
        assert!(bad.parse::<Resource>().is_err(), "{bad}");
    }
}

#[test]
fn durations_have_units() {
    for (text, seconds) in [("1m", 60.0), ("30s", 30.0), ("1.5h", 5400.0), ("250ms", 0.25)] {
        assert_eq!(parse_duration(text), Ok(Duration::from_secs_f64(seconds)), "{text}");
    }
    for bad in ["", "5", "m", "-1s", "1d", "999999999999999999999h"] {
        assert!(parse_duration(bad).is_err(), "{bad}");
    }
}

#[test]
fn questions_become_queries() {
    let question = Question {
        namespace: Some("shop".to_owned()),
        from: Some("deploy/web.shop".parse().unwrap()),
        ..Question::new(Kind::Service)
    };
    assert_eq!(question.to_query(), "kind=service&window=60000ms&namespace=shop&from=deployment/web.shop");
}

#[test]
fn meshed_shows_what_is_known() {
    assert_eq!(Meshed { meshed: 2, total: Some(3) }.to_string(), "2/3");
    assert_eq!(Meshed { meshed: 2, total: None }.to_string(), "2/-");
}
