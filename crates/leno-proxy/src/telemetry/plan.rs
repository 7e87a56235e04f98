//! What of the configuration bears on a request's report, compiled once per change of it.
//!
//! What is off costs a request one look at [`Bits`]; the plan itself is only read where a bit says that there is something
//! in it.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::HeaderName;
use leno_core::cel::Program;
use leno_core::id::Direction;
use leno_core::log_format::{Format, is_recorded};
use leno_core::merge::telemetry::{LogTarget, Metrics, Reporting, Side, Tracing};
use leno_core::model::MeshConfig;
use leno_core::model::mesh::AccessLog;
use leno_core::model::telemetry::{Collector, CustomTag, LogFormat, Metric, ProviderKind};

use super::access_log::layout::{self, Layout};

/// Everything that is reported, for both sides.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) client: SidePlan,
    pub(super) server: SidePlan,
    /// Headers to keep of requests and of answers.
    pub(super) request_headers: Vec<(HeaderName, Arc<str>)>,
    pub(super) response_headers: Vec<(HeaderName, Arc<str>)>,
}

/// One side of it.
#[derive(Debug, Default)]
pub(super) struct SidePlan {
    pub(super) logs: Vec<Sink>,
    pub(super) metrics: MetricsPlan,
    pub(super) tracing: Option<TracePlan>,
}

/// One access log.
#[derive(Debug)]
pub(super) struct Sink {
    /// Only what failed.
    pub(super) errors: bool,
    pub(super) filter: Option<Program>,
    pub(super) to: Target,
}

/// Where a log's lines go.
#[derive(Debug)]
pub(super) enum Target {
    File(Layout),
    Otlp { collector: Arc<Collector>, log_name: Arc<str>, body: Format, labels: Vec<(String, Format)> },
}

/// What becomes of metrics.
#[derive(Debug, Default, PartialEq)]
pub(super) struct MetricsPlan {
    /// None are kept.
    pub(super) off: bool,
    /// Changes by metric, with compiled labels.
    pub(super) changes: BTreeMap<Metric, Change>,
}

/// A change of one metric.
#[derive(Debug, PartialEq)]
pub(super) struct Change {
    pub(super) disabled: bool,
    /// Labels to set, `None` = to remove.
    pub(super) tags: Vec<(String, Option<Program>)>,
}

/// How spans are made.
#[derive(Debug)]
pub(super) struct TracePlan {
    pub(super) collector: Arc<Collector>,
    pub(super) reports: bool,
    pub(super) sampling: f64,
    pub(super) max_path: usize,
    /// Istio's mesh id: the trust domain by default.
    pub(super) mesh: String,
    pub(super) tags: Vec<(String, CustomTag)>,
}

/// What there is to do at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Bits(pub(super) u8);

impl Bits {
    /// Some log keeps failures.
    pub(super) const LOG_ERRORS: u8 = 1;
    /// Some log keeps everything, or what a filter takes.
    pub(super) const LOG_ALL: u8 = 1 << 1;
    /// Outbound requests belong to traces.
    pub(super) const TRACE_CLIENT: u8 = 1 << 2;
    /// Inbound ones do.
    pub(super) const TRACE_SERVER: u8 = 1 << 3;
    /// Headers are to be kept.
    pub(super) const HEADERS: u8 = 1 << 4;
    /// Metrics are changed.
    pub(super) const METRICS: u8 = 1 << 5;

    pub(super) const fn has(self, bit: u8) -> bool {
        self.0 & bit != 0
    }

    pub(super) const fn traces(self, side: Direction) -> bool {
        match side {
            Direction::Outbound => self.has(Self::TRACE_CLIENT),
            Direction::Inbound => self.has(Self::TRACE_SERVER),
        }
    }
}

impl Plan {
    /// Compiles what holds for this pod. What cannot be compiled, as it was written for a newer release, is left out and
    /// said.
    pub(super) fn compile(mesh: &MeshConfig, reporting: &Reporting) -> Self {
        let mut plan = Self {
            client: SidePlan::compile(mesh, &reporting.client),
            server: SidePlan::compile(mesh, &reporting.server),
            ..Self::default()
        };
        let (mut request, mut response) = (Vec::new(), Vec::new());
        for side in [&plan.client, &plan.server] {
            side.headers(&mut request, &mut response);
        }
        request.retain(|name| !is_recorded(name));
        (plan.request_headers, plan.response_headers) = (named(request), named(response));
        plan
    }

    /// One side of it.
    pub(super) const fn side(&self, side: Direction) -> &SidePlan {
        match side {
            Direction::Outbound => &self.client,
            Direction::Inbound => &self.server,
        }
    }

    /// What there is to do at all.
    pub(super) fn bits(&self) -> Bits {
        let mut bits = 0;
        for (side, trace) in [(&self.client, Bits::TRACE_CLIENT), (&self.server, Bits::TRACE_SERVER)] {
            for sink in &side.logs {
                bits |= if sink.errors { Bits::LOG_ERRORS } else { Bits::LOG_ALL };
            }
            if side.tracing.is_some() {
                bits |= trace;
            }
            if side.metrics != MetricsPlan::default() {
                bits |= Bits::METRICS;
            }
        }
        if !self.request_headers.is_empty() || !self.response_headers.is_empty() {
            bits |= Bits::HEADERS;
        }
        Bits(bits)
    }
}

impl SidePlan {
    fn compile(mesh: &MeshConfig, side: &Side) -> Self {
        let own = |errors| Sink { errors, filter: None, to: Target::File(file(&mesh.access_log_format)) };
        let logs = match &side.logs {
            Some(targets) => targets.iter().filter_map(|t| sink(mesh, t)).collect(),
            None => match mesh.access_log {
                AccessLog::Off => Vec::new(),
                AccessLog::Errors => vec![own(true)],
                AccessLog::All => vec![own(false)],
            },
        };
        let tracing = side.tracing.as_ref().and_then(|t| trace_plan(mesh, t));
        Self { logs, metrics: metrics(&side.metrics), tracing }
    }

    fn headers(&self, request: &mut Vec<String>, response: &mut Vec<String>) {
        for sink in &self.logs {
            if let Some(filter) = &sink.filter {
                filter.headers(request, response);
            }
            match &sink.to {
                Target::File(layout) => layout.formats().for_each(|f| f.headers(request, response)),
                Target::Otlp { body, labels, .. } => {
                    body.headers(request, response);
                    labels.iter().for_each(|(_, f)| f.headers(request, response));
                }
            }
        }
        for (_, program) in self.metrics.changes.values().flat_map(|c| &c.tags) {
            if let Some(program) = program {
                program.headers(request, response);
            }
        }
        for (_, tag) in self.tracing.iter().flat_map(|t| &t.tags) {
            if let CustomTag::Header { name, .. } = tag {
                request.push(name.clone());
            }
        }
    }
}

fn sink(mesh: &MeshConfig, target: &LogTarget) -> Option<Sink> {
    let filter = match &target.filter {
        None => None,
        // A filter that cannot be read keeps nothing: more lines than were asked for could hold what nobody may see.
        Some(text) => Some(program(text)?),
    };
    let to = match &target.provider.kind {
        ProviderKind::FileLog { format } => Target::File(file(format.as_ref().unwrap_or(&mesh.access_log_format))),
        ProviderKind::OtlpLog { collector, log_name, text, labels } => Target::Otlp {
            collector: Arc::new(collector.clone()),
            log_name: log_name.as_str().into(),
            body: text.as_deref().map_or_else(|| Ok(Format::istio()), Format::parse).ok()?,
            labels: layout::labels(labels).ok()?,
        },
        ProviderKind::OtlpTrace { .. } | ProviderKind::Prometheus | ProviderKind::Unsupported { .. } => return None,
    };
    Some(Sink { errors: false, filter, to })
}

fn file(format: &LogFormat) -> Layout {
    Layout::of(format).unwrap_or_else(|e| {
        tracing::warn!("the access log keeps Istio's default format: the configured one {e}");
        Layout::Text(Format::istio())
    })
}

fn program(text: &str) -> Option<Program> {
    match Program::parse(text) {
        Ok(program) => Some(program),
        Err(e) => {
            tracing::warn!("`{text}` {e}; what it is for is left out");
            None
        }
    }
}

fn metrics(metrics: &Metrics) -> MetricsPlan {
    let changes = metrics.changes.iter().map(|(metric, change)| {
        let tags = change.tags.iter().filter_map(|(name, text)| match text {
            None => Some((name.clone(), None)),
            Some(text) => program(text).map(|p| (name.clone(), Some(p))),
        });
        (*metric, Change { disabled: change.disabled, tags: tags.collect() })
    });
    MetricsPlan { off: metrics.off, changes: changes.collect() }
}

fn trace_plan(mesh: &MeshConfig, tracing: &Tracing) -> Option<TracePlan> {
    let ProviderKind::OtlpTrace { collector, max_path } = &tracing.provider.kind else { return None };
    Some(TracePlan {
        collector: Arc::new(collector.clone()),
        reports: tracing.reports,
        sampling: tracing.sampling,
        max_path: usize::try_from(*max_path).unwrap_or(usize::MAX),
        mesh: mesh.trust_domain.clone(),
        tags: tracing.tags.iter().map(|(k, v)| (k.clone(), v.clone())).collect(),
    })
}

fn named(mut names: Vec<String>) -> Vec<(HeaderName, Arc<str>)> {
    names.sort();
    names.dedup();
    names.into_iter().filter_map(|n| Some((HeaderName::try_from(n.as_str()).ok()?, n.into()))).collect()
}
