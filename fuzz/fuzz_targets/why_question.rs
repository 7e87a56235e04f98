//! What is asked of a sidecar's `/leno/v1/why`: read or refused, never a panic, and judged to an end whatever it says.
#![no_main]

use leno_core::model::{Policies, Workload};
use leno_core::why::{Arriving, Asked, Callee, from_hex, inbound};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = from_hex(text);
    }
    let _ = serde_json::from_slice::<Asked>(data);
    let Ok(arriving) = serde_json::from_slice::<Arriving>(data) else { return };
    let (workload, policies) = (Workload::default(), Policies::default());
    let callee = Callee {
        workload: &workload,
        ports: &[],
        policies: [&policies, &policies],
        root_namespace: "istio-system",
        opaque: false,
    };
    let _ = inbound(callee, &arriving);
});
