//! What the report of one request costs, once its series are known: `make bench-micro`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use divan::Bencher;
use leno_core::id::{Direction, ServiceId, SpiffeId};
use leno_core::merge::telemetry::Reporting;
use leno_core::model::mesh::AccessLog;
use leno_core::model::{MeshConfig, Workload};
use leno_proxy::telemetry::{PeerInfo, RequestRecord, ServiceRef, Telemetry};

#[path = "../../leno-core/benches/shared/micro.rs"]
mod micro;

fn main() {
    micro::run();
}

/// Metrics and the live window's samples, no line: what a request costs that did not fail.
#[divan::bench]
fn counted(bencher: Bencher<'_, '_>) {
    report(bencher, AccessLog::Errors);
}

/// And a line in Istio's default format.
#[divan::bench]
fn counted_and_logged(bencher: Bencher<'_, '_>) {
    report(bencher, AccessLog::All);
}

fn report(bencher: Bencher<'_, '_>, access_log: AccessLog) {
    let telemetry = Telemetry::with_log(Arc::default(), std::io::sink());
    telemetry.configure(&MeshConfig { access_log, ..MeshConfig::default() }, &Reporting::default());
    let (record, now) = (record(), Instant::now());
    telemetry.request(&record, now);
    // Between samples the log is written out: a line that finds no room costs nothing.
    let written = || telemetry.flush(Duration::from_secs(5));
    bencher.with_inputs(written).bench_local_values(|()| telemetry.request(&record, now));
}

fn record() -> RequestRecord {
    let at = |text: &str| text.parse().ok();
    RequestRecord {
        duration: Duration::from_micros(41_900),
        upstream_time: Some(Duration::from_millis(39)),
        method: "GET".into(),
        path: "/api/v1/reviews/7?verbose=1".into(),
        authority: "reviews.shop:9080".into(),
        user_agent: "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0".into(),
        request_id: "f21ebd42-6770-4aa5-88d4-e56118165a7d".into(),
        forwarded_for: "10.244.0.5".into(),
        status: 200,
        response_bytes: 200,
        attempts: 1,
        mtls: true,
        source: peer("web"),
        destination: peer("reviews"),
        service: Some(Arc::new(ServiceRef::from(&ServiceId::new("shop", "reviews")))),
        upstream_addr: at("10.244.0.7:9080"),
        upstream_local: at("10.244.0.5:40000"),
        upstream_cluster: "outbound|9080|v1|reviews.shop.svc.cluster.local".into(),
        downstream_local: at("10.96.0.20:9080"),
        downstream_remote: at("10.244.0.5:51000"),
        route_name: "v1-route".into(),
        ..RequestRecord::new(Direction::Outbound)
    }
}

fn peer(name: &str) -> PeerInfo {
    let workload = Workload {
        namespace: "shop".into(),
        pod: format!("{name}-7d4b9c6f5-x2x8p"),
        name: name.into(),
        kind: "deployment".into(),
        labels: [("app", name), ("version", "v1")].map(|(k, v)| (k.into(), v.into())).into(),
        ..Workload::default()
    };
    let principal = SpiffeId::new("cluster.local", "shop", name);
    PeerInfo { workload: Some(Arc::new(workload)), principal: Some(Arc::new(principal)) }
}
