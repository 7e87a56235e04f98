//! Pods whose containers get in the sidecar's way.

use leno_core::names::{PROXY_UID, port as ports};
use serde_json::Value;

use crate::code::{Code, Level};
use crate::finding::Report;
use crate::json::{list, port, text, texts};
use crate::set::{Container, Set, Workload};

pub(super) const CODES: &[&Code] = &[&UID, &RESERVED_PORT, &INIT_CONTAINER];

/// A container runs as the sidecar's user.
static UID: Code = Code {
    id: "IST0144",
    name: "InvalidApplicationUID",
    level: Level::Warning,
    what: "A container of the application runs as user 1337, which is the sidecar's. Interception exempts that user, so that \
           the container's traffic goes past the mesh: in plaintext, without rules and policies.",
    mend: "Run the container as another user (`securityContext.runAsUser`).",
};

/// A container wants a port of the sidecar.
static RESERVED_PORT: Code = Code {
    id: "LENO0090",
    name: "ContainerPortReserved",
    level: Level::Error,
    what: "A container of the application listens on a port that the sidecar uses (15000, 15001, 15006, 15020, 15021, 15090). \
           The two share one address: one of them cannot start.",
    mend: "Let the application listen on another port.",
};

/// An init container needs the network before a classic sidecar is up.
static INIT_CONTAINER: Code = Code {
    id: "LENO0091",
    name: "InitContainerBeforeSidecar",
    level: Level::Warning,
    what: "An init container talks to the network, and the sidecar is a classic one that starts after all init containers (the \
           pod turns native sidecars off, or Kubernetes is older than 1.29). The init container is outside the mesh: it \
           cannot reach what demands mutual TLS.",
    mend: "Use native sidecars (Kubernetes 1.29 and later, the default): remove the annotation that turns them off. Else do \
           that work in the application's own container.",
};

pub(super) fn check(set: &Set<'_>, out: &mut Report) {
    for workload in set.templates().filter(|w| set.is_meshed(w)) {
        for container in workload.own_containers() {
            uid(out, workload, &container);
            reserved(out, workload, &container);
        }
        init_containers(set, out, workload);
    }
}

fn uid(out: &mut Report, workload: &Workload<'_>, container: &Container<'_>) {
    let own = container.json.pointer("/securityContext/runAsUser").and_then(Value::as_u64);
    let (user, path) = match own {
        Some(user) => (Some(user), container.at.keys("securityContext.runAsUser")),
        None => {
            let of_pod = workload.spec("/securityContext/runAsUser").and_then(Value::as_u64);
            (of_pod, workload.at.keys("spec.securityContext.runAsUser"))
        }
    };
    if user == Some(u64::from(PROXY_UID)) {
        out.add(&UID, workload.object, &path, "User ID (UID) 1337 is reserved for the sidecar proxy.");
    }
}

/// What the sidecar listens on.
const RESERVED: [u16; 6] =
    [ports::ADMIN, ports::OUTBOUND, ports::INBOUND, ports::STATUS, ports::HEALTH, ports::METRICS];

fn reserved(out: &mut Report, workload: &Workload<'_>, container: &Container<'_>) {
    for (index, declared) in list(container.json, "/ports").iter().enumerate() {
        let udp = matches!(text(declared, "/protocol"), Some("UDP" | "SCTP"));
        if let Some(number) = port(declared, "/containerPort").filter(|p| RESERVED.contains(p) && !udp) {
            let message = format!("Container {:?} listens on port {number}, which is the sidecar's.", container.name());
            out.add(&RESERVED_PORT, workload.object, &container.at.key("ports").index(index), message);
        }
    }
}

fn init_containers(set: &Set<'_>, out: &mut Report, workload: &Workload<'_>) {
    let native = [
        "sidecar.istio.io/nativeSidecar",
        "config.linkerd.io/proxy-enable-native-sidecar",
        "config.beta.linkerd.io/proxy-enable-native-sidecar",
        "config.alpha.linkerd.io/proxy-enable-native-sidecar",
    ];
    let said = native.iter().find_map(|key| workload.annotations.get(*key)).map(String::as_str);
    if set.options.native_sidecars && said != Some("false") {
        return;
    }
    for container in workload.own_containers().filter(|c| c.is_init && c.json["restartPolicy"] != "Always") {
        if let Some(word) = network_word(&container) {
            let message = format!(
                "Init container {:?} seems to need the network ({word}) and runs before the sidecar.",
                container.name()
            );
            out.add(&INIT_CONTAINER, workload.object, &container.at, message);
        }
    }
}

/// What shows that a container talks to the network: a program that does nothing else, or an address.
fn network_word<'c>(container: &Container<'c>) -> Option<&'c str> {
    let mut all = texts(container.json, "/command");
    all.extend(texts(container.json, "/args"));
    all.into_iter().find_map(|line| {
        let words =
            line.split(|c: char| c.is_whitespace() || matches!(c, ';' | '|' | '&' | '(' | ')' | '`' | '"' | '\''));
        words.into_iter().find(|word| {
            let program = word.rsplit('/').next().unwrap_or(word);
            PROGRAMS.contains(&program) || word.contains("http://") || word.contains("https://")
        })
    })
}

const PROGRAMS: &[&str] = &[
    "curl",
    "wget",
    "nc",
    "ncat",
    "pg_isready",
    "psql",
    "mysql",
    "mysqladmin",
    "redis-cli",
    "grpcurl",
    "wait-for-it.sh",
];
