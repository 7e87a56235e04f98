//! `ServiceEntry`s.

use std::collections::BTreeMap;

use leno_config::Object;

use crate::code::{Code, Level};
use crate::finding::Report;
use crate::json::{list, port, text, texts};
use crate::set::Set;

pub(super) const CODES: &[&Code] = &[&CONFLICT];

/// Two entries declare different protocols for one port of one host.
static CONFLICT: Code = Code {
    id: "IST0177",
    name: "ConflictingServiceEntryProtocol",
    level: Level::Warning,
    what: "Several ServiceEntries define the same host and port with different protocols. Only one of them holds.",
    mend: "Declare the same protocol, or join the entries.",
};

pub(super) fn check(set: &Set<'_>, out: &mut Report) {
    let mut first: BTreeMap<(&str, u16), (&Object, String)> = BTreeMap::new();
    for object in set.of("networking.istio.io", "ServiceEntry") {
        // One that only its own namespace sees is no rival of others.
        if object.json.pointer("/spec/exportTo").is_some() {
            continue;
        }
        for host in texts(&object.json, "/spec/hosts") {
            for declared in list(&object.json, "/spec/ports") {
                let Some(number) = port(declared, "/number") else { continue };
                let protocol = text(declared, "/protocol").unwrap_or("TCP").to_ascii_uppercase();
                match first.get(&(host, number)) {
                    Some((other, theirs)) if *theirs != protocol && !std::ptr::eq(*other, object) => {
                        let message = format!(
                            "Multiple ServiceEntries ({}/{}, {}/{}) define the same host {host:?} and port {number} with \
                             conflicting protocols ({theirs}, {protocol}).",
                            other.namespace(),
                            other.name,
                            object.namespace(),
                            object.name
                        );
                        out.at(&CONFLICT, object, "spec.ports", message);
                    }
                    Some(_) => {}
                    None => {
                        first.insert((host, number), (object, protocol));
                    }
                }
            }
        }
    }
}
