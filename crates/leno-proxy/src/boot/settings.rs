//! Settings of the proxy, read once from the environment that the injector wrote.

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use leno_core::id::SpiffeId;
use leno_core::names;
use leno_kit::log::{self, Format};
use leno_kit::settings::{BadSettings, Reader};

use crate::probe::Probes;
use crate::scrape::AppMetrics;

/// Settings, checked.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `POD_NAME`, required.
    pub pod_name: String,
    /// `POD_NAMESPACE`, required.
    pub pod_namespace: String,
    /// `INSTANCE_IP`, required: the pod's addresses, separated by commas; the first is the one it is known by.
    pub instance_ips: Vec<IpAddr>,
    /// `SERVICE_ACCOUNT`; `default`.
    pub service_account: String,
    /// `TRUST_DOMAIN`; `cluster.local`.
    pub trust_domain: String,
    /// `LENO_CONTROL_ADDRESS`, host and port of the control plane; `leno-control.leno-system.svc:15012`.
    pub control_address: String,
    /// `LENO_VIZ_IDENTITY`, who alone may tap over the network; `leno-viz` in the control plane's namespace and the own
    /// trust domain.
    pub viz: SpiffeId,
    /// `LENO_TOKEN_FILE`; `/var/run/secrets/tokens/istio-token`.
    pub token_file: PathBuf,
    /// `LENO_ROOT_CERT_FILE`; `/var/run/secrets/istio/root-cert.pem`.
    pub root_cert_file: PathBuf,
    /// `LENO_CERT_TTL`, life of the certificate asked for; 24 h. At least 1 s.
    pub cert_ttl: Duration,
    /// `LENO_LOG`, the log's filter; `info`.
    pub log: String,
    /// `LENO_LOG_FORMAT`, `text` or `json`; `text`.
    pub log_format: Format,
    /// `LENO_WORKERS`, threads of the data path; 1. One costs least, as there is nothing to share.
    pub workers: usize,
    /// `LENO_SOCKET_MARK`, mark of the proxy's own connections, where it cannot have a user id of its own; none.
    pub socket_mark: Option<u32>,
    /// `LENO_DRAIN`, longest wait for what is under way when the proxy ends; 5 s.
    pub drain: Duration,
    /// `ISTIO_KUBE_APP_PROBERS`, the application's probes, which the node asks the proxy for; none.
    pub app_probes: Probes,
    /// `ISTIO_PROMETHEUS_ANNOTATIONS`, where the application shows its own metrics; none.
    pub app_metrics: Option<AppMetrics>,
    /// `LENO_LINKERD_METRICS`, whether Linkerd's series are shown beside Istio's; `false`.
    pub linkerd_metrics: bool,
    /// `LENO_OPAQUE_PORTS`, ports of the application (numbers, `LOW-HIGH`) whose bytes are not looked into; none.
    pub opaque_ports: Vec<RangeInclusive<u16>>,
    /// Ports it listens on: Istio's, which interception, probes and scrapers know.
    pub ports: Ports,
}

/// Ports the proxy listens on. 0 lets the kernel choose, for tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ports {
    /// `LENO_OUTBOUND_PORT`; 15001.
    pub outbound: u16,
    /// `LENO_INBOUND_PORT`; 15006.
    pub inbound: u16,
    /// `LENO_ADMIN_PORT`; 15000.
    pub admin: u16,
    /// `LENO_STATUS_PORT`; 15020.
    pub status: u16,
    /// `LENO_HEALTH_PORT`; 15021.
    pub health: u16,
    /// `LENO_METRICS_PORT`; 15090.
    pub metrics: u16,
}

impl Default for Ports {
    fn default() -> Self {
        use names::port;
        Self {
            outbound: port::OUTBOUND,
            inbound: port::INBOUND,
            admin: port::ADMIN,
            status: port::STATUS,
            health: port::HEALTH,
            metrics: port::METRICS,
        }
    }
}

impl Ports {
    /// All chosen by the kernel.
    #[must_use]
    pub const fn ephemeral() -> Self {
        Self { outbound: 0, inbound: 0, admin: 0, status: 0, health: 0, metrics: 0 }
    }
}

impl Settings {
    /// The identity this pod asks for.
    #[must_use]
    pub fn identity(&self) -> SpiffeId {
        SpiffeId::new(&self.trust_domain, &self.pod_namespace, &self.service_account)
    }

    /// Settings of a pod in a test: everything at its default, ports chosen by the kernel.
    #[must_use]
    pub fn for_test(namespace: &str, pod: &str, account: &str) -> Self {
        let fixed = [("POD_NAME", pod), ("POD_NAMESPACE", namespace), ("SERVICE_ACCOUNT", account)];
        let mut settings = Self::build(&mut Reader::new(|name| {
            fixed.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned())
        }));
        settings.instance_ips = vec![IpAddr::from([127, 0, 0, 1])];
        settings.ports = Ports::ephemeral();
        settings
    }

    /// Reads and checks all settings.
    ///
    /// # Errors
    /// Everything that is missing or wrong, together.
    pub fn read(mut from: Reader<'_>) -> Result<Self, BadSettings> {
        let settings = Self::build(&mut from);
        from.finish(settings)
    }

    fn build(r: &mut Reader<'_>) -> Self {
        let log = r.text("LENO_LOG").unwrap_or_else(|| "info".to_owned());
        if let Err(e) = log::check(&log) {
            r.problem("LENO_LOG", e);
        }
        let workers = r.parsed("LENO_WORKERS").unwrap_or(1);
        if workers == 0 {
            r.problem("LENO_WORKERS", "must be at least 1");
        }
        let cert_ttl = r.duration("LENO_CERT_TTL").unwrap_or(DAY);
        if cert_ttl < Duration::from_secs(1) {
            r.problem("LENO_CERT_TTL", "must be at least 1s");
        }
        let trust_domain = r.text("TRUST_DOMAIN").unwrap_or_else(|| "cluster.local".to_owned());
        let control_address = control_address(r);
        Self {
            viz: viz(r, &trust_domain, &control_address),
            pod_name: r.required("POD_NAME"),
            pod_namespace: r.required("POD_NAMESPACE"),
            instance_ips: instance_ips(r),
            service_account: r.text("SERVICE_ACCOUNT").unwrap_or_else(|| "default".to_owned()),
            trust_domain,
            control_address,
            token_file: path(r, "LENO_TOKEN_FILE", "/var/run/secrets/tokens/istio-token"),
            root_cert_file: path(r, "LENO_ROOT_CERT_FILE", "/var/run/secrets/istio/root-cert.pem"),
            cert_ttl,
            log,
            log_format: log_format(r),
            workers,
            socket_mark: r.parsed("LENO_SOCKET_MARK"),
            drain: r.duration("LENO_DRAIN").unwrap_or(Duration::from_secs(5)),
            app_probes: app_probes(r),
            app_metrics: app_metrics(r),
            linkerd_metrics: r.parsed("LENO_LINKERD_METRICS").unwrap_or(false),
            opaque_ports: opaque_ports(r),
            ports: ports(r),
        }
    }
}

fn instance_ips(r: &mut Reader<'_>) -> Vec<IpAddr> {
    let text = r.required("INSTANCE_IP");
    let mut ips = Vec::new();
    for part in text.split(',').map(str::trim).filter(|p| !p.is_empty()) {
        match part.parse::<IpAddr>() {
            Ok(ip) => ips.push(ip.to_canonical()),
            Err(e) => r.problem("INSTANCE_IP", format!("`{part}`: {e}")),
        }
    }
    ips
}

fn control_address(r: &mut Reader<'_>) -> String {
    const NAME: &str = "LENO_CONTROL_ADDRESS";
    let address = r.text(NAME).unwrap_or_else(|| format!("{}:{}", names::CONTROL_HOSTS[0], names::port::CONTROL_TLS));
    let good = address.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
    if !good {
        r.problem(NAME, format!("`{address}` is not of the form HOST:PORT"));
    }
    address
}

/// The control plane's service is `NAME.NAMESPACE.svc…`; where its address is of another form, it is in `leno-system`.
fn viz(r: &mut Reader<'_>, trust_domain: &str, control_address: &str) -> SpiffeId {
    let host = control_address.rsplit_once(':').map_or(control_address, |(host, _)| host);
    let mut labels = host.split('.').skip(1);
    let namespace = labels.next().filter(|_| labels.next() == Some("svc")).unwrap_or(names::SYSTEM_NAMESPACE);
    r.parsed("LENO_VIZ_IDENTITY").unwrap_or_else(|| SpiffeId::new(trust_domain, namespace, names::VIZ_ACCOUNT))
}

fn app_probes(r: &mut Reader<'_>) -> Probes {
    const NAME: &str = "ISTIO_KUBE_APP_PROBERS";
    let read = r.text(NAME).map(|text| Probes::read(&text));
    read.transpose()
        .unwrap_or_else(|e| {
            r.problem(NAME, e);
            None
        })
        .unwrap_or_default()
}

fn app_metrics(r: &mut Reader<'_>) -> Option<AppMetrics> {
    const NAME: &str = "ISTIO_PROMETHEUS_ANNOTATIONS";
    AppMetrics::read(&r.text(NAME)?).unwrap_or_else(|e| {
        // A wrong annotation must not keep the pod from starting.
        tracing::warn!("the application's metrics are not fetched: {NAME}: {e}");
        None
    })
}

fn opaque_ports(r: &mut Reader<'_>) -> Vec<RangeInclusive<u16>> {
    const NAME: &str = "LENO_OPAQUE_PORTS";
    let text = r.text(NAME).unwrap_or_default();
    let mut ports = Vec::new();
    for part in text.split(',').map(str::trim).filter(|p| !p.is_empty()) {
        let (low, high) = part.split_once('-').unwrap_or((part, part));
        match (low.parse(), high.parse()) {
            (Ok(low), Ok(high)) => ports.push(low..=high),
            _ => r.problem(NAME, format!("`{part}` is neither a port nor LOW-HIGH")),
        }
    }
    ports
}

fn log_format(r: &mut Reader<'_>) -> Format {
    match r.text("LENO_LOG_FORMAT").as_deref() {
        None | Some("text") => Format::Text,
        Some("json") => Format::Json,
        Some(other) => {
            let message = format!("`{other}` is neither `text` nor `json`");
            r.problem("LENO_LOG_FORMAT", message);
            Format::Text
        }
    }
}

fn ports(r: &mut Reader<'_>) -> Ports {
    let default = Ports::default();
    let mut port = |name, default| r.parsed(name).unwrap_or(default);
    Ports {
        outbound: port("LENO_OUTBOUND_PORT", default.outbound),
        inbound: port("LENO_INBOUND_PORT", default.inbound),
        admin: port("LENO_ADMIN_PORT", default.admin),
        status: port("LENO_STATUS_PORT", default.status),
        health: port("LENO_HEALTH_PORT", default.health),
        metrics: port("LENO_METRICS_PORT", default.metrics),
    }
}

fn path(r: &mut Reader<'_>, name: &str, default: &str) -> PathBuf {
    r.text(name).unwrap_or_else(|| default.to_owned()).into()
}

const DAY: Duration = Duration::from_secs(86_400);

#[cfg(test)]
mod tests;
