//! Settings as people write them.

use serde_json::{Value, json};

use super::{BadValues, Layer, Switch, Values, resolve, set};

fn sets(arguments: &[&str]) -> Result<(Values, Vec<String>), BadValues> {
    let layers: Vec<Layer> = arguments.iter().map(|a| set::parse(a, false).expect(a)).collect();
    resolve(&layers)
}

fn tree(argument: &str) -> Value {
    set::parse(argument, false).expect(argument).tree
}

fn problem(arguments: &[&str]) -> String {
    sets(arguments).expect_err("it should be refused").to_string()
}

#[test]
fn set_reads_what_helm_reads() {
    assert_eq!(tree("profile=demo"), json!({"profile": "demo"}));
    assert_eq!(tree("a.b=1,c=true,d=null"), json!({"a": {"b": 1}, "c": true, "d": null}));
    assert_eq!(tree("a={x,y}"), json!({"a": ["x", "y"]}));
    assert_eq!(tree("a={}"), json!({"a": []}));
    assert_eq!(tree("a[1].b=x"), json!({"a": [null, {"b": "x"}]}));
    assert_eq!(tree(r"nodes.kubernetes\.io/os=linux"), json!({"nodes": {"kubernetes.io/os": "linux"}}));
    assert_eq!(tree("tag=1.20.0"), json!({"tag": "1.20.0"}));
    assert_eq!(tree("tag=007"), json!({"tag": "007"}));
    assert_eq!(tree("a=b=c"), json!({"a": "b=c"}));
    assert_eq!(set::parse("tag=1", true).unwrap().tree, json!({"tag": "1"}));
}

#[test]
fn a_comma_inside_a_value_needs_no_escape_where_no_key_follows() {
    assert_eq!(tree("a=10.0.0.0/8,192.168.0.0/16,b=1"), json!({"a": "10.0.0.0/8,192.168.0.0/16", "b": 1}));
    assert_eq!(tree(r"a=x\,b=1"), json!({"a": "x,b=1"}));
}

#[test]
fn what_is_no_pair_is_refused_with_an_example() {
    assert!(set::parse("demo", false).unwrap_err().contains("KEY=VALUE"));
    assert!(set::parse("a..b=1", false).unwrap_err().contains("no key"));
    assert!(set::parse("a[9999999]=1", false).unwrap_err().contains("no index"));
}

#[test]
fn later_settings_win_and_profiles_lie_below_all() {
    let (values, _) = sets(&["control.replicas=5", "profile=ha", "viz.enabled=true"]).unwrap();
    assert_eq!((values.control.replicas, values.viz.enabled, values.profile.as_str()), (5, true, "ha"));
    let (demo, _) = sets(&["profile=demo"]).unwrap();
    assert!(demo.viz.enabled);
    assert_eq!(demo.mesh["accessLogFile"], "/dev/stdout");
}

#[test]
fn istios_names_are_understood() {
    let (values, warnings) = sets(&[
        "values.global.hub=example.com/mesh",
        "values.global.tag=7",
        "values.global.proxy.excludeIPRanges=10.0.0.0/8,1.2.3.4/32",
        "values.global.proxy.resources.requests.cpu=20m",
        "values.pilot.replicaCount=2",
        "values.global.logging.level=default:debug",
        "meshConfig.accessLogFile=/dev/stdout",
        "meshConfig.outboundTrafficPolicy.mode=REGISTRY_ONLY",
        "meshConfig.defaultConfig.holdApplicationUntilProxyStarts=true",
        "components.cni.enabled=false",
    ])
    .unwrap();
    assert_eq!((values.hub.as_str(), values.tag.as_str()), ("example.com/mesh", "7"));
    assert_eq!(values.proxy.exclude_outbound_ip_ranges, ["10.0.0.0/8", "1.2.3.4/32"]);
    assert_eq!(values.proxy.resources.requests["cpu"], "20m");
    assert_eq!(values.proxy.resources.requests["memory"], "16Mi");
    assert_eq!((values.control.replicas, values.control.log_level.as_str()), (2, "debug"));
    assert_eq!(values.mesh["outboundTrafficPolicy"], json!({"mode": "REGISTRY_ONLY"}));
    assert_eq!(warnings, Vec::<String>::new());
}

#[test]
fn linkerds_names_are_understood() {
    let (values, _) =
        sets(&["controllerReplicas=3", "identityTrustDomain=example.org", "clusterDomain=c.local"]).unwrap();
    assert_eq!((values.control.replicas, values.trust_domain.as_str()), (3, "example.org"));
    assert_eq!(values.cluster_domain, "c.local");
}

#[test]
fn an_istio_operator_is_a_file_of_settings() {
    let tree = json!({
        "apiVersion": "install.istio.io/v1alpha1", "kind": "IstioOperator",
        "spec": {"profile": "demo", "hub": "h", "components": {"pilot": {"k8s": {"replicaCount": 2}}}},
    });
    let (values, _) = resolve(&[Layer { origin: "mesh.yaml".into(), tree }]).unwrap();
    assert_eq!((values.profile.as_str(), values.hub.as_str(), values.control.replicas), ("demo", "h", 2));
}

#[test]
fn what_has_no_meaning_is_warned_of_by_name_and_what_matters_is_refused() {
    let (_, warnings) = sets(&["values.pilot.traceSampling=1", "values.pilot.env.X=1"]).unwrap();
    assert!(warnings[0].contains("`values.pilot.traceSampling` has no meaning"), "{warnings:?}");
    assert!(warnings[1].contains("`values.pilot.env.X` is left out: Leno has no such switches"), "{warnings:?}");
    assert!(problem(&["meshConfig.enableAutoMtls=false"]).contains("always speak mutual TLS"));
    assert!(problem(&["values.ztunnel.hub=x"]).contains("no ambient mode"));
}

#[test]
fn an_unknown_key_is_refused_by_its_path_with_what_was_meant() {
    let text = problem(&["controll.replicas=3"]);
    assert!(text.contains("`controll` is no setting; is `control` meant?"), "{text}");
    let text = problem(&["control.replica=3", "proxy.loglevel=debug"]);
    assert!(text.contains("`control.replica` is no setting; is `control.replicas` meant?"), "{text}");
    assert!(
        text.contains("--set proxy.loglevel=debug: `proxy.loglevel` is no setting; is `proxy.logLevel` meant?"),
        "{text}"
    );
    let text = problem(&["control.colour=red"]);
    assert!(text.contains("`control` has: replicas, resources"), "{text}");
}

#[test]
fn values_of_the_wrong_form_name_their_path_and_origin() {
    let text = problem(&["control.replicas=many"]);
    assert!(text.contains("--set control.replicas=many: control.replicas: "), "{text}");
    assert!(problem(&["control.replicas=0"]).contains("at least 1"));
    assert!(problem(&["profile=huge"]).contains("there is no profile `huge`: default, demo, minimal, ha"));
    assert!(problem(&["profile=ambient"]).contains("one of Istio's that Leno does not have"));
    assert!(problem(&["imagePullPolicy=always"]).contains("Always, IfNotPresent, Never"));
    assert!(problem(&["revision=Bad_Name"]).contains("`Bad_Name` is no name"));
    assert!(problem(&["proxy.certTtl=soon"]).contains("30s, 5m or 24h"));
}

#[test]
fn native_sidecars_are_on_off_or_as_it_fits() {
    let native = |argument: &str| sets(&[argument]).map(|(values, _)| values.proxy.native_sidecar);
    assert_eq!(native("proxy.nativeSidecar=auto"), Ok(Switch::Auto));
    assert_eq!(native("proxy.nativeSidecar=false"), Ok(Switch::Off));
    assert!(native("proxy.nativeSidecar=maybe").is_err());
}
