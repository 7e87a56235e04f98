//! Contexts of traces: what a request's headers say of the trace it belongs to, by W3C (`traceparent`) and by B3
//! (`b3`, or `x-b3-…`), and what its next hop is told.

use std::fmt;

/// Header of W3C.
pub const TRACEPARENT: &str = "traceparent";
/// What vendors add; passed on.
pub const TRACESTATE: &str = "tracestate";
/// B3 in one header.
pub const B3: &str = "b3";
/// B3 in several: the trace.
pub const B3_TRACE: &str = "x-b3-traceid";
/// The span.
pub const B3_SPAN: &str = "x-b3-spanid";
/// Its parent.
pub const B3_PARENT: &str = "x-b3-parentspanid";
/// Whether it is sampled.
pub const B3_SAMPLED: &str = "x-b3-sampled";
/// Whether it is sampled for debugging.
pub const B3_FLAGS: &str = "x-b3-flags";

/// A trace; never 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TraceId(pub u128);

/// A span within a trace; never 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SpanId(pub u64);

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// How a client told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// `traceparent`.
    W3c,
    /// `b3`.
    B3Single,
    /// `x-b3-…`.
    B3Multi,
}

/// Where a request stands in its trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Context {
    /// The trace.
    pub trace: TraceId,
    /// The span that sent the request.
    pub span: SpanId,
    /// Whether it is sampled; `None` = its sender left the decision to who comes next.
    pub sampled: Option<bool>,
    /// How it was told.
    pub dialect: Dialect,
}

impl Context {
    /// Reads a request's headers; `get` gives a header by its name in lower case. W3C goes before B3 where both are there.
    /// What is malformed counts as absent, as both specifications demand.
    #[must_use]
    pub fn read<'h>(get: impl Fn(&str) -> Option<&'h str>) -> Option<Self> {
        get(TRACEPARENT).and_then(w3c).or_else(|| get(B3).and_then(b3_single)).or_else(|| b3_multi(&get))
    }

    /// `traceparent` for the next hop.
    #[must_use]
    pub fn traceparent(&self) -> String {
        format!("00-{}-{}-{:02x}", self.trace, self.span, u8::from(self.sampled == Some(true)))
    }

    /// `b3` for the next hop; `parent` is the span that this one is a child of.
    #[must_use]
    pub fn b3(&self, parent: Option<SpanId>) -> String {
        let sampled = if self.sampled == Some(true) { '1' } else { '0' };
        match parent {
            Some(parent) => format!("{}-{}-{sampled}-{parent}", self.trace, self.span),
            None => format!("{}-{}-{sampled}", self.trace, self.span),
        }
    }
}

/// What a request that carries no context at all says of sampling: `b3: 0`, `x-b3-sampled: 0` or `1` alone.
#[must_use]
pub fn bare_decision<'h>(get: impl Fn(&str) -> Option<&'h str>) -> Option<bool> {
    let told = get(B3).or_else(|| get(B3_SAMPLED));
    match told.map(str::trim) {
        Some("0" | "false") => Some(false),
        Some("1" | "true" | "d") => Some(true),
        _ => (get(B3_FLAGS).map(str::trim) == Some("1")).then_some(true),
    }
}

fn w3c(text: &str) -> Option<Context> {
    let mut parts = text.trim().split('-');
    let mut part = |digits: usize| parts.next().filter(|p| p.len() == digits);
    let (version, trace, span, flags) = (part(2)?, part(32)?, part(16)?, part(2)?);
    // Later versions may add parts; this one may not.
    if version == "ff" || version == "00" && parts.next().is_some() || lower_hex::<u8>(version).is_none() {
        return None;
    }
    Some(Context {
        trace: lower_hex::<u128>(trace).filter(|t| *t != 0).map(TraceId)?,
        span: lower_hex::<u64>(span).filter(|s| *s != 0).map(SpanId)?,
        sampled: Some(lower_hex::<u8>(flags)? & 1 == 1),
        dialect: Dialect::W3c,
    })
}

fn b3_single(text: &str) -> Option<Context> {
    let mut parts = text.trim().split('-');
    let (trace, span) = (b3_trace(parts.next()?)?, b3_span(parts.next()?)?);
    let sampled = match parts.next() {
        None => None,
        Some(state) => Some(match state {
            "1" | "d" => true,
            "0" => false,
            _ => return None,
        }),
    };
    Some(Context { trace, span, sampled, dialect: Dialect::B3Single })
}

fn b3_multi<'h>(get: impl Fn(&str) -> Option<&'h str>) -> Option<Context> {
    let (trace, span) = (b3_trace(get(B3_TRACE)?.trim())?, b3_span(get(B3_SPAN)?.trim())?);
    let debug = get(B3_FLAGS).map(str::trim) == Some("1");
    let sampled = match get(B3_SAMPLED).map(str::trim) {
        Some("1" | "true") => Some(true),
        Some("0" | "false") => Some(false),
        _ => None,
    };
    Some(Context { trace, span, sampled: if debug { Some(true) } else { sampled }, dialect: Dialect::B3Multi })
}

/// 64 or 128 bits; B3 is written in either case of letters.
fn b3_trace(text: &str) -> Option<TraceId> {
    if text.len() != 16 && text.len() != 32 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    u128::from_str_radix(text, 16).ok().filter(|t| *t != 0).map(TraceId)
}

fn b3_span(text: &str) -> Option<SpanId> {
    if text.len() != 16 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    u64::from_str_radix(text, 16).ok().filter(|s| *s != 0).map(SpanId)
}

trait Hex: Sized {
    fn parse(text: &str) -> Option<Self>;
}

impl Hex for u8 {
    fn parse(text: &str) -> Option<Self> {
        Self::from_str_radix(text, 16).ok()
    }
}

impl Hex for u64 {
    fn parse(text: &str) -> Option<Self> {
        Self::from_str_radix(text, 16).ok()
    }
}

impl Hex for u128 {
    fn parse(text: &str) -> Option<Self> {
        Self::from_str_radix(text, 16).ok()
    }
}

/// W3C allows small letters only, and no sign.
fn lower_hex<T: Hex>(text: &str) -> Option<T> {
    text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')).then(|| T::parse(text)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(headers: &[(&str, &'static str)]) -> Option<Context> {
        Context::read(|name| headers.iter().find(|(n, _)| *n == name).map(|(_, v)| *v))
    }

    #[test]
    fn w3c_is_read_and_written() {
        let text = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let context = read(&[(TRACEPARENT, text)]).unwrap();
        assert_eq!((context.sampled, context.dialect), (Some(true), Dialect::W3c));
        assert_eq!(context.traceparent(), text);
        for wrong in [
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "",
        ] {
            assert_eq!(read(&[(TRACEPARENT, wrong)]), None, "{wrong}");
        }
        assert!(read(&[(TRACEPARENT, "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00-more")]).is_some());
    }

    #[test]
    fn b3_is_read_in_both_forms() {
        let single = read(&[(B3, "80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86bd1-1-05e3ac9a4f6e3b90")]).unwrap();
        assert_eq!((single.sampled, single.dialect), (Some(true), Dialect::B3Single));
        assert_eq!(single.b3(None), "80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86bd1-1");
        let short = read(&[(B3_TRACE, "64fe8b2a57d3eff7"), (B3_SPAN, "e457b5a2e4d86bd1")]).unwrap();
        assert_eq!((short.trace.0, short.sampled), (0x64fe_8b2a_57d3_eff7, None));
        assert_eq!(short.trace.to_string(), "000000000000000064fe8b2a57d3eff7");
        let debug = read(&[(B3_TRACE, "64fe8b2a57d3eff7"), (B3_SPAN, "e457b5a2e4d86bd1"), (B3_FLAGS, "1")]).unwrap();
        assert_eq!(debug.sampled, Some(true));
        assert_eq!(read(&[(B3, "0")]), None);
        assert_eq!(read(&[(B3, "80f198ee56343ba864fe8b2a57d3eff7-x-1")]), None);
    }

    #[test]
    fn w3c_goes_first_and_a_bare_decision_counts() {
        let both = read(&[
            (TRACEPARENT, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"),
            (B3, "80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86bd1-1"),
        ]);
        assert_eq!(both.unwrap().sampled, Some(false));
        let bare = |headers: &[(&str, &'static str)]| {
            bare_decision(|name| headers.iter().find(|(n, _)| *n == name).map(|(_, v)| *v))
        };
        assert_eq!(bare(&[(B3, "0")]), Some(false));
        assert_eq!(bare(&[(B3_SAMPLED, "1")]), Some(true));
        assert_eq!(bare(&[]), None);
    }
}
