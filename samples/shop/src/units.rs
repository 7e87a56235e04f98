//! Small shared words: who this process is, durations as people write them.

use std::time::Duration;

/// Who answers: put into every reply, so that a caller sees which pod and version served it.
#[derive(Clone, Debug)]
pub(crate) struct Me {
    /// `SERVICE`, else the subcommand's name.
    pub(crate) service: String,
    /// `VERSION`, else `v1`.
    pub(crate) version: String,
    /// `POD_NAME`, else the host's name.
    pub(crate) pod: String,
}

impl Me {
    /// From the environment that the pod's YAML sets.
    pub(crate) fn from_env(service: &str) -> Self {
        let var = |name: &str| std::env::var(name).ok().filter(|v| !v.is_empty());
        Self {
            service: var("SERVICE").unwrap_or_else(|| service.to_owned()),
            version: var("VERSION").unwrap_or_else(|| "v1".to_owned()),
            pod: var("POD_NAME").unwrap_or_else(hostname),
        }
    }
}

/// The kernel's host name; a pod's own where it has a UTS namespace.
pub(crate) fn hostname() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname").map_or_else(|_| "unknown".to_owned(), |s| s.trim().to_owned())
}

/// Reads `250ms`, `2s`, `1.5s`, `1m`, `1h`, or a plain number of seconds.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let split = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let scale = match unit {
        "us" => 1e-6,
        "ms" => 1e-3,
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err(format!("`{text}`: unit must be us, ms, s, m or h")),
    };
    let seconds = number.parse::<f64>().map_err(|_| format!("`{text}`: not a duration such as 250ms or 2s"))? * scale;
    Duration::try_from_secs_f64(seconds).map_err(|_| format!("`{text}`: out of range"))
}

/// Waits; not at all for no time, where a timer would still round up to its next millisecond.
pub(crate) async fn pause(time: Duration) {
    if !time.is_zero() {
        tokio::time::sleep(time).await;
    }
}

/// The text value of the first `"name": "…"` in a JSON body; cheaper than parsing it, and good enough for counting.
pub(crate) fn text_field<'a>(body: &'a [u8], name: &str) -> Option<&'a str> {
    let body = std::str::from_utf8(body).ok()?;
    let quoted = format!("\"{name}\"");
    let after = &body[body.find(&quoted)? + quoted.len()..];
    let value = after.trim_start().strip_prefix(':')?.trim_start().strip_prefix('"')?;
    value.split('"').next()
}

#[cfg(test)]
mod tests;
