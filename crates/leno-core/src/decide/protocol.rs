//! What a port speaks, from how its Service declares it.

use crate::model::Protocol;

/// The protocol of a Service's port.
///
/// `appProtocol` wins over the name, and Linkerd's values over Istio's where they differ. A name counts up to its first
/// `-`, without regard to case. What is not declared is detected ([`Protocol::Auto`]), except on ports where the server
/// is known to speak first or the bytes to be opaque (Istio's 25, 53, 3306, 27017 and Linkerd's opaque ports).
#[must_use]
pub fn protocol_of_port(app_protocol: Option<&str>, name: &str, port: u16, transport_udp: bool) -> Protocol {
    if transport_udp {
        return Protocol::Udp;
    }
    let declared = match app_protocol.filter(|p| !p.is_empty()) {
        Some(app) => of_app_protocol(app),
        None => of_word(name),
    };
    match declared {
        Some(protocol) => protocol,
        None if OPAQUE_PORTS.contains(&port) => Protocol::Tcp,
        None => Protocol::Auto,
    }
}

/// Whether Linkerd's annotation `config.linkerd.io/opaque-ports` names `port`: numbers and ranges (`4000-4010`), separated by
/// commas. What is neither names nothing.
#[must_use]
pub fn names_port(annotation: &str, port: u16) -> bool {
    let number = |text: &str| text.trim().parse::<u16>().ok();
    annotation.split(',').any(|part| match part.split_once('-') {
        Some((low, high)) => matches!((number(low), number(high)), (Some(l), Some(h)) if (l..=h).contains(&port)),
        None => number(part) == Some(port),
    })
}

/// The protocol that a port's name or `appProtocol` seems to mean but does not declare: `webhttp`, `api-grpc`, `http1`.
/// `None` where it declares one, or hints at none.
#[must_use]
pub fn mistaken_protocol(app_protocol: Option<&str>, name: &str) -> Option<&'static str> {
    let (text, declared) = match app_protocol.filter(|p| !p.is_empty()) {
        Some(app) => (app, of_app_protocol(app)),
        None => (name, of_word(name)),
    };
    if declared.is_some() {
        return None;
    }
    let text = text.to_ascii_lowercase();
    // `httpserver` begins with http, not with https.
    let begins = |word: &str| {
        text.strip_prefix(word).is_some_and(|rest| word != "https" || !rest.starts_with(|c: char| c.is_alphabetic()))
    };
    let hinted = |word: &&&str| {
        text.split(['-', '_', '.', '/']).any(|part| part == **word) || begins(word) || text.ends_with(**word)
    };
    // Longer words first, so that `webhttps` is taken for https.
    HINTS.iter().find(hinted).copied()
}

fn of_app_protocol(app: &str) -> Option<Protocol> {
    match app {
        "linkerd.io/tcp" | "linkerd.io/opaque" => Some(Protocol::Tcp),
        "kubernetes.io/h2c" => Some(Protocol::Http2),
        "kubernetes.io/ws" => Some(Protocol::Http),
        "kubernetes.io/wss" => Some(Protocol::Tls),
        _ => of_word(app),
    }
}

fn of_word(name: &str) -> Option<Protocol> {
    let word = name.split('-').next().unwrap_or(name).to_ascii_lowercase();
    match word.as_str() {
        // gRPC-web is ordinary HTTP to a proxy and is spoken over HTTP/1.1 too.
        "grpc" if name.get(..8).is_some_and(|n| n.eq_ignore_ascii_case("grpc-web")) => Some(Protocol::Http),
        "grpc" => Some(Protocol::Grpc),
        "http" | "http_proxy" => Some(Protocol::Http),
        "http2" => Some(Protocol::Http2),
        "https" | "tls" => Some(Protocol::Tls),
        "tcp" | "mongo" | "redis" | "mysql" => Some(Protocol::Tcp),
        "udp" => Some(Protocol::Udp),
        _ => None,
    }
}

/// Ports taken as opaque when undeclared: Istio's (25, 53, 3306, 27017) and Linkerd's (25, 587, 3306, 4444, 5432, 6379,
/// 9300, 11211).
const OPAQUE_PORTS: [u16; 10] = [25, 53, 587, 3306, 4444, 5432, 6379, 9300, 11211, 27017];

const HINTS: [&str; 11] =
    ["grpc-web", "https", "http2", "mysql", "mongo", "redis", "http", "grpc", "tls", "tcp", "udp"];

#[cfg(test)]
mod tests;
