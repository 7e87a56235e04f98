//! Where a request stands in its trace: read from its headers, decided where nobody has, and told to the next hop.

use http::{HeaderName, HeaderValue};
use leno_core::trace::{self, Context, Dialect, SpanId, TraceId};
use leno_http::Fields;

use super::plan::TracePlan;
use super::record::SpanRef;

/// Begins this proxy's span of a request and writes it into its headers. `draw` is uniform in 0..100, for traces that begin
/// here.
///
/// A context that came in is kept: the trace and whether it is sampled are its sender's. Where this proxy reports no spans
/// it does not put itself between sender and server either.
pub(super) fn begin(plan: &TracePlan, headers: &mut Fields, draw: f64) -> SpanRef {
    let get = |name: &str| headers.get(name).and_then(|v| v.to_str().ok());
    let came = Context::read(get);
    let decided =
        came.and_then(|c| c.sampled).or_else(|| if came.is_none() { trace::bare_decision(get) } else { None });
    let sampled = decided.unwrap_or(draw < plan.sampling);
    let state = headers.get(trace::TRACESTATE).and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
    let trace = came.map_or_else(|| TraceId(rand::random::<u128>().max(1)), |c| c.trace);
    if let Some(came) = came
        && !plan.reports
    {
        return SpanRef { trace, span: came.span, parent: None, sampled: false, state };
    }
    let span = SpanId(rand::random::<u64>().max(1));
    let parent = came.map(|c| c.span);
    tell(headers, &Context { trace, span, sampled: Some(sampled), dialect: Dialect::W3c }, parent);
    SpanRef { trace, span, parent, sampled: sampled && plan.reports, state }
}

/// W3C always, and B3 in whatever form the client uses it, so that no header is left that says something else.
fn tell(headers: &mut Fields, context: &Context, parent: Option<SpanId>) {
    set(headers, TRACEPARENT, &context.traceparent());
    if headers.contains(&B3) {
        set(headers, B3, &context.b3(parent));
    }
    if headers.contains(&B3_TRACE) || headers.contains(&B3_SAMPLED) {
        set(headers, B3_TRACE, &context.trace.to_string());
        set(headers, B3_SPAN, &context.span.to_string());
        set(headers, B3_SAMPLED, if context.sampled == Some(true) { "1" } else { "0" });
        match parent {
            Some(parent) => set(headers, B3_PARENT, &parent.to_string()),
            None => drop(headers.remove(B3_PARENT)),
        }
    }
}

fn set(headers: &mut Fields, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::try_from(value) {
        headers.insert(name, value);
    }
}

const TRACEPARENT: HeaderName = HeaderName::from_static(trace::TRACEPARENT);
const B3: HeaderName = HeaderName::from_static(trace::B3);
const B3_TRACE: HeaderName = HeaderName::from_static(trace::B3_TRACE);
const B3_SPAN: HeaderName = HeaderName::from_static(trace::B3_SPAN);
const B3_PARENT: HeaderName = HeaderName::from_static(trace::B3_PARENT);
const B3_SAMPLED: HeaderName = HeaderName::from_static(trace::B3_SAMPLED);

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use leno_core::id::ServiceId;
    use leno_core::model::telemetry::Collector;

    use super::*;

    fn plan(sampling: f64, reports: bool) -> TracePlan {
        let service = ServiceId::new("otel", "collector");
        let collector = Arc::new(Collector { service, port: 4317, http_path: None, headers: Vec::new() });
        TracePlan { collector, reports, sampling, max_path: 256, mesh: "cluster.local".to_owned(), tags: Vec::new() }
    }

    fn headers(pairs: &[(&'static str, &'static str)]) -> Fields {
        pairs.iter().map(|(n, v)| (HeaderName::from_static(n), HeaderValue::from_static(v))).collect()
    }

    #[test]
    fn a_trace_begins_here_by_chance_and_is_told_either_way() {
        for (draw, sampled) in [(0.5, true), (1.5, false)] {
            let mut told = headers(&[]);
            let span = begin(&plan(1.0, true), &mut told, draw);
            assert_eq!((span.sampled, span.parent), (sampled, None));
            let flag = if sampled { "01" } else { "00" };
            let expected = format!("00-{}-{}-{flag}", span.trace, span.span);
            assert_eq!(told.get("traceparent").unwrap(), &expected);
            assert!(!told.contains("b3") && !told.contains("x-b3-traceid"));
        }
    }

    #[test]
    fn a_parent_decides_and_is_the_parent() {
        let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let mut told = headers(&[("traceparent", parent), ("tracestate", "a=1"), ("x-b3-traceid", "stale")]);
        let span = begin(&plan(0.0, true), &mut told, 50.0);
        assert!(span.sampled, "0 % is for traces that begin here");
        assert_eq!(span.parent, Some(SpanId(0xb7ad_6b71_6920_3331)));
        assert_eq!(span.state, "a=1");
        assert!(told["traceparent"].to_str().unwrap().starts_with("00-0af7651916cd43dd8448eb211c80319c-"));
        assert_eq!(told["x-b3-traceid"], "0af7651916cd43dd8448eb211c80319c", "nothing stale is left");
        let mut told = headers(&[("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00")]);
        assert!(!begin(&plan(100.0, true), &mut told, 0.0).sampled);
    }

    #[test]
    fn a_client_of_b3_is_answered_in_b3() {
        let mut told = headers(&[("x-b3-traceid", "64fe8b2a57d3eff7"), ("x-b3-spanid", "e457b5a2e4d86bd1")]);
        let span = begin(&plan(100.0, true), &mut told, 50.0);
        assert!(span.sampled, "the client left the decision open");
        assert_eq!(told["x-b3-spanid"].to_str().unwrap(), span.span.to_string());
        assert_eq!(told["x-b3-parentspanid"], "e457b5a2e4d86bd1");
        assert_eq!(told["x-b3-sampled"], "1");
        let mut told = headers(&[("b3", "0")]);
        assert!(!begin(&plan(100.0, true), &mut told, 50.0).sampled);
        assert!(told["b3"].to_str().unwrap().ends_with("-0"));
    }

    #[test]
    fn who_reports_nothing_does_not_put_itself_in_between() {
        let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let mut told = headers(&[("traceparent", parent)]);
        let span = begin(&plan(100.0, false), &mut told, 0.0);
        assert!(!span.sampled);
        assert_eq!(told["traceparent"], parent);
    }
}
