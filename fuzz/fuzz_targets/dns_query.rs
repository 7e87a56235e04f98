//! DNS: any bytes get an answer that can be read, or none, within the limit that was asked for.
#![no_main]

use std::net::Ipv4Addr;
use std::sync::LazyLock;

use leno_local::dns::zone::Service;
use leno_local::dns::{Zone, answer};
use libfuzzer_sys::fuzz_target;

static ZONE: LazyLock<Zone> = LazyLock::new(|| {
    let pods = (0..80).map(|n| ((n % 2 == 0).then(|| format!("db-{n}")), Ipv4Addr::new(10, 244, 0, n)));
    let of = |name: &str| Service { namespace: "n".into(), name: name.into(), ..Service::default() };
    Zone::new(&[
        Service {
            address: Some(Ipv4Addr::new(10, 96, 0, 32)),
            ports: vec![("http".into(), "tcp", 80)],
            ..of("a")
        },
        Service { endpoints: pods.collect(), ports: vec![("p".into(), "udp", 1)], ..of("h") },
        Service { alias: Some("a.n.svc.cluster.local".into()), ..of("e") },
        Service { alias: Some("l.n.svc.cluster.local".into()), ..of("l") },
    ])
});

fuzz_target!(|request: &[u8]| {
    for limit in [512, usize::from(u16::MAX)] {
        if let Some(reply) = answer(request, &ZONE, limit) {
            assert_eq!(reply.get(..2), request.get(..2), "the answer is to another question");
            assert!(reply.len() <= limit.max(1232), "{} bytes are too many", reply.len());
            assert_eq!(answer(&reply, &ZONE, limit), None, "an answer is answered");
        }
    }
});
