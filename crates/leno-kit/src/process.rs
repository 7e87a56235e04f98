//! What the kernel says about this process.

use std::time::{SystemTime, UNIX_EPOCH};

/// Numbers under Prometheus' customary `process_` names.
#[derive(Clone, Copy, Debug, Default)]
pub struct Process {
    /// User and system time.
    pub cpu_seconds: f64,
    /// Resident memory.
    pub resident_bytes: u64,
    /// When it started, in seconds since 1970.
    pub started_seconds: f64,
    /// Open file descriptors.
    pub open_fds: usize,
}

impl Process {
    /// Reads `/proc`; what cannot be read is 0.
    #[must_use]
    pub fn read(started: SystemTime) -> Self {
        Self {
            cpu_seconds: cpu_seconds(),
            resident_bytes: resident_bytes(),
            started_seconds: started.duration_since(UNIX_EPOCH).map_or(0.0, |d| d.as_secs_f64()),
            open_fds: std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count),
        }
    }
}

/// User and system time of this process so far; 0 where it cannot be read.
#[must_use]
pub fn cpu_seconds() -> f64 {
    std::fs::read_to_string("/proc/self/stat").ok().and_then(|s| times(&s)).unwrap_or(0.0)
}

/// Resident memory of this process, in bytes.
#[must_use]
pub fn resident_bytes() -> u64 {
    status_bytes("VmRSS:")
}

/// Resident memory that is no part of any file: heap and stacks, in bytes.
#[must_use]
pub fn anonymous_bytes() -> u64 {
    status_bytes("RssAnon:")
}

/// A line of `/proc/self/status`; 0 where it cannot be read.
fn status_bytes(field: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix(field));
    let kib = line.and_then(|l| l.split_whitespace().next()).and_then(|n| n.parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}

/// User and system time, fields 14 and 15. The name in field 2 may hold anything, also blanks and parentheses.
fn times(stat: &str) -> Option<f64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some((user + system) / USER_HZ)
}

/// Ticks per second in `/proc`, the same on every Linux that Leno runs on.
const USER_HZ: f64 = 100.0;

#[cfg(test)]
mod tests;
