//! Headers of traces: no panic, and what is told to the next hop is read there as the same.
#![no_main]

use leno_core::trace::{self, Context};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|headers: Vec<(u8, &str)>| {
    const NAMES: [&str; 6] =
        [trace::TRACEPARENT, trace::B3, trace::B3_TRACE, trace::B3_SPAN, trace::B3_SAMPLED, trace::B3_FLAGS];
    let get = |name: &str| {
        headers.iter().find(|(n, _)| NAMES[usize::from(*n) % NAMES.len()] == name).map(|(_, value)| *value)
    };
    let _ = trace::bare_decision(get);
    let Some(context) = Context::read(get) else { return };
    let (traceparent, b3) = (context.traceparent(), context.b3(None));
    let again = Context::read(|name| (name == trace::TRACEPARENT).then_some(traceparent.as_str())).expect("our own");
    assert_eq!((again.trace, again.span), (context.trace, context.span));
    let again = Context::read(|name| (name == trace::B3).then_some(b3.as_str())).expect("our own");
    assert_eq!((again.trace, again.span), (context.trace, context.span));
});
