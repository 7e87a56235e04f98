//! Any `Telemetry`, any provider.

use leno_core::model::Telemetry;
use leno_core::model::telemetry::{
    Collector, CustomTag, DefaultProviders, LogFormat, LoggingRule, Metric, MetricsOverride, MetricsRule, Mode,
    Provider, ProviderKind, TracingRule,
};
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;

use super::strategy::{labels, name, origin, service_id, text, texts};

pub(super) fn telemetry() -> impl Strategy<Value = Telemetry> {
    let rules = (vec(logging(), 0..3), vec(metrics(), 0..3), vec(tracing(), 0..3));
    (origin(), labels(), any::<i64>(), rules).prop_map(|(origin, selector, created, (logging, metrics, tracing))| {
        Telemetry { origin, selector, created, logging, metrics, tracing }
    })
}

pub(super) fn provider() -> impl Strategy<Value = Provider> {
    let kind = prop_oneof![
        option::of(format()).prop_map(|format| ProviderKind::FileLog { format }),
        (collector(), name(), option::of(text()), keys()).prop_map(|(collector, log_name, text, labels)| {
            ProviderKind::OtlpLog { collector, log_name, text, labels }
        }),
        (collector(), any::<u32>()).prop_map(|(collector, max_path)| ProviderKind::OtlpTrace { collector, max_path }),
        Just(ProviderKind::Prometheus),
        text().prop_map(|field| ProviderKind::Unsupported { field }),
    ];
    (name(), kind).prop_map(|(name, kind)| Provider { name, kind })
}

pub(super) fn format() -> impl Strategy<Value = LogFormat> {
    prop_oneof![option::of(text()).prop_map(LogFormat::Text), option::of(keys()).prop_map(LogFormat::Json)]
}

pub(super) fn defaults() -> impl Strategy<Value = DefaultProviders> {
    (texts(), option::of(texts()), texts()).prop_map(|(logging, metrics, tracing)| DefaultProviders {
        logging,
        metrics,
        tracing,
    })
}

fn keys() -> impl Strategy<Value = Vec<(String, String)>> {
    vec((text(), text()), 0..3)
}

fn collector() -> impl Strategy<Value = Collector> {
    (service_id(), 1..u16::MAX, option::of(text()), keys()).prop_map(|(service, port, http_path, headers)| Collector {
        service,
        port,
        http_path,
        headers,
    })
}

fn mode() -> impl Strategy<Value = Mode> {
    prop::sample::select(vec![Mode::ClientAndServer, Mode::Client, Mode::Server])
}

fn logging() -> impl Strategy<Value = LoggingRule> {
    (mode(), texts(), any::<bool>(), option::of(text())).prop_map(|(mode, providers, disabled, filter)| LoggingRule {
        mode,
        providers,
        disabled,
        filter,
    })
}

fn metrics() -> impl Strategy<Value = MetricsRule> {
    let metric = option::of(prop::sample::select(Metric::ALL.to_vec()));
    let tags = btree_map(text(), option::of(text()), 0..3);
    let change = (metric, any::<bool>(), mode(), option::of(any::<bool>()), tags)
        .prop_map(|(metric, all, mode, disabled, tags)| MetricsOverride { metric, all, mode, disabled, tags });
    (texts(), vec(change, 0..3)).prop_map(|(providers, overrides)| MetricsRule { providers, overrides })
}

fn tracing() -> impl Strategy<Value = TracingRule> {
    let tag = prop_oneof![
        text().prop_map(CustomTag::Literal),
        (text(), text()).prop_map(|(name, default)| CustomTag::Environment { name, default }),
        (text(), text()).prop_map(|(name, default)| CustomTag::Header { name, default }),
    ];
    let share = option::of(0.0..=100.0);
    (mode(), option::of(text()), share, option::of(any::<bool>()), btree_map(text(), tag, 0..3)).prop_map(
        |(mode, provider, sampling, disable_reporting, tags)| TracingRule {
            mode,
            provider,
            sampling,
            disable_reporting,
            tags,
        },
    )
}
