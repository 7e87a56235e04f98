//! HTTP rules that do something else than they seem to say.

use std::time::Duration;

use leno_config::Object;
use leno_config::object::Path;
use leno_config::quantity::duration;
use leno_core::decide::protocol::protocol_of_port;
use leno_core::model::Protocol;
use serde_json::Value;

use crate::code::{Code, Level};
use crate::finding::Report;
use crate::json::{list, text, texts};
use crate::set::Set;

pub(super) const CODES: &[&Code] = &[&WEIGHTS, &RETRIES, &RETRY_TIME, &TRY_TIME, &HTTP_ON_TCP];

/// The weights of a rule do not add up to 100.
static WEIGHTS: Code = Code {
    id: "LENO0020",
    name: "WeightsNotHundred",
    level: Level::Info,
    what: "The weights of a rule's destinations do not add up to 100. Each is a share of their sum, which may not be the \
           percentage that was meant.",
    mend: "Make them add up to 100.",
};

/// Requests that are not idempotent are repeated after they may have been carried out.
static RETRIES: Code = Code {
    id: "LENO0021",
    name: "RetriesNotIdempotent",
    level: Level::Warning,
    what: "A rule for POST or PATCH requests retries on answers that can come after the request was carried out \
           (5xx, gateway-error, reset, retriable-4xx, retriable-status-codes). An order can be placed twice.",
    mend: "Retry such requests on `connect-failure,refused-stream` only, or make the service recognise a repeated request \
           (an idempotency key).",
};

/// The timeout ends before all tries had their time.
static RETRY_TIME: Code = Code {
    id: "LENO0022",
    name: "TimeoutCutsRetries",
    level: Level::Info,
    what: "`timeout` bounds a request with all its retries. It is shorter than `perTryTimeout` times the number of tries, \
           so that with slow answers the last tries do not happen.",
    mend: "Lengthen `timeout`, shorten `perTryTimeout`, or lower `attempts`.",
};

/// One try may take longer than the request as a whole.
static TRY_TIME: Code = Code {
    id: "LENO0023",
    name: "PerTryTimeoutNeverHolds",
    level: Level::Warning,
    what: "`perTryTimeout` is not shorter than `timeout`, which bounds the request with all its retries: a slow try is \
           never given up for another.",
    mend: "Make `perTryTimeout` shorter than `timeout`.",
};

/// HTTP rules for a service that speaks no HTTP as far as its ports say.
static HTTP_ON_TCP: Code = Code {
    id: "LENO0024",
    name: "HttpRulesOnTcpService",
    level: Level::Warning,
    what: "A VirtualService has http rules for a service all of whose ports are declared as opaque TCP or TLS. Their bytes \
           are not looked into, so that the rules have no effect.",
    mend: "Name the port after what it speaks (`http-…`, `grpc-…`) or set `appProtocol`, or write tcp or tls rules.",
};

pub(super) fn check(set: &Set<'_>, out: &mut Report) {
    for object in set.virtual_services() {
        for rules in ["http", "tcp", "tls"] {
            for (index, rule) in list(&object.json, &format!("/spec/{rules}")).iter().enumerate() {
                let path = Path::root().key("spec").key(rules).index(index);
                weights(out, object, rule, &path);
                if rules == "http" {
                    retries(out, object, rule, &path);
                    times(out, object, rule, &path);
                }
            }
        }
        http_on_tcp(set, out, object);
    }
}

fn weights(out: &mut Report, object: &Object, rule: &Value, path: &Path) {
    let routes = list(rule, "/route");
    let total: u64 = routes.iter().filter_map(|r| r.get("weight")?.as_u64()).sum();
    if routes.len() > 1 && total != 0 && total != 100 {
        let message = format!("The weights add up to {total}, not 100: each is a share of that.");
        out.add(&WEIGHTS, object, &path.key("route"), message);
    }
}

fn retries(out: &mut Report, object: &Object, rule: &Value, path: &Path) {
    let attempts = rule.pointer("/retries/attempts").and_then(Value::as_i64).unwrap_or(0);
    let Some(on) = text(rule, "/retries/retryOn").filter(|_| attempts > 0) else { return };
    let risky: Vec<&str> = on.split(',').map(str::trim).filter(|word| AFTERWARDS.contains(word)).collect();
    let method = |m: &Value| text(m, "/method/exact").filter(|m| ["POST", "PATCH"].contains(m)).map(str::to_owned);
    let methods: Vec<String> = list(rule, "/match").iter().filter_map(method).collect();
    if let (Some(method), false) = (methods.first(), risky.is_empty()) {
        let message = format!(
            "{method} requests are repeated on {}, which can come after the request was carried out.",
            risky.join(",")
        );
        out.add(&RETRIES, object, &path.keys("retries.retryOn"), message);
    }
}

/// Conditions under which the server may have done what it was asked.
const AFTERWARDS: &[&str] = &["5xx", "gateway-error", "reset", "retriable-4xx", "retriable-status-codes"];

fn times(out: &mut Report, object: &Object, rule: &Value, path: &Path) {
    let time = |pointer: &str| duration(text(rule, pointer)?).ok().filter(|d| !d.is_zero());
    let attempts = rule.pointer("/retries/attempts").and_then(Value::as_u64).and_then(|n| u32::try_from(n).ok());
    let (Some(timeout), Some(per_try), Some(attempts @ 1..)) =
        (time("/timeout"), time("/retries/perTryTimeout"), attempts)
    else {
        return;
    };
    let tries = attempts.saturating_add(1);
    let at = path.keys("retries.perTryTimeout");
    if per_try >= timeout {
        let message = format!("perTryTimeout {} is not shorter than timeout {}.", show(per_try), show(timeout));
        out.add(&TRY_TIME, object, &at, message);
    } else if per_try.saturating_mul(tries) > timeout {
        let message = format!(
            "timeout {} is shorter than {tries} tries of {}: the last ones may not happen.",
            show(timeout),
            show(per_try)
        );
        out.add(&RETRY_TIME, object, &at, message);
    }
}

fn show(time: Duration) -> String {
    format!("{time:?}")
}

fn http_on_tcp(set: &Set<'_>, out: &mut Report, object: &Object) {
    if list(&object.json, "/spec/http").is_empty() || !super::conflicts::is_for_sidecars(object) {
        return;
    }
    for (index, host) in texts(&object.json, "/spec/hosts").into_iter().enumerate() {
        let Some(service) = set.service_of_host(host, object.namespace()) else { continue };
        let opaque = |p: &leno_config::k8s::ServicePort| {
            let protocol = protocol_of_port(p.app_protocol.as_deref(), &p.name, p.port, p.is_udp());
            matches!(protocol, Protocol::Tcp | Protocol::Tls | Protocol::Udp)
        };
        if !service.spec.ports.is_empty() && service.spec.ports.iter().all(opaque) {
            let ports: Vec<String> = service.spec.ports.iter().map(|p| format!("{}/{}", p.name, p.port)).collect();
            let message = format!(
                "The http rules have no effect: all ports of {host} are declared opaque ({}).",
                ports.join(", ")
            );
            out.add(&HTTP_ON_TCP, object, &Path::root().keys("spec.hosts").index(index), message);
        }
    }
}
