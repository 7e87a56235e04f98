use super::*;

fn read(pairs: &'static [(&'static str, &'static str)]) -> Result<Settings, BadSettings> {
    Settings::read(Reader::new(|name| pairs.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned())))
}

const LEAST: &[(&str, &str)] = &[("POD_NAME", "web-1"), ("POD_NAMESPACE", "shop"), ("INSTANCE_IP", "10.244.0.7")];

#[test]
fn a_pod_needs_to_say_only_who_it_is() {
    let s = read(LEAST).unwrap();
    assert_eq!(s.identity().to_string(), "spiffe://cluster.local/ns/shop/sa/default");
    assert_eq!(s.control_address, "leno-control.leno-system.svc:15012");
    assert_eq!((s.workers, s.drain, s.cert_ttl), (1, Duration::from_secs(5), DAY));
    assert_eq!((s.socket_mark, s.ports), (None, Ports::default()));
}

#[test]
fn every_mistake_is_reported_at_once() {
    let BadSettings(problems) = read(&[
        ("POD_NAME", "web-1"),
        ("INSTANCE_IP", "10.0.0.1, ten"),
        ("LENO_CONTROL_ADDRESS", "control"),
        ("LENO_LOG", "loud=loud"),
        ("LENO_LOG_FORMAT", "xml"),
        ("LENO_WORKERS", "0"),
        ("LENO_CERT_TTL", "10ms"),
        ("LENO_SOCKET_MARK", "-1"),
        ("LENO_DRAIN", "soon"),
        ("LENO_ADMIN_PORT", "70000"),
    ])
    .unwrap_err();
    let mut names: Vec<_> = problems.iter().map(|p| p.name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "INSTANCE_IP",
            "LENO_ADMIN_PORT",
            "LENO_CERT_TTL",
            "LENO_CONTROL_ADDRESS",
            "LENO_DRAIN",
            "LENO_LOG",
            "LENO_LOG_FORMAT",
            "LENO_SOCKET_MARK",
            "LENO_WORKERS",
            "POD_NAMESPACE",
        ]
    );
}

#[test]
fn several_addresses_of_a_dual_stack_pod() {
    let s = read(&[("POD_NAME", "p"), ("POD_NAMESPACE", "n"), ("INSTANCE_IP", "10.0.0.1,fd00::1")]).unwrap();
    assert_eq!(s.instance_ips, [IpAddr::from([10, 0, 0, 1]), "fd00::1".parse().unwrap()]);
}

#[test]
fn opaque_ports_and_probes_are_read() {
    let mut pairs = LEAST.to_vec();
    pairs.push(("LENO_OPAQUE_PORTS", "5432, 7000-7010"));
    pairs.push(("ISTIO_KUBE_APP_PROBERS", r#"{"/app-health/app/livez":{"tcpSocket":{"port":80},"port":80}}"#));
    let from = |name: &str| pairs.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned());
    let s = Settings::read(Reader::new(from)).unwrap();
    assert_eq!(s.opaque_ports, [5432..=5432, 7000..=7010]);
    assert!(s.app_probes.at("/app-health/app/livez").is_some());
    assert!(s.app_probes.at("/app-health/app/readyz").is_none());
}
