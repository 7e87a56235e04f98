//! The text form: Istio's default format string (`EnvoyTextLogFormat`), operator by operator.

use std::fmt::{Display, Write as _};

use super::Line;
use crate::telemetry::time::Utc;

pub(super) fn write(out: &mut String, line: &Line<'_>) {
    let _ = write!(out, "[{}] ", Utc(line.start));
    let _ = write!(out, "\"{} {} {}\" ", Text(line.method), Text(line.path), Text(line.protocol));
    let _ = write!(out, "{} {} {} ", line.status, line.flags, Text(line.code_details));
    let _ = write!(out, "{} \"{}\" ", Text(line.termination_details), Text(line.transport_failure));
    let _ = write!(out, "{} {} {} ", line.received, line.sent, line.duration.as_millis());
    let _ = write!(out, "{} ", Maybe(line.service_time.map(|t| t.as_millis())));
    let _ = write!(out, "\"{}\" \"{}\" ", Text(line.forwarded_for), Text(line.user_agent));
    let _ = write!(out, "\"{}\" \"{}\" ", Text(line.request_id), Text(line.authority));
    let _ = write!(out, "\"{}\" {} ", Maybe(line.upstream_host), Text(line.upstream_cluster));
    let _ = write!(out, "{} {} ", Maybe(line.upstream_local), Maybe(line.downstream_local));
    let _ = write!(out, "{} {} {}", Maybe(line.downstream_remote), Text(line.sni), Text(line.route));
    match line.reason {
        None => {}
        Some((sentence, "")) => {
            let _ = write!(out, " leno-reason=\"{}\"", Text(sentence));
        }
        Some((sentence, detail)) => {
            let _ = write!(out, " leno-reason=\"{}: {}\"", Text(sentence), Text(detail));
        }
    }
    out.push('\n');
}

/// A text that a stranger may have chosen: it can end neither the quotes nor the line. Empty is `-`.
struct Text<'a>(&'a str);

impl Display for Text<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0.is_empty() {
            return f.write_str("-");
        }
        let mut rest = self.0;
        while let Some(at) = rest.find(|c: char| c == '"' || c.is_control()) {
            let (before, from) = rest.split_at(at);
            f.write_str(before)?;
            let mut chars = from.chars();
            match chars.next() {
                Some('"') => f.write_str("\\\"")?,
                Some(c) => write!(f, "\\x{:02x}", u32::from(c))?,
                None => {}
            }
            rest = chars.as_str();
        }
        f.write_str(rest)
    }
}

struct Maybe<T>(Option<T>);

impl<T: Display> Display for Maybe<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0 {
            Some(value) => value.fmt(f),
            None => f.write_str("-"),
        }
    }
}
