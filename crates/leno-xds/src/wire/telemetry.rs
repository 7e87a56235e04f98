//! `Telemetry` and providers. What a reader does not know reports less, never more.

use leno_core::model::Telemetry;
use leno_core::model::telemetry::{
    Collector, CustomTag, LogFormat, LoggingRule, Metric, MetricsOverride, MetricsRule, Mode, Provider, ProviderKind,
    TracingRule,
};

use super::common::{At, DecodeError, Wire, list, percent, port, required, service_id, to_list};
use crate::proto::leno as pb;

impl Wire for Telemetry {
    type Proto = pb::Telemetry;

    fn to_wire(&self) -> pb::Telemetry {
        pb::Telemetry {
            origin: Some(self.origin.to_wire()),
            selector: self.selector.clone(),
            created: self.created,
            logging: to_list(&self.logging),
            metrics: to_list(&self.metrics),
            tracing: to_list(&self.tracing),
        }
    }

    fn from_wire(p: pb::Telemetry) -> Result<Self, DecodeError> {
        Ok(Self {
            origin: required(p.origin, "origin")?,
            selector: p.selector,
            created: p.created,
            logging: list(p.logging, "logging")?,
            metrics: list(p.metrics, "metrics")?,
            tracing: list(p.tracing, "tracing")?,
        })
    }
}

impl Wire for LoggingRule {
    type Proto = pb::LoggingRule;

    fn to_wire(&self) -> pb::LoggingRule {
        pb::LoggingRule {
            side: side(self.mode),
            providers: self.providers.clone(),
            disabled: self.disabled,
            filter: self.filter.clone(),
        }
    }

    fn from_wire(p: pb::LoggingRule) -> Result<Self, DecodeError> {
        Ok(Self { mode: mode(p.side)?, providers: p.providers, disabled: p.disabled, filter: p.filter })
    }
}

impl Wire for MetricsRule {
    type Proto = pb::MetricsRule;

    fn to_wire(&self) -> pb::MetricsRule {
        pb::MetricsRule { providers: self.providers.clone(), overrides: to_list(&self.overrides) }
    }

    fn from_wire(p: pb::MetricsRule) -> Result<Self, DecodeError> {
        Ok(Self { providers: p.providers, overrides: list(p.overrides, "overrides")? })
    }
}

impl Wire for MetricsOverride {
    type Proto = pb::MetricsOverride;

    fn to_wire(&self) -> pb::MetricsOverride {
        let set = self.tags.iter().filter_map(|(k, v)| Some((k.clone(), v.clone()?)));
        let remove = self.tags.iter().filter(|(_, v)| v.is_none()).map(|(k, _)| k.clone());
        pb::MetricsOverride {
            metric: self.metric.map(Metric::as_str).unwrap_or_default().to_owned(),
            all: self.all,
            side: side(self.mode),
            disabled: self.disabled,
            set: set.collect(),
            remove: remove.collect(),
        }
    }

    fn from_wire(p: pb::MetricsOverride) -> Result<Self, DecodeError> {
        let metric = match p.metric.as_str() {
            "" => None,
            name => Some(Metric::named(name).ok_or_else(|| DecodeError::new(format!("has no metric `{name}`")))?),
        };
        let mut tags: std::collections::BTreeMap<_, _> = p.set.into_iter().map(|(k, v)| (k, Some(v))).collect();
        tags.extend(p.remove.into_iter().map(|k| (k, None)));
        Ok(Self { metric, all: p.all, mode: mode(p.side)?, disabled: p.disabled, tags })
    }
}

impl Wire for TracingRule {
    type Proto = pb::TracingRule;

    fn to_wire(&self) -> pb::TracingRule {
        pb::TracingRule {
            side: side(self.mode),
            provider: self.provider.clone(),
            sampling: self.sampling,
            disable_reporting: self.disable_reporting,
            tags: self.tags.iter().map(|(k, v)| (k.clone(), v.to_wire())).collect(),
        }
    }

    fn from_wire(p: pb::TracingRule) -> Result<Self, DecodeError> {
        let tags = p.tags.into_iter().map(|(k, v)| Ok((k, CustomTag::from_wire(v)?)));
        Ok(Self {
            mode: mode(p.side)?,
            provider: p.provider,
            sampling: p.sampling.map(|s| percent(s, "sampling")).transpose()?,
            disable_reporting: p.disable_reporting,
            tags: tags.collect::<Result<_, _>>().at("tags")?,
        })
    }
}

impl Wire for CustomTag {
    type Proto = pb::CustomTag;

    fn to_wire(&self) -> pb::CustomTag {
        use pb::custom_tag::Kind;
        let named = |name: &String, default: &String| pb::NamedTag { name: name.clone(), default: default.clone() };
        let kind = match self {
            Self::Literal(value) => Kind::Literal(value.clone()),
            Self::Environment { name, default } => Kind::Environment(named(name, default)),
            Self::Header { name, default } => Kind::Header(named(name, default)),
        };
        pb::CustomTag { kind: Some(kind) }
    }

    fn from_wire(p: pb::CustomTag) -> Result<Self, DecodeError> {
        use pb::custom_tag::Kind;
        match p.kind.ok_or_else(DecodeError::missing)? {
            Kind::Literal(value) => Ok(Self::Literal(value)),
            Kind::Environment(pb::NamedTag { name, default }) => Ok(Self::Environment { name, default }),
            Kind::Header(pb::NamedTag { name, default }) => Ok(Self::Header { name, default }),
        }
    }
}

impl Wire for Provider {
    type Proto = pb::Provider;

    fn to_wire(&self) -> pb::Provider {
        use pb::provider::Kind;
        let kind = match &self.kind {
            ProviderKind::FileLog { format } => Kind::FileLog(file_log(format.as_ref())),
            ProviderKind::OtlpLog { collector, log_name, text, labels } => Kind::OtlpLog(pb::OtlpLog {
                collector: Some(collector.to_wire()),
                log_name: log_name.clone(),
                text: text.clone(),
                labels: to_labels(labels).labels,
            }),
            ProviderKind::OtlpTrace { collector, max_path } => {
                Kind::OtlpTrace(pb::OtlpTrace { collector: Some(collector.to_wire()), max_path: *max_path })
            }
            ProviderKind::Prometheus => Kind::Prometheus(pb::Prometheus {}),
            ProviderKind::Unsupported { field } => Kind::Unsupported(field.clone()),
        };
        pb::Provider { name: self.name.clone(), kind: Some(kind) }
    }

    fn from_wire(p: pb::Provider) -> Result<Self, DecodeError> {
        use pb::provider::Kind;
        let kind = match p.kind {
            Some(Kind::FileLog(log)) => ProviderKind::FileLog { format: from_file_log(log) },
            Some(Kind::OtlpLog(log)) => ProviderKind::OtlpLog {
                collector: required(log.collector, "collector")?,
                log_name: log.log_name,
                text: log.text,
                labels: labels(pb::LogLabels { labels: log.labels }),
            },
            Some(Kind::OtlpTrace(trace)) => {
                ProviderKind::OtlpTrace { collector: required(trace.collector, "collector")?, max_path: trace.max_path }
            }
            Some(Kind::Prometheus(pb::Prometheus {})) => ProviderKind::Prometheus,
            Some(Kind::Unsupported(field)) => ProviderKind::Unsupported { field },
            // One of a later release.
            None => ProviderKind::Unsupported { field: String::new() },
        };
        Ok(Self { name: p.name, kind })
    }
}

impl Wire for Collector {
    type Proto = pb::Collector;

    fn to_wire(&self) -> pb::Collector {
        pb::Collector {
            service: self.service.to_string(),
            port: self.port.into(),
            http_path: self.http_path.clone(),
            headers: to_labels(&self.headers).labels,
        }
    }

    fn from_wire(p: pb::Collector) -> Result<Self, DecodeError> {
        Ok(Self {
            service: service_id(&p.service, "service")?,
            port: port(p.port, "port")?,
            http_path: p.http_path,
            headers: labels(pb::LogLabels { labels: p.headers }),
        })
    }
}

fn file_log(format: Option<&LogFormat>) -> pb::FileLog {
    let none = pb::FileLog::default();
    match format {
        None => none,
        Some(LogFormat::Text(None)) => pb::FileLog { istio_text: true, ..none },
        Some(LogFormat::Text(Some(text))) => pb::FileLog { text: Some(text.clone()), ..none },
        Some(LogFormat::Json(keys)) => pb::FileLog { json: true, labels: keys.as_deref().map(to_labels), ..none },
    }
}

fn from_file_log(log: pb::FileLog) -> Option<LogFormat> {
    match (log.json, log.text, log.istio_text) {
        (true, _, _) => Some(LogFormat::Json(log.labels.map(labels))),
        (false, Some(text), _) => Some(LogFormat::Text(Some(text))),
        (false, None, true) => Some(LogFormat::Text(None)),
        (false, None, false) => None,
    }
}

/// Keys and formats.
pub(super) fn to_labels(labels: &[(String, String)]) -> pb::LogLabels {
    let label = |(key, format): &(String, String)| pb::LogLabel { key: key.clone(), format: format.clone() };
    pb::LogLabels { labels: labels.iter().map(label).collect() }
}

/// The way back.
pub(super) fn labels(p: pb::LogLabels) -> Vec<(String, String)> {
    p.labels.into_iter().map(|l| (l.key, l.format)).collect()
}

fn side(mode: Mode) -> i32 {
    let side = match mode {
        Mode::ClientAndServer => pb::Side::ClientAndServer,
        Mode::Client => pb::Side::Client,
        Mode::Server => pb::Side::Server,
    };
    side.into()
}

fn mode(side: i32) -> Result<Mode, DecodeError> {
    match pb::Side::try_from(side) {
        Ok(pb::Side::ClientAndServer) => Ok(Mode::ClientAndServer),
        Ok(pb::Side::Client) => Ok(Mode::Client),
        Ok(pb::Side::Server) => Ok(Mode::Server),
        Err(_) => Err(DecodeError::unknown("side", side)).at("side"),
    }
}
