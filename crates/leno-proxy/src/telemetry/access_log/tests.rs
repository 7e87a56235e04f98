//! The lines, word for word.

use std::io::Write;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use leno_core::Reason;
use leno_core::id::Direction;
use leno_core::merge::telemetry::{LogTarget, Reporting, Side};
use leno_core::model::MeshConfig;
use leno_core::model::mesh::AccessLog as Which;
use leno_core::model::telemetry::{LogFormat, Provider, ProviderKind};

use super::Connection;
use super::view::View;
use crate::telemetry::Telemetry;
use crate::telemetry::record::{Captured, HttpVersion, RequestRecord, TcpLabels};

const PATIENCE: Duration = Duration::from_secs(5);

#[test]
fn a_request_is_istios_default_line() {
    let (log, lines) = log(Which::All, LogFormat::Text(None));
    log.request(&request(), Instant::now());
    assert_eq!(
        lines.get(&log),
        "[2018-11-23T04:51:00.281Z] \"GET /api/v1/reviews/7?x=1 HTTP/1.1\" 200 - via_upstream - \"-\" 5 1024 41 39 \
         \"10.0.0.9\" \"curl/8.5.0\" \"f21ebd42-6770-4aa5-88d4-e56118165a7d\" \"reviews:9080\" \"10.244.0.7:9080\" \
         outbound|9080|v2|reviews.shop.svc.cluster.local 10.244.0.5:40000 10.96.0.20:9080 10.244.0.5:51000 - v2-route\n"
    );
}

#[test]
fn a_failure_says_its_reason_in_words_within_istios_line() {
    let (log, lines) = log(Which::Errors, LogFormat::Text(None));
    log.request(&failed(), Instant::now());
    assert_eq!(
        lines.get(&log),
        "[2018-11-23T04:51:00.281Z] \"GET /api/v1/reviews/7?x=1 HTTP/1.1\" 503 UF \
         upstream_reset_before_response_started{connection_failure} - \
         \"connecting to the endpoint failed (refused or unreachable): Connection refused (os error 111)\" 5 91 41 - \
         \"10.0.0.9\" \"curl/8.5.0\" \"f21ebd42-6770-4aa5-88d4-e56118165a7d\" \"reviews:9080\" \"10.244.0.7:9080\" \
         outbound|9080|v2|reviews.shop.svc.cluster.local - 10.96.0.20:9080 10.244.0.5:51000 - v2-route\n"
    );
}

#[test]
fn errors_mode_keeps_5xx_of_the_application_without_a_reason() {
    let (log, lines) = log(Which::Errors, LogFormat::Text(None));
    log.request(&request(), Instant::now());
    log.request(&RequestRecord { status: 500, ..request() }, Instant::now());
    let text = lines.get(&log);
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(text.contains(" 500 - via_upstream - \"-\" "), "{text}");
}

#[test]
fn off_is_silent_and_settings_change_at_run_time() {
    let (log, lines) = log(Which::Off, LogFormat::Text(None));
    log.request(&failed(), Instant::now());
    assert!(!log.logs_all());
    log.configure(&mesh(Which::All, LogFormat::Json(None)), &Reporting::default());
    log.request(&request(), Instant::now());
    assert!(log.logs_all());
    assert!(lines.get(&log).starts_with('{'));
}

#[test]
fn json_has_istios_keys_with_numbers_and_nulls() {
    let (log, lines) = log(Which::All, LogFormat::Json(None));
    log.request(&failed(), Instant::now());
    let object: serde_json::Value = serde_json::from_str(&lines.get(&log)).unwrap();
    assert_eq!(
        object,
        serde_json::json!({
            "start_time": "2018-11-23T04:51:00.281Z",
            "route_name": "v2-route",
            "method": "GET",
            "path": "/api/v1/reviews/7?x=1",
            "protocol": "HTTP/1.1",
            "response_code": 503,
            "response_flags": "UF",
            "response_code_details": "upstream_reset_before_response_started{connection_failure}",
            "connection_termination_details": null,
            "bytes_received": 5,
            "bytes_sent": 91,
            "duration": 41,
            "upstream_service_time": null,
            "x_forwarded_for": "10.0.0.9",
            "user_agent": "curl/8.5.0",
            "request_id": "f21ebd42-6770-4aa5-88d4-e56118165a7d",
            "authority": "reviews:9080",
            "upstream_host": "10.244.0.7:9080",
            "upstream_cluster": "outbound|9080|v2|reviews.shop.svc.cluster.local",
            "upstream_local_address": null,
            "downstream_local_address": "10.96.0.20:9080",
            "downstream_remote_address": "10.244.0.5:51000",
            "requested_server_name": null,
            "upstream_transport_failure_reason":
                "connecting to the endpoint failed (refused or unreachable): Connection refused (os error 111)",
        })
    );
}

#[test]
fn opaque_connections_have_lines_too() {
    let (log, lines) = log(Which::Errors, LogFormat::Text(None));
    let labels = TcpLabels {
        upstream_addr: Some("[fd00::7]:5432".parse().unwrap()),
        upstream_cluster: "inbound|5432||".into(),
        downstream_remote: Some("10.244.0.5:51000".parse().unwrap()),
        sni: "outbound_.5432_._.db.shop.svc.cluster.local".into(),
        ..TcpLabels::new(Direction::Inbound)
    };
    let mut connection = Connection {
        labels: &labels,
        start: start(),
        duration: Duration::from_millis(1500),
        sent: 0,
        received: 64,
        reason: Reason::PolicyDenied,
        detail: "policy shop/db-clients",
    };
    log.log(&View::of_tcp(&connection), connection.reason.is_failure());
    connection.reason = Reason::Closed;
    log.log(&View::of_tcp(&connection), connection.reason.is_failure());
    assert_eq!(
        lines.get(&log),
        "[2018-11-23T04:51:00.281Z] \"- - -\" 0 RBAC - rbac_access_denied \
         \"an authorization policy denies it: policy shop/db-clients\" 64 0 1500 - \"-\" \"-\" \"-\" \"-\" \
         \"[fd00::7]:5432\" inbound|5432|| - - 10.244.0.5:51000 outbound_.5432_._.db.shop.svc.cluster.local -\n"
    );
}

#[test]
fn a_client_cannot_forge_a_line() {
    let (log, lines) = log(Which::All, LogFormat::Text(None));
    let record = RequestRecord { user_agent: "x\" 200 -\n[2018] \"GET".into(), ..request() };
    log.request(&record, Instant::now());
    let text = lines.get(&log);
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(text.contains("\"x\\\" 200 -\\x0a[2018] \\\"GET\""), "{text}");
}

#[test]
fn a_reader_that_stalls_costs_lines_but_never_waits() {
    let (permit, gate) = channel::<()>();
    let log = Telemetry::with_log(Arc::default(), Stalled(gate));
    log.configure(&mesh(Which::All, LogFormat::Text(None)), &Reporting::default());
    let begin = Instant::now();
    for _ in 0..20_000 {
        log.request(&request(), Instant::now());
    }
    assert!(begin.elapsed() < PATIENCE, "nobody waited");
    assert!(log.inner.log.dropped() > 1000, "{}", log.inner.log.dropped());
    log.flush(Duration::from_millis(50));
    drop(permit);
    log.flush(PATIENCE);
}

#[test]
fn formats_of_ones_own_know_headers_times_and_lengths() {
    let (log, lines) = log(Which::Off, LogFormat::Text(None));
    let text = "%START_TIME(%d/%b/%Y %T.%3f)% %REQ(X-TEAM)% %RESP(SERVER):3% %REQ(:PATH):4% %BYTES_SENT%%% \
                %UPSTREAM_REMOTE_PORT% %GRPC_STATUS% %DYNAMIC_METADATA(a:b)%\n";
    log.configure(&MeshConfig::default(), &filtered(None, Some(LogFormat::Text(Some(text.to_owned())))));
    let headers = Captured {
        request: vec![("x-team".into(), "blue".to_owned())],
        response: vec![("server".into(), "nginx".to_owned())],
    };
    log.request(
        &RequestRecord { headers: Some(Box::new(headers)), grpc_status: Some(14), ..request() },
        Instant::now(),
    );
    assert_eq!(lines.get(&log), "23/Nov/2018 04:51:00.281 blue ngi /api 1024% 9080 Unavailable -\n");
    let keys = vec![("code".to_owned(), "%RESPONSE_CODE%".to_owned()), ("a".to_owned(), "<%REQ(NO)%>".to_owned())];
    log.configure(&MeshConfig::default(), &filtered(None, Some(LogFormat::Json(Some(keys)))));
    log.request(&request(), Instant::now());
    assert!(lines.get(&log).ends_with("{\"code\":200,\"a\":\"<->\"}\n"));
}

#[test]
fn a_filter_decides_what_is_kept() {
    let (log, lines) = log(Which::Off, LogFormat::Text(None));
    log.configure(&MeshConfig::default(), &filtered(Some("response.code >= 500 && !connection.mtls"), None));
    log.request(&request(), Instant::now());
    log.request(&RequestRecord { status: 500, mtls: true, ..request() }, Instant::now());
    log.request(&RequestRecord { status: 500, ..request() }, Instant::now());
    assert_eq!(lines.get(&log).lines().count(), 1);
}

#[test]
fn dates_are_gregorian() {
    let show = |secs| super::super::time::Utc(UNIX_EPOCH + Duration::from_secs(secs)).to_string();
    assert_eq!(show(0), "1970-01-01T00:00:00.000Z");
    assert_eq!(show(951_782_399), "2000-02-28T23:59:59.000Z");
    assert_eq!(show(951_782_400), "2000-02-29T00:00:00.000Z");
    assert_eq!(show(1_709_251_199), "2024-02-29T23:59:59.000Z");
    assert_eq!(show(4_107_542_400), "2100-03-01T00:00:00.000Z");
}

fn log(which: Which, format: LogFormat) -> (Telemetry, Lines) {
    let lines = Lines::default();
    let log = Telemetry::with_log(Arc::default(), lines.clone());
    log.configure(&mesh(which, format), &Reporting::default());
    (log, lines)
}

/// A `Telemetry` that logs inbound and outbound requests so.
fn filtered(filter: Option<&str>, format: Option<LogFormat>) -> Reporting {
    let provider = Provider { name: "file".to_owned(), kind: ProviderKind::FileLog { format } };
    let logs = Some(vec![LogTarget { provider, filter: filter.map(str::to_owned) }]);
    let side = Side { logs, ..Side::default() };
    Reporting { client: side.clone(), server: side }
}

fn mesh(access_log: Which, access_log_format: LogFormat) -> MeshConfig {
    MeshConfig { access_log, access_log_format, ..MeshConfig::default() }
}

fn start() -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(1_542_948_660_281)
}

fn request() -> RequestRecord {
    RequestRecord {
        start: start(),
        duration: Duration::from_micros(41_900),
        upstream_time: Some(Duration::from_millis(39)),
        method: "GET".into(),
        path: "/api/v1/reviews/7?x=1".into(),
        authority: "reviews:9080".into(),
        user_agent: "curl/8.5.0".into(),
        request_id: "f21ebd42-6770-4aa5-88d4-e56118165a7d".into(),
        forwarded_for: "10.0.0.9".into(),
        http_version: HttpVersion::Http11,
        status: 200,
        request_bytes: 5,
        response_bytes: 1024,
        attempts: 1,
        upstream_addr: Some("10.244.0.7:9080".parse().unwrap()),
        upstream_local: Some("10.244.0.5:40000".parse().unwrap()),
        upstream_cluster: "outbound|9080|v2|reviews.shop.svc.cluster.local".into(),
        downstream_local: Some("10.96.0.20:9080".parse().unwrap()),
        downstream_remote: Some("10.244.0.5:51000".parse().unwrap()),
        route_name: "v2-route".into(),
        ..RequestRecord::new(Direction::Outbound)
    }
}

fn failed() -> RequestRecord {
    RequestRecord {
        reason: Reason::ConnectFailure,
        status: 503,
        detail: "Connection refused (os error 111)".to_owned(),
        upstream_time: None,
        upstream_local: None,
        response_bytes: 91,
        ..request()
    }
}

/// What was written.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Lines {
    fn get(&self, log: &Telemetry) -> String {
        log.flush(PATIENCE);
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A pipe that nobody reads until the gate's other end is dropped.
struct Stalled(Receiver<()>);

impl Write for Stalled {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let _ = self.0.recv();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
