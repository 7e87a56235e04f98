//! The load generator, and what its report says.

use std::path::Path;

use serde_json::Value;

/// Where it is: `LENO_FORTIO`, or where `make tools` puts it.
///
/// # Panics
/// Where it is not there.
#[must_use]
pub fn program() -> String {
    let path = std::env::var("LENO_FORTIO").unwrap_or_else(|_| {
        format!("{}/.cache/leno/bin/fortio", std::env::var("HOME").unwrap_or_else(|_| "/root".to_owned()))
    });
    assert!(Path::new(&path).exists(), "{path} is missing: run `make tools`");
    path
}

/// A percentile (0..100) of a report's latencies, in milliseconds.
///
/// # Panics
/// Where fortio was not asked for it (`-p`).
#[must_use]
pub fn percentile(report: &Value, p: f64) -> f64 {
    let all = report["DurationHistogram"]["Percentiles"].as_array();
    let found = all.and_then(|all| all.iter().find(|x| x["Percentile"] == p)).and_then(|x| x["Value"].as_f64());
    found.unwrap_or_else(|| panic!("fortio's p{p}: {report}")) * 1000.0
}
