//! Paths and policy values: what an ALLOW takes, a DENY of the same value must take too, in every spelling.
#![no_main]

use std::net::{IpAddr, Ipv4Addr};

use leno_core::decide::authz::{AuthzFacts, AuthzVerdict, HttpFacts, authorize, normalize_path};
use leno_core::id::Origin;
use leno_core::model::authz::{AuthzOperation, AuthzRule, Values};
use leno_core::model::{AuthorizationPolicy, AuthzAction, Labels};
use libfuzzer_sys::fuzz_target;

const NO_HEADERS: &[(&str, &str); 0] = &[];

fuzz_target!(|input: (&str, &str, &str)| {
    let (path, value, host) = input;
    if let Ok(once) = normalize_path(path) {
        // A relative or absolute-form target may hold anything; only what begins with a slash is normalised.
        if once.starts_with('/') {
            assert_eq!(normalize_path(&once).as_deref(), Ok(&*once), "normalising twice changes it");
        }
    }
    for values in
        [Values { any: vec![value.to_owned()], not: vec![] }, Values { any: vec![], not: vec![value.to_owned()] }]
    {
        let operation = AuthzOperation { paths: values.clone(), hosts: Values::default(), ..AuthzOperation::default() };
        let both = AuthzOperation { hosts: values, ..operation.clone() };
        for operation in [operation, both] {
            let passes = |action| {
                let rules = vec![AuthzRule { to: vec![operation.clone()], ..AuthzRule::default() }];
                let policy = AuthorizationPolicy { origin: Origin::default(), selector: Labels::new(), action, rules };
                let http = HttpFacts { method: "GET", path, host, headers: NO_HEADERS };
                let facts = AuthzFacts {
                    peer: None,
                    source_ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
                    destination_ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
                    destination_port: 80,
                    sni: None,
                    http: Some(http),
                };
                matches!(authorize([&policy], &facts), AuthzVerdict::Allow { .. })
            };
            assert!(!(passes(AuthzAction::Allow) && passes(AuthzAction::Deny)), "allowed, and not denied");
        }
    }
});
