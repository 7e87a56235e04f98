//! Labels that the Telemetry API changes: by metric, so that one series of Istio's becomes one for each metric, or none.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use leno_core::cel::{Facts, Value};
use leno_core::model::telemetry::Metric;

use super::plan::{Change, MetricsPlan};

/// The metrics of requests, in the order in which they are shown.
pub(super) const HTTP: [Metric; 6] = [
    Metric::RequestCount,
    Metric::RequestDuration,
    Metric::RequestSize,
    Metric::ResponseSize,
    Metric::GrpcRequestMessages,
    Metric::GrpcResponseMessages,
];
/// Those of connections.
pub(super) const TCP: [Metric; 4] =
    [Metric::TcpOpenedConnections, Metric::TcpClosedConnections, Metric::TcpSentBytes, Metric::TcpReceivedBytes];

/// What one request's added labels are.
#[derive(Debug)]
pub(super) struct Tags<'p> {
    plan: &'p MetricsPlan,
    /// Metric, label, value; `None` = removed.
    values: Vec<(Metric, &'p str, Option<String>)>,
    /// Tells apart requests with other values; never 0.
    pub(super) hash: u64,
}

impl<'p> Tags<'p> {
    /// Asks the expressions of `plan`.
    pub(super) fn of(plan: &'p MetricsPlan, facts: &dyn Facts, random: &RandomState) -> Self {
        let mut values = Vec::new();
        for (metric, change) in &plan.changes {
            values.extend(change.tags.iter().map(|(name, program)| {
                let value = program.as_ref().map(|p| shown(p.eval(facts)));
                (*metric, name.as_str(), value)
            }));
        }
        let hash = random.hash_one(&values).max(1);
        Self { plan, values, hash }
    }

    /// The labels of each metric; `None` = it is left out.
    pub(super) fn families<const N: usize>(&self, metrics: [Metric; N], base: &str) -> Box<[Option<Arc<str>>; N]> {
        Box::new(metrics.map(|metric| {
            let change: Option<&Change> = self.plan.changes.get(&metric);
            if self.plan.off || change.is_some_and(|c| c.disabled) {
                return None;
            }
            let mut labels = split(base);
            for (_, name, value) in self.values.iter().filter(|(m, _, _)| *m == metric) {
                labels.retain(|(n, _)| n != name);
                if let Some(value) = value {
                    labels.push(((*name).to_owned(), escaped(value)));
                }
            }
            let text: Vec<String> = labels.into_iter().map(|(n, v)| format!("{n}=\"{v}\"")).collect();
            Some(text.join(",").into())
        }))
    }
}

/// Istio's word for what cannot be told.
fn shown(value: Option<Value>) -> String {
    value.map(|v| v.show()).filter(|v| !v.is_empty()).unwrap_or_else(|| "unknown".to_owned())
}

/// Names and escaped values of a series' labels, which this program wrote itself.
fn split(text: &str) -> Vec<(String, String)> {
    let mut labels = Vec::new();
    let mut rest = text;
    while let Some((name, value)) = rest.split_once("=\"") {
        let mut escaped = false;
        let end = value.find(|c: char| {
            let ends = c == '"' && !escaped;
            escaped = c == '\\' && !escaped;
            ends
        });
        let Some(end) = end else { break };
        labels.push((name.trim_start_matches(',').to_owned(), value[..end].to_owned()));
        rest = &value[end + 1..];
    }
    labels
}

fn escaped(value: &str) -> String {
    // A client may choose the value: not for ever.
    let end = (0..=LONGEST.min(value.len())).rev().find(|at| value.is_char_boundary(*at)).unwrap_or(0);
    value[..end].replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// Longest value of an added label, bytes.
const LONGEST: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_with_quotes_are_taken_apart() {
        let text = "a=\"1\",b=\"say \\\"x\\\", y\",c=\"back\\\\\"";
        let labels = split(text);
        assert_eq!(labels.len(), 3);
        assert_eq!(labels[1], ("b".to_owned(), "say \\\"x\\\", y".to_owned()));
        assert_eq!(labels[2], ("c".to_owned(), "back\\\\".to_owned()));
    }

    #[test]
    fn what_a_client_chooses_is_cut_and_escaped() {
        assert_eq!(escaped("a\"b\nc"), "a\\\"b\\nc");
        assert_eq!(escaped(&"x".repeat(1000)).len(), LONGEST);
    }
}
