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

/// Upper bounds of a push's time, seconds: Istio's, and finer ones below.
const PUSH_BOUNDS: [f64; 11] = [0.0001, 0.0005, 0.001, 0.005, 0.01, 0.1, 1.0, 3.0, 5.0, 10.0, 20.0];
/// Upper bounds of a response's size, bytes: Istio's, and finer ones below.
const SIZE_BOUNDS: [f64; 9] =
    [1.0, 100.0, 1000.0, 10_000.0, 100_000.0, 1_000_000.0, 4_000_000.0, 10_000_000.0, 40_000_000.0];

/// Kinds that Istio counts as of the registry, not as configuration.
const REGISTRY: [&str; 4] = ["Service", "EndpointSlice", "Pod", "Namespace"];

/// Why resources went out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// Only endpoints and addresses changed.
    Endpoint,
    /// A service changed.
    Service,
    /// Anything else changed.
    Config,
    /// A proxy asked.
    Request,
}

impl Trigger {
    const ALL: [Self; 4] = [Self::Endpoint, Self::Service, Self::Config, Self::Request];

    /// As Istio's label says it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Endpoint => "endpoint",
            Self::Service => "service",
            Self::Config => "config",
            Self::Request => "proxyrequest",
        }
    }

    /// What a push of these kinds is triggered by.
    pub fn of(kinds: impl IntoIterator<Item = ResourceKind>) -> Self {
        let place = |kind| match kind {
            ResourceKind::Endpoints | ResourceKind::Address => Self::Endpoint,
            ResourceKind::Service => Self::Service,
            ResourceKind::Mesh | ResourceKind::Routes | ResourceKind::Policies => Self::Config,
        };
        kinds.into_iter().map(place).max_by_key(|t| *t as usize).unwrap_or(Self::Endpoint)
    }
}

/// All counters.
#[derive(Debug, Default)]
pub struct Metrics {
    services: AtomicUsize,
    pushes: [AtomicU64; ResourceKind::ALL.len()],
    rejects: [AtomicU64; ResourceKind::ALL.len()],
    config_events: Mutex<BTreeMap<(String, &'static str), u64>>,
    convergence: Mutex<Histogram<{ BOUNDS.len() }>>,
    push_time: [Mutex<Histogram<{ PUSH_BOUNDS.len() }>>; ResourceKind::ALL.len()],
    config_size: [Mutex<Histogram<{ SIZE_BOUNDS.len() }>>; ResourceKind::ALL.len()],
    triggers: [AtomicU64; Trigger::ALL.len()],
    /// Resources that could not be built when they were to be.
    pub internal_errors: AtomicU64,
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

#[derive(Debug)]
struct Histogram<const N: usize> {
    buckets: [u64; N],
    sum: f64,
    count: u64,
}

impl<const N: usize> Default for Histogram<N> {
    fn default() -> Self {
        Self { buckets: [0; N], sum: 0.0, count: 0 }
    }
}

impl<const N: usize> Histogram<N> {
    fn observe(&mut self, value: f64, bounds: [f64; N]) {
        for (bucket, bound) in self.buckets.iter_mut().zip(bounds) {
            *bucket += u64::from(value <= bound);
        }
        self.sum += value;
        self.count += 1;
    }

    fn render(&self, out: &mut String, name: &str, labels: &str, bounds: [f64; N]) {
        let comma = if labels.is_empty() { "" } else { "," };
        for (count, bound) in self.buckets.iter().zip(bounds) {
            line(out, &format!("{name}_bucket"), &format!("{labels}{comma}le=\"{bound}\""), count);
        }
        line(out, &format!("{name}_bucket"), &format!("{labels}{comma}le=\"+Inf\""), self.count);
        line(out, &format!("{name}_sum"), labels, self.sum);
        line(out, &format!("{name}_count"), labels, self.count);
    }
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

    /// A response of `bytes` went out, `took` after it was begun.
    pub fn pushed(&self, kind: ResourceKind, bytes: usize, took: Duration) {
        add(&self.pushes[kind.index()]);
        lock(&self.push_time[kind.index()]).observe(took.as_secs_f64(), PUSH_BOUNDS);
        lock(&self.config_size[kind.index()]).observe(bytes as f64, SIZE_BOUNDS);
    }

    /// Something made resources go out.
    pub fn triggered(&self, by: Trigger) {
        add(&self.triggers[by as usize]);
    }

    /// A response was refused.
    pub fn rejected(&self, kind: ResourceKind) {
        add(&self.rejects[kind.index()]);
    }

    /// A proxy lives by a change, `delay` after the source learned of it.
    pub fn converged(&self, delay: Duration) {
        lock(&self.convergence).observe(delay.as_secs_f64(), BOUNDS);
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
        family(
            text,
            "pilot_push_triggers",
            "counter",
            "Total number of times a push was triggered, labeled by reason.",
        );
        for (trigger, counter) in Trigger::ALL.into_iter().zip(&self.triggers) {
            let labels = format!("type=\"{}\"", trigger.as_str());
            line(text, "pilot_push_triggers", &labels, counter.load(Ordering::Relaxed));
        }
        family(text, "pilot_total_xds_internal_errors", "counter", "Total number of internal XDS errors in pilot.");
        line(text, "pilot_total_xds_internal_errors", "", self.internal_errors.load(Ordering::Relaxed));
        self.render_events(text, "pilot_k8s_cfg_events", "Events from config.", false);
        self.render_events(text, "pilot_k8s_reg_events", "Events from k8s registry.", true);
        let process = Process::read(SystemTime::now());
        family(text, "process_cpu_seconds_total", "counter", "CPU time used, in seconds.");
        line(text, "process_cpu_seconds_total", "", process.cpu_seconds);
        family(text, "process_resident_memory_bytes", "gauge", "Resident memory.");
        line(text, "process_resident_memory_bytes", "", process.resident_bytes);
        self.render_convergence(text);
        let (time, size) = ("pilot_xds_push_time", "pilot_xds_config_size_bytes");
        family(text, time, "histogram", "Total time in seconds Pilot takes to push resources, by type.");
        for kind in ResourceKind::ALL {
            lock(&self.push_time[kind.index()]).render(text, time, &format!("type=\"{kind}\""), PUSH_BOUNDS);
        }
        family(text, size, "histogram", "Distribution of configuration sizes pushed to clients.");
        for kind in ResourceKind::ALL {
            lock(&self.config_size[kind.index()]).render(text, size, &format!("type=\"{kind}\""), SIZE_BOUNDS);
        }
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
        lock(&self.convergence).render(out, NAME, "", BOUNDS);
    }

    fn render_events(&self, out: &mut String, name: &str, help: &str, registry: bool) {
        family(out, name, "counter", help);
        for ((kind, event), count) in lock(&self.config_events).iter() {
            if REGISTRY.contains(&kind.as_str()) == registry {
                line(out, name, &format!("type=\"{}\",event=\"{event}\"", escape(kind)), count);
            }
        }
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
