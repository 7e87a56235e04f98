//! One request as a line.

use leno_core::tap::{Peer, Tapped};

/// `14:03:12.120 in  web -> cart-v1  GET /cart  200  1.2ms  mTLS`, and how it failed.
pub(super) fn line(t: &Tapped, wide: bool) -> String {
    let way = if t.inbound { "in " } else { "out" };
    let status = match (t.grpc, t.status) {
        (Some(grpc), _) => format!("grpc {grpc}"),
        (None, 0) => "-".to_owned(),
        (None, status) => status.to_string(),
    };
    let latency = if t.latency_ms < 9.95 { format!("{:.1}ms", t.latency_ms) } else { format!("{:.0}ms", t.latency_ms) };
    let tls = match t.secured {
        true => "mTLS",
        // Nobody was asked, so that nothing was on any connection.
        false if !t.inbound && t.attempts == 0 => "-",
        false => "plain",
    };
    let to = callee(t);
    let mut line = format!(
        "{} {way} {} -> {to}  {} {}  {status}  {latency}  {tls}",
        time(t.at_ms),
        who(&t.source),
        t.method,
        printable(&t.path)
    );
    if !t.words.is_empty() {
        line.push_str(&format!("  {} {}", t.flags, t.words));
    }
    if wide {
        let route = if t.route.is_empty() { "-" } else { &t.route };
        line.push_str(&format!(
            "  authority={} route={route} tries={} id={} src={} dst={} bytes={}/{}",
            printable(&t.authority),
            t.attempts,
            printable(&t.request_id),
            t.source.address,
            t.destination.address,
            t.request_bytes,
            t.response_bytes
        ));
    }
    line
}

/// A line for each header; nothing where none were asked for.
pub(super) fn headers(t: &Tapped) -> String {
    let lines = |mark: char, headers: &[(String, String)]| {
        headers
            .iter()
            .map(|(name, value)| format!("\n    {mark} {}: {}", printable(name), printable(value)))
            .collect::<String>()
    };
    lines('>', &t.request_headers) + &lines('<', &t.response_headers)
}

/// The pod's owner, else the service that was dialled: what failed before has reached no pod.
pub(in crate::cmd::viz) fn callee(t: &Tapped) -> String {
    if t.destination.workload.is_empty() && !t.service.is_empty() { t.service.clone() } else { who(&t.destination) }
}

/// The pod's owner, else its address.
pub(in crate::cmd::viz) fn who(peer: &Peer) -> String {
    match (peer.workload.is_empty(), peer.address.is_empty()) {
        (false, _) => peer.workload.clone(),
        (true, false) => peer.address.clone(),
        (true, true) => "-".to_owned(),
    }
}

/// What a client sent may hold what moves a terminal's cursor.
pub(in crate::cmd::viz) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// Time of day, UTC.
fn time(ms: u64) -> String {
    let (seconds, ms) = (ms / 1000 % 86_400, ms % 1000);
    format!("{:02}:{:02}:{:02}.{ms:03}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}
