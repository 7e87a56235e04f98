//! Counters in Prometheus' text form, under istiod's names.
//!
//! Istio's counters have no `_total` suffix where its dashboards ask for none, which client libraries do not allow; so
//! the text is written here.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use leno_kit::process::Process;
use leno_xds::wire::ResourceKind;

/// Upper bounds of the convergence histogram, seconds: Istio's, and finer ones below.
const BOUNDS: [f64; 12] = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 3.0, 5.0, 10.0, 30.0];

/// All counters.
#[derive(Debug, Default)]
pub struct Metrics {
    services: AtomicUsize,
    pushes: [AtomicU64; ResourceKind::ALL.len()],
    rejects: [AtomicU64; ResourceKind::ALL.len()],
    config_events: Mutex<BTreeMap<(String, &'static str), u64>>,
    convergence: Mutex<Histogram>,
    /// Certificates asked for.
    pub csr: AtomicU64,
    /// Certificates issued.
    pub csr_success: AtomicU64,
    /// Requests for certificates that could not be read, or asked for another identity.
    pub csr_parsing_errors: AtomicU64,
    /// Signing failed.
    pub csr_sign_errors: AtomicU64,
    /// Callers of either service whose token was refused.
    pub authentication_failures: AtomicU64,
}

#[derive(Debug, Default)]
struct Histogram {
    buckets: [u64; BOUNDS.len()],
    sum: f64,
    count: u64,
}

impl Metrics {
    /// An object came, changed or went.
    pub fn config_event(&self, kind: &str, event: &'static str) {
        *lock(&self.config_events).entry((kind.to_owned(), event)).or_default() += 1;
    }

    /// Number of services in the mesh.
    pub fn set_services(&self, count: usize) {
        self.services.store(count, Ordering::Relaxed);
    }

    /// A response went out.
    pub fn pushed(&self, kind: ResourceKind) {
        add(&self.pushes[kind.index()]);
    }

    /// A response was refused.
    pub fn rejected(&self, kind: ResourceKind) {
        add(&self.rejects[kind.index()]);
    }

    /// A proxy lives by a change, `delay` after the source learned of it.
    pub fn converged(&self, delay: Duration) {
        let seconds = delay.as_secs_f64();
        let mut h = lock(&self.convergence);
        for (bucket, bound) in h.buckets.iter_mut().zip(BOUNDS) {
            *bucket += u64::from(seconds <= bound);
        }
        h.sum += seconds;
        h.count += 1;
    }

    /// The text for Prometheus; `connected` is the number of proxies.
    #[must_use]
    pub fn render(&self, connected: usize) -> String {
        let mut out = String::new();
        let text = &mut out;
        family(text, "pilot_xds", "gauge", "Number of endpoints connected to this pilot using XDS.");
        line(text, "pilot_xds", &format!("version=\"{VERSION}\""), connected);
        family(text, "pilot_info", "gauge", "Pilot version and build information.");
        line(text, "pilot_info", &format!("version=\"{VERSION}\""), 1);
        family(text, "pilot_services", "gauge", "Total services known to pilot.");
        line(text, "pilot_services", "", self.services.load(Ordering::Relaxed));
        family(text, "pilot_xds_pushes", "counter", "Pilot build and send errors and pushes by type.");
        self.by_kind(text, "pilot_xds_pushes", &self.pushes);
        family(text, "pilot_total_xds_rejects", "counter", "Total number of XDS responses rejected by proxies.");
        self.by_kind(text, "pilot_total_xds_rejects", &self.rejects);
        family(text, "pilot_k8s_cfg_events", "counter", "Events from config.");
        for ((kind, event), count) in lock(&self.config_events).iter() {
            line(text, "pilot_k8s_cfg_events", &format!("type=\"{}\",event=\"{event}\"", escape(kind)), count);
        }
        let process = Process::read(SystemTime::now());
        family(text, "process_cpu_seconds_total", "counter", "CPU time used, in seconds.");
        line(text, "process_cpu_seconds_total", "", process.cpu_seconds);
        family(text, "process_resident_memory_bytes", "gauge", "Resident memory.");
        line(text, "process_resident_memory_bytes", "", process.resident_bytes);
        self.render_convergence(text);
        let citadel = [
            ("citadel_server_csr_count", "The number of CSRs received by Citadel server.", &self.csr),
            (
                "citadel_server_success_cert_issuance_count",
                "The number of certificates issuances that have succeeded.",
                &self.csr_success,
            ),
            (
                "citadel_server_csr_parsing_err_count",
                "The number of errors occurred when parsing the CSR.",
                &self.csr_parsing_errors,
            ),
            (
                "citadel_server_csr_sign_err_count",
                "The number of errors occurred when signing the CSR.",
                &self.csr_sign_errors,
            ),
            (
                "citadel_server_authentication_failure_count",
                "The number of authentication failures.",
                &self.authentication_failures,
            ),
        ];
        for (name, help, counter) in citadel {
            family(text, name, "counter", help);
            line(text, name, "", counter.load(Ordering::Relaxed));
        }
        out
    }

    fn by_kind(&self, out: &mut String, name: &str, counters: &[AtomicU64]) {
        for (kind, counter) in ResourceKind::ALL.into_iter().zip(counters) {
            line(out, name, &format!("type=\"{kind}\""), counter.load(Ordering::Relaxed));
        }
    }

    fn render_convergence(&self, out: &mut String) {
        const NAME: &str = "pilot_proxy_convergence_time";
        family(
            out,
            NAME,
            "histogram",
            "Delay in seconds between config change and a proxy receiving all required configuration.",
        );
        let h = lock(&self.convergence);
        for (count, bound) in h.buckets.iter().zip(BOUNDS) {
            line(out, &format!("{NAME}_bucket"), &format!("le=\"{bound}\""), count);
        }
        line(out, &format!("{NAME}_bucket"), "le=\"+Inf\"", h.count);
        line(out, &format!("{NAME}_sum"), "", h.sum);
        line(out, &format!("{NAME}_count"), "", h.count);
    }
}

/// Adds one.
pub fn add(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// Of this program.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn family(out: &mut String, name: &str, kind: &str, help: &str) {
    // Writing to a String cannot fail.
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

fn line(out: &mut String, name: &str, labels: &str, value: impl std::fmt::Display) {
    let _ =
        if labels.is_empty() { writeln!(out, "{name} {value}") } else { writeln!(out, "{name}{{{labels}}} {value}") };
}

fn escape(label: &str) -> String {
    label.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
