//! The JSON form: Istio's default keys (`EnvoyJSONLogFormatIstio`) and `leno_reason`. Numbers stay numbers and what is
//! absent is null, as Envoy writes it.

use serde_json::{Value, json};

use super::Line;
use crate::telemetry::time::Utc;

pub(super) fn write(out: &mut String, line: &Line<'_>) {
    let address = |a: Option<std::net::SocketAddr>| a.map_or(Value::Null, |a| Value::from(a.to_string()));
    let millis = |d: std::time::Duration| u64::try_from(d.as_millis()).unwrap_or(u64::MAX);
    let mut object = json!({
        "start_time": Utc(line.start).to_string(),
        "route_name": text(line.route),
        "method": text(line.method),
        "path": text(line.path),
        "protocol": text(line.protocol),
        "response_code": line.status,
        "response_flags": line.flags,
        "response_code_details": text(line.code_details),
        "connection_termination_details": text(line.termination_details),
        "bytes_received": line.received,
        "bytes_sent": line.sent,
        "duration": millis(line.duration),
        // A header, therefore a text.
        "upstream_service_time": line.service_time.map(|t| millis(t).to_string()),
        "x_forwarded_for": text(line.forwarded_for),
        "user_agent": text(line.user_agent),
        "request_id": text(line.request_id),
        "authority": text(line.authority),
        "upstream_host": address(line.upstream_host),
        "upstream_cluster": text(line.upstream_cluster),
        "upstream_local_address": address(line.upstream_local),
        "downstream_local_address": address(line.downstream_local),
        "downstream_remote_address": address(line.downstream_remote),
        "requested_server_name": text(line.sni),
        "upstream_transport_failure_reason": text(line.transport_failure),
    });
    if let (Some((sentence, detail)), Some(object)) = (line.reason, object.as_object_mut()) {
        let words = if detail.is_empty() { sentence.to_owned() } else { format!("{sentence}: {detail}") };
        object.insert("leno_reason".to_owned(), words.into());
    }
    out.push_str(&object.to_string());
    out.push('\n');
}

fn text(text: &str) -> Value {
    if text.is_empty() { Value::Null } else { text.into() }
}
